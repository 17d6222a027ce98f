// SPDX-License-Identifier: Apache-2.0
//
// GICv3 and GICv4 as the host's root interrupt controller (Arm IHI 0069). AArch64, EL2, system registers
// only.
//
// All interrupts are non-secure group 1 at one priority. EOImode is 1: reading IAR raises the running
// priority, EOIR drops it, DIR deactivates, so that an interrupt handed to a guest stays active until the
// guest deactivates it.
#include "drivers/irqchip/gic_common.h"
#include "drivers/irqchip/gicv3_sysreg.h"
#include "drivers/irqchip/gicv3_virt.h"

#include <inttypes.h>

#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/timer.h"

enum gicr_reg { // RD_base frame; the SGI frame follows and has the distributor's layout
    GICR_CTLR = 0x0000,
    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_PIDR2 = 0xffe8,
    GICR_SGI_BASE = 0x10000
};

#define GICD_CTLR_ENABLE_GRP1 BIT64(0)  // with two security states, seen from the non-secure one
#define GICD_CTLR_ENABLE_GRP1A BIT64(1) // the same; with one security state: group 1
#define GICD_CTLR_ARE_NS BIT64(4)
#define GICD_CTLR_RWP BIT64(31)
#define GICD_SIZE KIB(64)
#define REDIST_SIZE KIB(128) // RD_base and SGI_base
#define GICR_CTLR_RWP BIT64(3)
#define GICR_TYPER_VLPIS BIT64(1)
#define GICR_TYPER_LAST BIT64(4)
#define GICR_WAKER_PROCESSOR_SLEEP BIT64(1)
#define GICR_WAKER_CHILDREN_ASLEEP BIT64(2)
#define SGI1R_INTID_SHIFT 24
#define PIDR2_ARCH(v) ((v) >> 4 & 0xf)

#define REGION_MAX (HW_REGS_MAX - 1)
#define POLL_MAX_US 100000u // a register that has not reacted by then never will

static volatile void *gicd;
static unsigned line_count;
static volatile void *frames[CPU_MAX]; // RD_base of every redistributor found
static unsigned frame_count;
static uint64_t stride;                // of redistributors, 0: as their type says
static volatile void *redist[CPU_MAX]; // RD_base by CPU index, set by each CPU itself
static uint64_t sgi_target[CPU_MAX];   // likewise, for ICC_SGI1R_EL1; 0: not set up

// MPIDR affinity packed as in GICR_TYPER: aff3.aff2.aff1.aff0, eight bits each.
static uint32_t affinity_of(uint64_t hw_id)
{
    return (uint32_t)((hw_id >> 32 & 0xff) << 24 | (hw_id & 0xffffff));
}

static bool wait_clear(volatile void *base, size_t reg, uint64_t bit)
{
    for (unsigned us = 0; us < POLL_MAX_US; us++) {
        if ((mmio_read32(base, reg) & bit) == 0) {
            return true;
        }
        time_delay_us(1);
    }
    return false;
}

// The frame whose banks hold `irq`, from this CPU's point of view.
static volatile void *frame_of(unsigned irq)
{
    return irq < GIC_PERCPU_LIMIT ? (volatile char *)redist[this_cpu()->index] + GICR_SGI_BASE : gicd;
}

// Register write pending: what was disabled can still arrive before this.
static void wait_disabled(unsigned irq)
{
    bool ok = irq < GIC_PERCPU_LIMIT ? wait_clear(redist[this_cpu()->index], GICR_CTLR, GICR_CTLR_RWP)
                                     : wait_clear(gicd, GICD_CTLR, GICD_CTLR_RWP);

    if (!ok) {
        log_err("gicv3: interrupt %u: the write does not complete (RWP stays set)", irq);
    }
}

// ---- operations ----------------------------------------

static unsigned gicv3_ack(void)
{
    uint64_t intid = read_icc_iar1();

    gic_dsb(); // the acknowledge is done before the handler touches the device
    return intid >= GIC_SPECIAL_FIRST ? IRQ_NONE : (unsigned)intid;
}

static void gicv3_eoi(unsigned irq)
{
    write_icc_eoir1(irq);
}

static void gicv3_deactivate(unsigned irq)
{
    write_icc_dir(irq);
}

static void gicv3_enable(unsigned irq)
{
    if (irq < line_count) {
        gic_bit_write(frame_of(irq), GICD_ISENABLER, irq);
    }
}

static void gicv3_disable(unsigned irq)
{
    if (irq < line_count) {
        gic_bit_write(frame_of(irq), GICD_ICENABLER, irq);
        wait_disabled(irq);
    }
}

