// SPDX-License-Identifier: Apache-2.0
//
// GICv2 for guests: distributor and emulated CPU interface.
#include "tests/unit/vmm/irqchip/vgic_v2_bench.h"

static void test_level(void **state)
{
    (void)state;
    start(1);
    assert_true(fake.vm.arch.irq_regs_hidden);
    setup(0, SPI, 0x80);
    idle(0);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    assert_int_equal(cc(0, C_HPPIR), SPI);
    assert_int_equal(cc(0, C_RPR), 0xff);
    assert_int_equal(cc(0, C_IAR), SPI);
    assert_int_equal(cc(0, C_RPR), 0x80);
    assert_int_equal(lines(0), 0);
    set_cc(0, C_EOIR, SPI); // still high: again
    serve(0, SPI);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    idle(0);
    assert_int_equal(cc(0, C_RPR), 0xff);
    line(SPI, true);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    line(SPI, false); // lowered before it was taken
    idle(0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    stop();
}

static void test_enables(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    line(SPI, true);
    wr(0, FAKE_GICD + ICENABLER + 4, 1u << (SPI - 32));
    idle(0);
    wr(0, FAKE_GICD + ISENABLER + 4, 1u << (SPI - 32));
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    wr(0, FAKE_GICD + CTLR, 0);
    idle(0);
    wr(0, FAKE_GICD + CTLR, 1);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    set_cc(0, C_CTLR, 0);
    idle(0);
    set_cc(0, C_CTLR, 1);
    set_cc(0, C_PMR, 0x80); // not lower than the mask
    idle(0);
    set_cc(0, C_PMR, 0x88);
    serve(0, SPI);
    stop();
}

static void test_sgi_senders(void **state)
{
    (void)state;
    start(4);
    for (unsigned v = 1; v < 4; v++) {
        wr(v, FAKE_GICD + SGIR, 1u << 16 | 3); // SGI 3 to vCPU 0, from each
        wr(v, FAKE_GICD + SGIR, 1u << 16 | 3); // merges
    }
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR), 0x0e000000);
    assert_int_equal(rd(0, FAKE_GICD + ISPENDR) & 0xffff, 1 << 3);
    serve(0, 1u << 10 | 3);
    serve(0, 2u << 10 | 3);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR), 0x08000000);
    serve(0, 3u << 10 | 3);
    idle(0);
    wr(2, FAKE_GICD + SGIR, 1u << 24 | 5); // all but self
    idle(2);
    serve(0, 2u << 10 | 5);
    serve(1, 2u << 10 | 5);
    serve(3, 2u << 10 | 5);
    wr(2, FAKE_GICD + SGIR, 2u << 24 | 0xffu << 16 | 7); // self
    serve(2, 2u << 10 | 7);
    for (unsigned i = 0; i < 3; i++) { // again while it stands in a list register: the same one
        wr(2, FAKE_GICD + SGIR, 2u << 24 | 7);
        wr(1, FAKE_GICD + SGIR, 1u << 18 | 7);
        assert_int_equal(lines(2), VCPU_LINE_IRQ);
    }
    serve(2, 2u << 10 | 7);
    serve(2, 1u << 10 | 7);
    idle(2);
    wr(2, FAKE_GICD + SGIR, 3u << 24 | 0xffu << 16 | 7); // reserved
    wr(2, FAKE_GICD + SGIR, 0xf0u << 16 | 7);            // absent vCPUs
    for (unsigned v = 0; v < 4; v++) {
        idle(v);
    }
    stop();
}

// An SGI that comes again while it is active, from the same and from another sender.
static void test_sgi_active(void **state)
{
    (void)state;
    start(2);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(cc(0, C_IAR), 1u << 10 | 3);
    wr(1, FAKE_GICD + SGIR, 1u << 16 | 3);
    wr(0, FAKE_GICD + SGIR, 1u << 16 | 3);
    assert_int_equal(lines(0), 0);
    set_cc(0, C_EOIR, 3); // another sender's: does not deactivate this one
    set_cc(0, C_EOIR, 1u << 10 | 3);
    serve(0, 3);
    serve(0, 1u << 10 | 3);
    idle(0);
    stop();
}

