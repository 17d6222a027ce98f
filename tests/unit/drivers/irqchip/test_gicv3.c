// SPDX-License-Identifier: Apache-2.0
//
// The host's GICv3 driver on registers that are memory, and system registers that are variables.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/mm/vmap.h"

// Registers are where the description says, with no mapping in between.
static volatile void *same_address(hpa_t pa, uint64_t size)
{
    (void)size;
    return (volatile void *)(uintptr_t)pa.v;
}
#define mmio_map same_address

// The header's functions are instructions: it is read with other names, and ours take the place of those.
#define read_icc_iar1 instruction_read_icc_iar1
#define write_icc_eoir1 instruction_write_icc_eoir1
#define write_icc_dir instruction_write_icc_dir
#define write_icc_sgi1r instruction_write_icc_sgi1r
#define read_icc_sre_el2 instruction_read_icc_sre_el2
#define write_icc_sre_el2 instruction_write_icc_sre_el2
#define write_icc_sre_el1 instruction_write_icc_sre_el1
#define write_icc_pmr instruction_write_icc_pmr
#define write_icc_bpr1 instruction_write_icc_bpr1
#define write_icc_ctlr instruction_write_icc_ctlr
#define write_icc_igrpen1 instruction_write_icc_igrpen1
#define gic_isb instruction_gic_isb
#define gic_dsb instruction_gic_dsb
#define gic_dsb_ishst instruction_gic_dsb_ishst
#include "drivers/irqchip/gicv3_sysreg.h"
#undef read_icc_iar1
#undef write_icc_eoir1
#undef write_icc_dir
#undef write_icc_sgi1r
#undef read_icc_sre_el2
#undef write_icc_sre_el2
#undef write_icc_sre_el1
#undef write_icc_pmr
#undef write_icc_bpr1
#undef write_icc_ctlr
#undef write_icc_igrpen1
#undef gic_isb
#undef gic_dsb
#undef gic_dsb_ishst

static struct {
    uint64_t iar1, eoir1, dir, sgi1r, sre_el1, sre_el2, pmr, bpr1, ctlr, igrpen1;
    uint64_t sre_can; // bits of ICC_SRE_EL2 that can be set
    unsigned virt_probes, virt_inits;
} icc;

#define WRITER(reg)                                \
    static inline void write_icc_##reg(uint64_t v) \
    {                                              \
        icc.reg = v;                               \
    }
WRITER(eoir1)
WRITER(dir)
WRITER(sgi1r)
WRITER(sre_el1)
WRITER(pmr)
WRITER(bpr1)
WRITER(ctlr)
WRITER(igrpen1)

static inline uint64_t read_icc_iar1(void)
{
    return icc.iar1;
}

static inline uint64_t read_icc_sre_el2(void)
{
    return icc.sre_el2;
}

static inline void write_icc_sre_el2(uint64_t v)
{
    icc.sre_el2 = v & icc.sre_can;
}

static inline void gic_isb(void)
{
}

static inline void gic_dsb(void)
{
}

static inline void gic_dsb_ishst(void)
{
}

#include "drivers/irqchip/gic_common.c"
#include "drivers/irqchip/gicv3.c"

void gicv3_virt_probe(unsigned maintenance_irq)
{
    (void)maintenance_irq;
    icc.virt_probes++;
}

void gicv3_virt_init_cpu(void)
{
    icc.virt_inits++;
}

#define LINES 96u
#define DIST(reg) dist[(reg) / 4]
#define FRAMES 3u
#define RD(n, reg) redists[((n)*0x20000u + (reg)) / 4]
#define OTHER 0x00010203u // affinity of another CPU

static _Alignas(65536) uint32_t dist[0x10000 / 4], redists[FRAMES * 0x20000 / 4];

static struct hw_desc machine(void)
{
    return (struct hw_desc){.name = "gic",
                            .regs = {{.base = hpa((uintptr_t)dist), .size = sizeof(dist)},
                                     {.base = hpa((uintptr_t)redists), .size = sizeof(redists)}},
                            .reg_count = 2,
                            .irqs = {{.irq = 25}},
                            .irq_count = 1,
                            .fw_node = -1};
}

