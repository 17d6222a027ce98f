// SPDX-License-Identifier: Apache-2.0
//
// List registers between GICv3's layout and GICv2's, and the GICH block behind the neutral operations.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/irqchip/gic_virt.h"
#include "drivers/irqchip/gicv2_virt.h"

static uint32_t gich[0x200 / 4];

static uint64_t priority(uint64_t p)
{
    return p << LR_PRIORITY_SHIFT;
}

static void fields_are_converted(void **state)
{
    (void)state;
    // Virtual 40, hardware interrupt 27, priority 0xa0, pending, group 1 (IHI 0048, 5.3.15).
    assert_int_equal(gicv2_lr_from_v3(40 | UINT64_C(27) << LR_PINTID_SHIFT | priority(0xa0) | LR_HW |
                                      LR_PENDING | LR_GROUP1),
                     40 | 27 << 10 | 0x14 << 23 | 1 << 28 | 1 << 30 | 1u << 31);
    assert_int_equal(gicv2_lr_from_v3(33 | LR_EOI_MAINT | LR_ACTIVE), 33 | 1 << 19 | 1 << 29);
    // With HW set, the same bit belongs to the hardware interrupt's number: 512.
    assert_int_equal(gicv2_lr_from_v3(33 | LR_HW | UINT64_C(512) << LR_PINTID_SHIFT),
                     33 | 512 << 10 | 1u << 31);
    assert_int_equal(gicv2_lr_from_v3(0), 0);
}

static void there_and_back_is_the_same(void **state)
{
    uint32_t rnd = 7;

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        rnd = rnd * 1664525 + 1013904223;

        uint64_t lr = (rnd & 0x3ff) | priority((rnd >> 10 & 0x1f) << 3);

        lr |= rnd & BIT64(15) ? LR_PENDING : 0;
        lr |= rnd & BIT64(16) ? LR_ACTIVE : 0;
        lr |= rnd & BIT64(17) ? LR_GROUP1 : 0;
        if (rnd & BIT64(18)) {
            lr |= LR_HW | (uint64_t)(rnd >> 19 & 0x3ff) << LR_PINTID_SHIFT;
        } else {
            lr |= rnd & BIT64(19) ? LR_EOI_MAINT : 0;
        }
        assert_int_equal(gicv2_lr_to_v3(gicv2_lr_from_v3(lr)), lr);
    }
}

static void operations_reach_the_registers(void **state)
{
    struct gic_virt_state s = {.vmcr = 0xf8000201, .ap1r = {0x10}};
    struct gic_virt_state back = {0};

    (void)state;
    gich[1] = 3; // GICH_VTR: four list registers
    gicv2_virt_probe(gich, 25);

    const struct gic_virt_ops *ops = gic_virt();

    assert_non_null(ops);
    assert_int_equal(ops->version, 2);
    assert_int_equal(ops->maintenance_irq, 25);
    assert_int_equal(ops->lr_count(), 4);
    ops->write_lr(3, 34 | LR_PENDING);
    assert_int_equal(gich[0x10c / 4], 34 | 1 << 28);
    assert_int_equal(ops->read_lr(3), 34 | LR_PENDING);
    ops->write_lr(4, ~UINT64_C(0)); // there is none
    assert_int_equal(gich[0x110 / 4], 0);
    ops->load(&s);
    ops->save(&back);
    assert_int_equal(back.vmcr, s.vmcr);
    assert_int_equal(back.ap1r[0], s.ap1r[0]);
    ops->write_hcr(HCR_EN | HCR_UIE);
    assert_int_equal(gich[0], HCR_EN | HCR_UIE);
    gicv2_virt_init_cpu();
    assert_int_equal(gich[0], 0);
    assert_int_equal(ops->read_lr(3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_converted),
        cmocka_unit_test(there_and_back_is_the_same),
        cmocka_unit_test(operations_reach_the_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
