// SPDX-License-Identifier: Apache-2.0
//
// Generates a guest's device tree: the parts that all architectures share. CPUs, interrupt controllers and timers come from the architecture's own file (vm_fdt_aarch64.c,
// vm_fdt_riscv64.c).
#include "vmm/firmware/vm_fdt.h"

#include <stdio.h>
#include <string.h>

#include "vmm/firmware/fdt_builder.h"
#include "vmm/firmware/fdt_internal.h"

static const struct fdt_arch *find_arch(const char *arch)
{
    static const struct fdt_arch *const all[] = {
        BOARD_BUILT("aarch64") ? &fdt_arch_aarch64 : NULL,
        BOARD_BUILT("riscv64") ? &fdt_arch_riscv64 : NULL,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i] && strcmp(all[i]->arch, arch) == 0) {
            return all[i];
        }
    }
    return NULL;
}

static const struct fdt_arch *arch_of(const struct vm_fdt_input *in)
{
    return find_arch(in->arch ? in->arch : "aarch64");
}

bool vm_fdt_supports(const char *arch)
{
    return find_arch(arch) != NULL;
}

static void add_memory(struct fdt_builder *b)
{
    const struct vm_plan *plan = b->in->plan;

    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];
        if (r->kind != REGION_RAM) {
            continue;
        }
        tree_begin_at(b, "memory", r->base);
        tree_put_text(b, "device_type", "memory");
        tree_put_reg(b, (uint64_t[]){r->base, r->size}, 2);
        tree_end(b);
    }
}

static void add_device(struct fdt_builder *b, const struct vm_fdt_device *d)
{
    const struct fdt_arch *arch = arch_of(b->in);
    uint32_t clocks[8];

    tree_begin_at(b, d->desc.node, d->base);
    tree_put_bytes(b, "compatible", d->desc.compatible, d->desc.compatible_len);
    tree_put_reg(b, (uint64_t[]){d->base, d->size}, 2);
    arch->add_irq(b, d);
    if (d->desc.clock_frequency) {
        tree_put_u32(b, "clock-frequency", d->desc.clock_frequency);
    }
    if (d->desc.clocks && arch->clock_phandle) {
        unsigned count = d->desc.clocks < ARRAY_SIZE(clocks) ? d->desc.clocks : ARRAY_SIZE(clocks);
        for (unsigned i = 0; i < count; i++) {
            clocks[i] = arch->clock_phandle;
        }
        tree_put_cells(b, "clocks", clocks, count);
        tree_put_bytes(b, "clock-names", d->desc.clock_names, d->desc.clock_names_len);
    }
    if (d->desc.dma_coherent) {
        tree_put_flag(b, "dma-coherent");
    }
    tree_end(b);
}

// The device that the plan made the console, if it is one that stdout-path may name.
static const struct vm_fdt_device *find_console(const struct vm_fdt_input *in)
{
    int console = in->plan->console;

    for (unsigned i = 0; i < in->device_count; i++) {
        const struct vm_fdt_device *d = &in->devices[i];
        if (d->desc.is_console && console >= 0 && d->base == in->plan->devices[console].base) {
            return d;
        }
    }
    return NULL;
}

static void add_chosen(struct fdt_builder *b)
{
    const struct vm_fdt_input *in = b->in;
    const struct vm_fdt_device *console = find_console(in);
    char text[CONFIG_CMDLINE_MAX + 32];

    if (console) {
        snprintf(text, sizeof(text), "%s/%s@%llx", arch_of(in)->device_path, console->desc.node,
                 (unsigned long long)console->base);
        tree_begin(b, "aliases");
        tree_put_text(b, "serial0", text);
        tree_end(b);
    }
    tree_begin(b, "chosen");
    if (console) {
        tree_put_text(b, "stdout-path", text);
    }
    if (!vm_fdt_cmdline(in, text, sizeof(text))) {
        tree_note(b, -FDT_ERR_NOSPACE);
    }
    tree_put_text(b, "bootargs", text);
    if (in->initrd_size) {
        tree_put_u64(b, "linux,initrd-start", in->initrd_base);
        tree_put_u64(b, "linux,initrd-end", in->initrd_base + in->initrd_size);
    }
    if (in->seed) {
        tree_put_bytes(b, "kaslr-seed", in->seed, 8);
        tree_put_bytes(b, "rng-seed", in->seed + 8, VM_FDT_SEED_SIZE - 8);
    }
    tree_end(b);
}

enum status vm_fdt_build(const struct vm_fdt_input *in, void *buf, size_t capacity, size_t *size)
{
    struct fdt_builder b;
    const struct fdt_arch *arch = arch_of(in);

    if (!arch) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < in->device_count; i++) {
        if (in->devices[i].irq < arch->irq_first) {
            return E_INVAL;
        }
    }
    if (capacity > INT32_MAX) {
        return E_INVAL;
    }
    b.in = in;
    tree_start(&b, buf, capacity);
    tree_begin(&b, "");
    tree_put_text(&b, "compatible", arch->root_compatible);
    tree_put_text(&b, "model", "Lodge virtual board");
    tree_put_u32(&b, "#address-cells", 2);
    tree_put_u32(&b, "#size-cells", 2);
    arch->add_root(&b);
    add_chosen(&b);
    arch->add_cpus(&b);
    add_memory(&b);
    arch->add_machine(&b);
    for (unsigned i = 0; i < in->device_count; i++) {
        add_device(&b, &in->devices[i]);
    }
    arch->finish(&b);
    tree_end(&b);
    tree_finish(&b);
    if (b.error) {
        return fdt_status(b.error);
    }
    *size = fdt_totalsize(buf);
    return OK;
}

// True when `word` begins one of the blank-separated words of `text`.
static bool has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = text; *p;) {
        if (strncmp(p, word, len) == 0) {
            return true;
        }
        while (*p && *p != ' ') {
            p++;
        }
        while (*p == ' ') {
            p++;
        }
    }
    return false;
}

bool vm_fdt_cmdline(const struct vm_fdt_input *in, char *out, size_t size)
{
    const struct fdt_arch *arch = arch_of(in);

    return vm_cmdline(in->config, in->plan, arch ? arch->console : NULL, out, size);
}

bool vm_cmdline(const struct vm_config *config, const struct vm_plan *plan, const char *uart, char *out,
                size_t size)
{
    const char *given = config->boot.cmdline;
    int console = plan->console;
    const char *add = "";
    int n;

    if (uart && console >= 0 && !has_word(given, "console=")) {
        add = plan->devices[console].model == MODEL_UART ? uart : "hvc0";
    }
    n = snprintf(out, size, "%s%s%s%s", given, *given && *add ? " " : "", *add ? "console=" : "", add);
    return n >= 0 && (size_t)n < size;
}

enum status fdt_status(int error)
{
    switch (error) {
    case -FDT_ERR_NOSPACE:
        return E_NOMEM;
    case -FDT_ERR_BADNCELLS:
        return E_UNSUPPORTED;
    case -FDT_ERR_BADVALUE:
        return E_INVAL;
    default:
        return error < 0 ? E_CORRUPT : OK;
    }
}
