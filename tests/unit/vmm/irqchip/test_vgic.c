// SPDX-License-Identifier: Apache-2.0
//
// Behaviour of the virtual GIC as a guest sees it, on fake list registers: each test is one story.
#include "tests/unit/vmm/irqchip/vgic_bench.h"

static void test_sgi_to_self(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, 3, 0x80);
    for (unsigned i = 0; i < 100; i++) {
        fake_sgi(0, 3, 0);
        serve(0, 3);
        idle(0);
    }
    fake_sgi(0, 3, 0);
    fake_sgi(0, 3, 0); // merges while pending
    assert_int_equal(fake_ack(0), 3);
    fake_sgi(0, 3, 0); // again while active
    idle(0);           // same priority: not before the end
    fake_end(0, 3);
    serve(0, 3);
    idle(0);
    stop();
}

static void test_sgi_groups(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, 3, 0x80);
    fake.chip->ops->send_sgi(fake.chip, 0, 2,
                             UINT64_C(3) << 24 | 1); // group 0 to a group 1 SGI: not forwarded
    idle(0);
    assert_false(fake_bit(0, 3, ISPENDR));
    fake_write(0, fake_gicr(0, 0x10080), 4, 0);
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(3) << 24 | 1); // SGI1R: whichever group it has
    assert_true(fake_bit(0, 3, ISPENDR));
    fake_set_bit(0, 3, ICPENDR);
    assert_false(fake_bit(0, 3, ISPENDR));
    fake.chip->ops->send_sgi(fake.chip, 0, 1, UINT64_C(3) << 24 | 1); // ASGI1R: group 0
    assert_true(fake_bit(0, 3, ISPENDR));
    idle(0); // group 0 is off
    fake_write(0, FAKE_GICD + CTLR, 4, 3);
    serve(0, 3);
    stop();
}

static void test_sgi_to_others(void **state)
{
    (void)state;
    start(18);
    for (unsigned v = 0; v < 18; v++) {
        fake_setup_irq(v, 5, 0x40);
    }
    fake_sgi(2, 5, 17); // Aff1 = 1, Aff0 = 1
    fake_enter_all();
    serve(17, 5);
    fake.chip->ops->send_sgi(fake.chip, 4, 0, UINT64_C(5) << 24 | BIT64(40)); // all but self
    fake_enter_all();
    for (unsigned v = 0; v < 18; v++) {
        if (v == 4) {
            idle(v);
        } else {
            serve(v, 5);
        }
        idle(v);
    }
    // Nobody: absent vCPU, absent cluster, range selector, higher affinity.
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(5) << 24 | UINT64_C(1) << 16 | 0xfffc);
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(5) << 24 | UINT64_C(0xff) << 16 | 0xffff);
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(5) << 24 | UINT64_C(1) << 44 | 0xffff);
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(5) << 24 | UINT64_C(1) << 32 | 0xffff);
    fake.chip->ops->send_sgi(fake.chip, 0, 0, UINT64_C(5) << 24 | UINT64_C(1) << 48 | 0xffff);
    fake_enter_all();
    for (unsigned v = 0; v < 18; v++) {
        idle(v);
    }
    stop();
}

static void test_level_stays(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    for (unsigned i = 0; i < 5; i++) {
        serve(0, SPI);
    }
    assert_int_equal(fake_ack(0), SPI);
    fake.maintenance = 0;
    fake_line(SPI, false); // the handler quiets the device
    fake_end(0, SPI);
    assert_int_equal(fake.maintenance, 0); // no extra exit for the end
    idle(0);
    stop();
}

static void test_level_withdrawn(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    fake_enter(0);
    assert_true(fake_bit(0, SPI, ISPENDR));
    fake_line(SPI, false);
    idle(0);
    assert_false(fake_bit(0, SPI, ISPENDR));
    fake_line(SPI, true); // up and down unseen, too
    fake_line(SPI, false);
    idle(0);
    fake_line(SPI, true);
    serve(0, SPI);
    stop();
}

static void test_edge_twice(void **state)
{
    (void)state;
    start(1);
    fake_set_edge(0, SPI, true);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    fake_line(SPI, false); // latched
    assert_int_equal(fake_ack(0), SPI);
    fake_line(SPI, true);
    fake_line(SPI, false);
    idle(0);
    fake_end(0, SPI);
    serve(0, SPI);
    idle(0);
    fake_line(SPI, true);
    serve(0, SPI);
    idle(0); // still high: no new edge
    stop();
}