// A redistributor whose CPU has this affinity.
static void frame(unsigned n, uint32_t affinity, uint64_t type)
{
    RD(n, GICR_PIDR2) = 0x3b;
    RD(n, GICR_TYPER) = (uint32_t)type;
    RD(n, GICR_TYPER + 4) = affinity;
}

static void power_on(void)
{
    memset(dist, 0, sizeof(dist));
    memset(redists, 0, sizeof(redists));
    memset(&icc, 0, sizeof(icc));
    icc.sre_can = UINT64_MAX;
    DIST(GICD_TYPER) = LINES / 32 - 1;
    DIST(GICD_PIDR2) = 0x3b;
    frame(0, OTHER, 0);
    frame(1, affinity_of(this_cpu()->hw_id), 0);
    frame(2, OTHER + 1, GICR_TYPER_LAST);
    RD(1, GICR_WAKER) = GICR_WAKER_PROCESSOR_SLEEP;
}

static const struct irqchip_ops *start(void)
{
    const struct hw_desc hw = machine();

    power_on();
    assert_int_equal(gicv3_probe(&hw), OK);
    assert_ptr_equal(irq_chip(), &gicv3_ops);
    assert_int_equal(irq_chip()->init_cpu(), OK);
    return irq_chip();
}

static void what_does_not_fit_is_refused(void **state)
{
    struct hw_desc hw = machine();

    (void)state;
    power_on();
    hw.reg_count = 1;
    assert_int_equal(gicv3_probe(&hw), E_CORRUPT);
    hw = machine();
    hw.regs[0].size = 0x1000;
    assert_int_equal(gicv3_probe(&hw), E_CORRUPT);
    hw = machine();
    DIST(GICD_PIDR2) = 0x2b;
    assert_int_equal(gicv3_probe(&hw), E_UNSUPPORTED);
    power_on();
    icc.sre_can = 0; // firmware keeps the system registers to itself
    assert_int_equal(gicv3_probe(&hw), E_UNSUPPORTED);
}

static void set_up(void **state)
{
    const uint32_t *sgi = &RD(1, GICR_SGI_BASE);

    (void)state;
    start();
    assert_int_equal(DIST(GICD_CTLR), GICD_CTLR_ARE_NS | GICD_CTLR_ENABLE_GRP1A | GICD_CTLR_ENABLE_GRP1);
    assert_int_equal(DIST(GICD_IGROUPR + 4), UINT32_MAX);
    assert_int_equal(DIST(GICD_ICENABLER + 8), UINT32_MAX);
    assert_int_equal(DIST(GICD_IPRIORITYR + LINES - 4), GIC_PRIORITY_X4);
    assert_int_equal(DIST(GICD_IPRIORITYR + LINES), 0);
    assert_int_equal(RD(1, GICR_WAKER), 0);
    assert_int_equal(sgi[GICD_IGROUPR / 4], UINT32_MAX);
    assert_int_equal(sgi[GICD_ISENABLER / 4], (1u << IPI_COUNT) - 1);
    assert_int_equal(icc.pmr, GIC_PRIORITY_MASK);
    assert_int_equal(icc.ctlr, ICC_CTLR_EOIMODE);
    assert_int_equal(icc.igrpen1, 1);
    assert_int_equal(icc.virt_probes, 1);
    assert_int_equal(icc.virt_inits, 1);
    assert_int_equal(RD(0, GICR_SGI_BASE + GICD_IGROUPR), 0); // others' are theirs
}

