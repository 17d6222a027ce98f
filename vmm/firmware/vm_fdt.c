// SPDX-License-Identifier: Apache-2.0
//
// Generates the aarch64 guest's device tree with libfdt's sequential-write functions.
//
// Node names, properties and their order follow the bindings of the devices (arm,gic-v3, arm,armv8-timer, arm,psci-1.0,
// arm,pl011, virtio,mmio). Errors stick in the builder and are looked at once, at the end.
#include "vmm/firmware/vm_fdt.h"

#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "vmm/firmware/fdt_internal.h"

enum {
    PHANDLE_CLOCK = 0x8000,
    PHANDLE_GIC = 0x8001
};
enum {
    IRQ_SPI = 0,
    IRQ_PPI = 1
};
enum {
    IRQ_LEVEL_HIGH = 4
};
#define IRQ_FIRST_SPI 32u
#define GICV2_ALL_CPUS 0xff00u // PPI cells of a GICv2 carry a mask of CPUs
#define CLOCK_HZ 24000000u

struct builder {
    void *fdt;
    int error; // of libfdt; the first one sticks
    const struct vm_fdt_input *in;
};

static void note(struct builder *b, int error)
{
    if (b->error == 0 && error < 0) {
        b->error = error;
    }
}

static void begin(struct builder *b, const char *name)
{
    note(b, b->error ? 0 : fdt_begin_node(b->fdt, name));
}

static void begin_at(struct builder *b, const char *name, uint64_t address)
{
    char full[64];

    snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
    begin(b, full);
}

static void end(struct builder *b)
{
    note(b, b->error ? 0 : fdt_end_node(b->fdt));
}

static void put_bytes(struct builder *b, const char *name, const void *data, size_t len)
{
    note(b, b->error ? 0 : fdt_property(b->fdt, name, data, (int)len));
}

static void put_flag(struct builder *b, const char *name)
{
    put_bytes(b, name, NULL, 0);
}

static void put_text(struct builder *b, const char *name, const char *text)
{
    put_bytes(b, name, text, strlen(text) + 1);
}

static void put_u32(struct builder *b, const char *name, uint32_t v)
{
    note(b, b->error ? 0 : fdt_property_u32(b->fdt, name, v));
}

static void put_u64(struct builder *b, const char *name, uint64_t v)
{
    note(b, b->error ? 0 : fdt_property_u64(b->fdt, name, v));
}

static void put_cells(struct builder *b, const char *name, const uint32_t *cells, unsigned count)
{
    fdt32_t out[16];

    for (unsigned i = 0; i < count && i < ARRAY_SIZE(out); i++) {
        out[i] = cpu_to_fdt32(cells[i]);
    }
    put_bytes(b, name, out, count * sizeof(out[0]));
}

// Pairs of (base, size), each two cells.
static void put_reg(struct builder *b, const uint64_t *values, unsigned count)
{
    fdt64_t out[8];

    for (unsigned i = 0; i < count && i < ARRAY_SIZE(out); i++) {
        out[i] = cpu_to_fdt64(values[i]);
    }
    put_bytes(b, "reg", out, count * sizeof(out[0]));
}

static bool is_gicv2(const struct builder *b)
{
    return b->in->plan->gic.version == 2;
}

static void add_cpus(struct builder *b)
{
    begin(b, "cpus");
    put_u32(b, "#address-cells", 1);
    put_u32(b, "#size-cells", 0);
    for (unsigned i = 0; i < b->in->config->cpus; i++) {
        begin_at(b, "cpu", vm_fdt_cpu_id(i));
        put_text(b, "device_type", "cpu");
        put_text(b, "compatible", "arm,armv8");
        put_u32(b, "reg", (uint32_t)vm_fdt_cpu_id(i));
        put_text(b, "enable-method", "psci");
        end(b);
    }
    end(b);
}

static void add_psci(struct builder *b)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2\0arm,psci";

    begin(b, "psci");
    put_bytes(b, "compatible", compatible, sizeof(compatible));
    put_text(b, "method", "hvc");
    end(b);
}

static void add_memory(struct builder *b)
{
    const struct vm_plan *plan = b->in->plan;

    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];
        if (r->kind != REGION_RAM) {
            continue;
        }
        begin_at(b, "memory", r->base);
        put_text(b, "device_type", "memory");
        put_reg(b, (uint64_t[]){r->base, r->size}, 2);
        end(b);
    }
}

// PPIs in the binding's order: secure physical, physical, virtual, hypervisor.
static void add_timer(struct builder *b)
{
    uint32_t flags = IRQ_LEVEL_HIGH | (is_gicv2(b) ? GICV2_ALL_CPUS : 0);
    const uint32_t cells[] = {IRQ_PPI, 13, flags, IRQ_PPI, 14, flags, IRQ_PPI, 11, flags, IRQ_PPI, 10, flags};

    begin(b, "timer");
    put_text(b, "compatible", "arm,armv8-timer");
    put_cells(b, "interrupts", cells, ARRAY_SIZE(cells));
    put_flag(b, "always-on");
    end(b);
}