static void test_sgi_pending_registers(void **state)
{
    (void)state;
    start(2);
    wr(0, FAKE_GICD + SPENDSGIR + 4, 0xff00); // SGI 5, all senders that exist
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR + 4), 0x0300);
    assert_int_equal(rd(1, FAKE_GICD + SPENDSGIR + 4), 0);
    wr8(0, FAKE_GICD + CPENDSGIR + 5, 1); // the one that is offered already
    assert_int_equal(rd(0, FAKE_GICD + CPENDSGIR + 4), 0x0200);
    serve(0, 1u << 10 | 5);
    idle(0);
    wr(0, FAKE_GICD + SPENDSGIR + 4, 0x0300);
    wr(0, FAKE_GICD + CPENDSGIR + 4, 0xffffffff);
    assert_int_equal(rd(0, FAKE_GICD + SPENDSGIR + 4), 0);
    idle(0);
    wr(0, FAKE_GICD + ISPENDR, 0xffff); // read-only for SGIs
    assert_int_equal(rd(0, FAKE_GICD + ISPENDR), 0);
    wr(0, FAKE_GICD + ICENABLER, 0xffff); // as on a GIC-400
    assert_int_equal(rd(0, FAKE_GICD + ISENABLER) & 0xffff, 0xffff);
    stop();
}

static void test_priorities(void **state)
{
    (void)state;
    start(1);
    for (unsigned i = 0; i < 32; i++) {
        setup(0, SPI + i, 8 * i);
        line(SPI + i, true);
    }
    for (unsigned i = 0; i < 31; i++) { // 0xf8 is masked by the largest mask there is
        assert_int_equal(cc(0, C_IAR), SPI + i);
        line(SPI + i, false);
        set_cc(0, C_EOIR, SPI + i);
    }
    idle(0);
    stop();
}

// All priorities nest: more active than list registers.
static void test_preemption(void **state)
{
    (void)state;
    start(1);
    for (int i = 30; i >= 0; i--) {
        setup(0, SPI + (unsigned)i, 8u * (unsigned)i);
        line(SPI + (unsigned)i, true);
        assert_int_equal(lines(0), VCPU_LINE_IRQ);
        assert_int_equal(cc(0, C_IAR), SPI + (unsigned)i);
        line(SPI + (unsigned)i, false);
        assert_int_equal(cc(0, C_RPR), 8 * i);
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0xffffff00);
    assert_int_equal(cc(0, C_APR), 0x7fffffff);
    for (unsigned i = 0; i < 31; i++) {
        set_cc(0, C_EOIR, SPI + i);
        assert_int_equal(cc(0, C_RPR), i == 30 ? 0xff : 8 * (i + 1));
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 8), 0);
    line(SPI, true);
    serve(0, SPI);
    stop();
}

static void test_binary_point(void **state)
{
    (void)state;
    start(1);
    set_cc(0, C_BPR, 0); // the least that there is
    assert_int_equal(cc(0, C_BPR), 2);
    set_cc(0, C_ABPR, 0);
    assert_int_equal(cc(0, C_ABPR), 3);
    set_cc(0, C_BPR, 6); // one bit of group priority
    setup(0, SPI, 0x78);
    setup(0, SPI + 1, 0x08);
    line(SPI, true);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI + 1, true);
    assert_int_equal(lines(0), 0); // the same group
    assert_int_equal(cc(0, C_HPPIR), SPI + 1);
    set_cc(0, C_BPR, 2);
    assert_int_equal(lines(0), 0); // the running priority was recorded by group: 0
    set_cc(0, C_EOIR, SPI);
    serve(0, SPI + 1);
    stop();
}

static void test_groups(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    wr(0, FAKE_GICD + IGROUPR + 4, 1u << (SPI - 32));
    line(SPI, true);
    idle(0); // group 1 is off
    set_cc(0, C_CTLR, 3);
    assert_int_equal(lines(0), VCPU_LINE_IRQ);
    assert_int_equal(cc(0, C_IAR), 1022); // AckCtl = 0
    assert_int_equal(cc(0, C_HPPIR), 1022);
    assert_int_equal(cc(0, C_AHPPIR), SPI);
    assert_int_equal(cc(0, C_AIAR), SPI);
    set_cc(0, C_AEOIR, SPI);
    set_cc(0, C_CTLR, 7);
    assert_int_equal(cc(0, C_IAR), SPI);
    set_cc(0, C_EOIR, SPI);
    wr(0, FAKE_GICD + IGROUPR + 4, 0);
    assert_int_equal(cc(0, C_AIAR), 1023);
    set_cc(0, C_CTLR, 9); // FIQEn
    assert_int_equal(lines(0), VCPU_LINE_FIQ);
    assert_int_equal(cc(0, C_IAR), SPI);
    assert_int_equal(lines(0), 0);
    stop();
}

static void test_eoi_mode(void **state)
{
    (void)state;
    start(1);
    setup(0, SPI, 0x80);
    setup(0, SPI + 1, 0x80);
    set_cc(0, C_DIR, SPI); // EOImode 0: no effect
    set_cc(0, C_CTLR, 0x201);
    line(SPI, true);
    assert_int_equal(cc(0, C_IAR), SPI);
    set_cc(0, C_EOIR, SPI);
    idle(0); // still active
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 1u << (SPI - 32));
    line(SPI + 1, true);
    line(SPI + 1, false);
    set_cc(0, C_DIR, SPI);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    set_cc(0, C_DIR, SPI);
    idle(0);
    stop();
}

