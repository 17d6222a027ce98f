// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board in the device tree, laid out as QEMU's `virt` machine does it: harts with their own
// interrupt controllers, /soc with the PLIC (or APLIC and IMSIC), the test device and the generic ways to
// power off and reset through it (bindings riscv,cpus, sifive,plic-1.0.0, riscv,aplic, riscv,imsics,
// syscon-poweroff).
#include "vmm/firmware/fdt_builder.h"

#include <stdio.h>
#include <string.h>

enum {
    PHANDLE_CPU_INTC = 0x1000, // + hart
    PHANDLE_CPU = 0x2000,      // + hart
    PHANDLE_IRQCHIP = 0x8000,  // where devices' interrupts go
    PHANDLE_IMSIC = 0x8001,
    PHANDLE_TEST = 0x8002
};

#define IRQ_M_EXT 11u
#define IRQ_S_EXT 9u
#define SOURCE_COUNT 95u // numbers 1 to 95
#define IMSIC_ID_COUNT 255u
#define LEVEL_HIGH 4u

#define TEST_POWEROFF 0x5555u
#define TEST_RESET 0x7777u

static const struct plan_fixed *fixed(const struct fdt_builder *b, const char *name)
{
    const struct vm_plan *plan = b->in->plan;

    for (unsigned i = 0; i < plan->fixed_count; i++) {
        if (strcmp(plan->fixed[i].name, name) == 0) {
            return &plan->fixed[i];
        }
    }
    return NULL;
}

static bool has_aia(const struct fdt_builder *b)
{
    return fixed(b, "IMSIC") != NULL;
}

// ---- CPUs ----

// "riscv,isa-extensions" as a list: the single letters, then what follows each underscore of the ISA string.
static void put_isa_list(struct fdt_builder *b, const char *isa)
{
    char list[256];
    size_t n = 0;
    const char *p = isa + strcspn(isa, "0123456789");

    for (p += strspn(p, "0123456789"); *p && *p != '_' && n + 2 < sizeof(list); p++) {
        list[n++] = *p;
        list[n++] = '\0';
    }
    while (*p == '_') {
        size_t len = strcspn(++p, "_");

        if (n + len + 1 > sizeof(list)) {
            tree_note(b, -FDT_ERR_NOSPACE);
            return;
        }
        memcpy(&list[n], p, len);
        n += len;
        list[n++] = '\0';
        p += len;
    }
    tree_put_text(b, "riscv,isa-base", "rv64i");
    tree_put_bytes(b, "riscv,isa-extensions", list, n);
}

static void add_cpu(struct fdt_builder *b, unsigned hart)
{
    const struct guest_cpu_desc *cpu = &b->in->cpu;
    char isa[200];

    snprintf(isa, sizeof(isa), "%s%s", cpu->isa ? cpu->isa : "rv64imac", has_aia(b) ? "_ssaia" : "");
    tree_begin_at(b, "cpu", hart);
    tree_put_text(b, "device_type", "cpu");
    tree_put_u32(b, "reg", hart);
    tree_put_text(b, "status", "okay");
    tree_put_text(b, "compatible", "riscv");
    tree_put_text(b, "riscv,isa", isa);
    put_isa_list(b, isa);
    tree_put_text(b, "mmu-type", cpu->mmu ? cpu->mmu : "riscv,sv39");
    if (cpu->cbom_block) {
        tree_put_u32(b, "riscv,cbom-block-size", cpu->cbom_block);
    }
    if (cpu->cboz_block) {
        tree_put_u32(b, "riscv,cboz-block-size", cpu->cboz_block);
    }
    tree_put_u32(b, "phandle", PHANDLE_CPU + hart);
    tree_begin(b, "interrupt-controller");
    tree_put_u32(b, "#interrupt-cells", 1);
    tree_put_flag(b, "interrupt-controller");
    tree_put_text(b, "compatible", "riscv,cpu-intc");
    tree_put_u32(b, "phandle", PHANDLE_CPU_INTC + hart);
    tree_end(b);
    tree_end(b);
}

static void add_cpus(struct fdt_builder *b)
{
    tree_begin(b, "cpus");
    tree_put_u32(b, "#address-cells", 1);
    tree_put_u32(b, "#size-cells", 0);
    tree_put_u32(b, "timebase-frequency", (uint32_t)b->in->timebase);
    for (unsigned i = 0; i < b->in->config->cpus; i++) {
        add_cpu(b, i);
    }
    tree_end(b);
}

// ---- interrupt controllers ----

// Pairs (hart's controller, cause) in the order of the contexts: `m_mode` puts a machine context before each.
static void put_targets(struct fdt_builder *b, bool m_mode)
{
    uint32_t cells[TREE_CELLS_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < b->in->config->cpus; i++) {
        if (n + 4 > TREE_CELLS_MAX) {
            tree_note(b, -FDT_ERR_NOSPACE);
            return;
        }
        if (m_mode) {
            cells[n++] = PHANDLE_CPU_INTC + i;
            cells[n++] = IRQ_M_EXT;
        }
        cells[n++] = PHANDLE_CPU_INTC + i;
        cells[n++] = IRQ_S_EXT;
    }
    tree_put_cells(b, "interrupts-extended", cells, n);
}