static void test_many_pending(void **state)
{
    (void)state;
    start(1);
    for (unsigned i = 0; i < 200; i++) {
        fake_set_edge(0, 32 + i, true);
        fake_setup_irq(0, 32 + i, (i * 37 % 29 + 1) * 8);
    }
    for (unsigned i = 0; i < 200; i++) {
        fake_line(32 + i, true);
    }
    bool seen[200] = {false};
    unsigned last = 0;

    for (unsigned i = 0; i < 200; i++) {
        unsigned irq = fake_ack(0);

        assert_in_range(irq, 32, 231);
        unsigned priority = ((irq - 32) * 37 % 29 + 1) * 8;
        assert_true(priority >= last);
        assert_false(seen[irq - 32]);
        seen[irq - 32] = true;
        last = priority;
        fake_end(0, irq);
    }
    idle(0);
    assert_true(fake.maintenance > 0);
    stop();
}

static void test_nested_beyond_lrs(void **state)
{
    const unsigned depth = 24; // more than any number of list registers

    (void)state;
    start(1);
    for (unsigned i = 0; i < depth; i++) {
        fake_set_edge(0, 64 + i, true);
        fake_setup_irq(0, 64 + i, 0xf0 - 8 * i);
    }
    for (unsigned i = 0; i < depth; i++) {
        fake_line(64 + i, true);
        assert_int_equal(fake_ack(0), 64 + i);
    }
    for (unsigned i = 0; i < depth; i++) {
        assert_true(fake_bit(0, 64 + i, ISACTIVER));
    }
    for (unsigned i = depth; i-- > 0;) {
        fake_end(0, 64 + i);
        assert_false(fake_bit(0, 64 + i, ISACTIVER));
        assert_true(i == 0 || fake_bit(0, 64 + i - 1, ISACTIVER));
    }
    for (unsigned i = 0; i < depth; i++) { // all can come again
        fake_line(64 + i, false);
        fake_line(64 + i, true);
        serve(0, 64 + i);
    }
    stop();
}

static void test_disable_in_lr(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    fake_enter(0);
    fake_set_bit(0, SPI, ICENABLER);
    idle(0);
    assert_true(fake_bit(0, SPI, ISPENDR));
    fake_set_bit(0, SPI, ISENABLER);
    assert_int_equal(fake_ack(0), SPI);
    fake_set_bit(0, SPI, ICENABLER); // active stays active
    assert_true(fake_bit(0, SPI, ISACTIVER));
    fake_end(0, SPI);
    assert_false(fake_bit(0, SPI, ISACTIVER));
    idle(0);
    stop();
}

static void test_group_disable(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, SPI, 0x80);
    fake_setup_irq(0, 2, 0x80);
    fake_line(SPI, true);
    fake_sgi(0, 2, 0);
    fake_write(1, FAKE_GICD + CTLR, 4, 0); // by another vCPU
    fake_enter_all();
    idle(0);
    fake_write(1, FAKE_GICD + CTLR, 4, 1); // only group 0
    fake_enter_all();
    idle(0);
    fake_write(0, FAKE_GICD + CTLR, 4, 2);
    unsigned first = fake_ack(0);
    fake_end(0, first);
    unsigned second = fake_ack(0);
    assert_int_equal(first + second, SPI + 2);
    fake_line(SPI, false);
    fake_end(0, second);
    fake_write(0, fake_reg(0, 2, IGROUPR), 4, 0); // to the disabled group
    fake_set_bit(0, 2, ISPENDR);
    idle(0);
    stop();
}

static void test_routing(void **state)
{
    (void)state;
    start(3);
    fake_setup_irq(0, SPI, 0x80);
    route(SPI, 2);
    fake_line(SPI, true);
    fake_enter_all();
    idle(0);
    assert_int_equal(fake_ack(2), SPI);
    route(SPI, 1); // active on 2: stays there until its end
    idle(1);
    fake_end(2, SPI);
    fake_enter_all();
    idle(2);
    fake_enter(1);
    assert_true(fake.chip->ops->pending(fake.chip, 1));
    route(SPI, 0); // pending in the list register of 1: moves
    idle(1);
    route(SPI, 0x0100); // nobody
    idle(0);
    route(SPI, UINT64_C(1) << 32);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x6000 + SPI * 8, 8), 0); // Aff3 is RES0
    assert_int_equal(fake_ack(0), SPI);
    fake_line(SPI, false);
    fake_end(0, SPI);
    route(SPI, UINT64_C(0x80000001)); // IRM is RES0
    assert_int_equal(fake_read(0, FAKE_GICD + 0x6000 + SPI * 8, 8), 1);
    fake_line(SPI, true);
    fake_enter_all();
    serve(1, SPI);
    stop();
}