// An SPI may be deactivated by another vCPU than the one that took it; an SGI or PPI of the same number is another's.
static void test_dir_elsewhere(void **state)
{
    (void)state;
    start(2);
    setup(0, SPI, 0x80);
    setup(0, TIMER, 0x80);
    for (unsigned v = 0; v < 2; v++) {
        set_cc(v, C_CTLR, 0x201);
    }
    line(SPI, true);
    assert_int_equal(cc(0, C_IAR), SPI);
    set_cc(0, C_EOIR, SPI);
    set_cc(1, C_DIR, SPI);
    assert_int_equal(rd(1, FAKE_GICD + ISACTIVER + 4), 0);
    assert_int_equal(cc(0, C_IAR), SPI);
    line(SPI, false);
    set_cc(0, C_EOIR, SPI);
    set_cc(1, C_DIR, SPI);
    wr(0, FAKE_GICD + ISPENDR, 1u << TIMER);
    assert_int_equal(cc(0, C_IAR), TIMER);
    set_cc(0, C_EOIR, TIMER);
    set_cc(1, C_DIR, TIMER);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER), 1u << TIMER);
    set_cc(0, C_DIR, TIMER);
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER), 0);
    idle(0);
    idle(1);
    stop();
}

// Deactivation in an order of its own, of interrupts that had to leave their list registers.
static void test_eoi_mode_evicted(void **state)
{
    (void)state;
    start(1);
    set_cc(0, C_CTLR, 0x201);
    for (unsigned i = 0; i < 24; i++) {
        setup(0, SPI + i, 0x80);
        line(SPI + i, true);
        assert_int_equal(cc(0, C_IAR), SPI + i);
        line(SPI + i, false);
        set_cc(0, C_EOIR, SPI + i);
    }
    for (unsigned i = 0; i < 24; i++) {
        unsigned irq = SPI + (i * 7) % 24;

        assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + irq / 32 * 4) >> irq % 32 & 1, 1);
        set_cc(0, C_DIR, irq);
        assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + irq / 32 * 4) >> irq % 32 & 1, 0);
    }
    assert_int_equal(rd(0, FAKE_GICD + ISACTIVER + 4), 0);
    stop();
}

// The software link: the physical interrupt stays active until the guest deactivates.
static void test_timer(void **state)
{
    (void)state;
    start(2);
    for (unsigned v = 0; v < 2; v++) {
        setup(v, TIMER, 0xa0);
    }
    for (unsigned i = 0; i < 100; i++) {
        unsigned v = i & 1;

        on(v);
        fake_phys(v, TIMER, true);
        fake_take_phys(v);
        assert_true(fake_here()->active[TIMER]);
        assert_int_equal(lines(v), VCPU_LINE_IRQ);
        assert_int_equal(cc(v, C_IAR), TIMER);
        fake_phys(v, TIMER, false); // reprogrammed
        assert_true(fake_here()->active[TIMER]);
        set_cc(v, C_EOIR, TIMER);
        assert_false(fake_here()->active[TIMER]);
        idle(v);
    }
    stop();
}

// H24: a timer that is never quiet does not keep the hypervisor busy, and nothing is lost.
static void test_timer_always_late(void **state)
{
    (void)state;
    start(1);
    setup(0, TIMER, 0xa0);
    fake_phys(0, TIMER, true);
    for (unsigned i = 0; i < 100; i++) {
        fake_take_phys(0);
        fake_take_phys(0); // active: silent
        assert_true(fake_here()->active[TIMER]);
        serve(0, TIMER);
        assert_false(fake_here()->active[TIMER]);
    }
    fake_take_phys(0);
    assert_int_equal(cc(0, C_IAR), TIMER); // never ended
    for (unsigned i = 0; i < 100; i++) {
        fake_take_phys(0);
        assert_int_equal(lines(0), 0);
    }
    stop();
}

