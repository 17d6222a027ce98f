// SPDX-License-Identifier: Apache-2.0
//
// The aarch64 board in the device tree: CPUs, PSCI, timer, GIC, the fixed clock of the PrimeCells (bindings
// arm,gic-v3, arm,armv8-timer, arm,psci-1.0).
#include "vmm/firmware/fdt_builder.h"

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

static bool is_gicv2(const struct fdt_builder *b)
{
    return b->in->plan->gic.version == 2;
}

static void add_cpu_nodes(struct fdt_builder *b)
{
    tree_begin(b, "cpus");
    tree_put_u32(b, "#address-cells", 1);
    tree_put_u32(b, "#size-cells", 0);
    for (unsigned i = 0; i < b->in->config->cpus; i++) {
        tree_begin_at(b, "cpu", vm_fdt_cpu_id(i));
        tree_put_text(b, "device_type", "cpu");
        tree_put_text(b, "compatible", "arm,armv8");
        tree_put_u32(b, "reg", (uint32_t)vm_fdt_cpu_id(i));
        tree_put_text(b, "enable-method", "psci");
        tree_end(b);
    }
    tree_end(b);
}

static void add_psci(struct fdt_builder *b)
{
    static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2\0arm,psci";

    tree_begin(b, "psci");
    tree_put_bytes(b, "compatible", compatible, sizeof(compatible));
    tree_put_text(b, "method", "hvc");
    tree_end(b);
}

// PPIs in the binding's order: secure physical, physical, virtual, hypervisor.
static void add_timer(struct fdt_builder *b)
{
    uint32_t flags = IRQ_LEVEL_HIGH | (is_gicv2(b) ? GICV2_ALL_CPUS : 0);
    const uint32_t cells[] = {IRQ_PPI, 13, flags, IRQ_PPI, 14, flags, IRQ_PPI, 11, flags, IRQ_PPI, 10, flags};

    tree_begin(b, "timer");
    tree_put_text(b, "compatible", "arm,armv8-timer");
    tree_put_cells(b, "interrupts", cells, ARRAY_SIZE(cells));
    tree_put_flag(b, "always-on");
    tree_end(b);
}

static void add_gic(struct fdt_builder *b)
{
    const struct plan_gic *gic = &b->in->plan->gic;
    static const char v2_compatible[] = "arm,cortex-a15-gic";

    tree_begin_at(b, "intc", gic->gicd_base);
    if (is_gicv2(b)) {
        tree_put_text(b, "compatible", v2_compatible);
        tree_put_reg(b, (uint64_t[]){gic->gicd_base, gic->gicd_size, gic->gicc_base, gic->gicc_size}, 4);
    } else {
        tree_put_text(b, "compatible", "arm,gic-v3");
        tree_put_reg(b, (uint64_t[]){gic->gicd_base, gic->gicd_size, gic->gicr_base, gic->gicr_size}, 4);
        tree_put_u32(b, "#redistributor-regions", 1);
    }
    tree_put_flag(b, "interrupt-controller");
    tree_put_u32(b, "#interrupt-cells", 3);
    tree_put_u32(b, "#address-cells", 2);
    tree_put_u32(b, "#size-cells", 2);
    tree_put_flag(b, "ranges");
    tree_put_u32(b, "phandle", PHANDLE_GIC);
    tree_end(b);
}

static void add_clock(struct fdt_builder *b)
{
    tree_begin(b, "apb-pclk");
    tree_put_text(b, "compatible", "fixed-clock");
    tree_put_u32(b, "#clock-cells", 0);
    tree_put_u32(b, "clock-frequency", CLOCK_HZ);
    tree_put_text(b, "clock-output-names", "clk24mhz");
    tree_put_u32(b, "phandle", PHANDLE_CLOCK);
    tree_end(b);
}

static void add_cpus(struct fdt_builder *b)
{
    add_cpu_nodes(b);
    add_psci(b);
}

static void add_root(struct fdt_builder *b)
{
    tree_put_u32(b, "interrupt-parent", PHANDLE_GIC);
    tree_put_flag(b, "dma-coherent");
}

static void add_machine(struct fdt_builder *b)
{
    add_timer(b);
    add_gic(b);
    add_clock(b);
}

static void add_irq(struct fdt_builder *b, const struct vm_fdt_device *d)
{
    const uint32_t irq[] = {IRQ_SPI, d->irq - IRQ_FIRST_SPI, IRQ_LEVEL_HIGH};

    tree_put_cells(b, "interrupts", irq, ARRAY_SIZE(irq));
}

static void finish(struct fdt_builder *b)
{
    (void)b;
}

const struct fdt_arch fdt_arch_aarch64 = {
    .arch = "aarch64",
    .root_compatible = "linux,dummy-virt",
    .console = "ttyAMA0",
    .device_path = "",
    .irq_first = IRQ_FIRST_SPI,
    .add_root = add_root,
    .add_cpus = add_cpus,
    .add_machine = add_machine,
    .add_irq = add_irq,
    .clock_phandle = PHANDLE_CLOCK,
    .finish = finish,
};