static enum status gicv3_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    const struct cpu *target = cpu_get(cpu);

    if (irq >= line_count || !target) {
        return E_RANGE;
    }
    if (irq < GIC_SGI_COUNT) {
        return trigger == IRQ_EDGE ? OK : E_INVAL;
    }

    volatile void *frame = frame_of(irq);
    bool enabled = gic_bit_get(frame, GICD_ISENABLER, irq);

    if (enabled) {
        gicv3_disable(irq);
    }
    gic_set_trigger(frame, irq, trigger);
    if (irq >= GIC_PERCPU_LIMIT) {
        // Routing mode 0: to the one CPU with this affinity.
        uint64_t affinity = affinity_of(target->hw_id);

        mmio_write64(gicd, GICD_IROUTER + (size_t)irq * 8,
                     (affinity & 0xff000000) << 8 | (affinity & 0xffffff));
    }
    if (enabled) {
        gicv3_enable(irq);
    }
    return OK;
}

static void gicv3_set_active(unsigned irq, bool active)
{
    if (irq < line_count) {
        gic_bit_write(frame_of(irq), active ? GICD_ISACTIVER : GICD_ICACTIVER, irq);
    }
}

static bool gicv3_is_pending(unsigned irq)
{
    return irq < line_count && gic_bit_get(frame_of(irq), GICD_ISPENDR, irq);
}

static void gicv3_send_ipi(unsigned cpu, unsigned ipi)
{
    if (cpu >= CPU_MAX || !sgi_target[cpu]) {
        return;
    }
    gic_dsb_ishst();
    write_icc_sgi1r(sgi_target[cpu] | (uint64_t)ipi << SGI1R_INTID_SHIFT);
    gic_isb(); // the SGI leaves now, not with the next exception
}

// ICC_SGI1R_EL1 with one CPU as its target (IHI 0069, 12.2.23).
static uint64_t sgi_target_of(uint32_t aff)
{
    return BIT64(aff & 0xf)                      // TargetList
           | (uint64_t)(aff >> 8 & 0xff) << 16   // Aff1
           | (uint64_t)(aff >> 16 & 0xff) << 32  // Aff2
           | (uint64_t)(aff >> 4 & 0xf) << 44    // RS: which sixteen of Aff0
           | (uint64_t)(aff >> 24 & 0xff) << 48; // Aff3
}

// ---- set-up ----------------------------------------

static uint64_t frame_stride(uint64_t typer)
{
    if (stride) {
        return stride;
    }
    return typer & GICR_TYPER_VLPIS ? KIB(256) : KIB(128);
}

// Maps the redistributors of a region, which is often made for many more CPUs than there are.
static enum status map_redists(hpa_t base, uint64_t size)
{
    uint64_t typer = 0;

    for (uint64_t off = 0; off + REDIST_SIZE <= size && !(typer & GICR_TYPER_LAST) && frame_count < CPU_MAX;
         off += frame_stride(typer)) {
        volatile void *rd = mmio_map(hpa(base.v + off), REDIST_SIZE);
        uint32_t arch = rd ? PIDR2_ARCH(mmio_read32(rd, GICR_PIDR2)) : 0;

        if (!rd) {
            return E_NOMEM;
        }
        if (arch != 3 && arch != 4) {
            log_err("gicv3: no redistributor at 0x%" PRIx64, base.v + off);
            break;
        }
        typer = mmio_read64(rd, GICR_TYPER);
        frames[frame_count++] = rd;
    }
    return OK;
}

static volatile void *find_redist(uint32_t affinity)
{
    for (unsigned i = 0; i < frame_count; i++) {
        if (mmio_read64(frames[i], GICR_TYPER) >> 32 == affinity) {
            return frames[i];
        }
    }
    return NULL;
}

static enum status enable_sysregs(void)
{
    write_icc_sre_el2(read_icc_sre_el2() | ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB | ICC_SRE_EL2_ENABLE);
    gic_isb();
    if (!(read_icc_sre_el2() & ICC_SRE_SRE)) {
        log_err("gicv3: firmware keeps the system register interface off (ICC_SRE_EL3)");
        return E_UNSUPPORTED;
    }
    write_icc_sre_el1(ICC_SRE_SRE | ICC_SRE_DFB | ICC_SRE_DIB);
    gic_isb();
    return OK;
}

static void init_cpu_interface(void)
{
    write_icc_pmr(GIC_PRIORITY_MASK);
    write_icc_bpr1(0);
    write_icc_ctlr(ICC_CTLR_EOIMODE);
    write_icc_igrpen1(1);
    gic_isb();
}

static enum status init_redist(volatile void *rd)
{
    volatile void *sgi = (volatile char *)rd + GICR_SGI_BASE;
    uint32_t waker = mmio_read32(rd, GICR_WAKER);

    mmio_write32(rd, GICR_WAKER, waker & ~(uint32_t)GICR_WAKER_PROCESSOR_SLEEP);
    if (!wait_clear(rd, GICR_WAKER, GICR_WAKER_CHILDREN_ASLEEP)) {
        log_err("gicv3: the redistributor of CPU 0x%" PRIx64 " does not wake up", this_cpu()->hw_id);
        return E_TIMEOUT;
    }
    mmio_write32(sgi, GICD_IGROUPR, UINT32_MAX);
    gic_quiesce(sgi, 0, GIC_PERCPU_LIMIT);
    if (!wait_clear(rd, GICR_CTLR, GICR_CTLR_RWP)) {
        return E_TIMEOUT;
    }
    mmio_write32(sgi, GICD_ISENABLER, MASK64(0, IPI_COUNT));
    return OK;
}