static void test_targets(void **state)
{
    (void)state;
    start(3);
    assert_int_equal(rd(2, FAKE_GICD + ITARGETSR), 0x04040404);
    assert_int_equal(rd(0, FAKE_GICD + ITARGETSR + SPI), 0x01010101);
    wr(0, FAKE_GICD + ITARGETSR + SPI, 0xff060402);
    assert_int_equal(rd(0, FAKE_GICD + ITARGETSR + SPI), 0x07060402);
    wr(1, FAKE_GICD + ITARGETSR, 0); // read-only
    assert_int_equal(rd(1, FAKE_GICD + ITARGETSR), 0x02020202);
    for (unsigned i = 0; i < 4; i++) {
        setup(0, SPI + i, 0x40);
        line(SPI + i, true);
    }
    assert_int_equal(cc(0, C_IAR), SPI + 3);
    assert_int_equal(cc(1, C_IAR), SPI);
    assert_int_equal(cc(2, C_IAR), SPI + 1);
    wr8(0, FAKE_GICD + ITARGETSR + SPI + 2, 0x38); // nobody there
    set_cc(1, C_EOIR, SPI);
    line(SPI, false);
    idle(1);
    wr8(0, FAKE_GICD + ITARGETSR + SPI + 2, 1);
    line(SPI + 3, false);
    set_cc(0, C_EOIR, SPI + 3);
    assert_int_equal(cc(0, C_IAR), SPI + 2);
    stop();
}

static void test_banked(void **state)
{
    (void)state;
    start(2);
    wr(0, FAKE_GICD + ISENABLER, 1u << 27);
    assert_int_equal(rd(0, FAKE_GICD + ISENABLER), 0x0800ffff);
    assert_int_equal(rd(1, FAKE_GICD + ISENABLER), 0x0000ffff);
    wr(1, FAKE_GICD + IPRIORITYR + 24, 0x12345678);
    assert_int_equal(rd(1, FAKE_GICD + IPRIORITYR + 24), 0x10305078);
    assert_int_equal(rd(0, FAKE_GICD + IPRIORITYR + 24), 0);
    wr(0, FAKE_GICD + ISACTIVER, 1u << 28);
    assert_int_equal(rd(0, FAKE_GICD + ICACTIVER), 1u << 28);
    assert_int_equal(rd(1, FAKE_GICD + ICACTIVER), 0);
    assert_int_equal(rd(0, FAKE_GICD + TYPER), 8 | 1 << 5);
    assert_int_equal(rd(0, FAKE_GICD + CTLR), 3);
    assert_int_equal(rd(0, FAKE_GICD + PIDR2) >> 4 & 0xf, 2);
    assert_int_equal(cc(0, C_IIDR) >> 16 & 0xf, 2);
    assert_int_equal(rd(0, FAKE_GICD + ICFGR), 0xaaaaaaaa);
    stop();
}

// H20, H21: whatever a guest writes, the controller stays sane: afterwards an ordinary interrupt works.
static void test_random(void **state)
{
    uint64_t seed = 88172645463325252u;

    (void)state;
    start(3);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned v;
        uint64_t addr;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        v = (unsigned)(seed % 3);
        addr = seed >> 8 & 1 ? FAKE_GICD + (seed >> 16 & 0xffc) : GICC + (seed >> 16 & 0x3c);
        addr = (seed >> 5 & 7) == 0 ? GICC + C_DIR : addr;
        on(v);
        if (seed >> 10 & 1) {
            (void)fake_write(v, addr, 4, seed >> 32);
        } else {
            (void)fake_read(v, addr, 4);
        }
        if ((seed >> 11 & 0xf) == 0) {
            line(32 + (unsigned)(seed >> 40 & 0xff), seed >> 48 & 1);
        }
        if ((seed >> 11 & 0x1f) == 1) {
            on(v);
            fake.chip->ops->put(fake.chip, v);
            fake.chip->ops->load(fake.chip, v);
        }
        if ((seed >> 11 & 0xf) == 2) {
            fake_phys(v, TIMER, seed >> 48 & 1);
            fake_take_phys(v);
        }
    }
    for (unsigned v = 0; v < 3; v++) {
        on(v);
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->reset(fake.chip);
    for (unsigned irq = 32; irq < 32 + 256; irq++) {
        line(irq, false);
    }
    for (unsigned v = 0; v < 3; v++) {
        on(v);
        fake.chip->ops->load(fake.chip, v);
    }
    wr(0, FAKE_GICD + CTLR, 1);
    set_cc(0, C_PMR, 0xff);
    set_cc(0, C_CTLR, 1);
    setup(0, SPI, 0x80);
    line(SPI, true);
    serve(0, SPI);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_enables),
        cmocka_unit_test(test_sgi_senders),
        cmocka_unit_test(test_sgi_active),
        cmocka_unit_test(test_sgi_pending_registers),
        cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_preemption),
        cmocka_unit_test(test_binary_point),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_eoi_mode),
        cmocka_unit_test(test_dir_elsewhere),
        cmocka_unit_test(test_eoi_mode_evicted),
        cmocka_unit_test(test_timer),
        cmocka_unit_test(test_timer_always_late),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_banked),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