static void test_active_games(void **state)
{
    (void)state;
    start(2);
    fake_set_edge(0, SPI, true);
    fake_setup_irq(0, SPI, 0x80);
    fake_set_bit(0, SPI, ISACTIVER);
    fake_line(SPI, true);
    idle(0); // active: not offered
    assert_true(fake_bit(0, SPI, ISPENDR));
    fake_set_bit(0, SPI, ICACTIVER);
    assert_int_equal(fake_ack(0), SPI);
    fake_set_bit(1, SPI, ICACTIVER); // from the other side
    fake_enter_all();
    assert_false(fake_bit(0, SPI, ISACTIVER));
    fake_line(SPI, false);
    fake_line(SPI, true);
    idle(0); // running priority is still raised
    fake_end(0, SPI);
    fake_enter(0);
    serve(0, SPI);
    idle(0);
    fake_set_bit(1, SPI, ISPENDR);
    fake_enter_all();
    fake_set_bit(1, SPI, ISACTIVER); // while pending in a list register
    fake_enter_all();
    idle(0);
    assert_true(fake_bit(0, SPI, ISACTIVER));
    fake_set_bit(0, SPI, ICPENDR);
    fake_set_bit(0, SPI, ICACTIVER);
    idle(0);
    // Every interrupt active at once takes nothing down.
    for (unsigned i = 32; i < 288; i += 32) {
        fake_write(0, FAKE_GICD + ISACTIVER + i / 8, 4, UINT32_MAX);
    }
    fake_setup_irq(0, 1, 0);
    fake_sgi(0, 1, 0);
    serve(0, 1);
    for (unsigned i = 32; i < 288; i += 32) {
        fake_write(0, FAKE_GICD + ICACTIVER + i / 8, 4, UINT32_MAX);
        assert_int_equal(fake_read(0, FAKE_GICD + ISACTIVER + i / 8, 4), 0);
    }
    fake_line(SPI, false);
    fake_line(SPI, true);
    serve(0, SPI);
    stop();
}

static void test_pending_registers(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_set_bit(0, SPI, ISPENDR); // level, by software
    serve(0, SPI);
    idle(0);
    fake_set_bit(0, SPI, ISPENDR);
    fake_enter(0);
    fake_set_bit(0, SPI, ICPENDR);
    idle(0);
    fake_line(SPI, true);
    fake_set_bit(0, SPI, ICPENDR); // the line wins
    assert_true(fake_bit(0, SPI, ISPENDR));
    fake_set_bit(0, SPI, ISPENDR);
    fake_line(SPI, false); // the latch remains
    serve(0, SPI);
    idle(0);
    stop();
}

static void test_priority_change(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_setup_irq(0, SPI + 1, 0x90);
    fake_line(SPI, true);
    fake_line(SPI + 1, true);
    fake_enter(0);
    fake_set_priority(0, SPI + 1, 0x70); // while both sit in list registers
    assert_int_equal(fake_ack(0), SPI + 1);
    fake_line(SPI + 1, false);
    fake_end(0, SPI + 1);
    fake_line(SPI, false);
    idle(0);
    stop();
}

static void test_foreign_redistributor(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(1, 20, 0x80); // by its own vCPU
    fake_write(0, fake_gicr(1, 0x10100), 4, 1u << 21);
    fake_write(0, fake_gicr(1, 0x10080), 4, 1u << 21 | 1u << 20);
    fake_write(0, fake_gicr(1, 0x10400) + 21, 1, 0x48);
    assert_int_equal(fake_read(0, fake_gicr(1, 0x10100), 4), 1u << 21 | 1u << 20); // posted shows
    assert_int_equal(fake_read(0, fake_gicr(1, 0x10400) + 21, 1), 0x48);
    fake_write(0, fake_gicr(1, 0x10200), 4, 1u << 21);
    fake_enter_all();
    assert_int_equal(fake_read(1, fake_gicr(1, 0x10400) + 21, 1), 0x48);
    serve(1, 21);
    fake_write(0, fake_gicr(1, 0x10200), 4, 1u << 21);
    fake_enter_all();
    fake_write(0, fake_gicr(1, 0x10180), 4, 1u << 21);
    fake_enter_all();
    idle(1);
    idle(0);
    stop();
}