static enum status gicv3_init_cpu(void)
{
    const struct cpu *cpu = this_cpu();
    volatile void *rd = find_redist(affinity_of(cpu->hw_id));

    if (!rd) {
        log_err("gicv3: no redistributor for CPU 0x%" PRIx64, cpu->hw_id);
        return E_NOENT;
    }
    redist[cpu->index] = rd;

    enum status s = enable_sysregs();

    if (s == OK) {
        s = init_redist(rd);
    }
    if (s != OK) {
        return s;
    }
    init_cpu_interface();
    gicv3_virt_init_cpu();
    sgi_target[cpu->index] = sgi_target_of(affinity_of(cpu->hw_id));
    return OK;
}

static enum status init_dist(void)
{
    mmio_write32(gicd, GICD_CTLR, 0);
    if (!wait_clear(gicd, GICD_CTLR, GICD_CTLR_RWP)) {
        return E_TIMEOUT;
    }

    // Affinity routing first: the registers below have their GICv3 meaning only then.
    mmio_write32(gicd, GICD_CTLR, GICD_CTLR_ARE_NS);
    if (!wait_clear(gicd, GICD_CTLR, GICD_CTLR_RWP)) {
        return E_TIMEOUT;
    }
    line_count = GICD_TYPER_LINES(mmio_read32(gicd, GICD_TYPER));
    if (line_count > GIC_SPI_LIMIT) {
        line_count = GIC_SPI_LIMIT;
    }
    for (unsigned irq = GIC_PERCPU_LIMIT; irq < line_count; irq += 32) {
        mmio_write32(gicd, GICD_IGROUPR + irq / 8, UINT32_MAX);
    }
    gic_quiesce(gicd, GIC_PERCPU_LIMIT, line_count);
    mmio_write32(gicd, GICD_CTLR, GICD_CTLR_ARE_NS | GICD_CTLR_ENABLE_GRP1A | GICD_CTLR_ENABLE_GRP1);
    return wait_clear(gicd, GICD_CTLR, GICD_CTLR_RWP) ? OK : E_TIMEOUT;
}

static enum status map_registers(const struct hw_desc *hw)
{
    uint32_t count = 1;

    hw_prop_u32(hw, "#redistributor-regions", &count);
    stride = 0;
    hw_prop_u64(hw, "redistributor-stride", &stride);
    if (count == 0 || count > REGION_MAX || hw->reg_count < 1 + count || hw->regs[0].size < GICD_SIZE ||
        stride % KIB(64) != 0) {
        log_err("%s: %u register ranges for a distributor and %u redistributor regions", hw->name,
                hw->reg_count, count);
        return E_CORRUPT;
    }
    gicd = mmio_map(hw->regs[0].base, GICD_SIZE);
    if (!gicd) {
        return E_NOMEM;
    }
    frame_count = 0;
    for (unsigned i = 1; i <= count; i++) {
        enum status s = map_redists(hw->regs[i].base, hw->regs[i].size);

        if (s != OK) {
            return s;
        }
    }
    return OK;
}

static const struct irqchip_ops gicv3_ops = {
    .name = "GICv3",
    .init_cpu = gicv3_init_cpu,
    .ack = gicv3_ack,
    .eoi = gicv3_eoi,
    .deactivate = gicv3_deactivate,
    .enable = gicv3_enable,
    .disable = gicv3_disable,
    .configure = gicv3_configure,
    .set_active = gicv3_set_active,
    .is_pending = gicv3_is_pending,
    .send_ipi = gicv3_send_ipi,
    .ipi_base = 0,
    .percpu_limit = GIC_PERCPU_LIMIT,
};

static enum status gicv3_probe(const struct hw_desc *hw)
{
    enum status s = map_registers(hw);

    if (s != OK) {
        return s;
    }

    uint32_t arch = PIDR2_ARCH(mmio_read32(gicd, GICD_PIDR2));

    if (arch != 3 && arch != 4) {
        log_err("%s: the registers are not those of a GICv3 (architecture %" PRIu32 ")", hw->name, arch);
        return E_UNSUPPORTED;
    }
    s = enable_sysregs();
    if (s == OK) {
        s = init_dist();
    }
    if (s != OK) {
        return s;
    }
    if (hw->irq_count > 0) {
        gicv3_virt_probe(hw->irqs[0].irq);
    } else {
        log_warn("%s: no maintenance interrupt: no virtual interrupts for guests", hw->name);
    }
    irq_set_chip(&gicv3_ops);
    log_info("%s: GICv%" PRIu32 ", %u interrupts, %u redistributor%s", hw->name, arch, line_count,
             frame_count, frame_count == 1 ? "" : "s");
    return OK;
}

static const char *const gicv3_ids[] = {"arm,gic-v3", NULL};

static const struct driver gicv3_driver = {
    .name = "gicv3",
    .class = DRIVER_IRQCHIP,
    .ids = gicv3_ids,
    .probe = gicv3_probe,
};

DRIVER_DEFINE(gicv3_driver);
