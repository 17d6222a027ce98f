// SPDX-License-Identifier: Apache-2.0
//
// The host's GICv2 driver on registers that are memory: what it writes where, and what it makes of what it reads.
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

#include "drivers/irqchip/gic_common.c"
#include "drivers/irqchip/gicv2.c"

#define LINES 128u
#define DIST(reg) dist[(reg) / 4]
#define IFACE(reg) iface[(reg) / 4]

static _Alignas(4096) uint32_t dist[0x1000 / 4], iface[0x2000 / 4];

static hpa_t at(void *p)
{
    return hpa((uintptr_t)p);
}

static struct hw_desc machine(void)
{
    return (struct hw_desc){
        .name = "gic",
        .regs = {{.base = at(dist), .size = sizeof(dist)}, {.base = at(iface), .size = sizeof(iface)}},
        .reg_count = 2};
}

static const struct irqchip_ops *start(void)
{
    const struct hw_desc hw = machine();

    memset(dist, 0, sizeof(dist));
    memset(iface, 0, sizeof(iface));
    DIST(GICD_TYPER) = LINES / 32 - 1;
    DIST(GICD_ITARGETSR) = 0x04040404; // this CPU is interface 2
    assert_int_equal(gicv2_probe(&hw), OK);
    assert_ptr_equal(irq_chip(), &gicv2_ops);
    assert_int_equal(irq_chip()->init_cpu(), OK);
    return irq_chip();
}

static void what_is_too_small_is_refused(void **state)
{
    struct hw_desc hw = machine();

    (void)state;
    hw.reg_count = 1;
    assert_int_equal(gicv2_probe(&hw), E_CORRUPT);
    hw = machine();
    hw.regs[0].size = 0x800;
    assert_int_equal(gicv2_probe(&hw), E_CORRUPT);
    hw = machine();
    hw.regs[1].size = 0x1000; // no GICC_DIR
    assert_int_equal(gicv2_probe(&hw), E_UNSUPPORTED);
}

static void set_up(void **state)
{
    (void)state;
    start();
    assert_int_equal(DIST(GICD_CTLR), 1);
    for (unsigned irq = 0; irq < LINES; irq += 4) {
        assert_int_equal(DIST(GICD_IPRIORITYR + irq), GIC_PRIORITY_X4);
    }
    for (unsigned irq = 32; irq < LINES; irq += 32) {
        assert_int_equal(DIST(GICD_ICENABLER + irq / 8), UINT32_MAX);
        assert_int_equal(DIST(GICD_ICPENDR + irq / 8), UINT32_MAX);
        assert_int_equal(DIST(GICD_ICACTIVER + irq / 8), UINT32_MAX);
    }
    assert_int_equal(DIST(GICD_IPRIORITYR + LINES), 0); // beyond what GICD_TYPER says
    assert_int_equal(DIST(GICD_ISENABLER), (1u << IPI_COUNT) - 1);
    assert_int_equal(IFACE(GICC_PMR), GIC_PRIORITY_MASK);
    assert_int_equal(IFACE(GICC_CTLR), 1 | 1 << 9); // EOIR drops the priority, DIR deactivates
}

static void an_sgi_ends_with_its_sender(void **state)
{
    const struct irqchip_ops *chip = start();

    (void)state;
    IFACE(GICC_IAR) = 5 | 3 << 10;
    assert_int_equal(chip->ack(), 5);
    IFACE(GICC_IAR) = 40;
    assert_int_equal(chip->ack(), 40);
    chip->eoi(5);
    assert_int_equal(IFACE(GICC_EOIR), 5 | 3 << 10);
    chip->deactivate(5);
    assert_int_equal(IFACE(GICC_DIR), 5 | 3 << 10);
    chip->eoi(40);
    assert_int_equal(IFACE(GICC_EOIR), 40);
    chip->deactivate(40);
    assert_int_equal(IFACE(GICC_DIR), 40);
    for (uint32_t special = 1020; special < 1024; special++) {
        IFACE(GICC_IAR) = special;
        assert_int_equal(chip->ack(), IRQ_NONE);
    }
}

static void configuration(void **state)
{
    const struct irqchip_ops *chip = start();
    const unsigned self = this_cpu()->index;

    (void)state;
    DIST(GICD_ICFGR + 8) = 0xaaaaaaaa;
    assert_int_equal(chip->configure(42, IRQ_LEVEL, self), OK);
    assert_int_equal(DIST(GICD_ICFGR + 8), 0xaa8aaaaa);
    assert_int_equal(DIST(GICD_ITARGETSR + 40), 4u << 16);
    assert_int_equal(chip->configure(42, IRQ_EDGE, self), OK);
    assert_int_equal(DIST(GICD_ICFGR + 8), 0xaaaaaaaa);
    DIST(GICD_ISENABLER + 4) = 1 << 10; // switched off for the change, and on again
    DIST(GICD_ICENABLER + 4) = 0;
    assert_int_equal(chip->configure(42, IRQ_EDGE, self), OK);
    assert_int_equal(DIST(GICD_ICENABLER + 4), 1 << 10);
    assert_int_equal(DIST(GICD_ISENABLER + 4), 1 << 10);
    assert_int_equal(chip->configure(3, IRQ_EDGE, self), OK); // SGIs are what they are
    assert_int_equal(chip->configure(3, IRQ_LEVEL, self), E_INVAL);
    assert_int_equal(chip->configure(LINES, IRQ_EDGE, self), E_RANGE);
    assert_int_equal(chip->configure(42, IRQ_EDGE, 8), E_RANGE);
    assert_int_equal(chip->configure(42, IRQ_EDGE, 7), E_STATE); // that CPU is not up
}

static void single_bits(void **state)
{
    const struct irqchip_ops *chip = start();

    (void)state;
    chip->enable(65);
    assert_int_equal(DIST(GICD_ISENABLER + 8), 2);
    chip->disable(65);
    assert_int_equal(DIST(GICD_ICENABLER + 8), 2);
    chip->set_active(27, true);
    assert_int_equal(DIST(GICD_ISACTIVER), 1u << 27);
    chip->set_active(27, false);
    assert_int_equal(DIST(GICD_ICACTIVER), 1u << 27);
    DIST(GICD_ISPENDR) = 1u << 27;
    assert_true(chip->is_pending(27));
    assert_false(chip->is_pending(26));
    DIST(GICD_ISENABLER + LINES / 8) = 0;
    chip->enable(LINES + 3);
    assert_int_equal(DIST(GICD_ISENABLER + LINES / 8), 0);
    assert_false(chip->is_pending(LINES + 3));
}

static void ipis(void **state)
{
    const struct irqchip_ops *chip = start();

    (void)state;
    chip->send_ipi(this_cpu()->index, 3);
    assert_int_equal(DIST(GICD_SGIR), 4 << 16 | 3);
    DIST(GICD_SGIR) = 0;
    chip->send_ipi(GICV2_CPU_MAX, 3);
    chip->send_ipi(this_cpu()->index, GIC_SGI_COUNT);
    assert_int_equal(DIST(GICD_SGIR), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_small_is_refused),
        cmocka_unit_test(set_up),
        cmocka_unit_test(an_sgi_ends_with_its_sender),
        cmocka_unit_test(configuration),
        cmocka_unit_test(single_bits),
        cmocka_unit_test(ipis),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