// What a pending interrupt of higher priority pushes out still comes before one of lower priority, even when
// that could have had another list register.
static void test_pushed_out_keeps_its_rank(void **state)
{
    static const unsigned priority[] = {0xb8, 0x68, 0x08, 0x70};

    (void)state;
    lr_count = 2;
    start(1);
    for (unsigned i = 0; i < ARRAY_SIZE(priority); i++) {
        fake_setup_irq(0, SPI + i, priority[i]);
        fake_set_edge(0, SPI + i, true);
    }
    fake_line(SPI, true);
    assert_int_equal(fake_ack(0), SPI);
    fake_line(SPI + 1, true);
    fake_enter(0);
    fake_line(SPI + 2, true);
    fake_line(SPI + 3, true);
    serve(0, SPI + 2);
    serve(0, SPI + 1);
    serve(0, SPI + 3);
    fake_end(0, SPI);
    idle(0);
    stop();
}

// The guest of vCPU 1 acknowledges and ends without an exit; vCPU 0 sees it at once.
static void test_look_at_others(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, SPI, 0x80);
    fake_setup_irq(1, 3, 0x40);
    route(SPI, 1);
    for (unsigned i = 0; i < 2; i++) {
        unsigned irq = i ? SPI : 3;

        if (i) {
            fake_line(SPI, true);
        } else {
            fake_sgi(0, 3, 1);
        }
        assert_true(fake_bit(1, irq, ISPENDR)); // its own view
        assert_true(fake_read(0, fake_reg(1, irq, ISPENDR), 4) >> (irq & 31) & 1);
        fake_enter(1);
        assert_int_equal(fake_iar(), irq);
        assert_false(fake_read(0, fake_reg(1, 3, ISPENDR), 4) >> 3 & 1);
        assert_true(fake_read(0, fake_reg(1, irq, ISACTIVER), 4) >> (irq & 31) & 1);
        fake.current = fake.on[1];
        fake_eoir(irq);
        fake_line(SPI, false);
        assert_false(fake_read(0, fake_reg(1, irq, ISACTIVER), 4) >> (irq & 31) & 1);
        assert_true(fake.asks > 0);
        fake_enter(1);
    }
    idle(1);
    stop();
}

// The same while vCPU 1 is not loaded: its list registers are in memory, and what is sent to it waits.
static void test_look_at_absent(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, SPI, 0x80);
    fake_setup_irq(1, 3, 0x40);
    fake_setup_irq(1, 4, 0xc0);
    route(SPI, 1);
    fake_line(SPI, true);
    assert_int_equal(fake_ack(1), SPI);
    fake_sgi(0, 3, 1);
    fake_enter(1);
    fake.chip->ops->put(fake.chip, 1);
    fake_sgi(0, 4, 1);
    assert_int_equal(fake_read(0, fake_reg(1, 0, ISPENDR), 4), 0x18);
    assert_true(fake_read(0, fake_reg(0, SPI, ISACTIVER), 4) >> (SPI & 31) & 1);
    fake_write(0, fake_reg(1, 0, ICPENDR), 4, 0x8);
    assert_int_equal(fake_read(0, fake_reg(1, 0, ISPENDR), 4), 0x10);
    assert_int_equal(fake.asks, 0);
    fake.current = fake.on[1];
    fake.chip->ops->load(fake.chip, 1);
    idle(1); // SPI is more urgent than SGI 4
    fake_line(SPI, false);
    fake_end(1, SPI);
    serve(1, 4);
    idle(1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LRS(test_sgi_to_self),
        WITH_LRS(test_sgi_groups),
        WITH_LRS(test_sgi_to_others),
        WITH_LRS(test_level_stays),
        WITH_LRS(test_level_withdrawn),
        WITH_LRS(test_edge_twice),
        WITH_LRS(test_many_pending),
        WITH_LRS(test_nested_beyond_lrs),
        WITH_LRS(test_disable_in_lr),
        WITH_LRS(test_group_disable),
        WITH_LRS(test_routing),
        WITH_LRS(test_active_games),
        WITH_LRS(test_pending_registers),
        WITH_LRS(test_priority_change),
        WITH_LRS(test_foreign_redistributor),
        WITH_LRS(test_look_at_others),
        WITH_LRS(test_look_at_absent),
        cmocka_unit_test_setup(test_pushed_out_keeps_its_rank, few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