static void finding_the_redistributor(void **state)
{
    const struct hw_desc hw = machine();

    (void)state;
    power_on();
    frame(1, OTHER + 2, 0);
    assert_int_equal(gicv3_probe(&hw), OK);
    assert_int_equal(irq_chip()->init_cpu(), E_NOENT);
    power_on();
    frame(1, OTHER + 2, GICR_TYPER_LAST); // what follows the last one is not looked at
    frame(2, affinity_of(this_cpu()->hw_id), 0);
    assert_int_equal(gicv3_probe(&hw), OK);
    assert_int_equal(irq_chip()->init_cpu(), E_NOENT);
    power_on();
    frame(0, OTHER, GICR_TYPER_VLPIS); // four frames long: the next one is two further
    frame(1, 0xffffffff, 0);
    frame(2, affinity_of(this_cpu()->hw_id), GICR_TYPER_LAST);
    assert_int_equal(gicv3_probe(&hw), OK);
    assert_int_equal(irq_chip()->init_cpu(), OK);
    assert_int_equal(RD(2, GICR_SGI_BASE + GICD_IGROUPR), UINT32_MAX);
}

static void taking_interrupts(void **state)
{
    const struct irqchip_ops *chip = start();

    (void)state;
    icc.iar1 = 33;
    assert_int_equal(chip->ack(), 33);
    chip->eoi(33);
    assert_int_equal(icc.eoir1, 33);
    chip->deactivate(33);
    assert_int_equal(icc.dir, 33);
    for (icc.iar1 = 1020; icc.iar1 < 1024; icc.iar1++) {
        assert_int_equal(chip->ack(), IRQ_NONE);
    }
}

static void banks(void **state)
{
    const struct irqchip_ops *chip = start();

    (void)state;
    chip->enable(27);
    assert_int_equal(RD(1, GICR_SGI_BASE + GICD_ISENABLER), 1u << 27);
    chip->set_active(27, true);
    assert_int_equal(RD(1, GICR_SGI_BASE + GICD_ISACTIVER), 1u << 27);
    chip->enable(40);
    assert_int_equal(DIST(GICD_ISENABLER + 4), 1u << 8);
    DIST(GICD_ISPENDR + 4) = 1u << 8;
    assert_true(chip->is_pending(40));
    assert_false(chip->is_pending(41));
    chip->set_active(LINES, true);
    assert_int_equal(DIST(GICD_ISACTIVER + LINES / 8), 0);
}

static void configuration(void **state)
{
    const struct irqchip_ops *chip = start();
    const unsigned self = this_cpu()->index;
    const uint64_t affinity = affinity_of(this_cpu()->hw_id);

    (void)state;
    assert_int_equal(chip->configure(42, IRQ_EDGE, self), OK);
    assert_int_equal(DIST(GICD_ICFGR + 8), 2u << 20);
    assert_int_equal(DIST(GICD_IROUTER + 42 * 8), affinity & 0xffffff);
    assert_int_equal(chip->configure(27, IRQ_LEVEL, self), OK);
    assert_int_equal(chip->configure(3, IRQ_LEVEL, self), E_INVAL);
    assert_int_equal(chip->configure(LINES, IRQ_LEVEL, self), E_RANGE);
    assert_int_equal(chip->configure(42, IRQ_LEVEL, 9999), E_RANGE);
}

static void ipis(void **state)
{
    struct cpu *cpu = this_cpu();
    const uint64_t own = cpu->hw_id;
    const struct irqchip_ops *chip;

    (void)state;
    cpu->hw_id = UINT64_C(0x0400030235); // Aff3 4, Aff2 3, Aff1 2, Aff0 0x35
    chip = start();
    chip->send_ipi(cpu->index, 2);
    assert_int_equal(icc.sgi1r,
                     UINT64_C(4) << 48 | UINT64_C(3) << 44 | UINT64_C(3) << 32 | 2 << 24 | 2 << 16 | 1 << 5);
    cpu->hw_id = own;
    icc.sgi1r = 0;
    chip->send_ipi(9999, 2);
    chip->send_ipi(cpu->index + 1, 2); // not set up
    assert_int_equal(icc.sgi1r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(set_up),
        cmocka_unit_test(finding_the_redistributor),
        cmocka_unit_test(taking_interrupts),
        cmocka_unit_test(banks),
        cmocka_unit_test(configuration),
        cmocka_unit_test(ipis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