static void add_gic(struct builder *b)
{
    const struct plan_gic *gic = &b->in->plan->gic;
    static const char v2_compatible[] = "arm,cortex-a15-gic";

    begin_at(b, "intc", gic->gicd_base);
    if (is_gicv2(b)) {
        put_text(b, "compatible", v2_compatible);
        put_reg(b, (uint64_t[]){gic->gicd_base, gic->gicd_size, gic->gicc_base, gic->gicc_size}, 4);
    } else {
        put_text(b, "compatible", "arm,gic-v3");
        put_reg(b, (uint64_t[]){gic->gicd_base, gic->gicd_size, gic->gicr_base, gic->gicr_size}, 4);
        put_u32(b, "#redistributor-regions", 1);
    }
    put_flag(b, "interrupt-controller");
    put_u32(b, "#interrupt-cells", 3);
    put_u32(b, "#address-cells", 2);
    put_u32(b, "#size-cells", 2);
    put_flag(b, "ranges");
    put_u32(b, "phandle", PHANDLE_GIC);
    end(b);
}

static void add_clock(struct builder *b)
{
    begin(b, "apb-pclk");
    put_text(b, "compatible", "fixed-clock");
    put_u32(b, "#clock-cells", 0);
    put_u32(b, "clock-frequency", CLOCK_HZ);
    put_text(b, "clock-output-names", "clk24mhz");
    put_u32(b, "phandle", PHANDLE_CLOCK);
    end(b);
}

static void add_device(struct builder *b, const struct vm_fdt_device *d)
{
    const uint32_t irq[] = {IRQ_SPI, d->irq - IRQ_FIRST_SPI, IRQ_LEVEL_HIGH};
    uint32_t clocks[8];

    begin_at(b, d->desc.node, d->base);
    put_bytes(b, "compatible", d->desc.compatible, d->desc.compatible_len);
    put_reg(b, (uint64_t[]){d->base, d->size}, 2);
    put_cells(b, "interrupts", irq, ARRAY_SIZE(irq));
    if (d->desc.clocks) {
        unsigned count = d->desc.clocks < ARRAY_SIZE(clocks) ? d->desc.clocks : ARRAY_SIZE(clocks);
        for (unsigned i = 0; i < count; i++) {
            clocks[i] = PHANDLE_CLOCK;
        }
        put_cells(b, "clocks", clocks, count);
        put_bytes(b, "clock-names", d->desc.clock_names, d->desc.clock_names_len);
    }
    if (d->desc.dma_coherent) {
        put_flag(b, "dma-coherent");
    }
    end(b);
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

static void add_chosen(struct builder *b)
{
    const struct vm_fdt_input *in = b->in;
    const struct vm_fdt_device *console = find_console(in);
    char text[CONFIG_CMDLINE_MAX + 32];

    if (console) {
        snprintf(text, sizeof(text), "/%s@%llx", console->desc.node, (unsigned long long)console->base);
        begin(b, "aliases");
        put_text(b, "serial0", text);
        end(b);
    }
    begin(b, "chosen");
    if (console) {
        put_text(b, "stdout-path", text);
    }
    if (!vm_fdt_cmdline(in, text, sizeof(text))) {
        note(b, -FDT_ERR_NOSPACE);
    }
    put_text(b, "bootargs", text);
    if (in->initrd_size) {
        put_u64(b, "linux,initrd-start", in->initrd_base);
        put_u64(b, "linux,initrd-end", in->initrd_base + in->initrd_size);
    }
    if (in->seed) {
        put_bytes(b, "kaslr-seed", in->seed, 8);
        put_bytes(b, "rng-seed", in->seed + 8, VM_FDT_SEED_SIZE - 8);
    }
    end(b);
}

enum status vm_fdt_build(const struct vm_fdt_input *in, void *buf, size_t capacity, size_t *size)
{
    struct builder b = {.fdt = buf, .in = in};

    for (unsigned i = 0; i < in->device_count; i++) {
        if (in->devices[i].irq < IRQ_FIRST_SPI) {
            return E_INVAL;
        }
    }
    if (capacity > INT32_MAX) {
        return E_INVAL;
    }
    note(&b, fdt_create(buf, (int)capacity));
    note(&b, b.error ? 0 : fdt_finish_reservemap(buf));
    begin(&b, "");
    put_text(&b, "compatible", "linux,dummy-virt");
    put_text(&b, "model", "Lodge virtual board");
    put_u32(&b, "#address-cells", 2);
    put_u32(&b, "#size-cells", 2);
    put_u32(&b, "interrupt-parent", PHANDLE_GIC);
    put_flag(&b, "dma-coherent");
    add_chosen(&b);
    add_cpus(&b);
    add_psci(&b);
    add_memory(&b);
    add_timer(&b);
    add_gic(&b);
    add_clock(&b);
    for (unsigned i = 0; i < in->device_count; i++) {
        add_device(&b, &in->devices[i]);
    }
    end(&b);
    note(&b, b.error ? 0 : fdt_finish(buf));
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
    const char *given = in->config->boot.cmdline;
    int console = in->plan->console;
    const char *add = "";
    int n;

    if (console >= 0 && !has_word(given, "console=")) {
        add = in->plan->devices[console].model == MODEL_UART ? "console=ttyAMA0" : "console=hvc0";
    }
    n = snprintf(out, size, "%s%s%s", given, *given && *add ? " " : "", add);
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