static void add_plic(struct fdt_builder *b, const struct plan_fixed *at)
{
    static const char compatible[] = "sifive,plic-1.0.0\0riscv,plic0";

    tree_begin_at(b, "plic", at->base);
    tree_put_bytes(b, "compatible", compatible, sizeof(compatible));
    tree_put_reg(b, (uint64_t[]){at->base, at->size}, 2);
    put_targets(b, true);
    tree_put_u32(b, "riscv,ndev", SOURCE_COUNT);
    tree_put_flag(b, "interrupt-controller");
    tree_put_u32(b, "#interrupt-cells", 1);
    tree_put_u32(b, "#address-cells", 0);
    tree_put_u32(b, "phandle", PHANDLE_IRQCHIP);
    tree_end(b);
}

static void add_imsic(struct fdt_builder *b, const struct plan_fixed *at)
{
    tree_begin_at(b, "imsics", at->base);
    tree_put_text(b, "compatible", "riscv,imsics");
    tree_put_reg(b, (uint64_t[]){at->base, (uint64_t)b->in->config->cpus * PAGE_SIZE}, 2);
    put_targets(b, false);
    tree_put_u32(b, "riscv,num-ids", IMSIC_ID_COUNT);
    tree_put_flag(b, "interrupt-controller");
    tree_put_u32(b, "#interrupt-cells", 0);
    tree_put_flag(b, "msi-controller");
    tree_put_u32(b, "#msi-cells", 0);
    tree_put_u32(b, "phandle", PHANDLE_IMSIC);
    tree_end(b);
}

static void add_aplic(struct fdt_builder *b, const struct plan_fixed *at)
{
    tree_begin_at(b, "aplic", at->base);
    tree_put_text(b, "compatible", "riscv,aplic");
    tree_put_reg(b, (uint64_t[]){at->base, at->size}, 2);
    tree_put_u32(b, "msi-parent", PHANDLE_IMSIC);
    tree_put_u32(b, "riscv,num-sources", SOURCE_COUNT);
    tree_put_flag(b, "interrupt-controller");
    tree_put_u32(b, "#interrupt-cells", 2);
    tree_put_u32(b, "#address-cells", 0);
    tree_put_u32(b, "phandle", PHANDLE_IRQCHIP);
    tree_end(b);
}

static void add_irqchip(struct fdt_builder *b)
{
    const struct plan_fixed *plic = fixed(b, "PLIC");
    const struct plan_fixed *imsic = fixed(b, "IMSIC");
    const struct plan_fixed *aplic = fixed(b, "APLIC");

    if (plic) {
        add_plic(b, plic);
    }
    if (imsic && aplic) {
        add_imsic(b, imsic);
        add_aplic(b, aplic);
    }
}

// ---- power ----

static void add_test(struct fdt_builder *b, const struct plan_fixed *at)
{
    static const char compatible[] = "sifive,test1\0sifive,test0\0syscon";

    tree_begin_at(b, "test", at->base);
    tree_put_bytes(b, "compatible", compatible, sizeof(compatible));
    tree_put_reg(b, (uint64_t[]){at->base, at->size}, 2);
    tree_put_u32(b, "phandle", PHANDLE_TEST);
    tree_end(b);
}

static void add_syscon(struct fdt_builder *b, const char *node, const char *compatible, uint32_t value)
{
    tree_begin(b, node);
    tree_put_text(b, "compatible", compatible);
    tree_put_u32(b, "regmap", PHANDLE_TEST);
    tree_put_u32(b, "offset", 0);
    tree_put_u32(b, "value", value);
    tree_end(b);
}

// ---- the board ----

static void add_root(struct fdt_builder *b)
{
    (void)b;
}

static void add_machine(struct fdt_builder *b)
{
    const struct plan_fixed *test = fixed(b, "test device");

    if (test) {
        add_syscon(b, "poweroff", "syscon-poweroff", TEST_POWEROFF);
        add_syscon(b, "reboot", "syscon-reboot", TEST_RESET);
    }
    tree_begin(b, "soc");
    tree_put_u32(b, "#address-cells", 2);
    tree_put_u32(b, "#size-cells", 2);
    tree_put_text(b, "compatible", "simple-bus");
    tree_put_flag(b, "ranges");
    add_irqchip(b);
    if (test) {
        add_test(b, test);
    }
}

static void add_irq(struct fdt_builder *b, const struct vm_fdt_device *d)
{
    const uint32_t cells[] = {d->irq, LEVEL_HIGH};

    tree_put_cells(b, "interrupts", cells, has_aia(b) ? 2 : 1);
    tree_put_u32(b, "interrupt-parent", PHANDLE_IRQCHIP);
}

static void finish(struct fdt_builder *b)
{
    tree_end(b); // soc
}

const struct fdt_arch fdt_arch_riscv64 = {
    .arch = "riscv64",
    .root_compatible = "riscv-virtio",
    .console = "ttyS0",
    .device_path = "/soc",
    .irq_first = 1,
    .add_root = add_root,
    .add_cpus = add_cpus,
    .add_machine = add_machine,
    .add_irq = add_irq,
    .finish = finish,
};
