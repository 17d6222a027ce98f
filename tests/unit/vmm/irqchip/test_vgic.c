// SPDX-License-Identifier: Apache-2.0
//
// Behaviour of the virtual GIC as a guest sees it, on fake list registers: each test is one story.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel/cpu/cpu.h"
#include "tests/unit/vmm/irqchip/fake_gic.h"

#define CTLR 0x000
#define IGROUPR 0x080
#define ISENABLER 0x100
#define ICENABLER 0x180
#define ISPENDR 0x200
#define ICPENDR 0x280
#define ISACTIVER 0x300
#define ICACTIVER 0x380
#define SPI 40u
#define TIMER 27u

static unsigned lr_count = 4;

static void start(unsigned vcpus)
{
    assert_true(fake_start(vcpus, lr_count, 256));
    assert_true(fake_write(0, FAKE_GICD + CTLR, 4, 2));
}

static void stop(void)
{
    assert_false(fake.stuck);
    fake_stop();
}

// Acknowledge, expect, end.
static void serve(unsigned vcpu, unsigned irq)
{
    assert_int_equal(fake_ack(vcpu), irq);
    fake_end(vcpu, irq);
}

static void idle(unsigned vcpu)
{
    assert_int_equal(fake_ack(vcpu), FAKE_SPURIOUS);
}

static void route(unsigned irq, uint64_t affinity)
{
    assert_true(fake_write(0, FAKE_GICD + 0x6000 + irq * 8, 8, affinity));
    fake_enter_all();
}

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

static void test_timer_forwarded(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, TIMER, 0x80);
    for (unsigned i = 0; i < 10; i++) {
        fake.notifies = 0;
        fake_phys(0, TIMER, true);
        fake_take_phys(0);
        assert_int_equal(fake.notifies, 0); // straight into the list register
        assert_int_equal(fake_ack(0), TIMER);
        assert_true(fake_here()->active[TIMER]);
        fake_phys(0, TIMER, false);
        fake_eoir(TIMER);
        assert_false(fake_maintenance_condition()); // one exit a tick, none for the end
        assert_false(fake_here()->active[TIMER]);
        idle(0);
    }
    stop();
}

static void test_timer_disabled(void **state)
{
    (void)state;
    start(1);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    idle(0);
    assert_true(fake_here()->active[TIMER]); // held back, so it cannot storm
    assert_true(fake_bit(0, TIMER, ISPENDR));
    fake_setup_irq(0, TIMER, 0x80);
    assert_int_equal(fake_ack(0), TIMER);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    assert_false(fake_here()->active[TIMER]);
    // Disabled while in the list register, the cause goes away, enabled again: nothing, and it can fire
    // again.
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake_set_bit(0, TIMER, ICENABLER);
    idle(0);
    fake_set_bit(0, TIMER, ICPENDR);
    assert_false(fake_here()->active[TIMER]);
    fake_take_phys(0); // the line is still high
    assert_true(fake_bit(0, TIMER, ISPENDR));
    fake_set_bit(0, TIMER, ISENABLER);
    serve(0, TIMER);
    stop();
}

static void test_timer_cause_gone(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, TIMER, 0x80);
    fake_setup_irq(0, 1, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake_phys(0, TIMER, false);
    fake_line(SPI, true); // anything that leads to a flush
    fake_set_bit(0, SPI, ISENABLER);
    fake_write(0, fake_reg(0, SPI, IGROUPR), 4, 1u << (SPI & 31));
    serve(0, SPI);
    fake_line(SPI, false);
    idle(0);
    assert_false(fake_here()->active[TIMER]);
    stop();
}

static void test_timer_moves(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, TIMER, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(fake_ack(0), TIMER);
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake.cpu[0].active[TIMER]);
    assert_int_equal(fake.cpu[0].hcr, 0);
    for (unsigned n = 0; n < lr_count; n++) {
        assert_false(fake.cpu[0].lr[n] & FAKE_STATE);
    }
    fake.cpu[0].line[TIMER] = false;
    fake.on[0] = fake.current = 5;
    fake.cpu[5].line[TIMER] = true;
    fake.chip->ops->load(fake.chip, 0);
    assert_true(fake.cpu[5].active[TIMER]);
    fake_take_phys(0); // active: nothing new
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    assert_false(fake.cpu[5].active[TIMER]);
    idle(0);
    // Pending, not acknowledged, and back.
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake.cpu[5].active[TIMER]);
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    fake.on[0] = fake.current = 0;
    fake.cpu[0].line[TIMER] = true;
    fake.chip->ops->load(fake.chip, 0);
    assert_true(fake.cpu[0].active[TIMER]);
    fake_phys(0, TIMER, false);
    assert_int_equal(fake_iar(), TIMER);
    fake_end(0, TIMER);
    idle(0);
    stop();
}

static void test_timer_active_games(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, TIMER, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(fake_ack(0), TIMER);
    fake_set_bit(0, TIMER, ICACTIVER); // the guest deactivates by hand
    assert_false(fake_here()->active[TIMER]);
    fake_take_phys(0); // and the line is still high
    assert_true(fake_here()->active[TIMER]);
    fake_end(0, TIMER); // priority drop of the first
    assert_int_equal(fake_ack(0), TIMER);
    fake_set_bit(0, TIMER, ISPENDR); // no such state for linked interrupts: still delivered
    fake_take_phys(0);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    while (fake_ack(0) == TIMER) {
        fake_end(0, TIMER);
    }
    assert_false(fake_here()->active[TIMER]);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake_set_bit(0, TIMER, ISACTIVER); // active before it was acknowledged
    idle(0);
    fake_take_phys(0);
    fake_set_bit(0, TIMER, ICACTIVER);
    assert_int_equal(fake_ack(0), TIMER);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    idle(0);
    assert_false(fake_here()->active[TIMER]);
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

static void test_vcpu_line(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(1, 23, 0x80);
    fake.chip->ops->set_vcpu_line(fake.chip, 1, 23, true);
    fake_enter_all();
    serve(1, 23);
    assert_int_equal(fake_ack(1), 23);
    fake.chip->ops->set_vcpu_line(fake.chip, 1, 23, false);
    fake_end(1, 23);
    idle(1);
    idle(0);
    fake.chip->ops->set_vcpu_line(fake.chip, 7, 23, true); // no such vCPU, no such line
    fake.chip->ops->set_vcpu_line(fake.chip, 1, 32, true);
    fake.chip->ops->set_vcpu_line(fake.chip, 1, 3, true);
    idle(1);
    stop();
}

static void test_pending_op(void **state)
{
    (void)state;
    start(1);
    fake_enter(0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake_line(SPI, true); // not enabled
    fake_enter(0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake_setup_irq(0, SPI, 0x80);
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    assert_int_equal(fake_ack(0), SPI);
    assert_false(fake.chip->ops->pending(fake.chip, 0)); // active is not pending
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake_eoir(SPI); // nothing there
    fake.chip->ops->load(fake.chip, 0);
    fake_end(0, SPI);
    assert_true(fake.chip->ops->pending(fake.chip, 0)); // level still high
    stop();
}

static void test_put_with_everything(void **state)
{
    (void)state;
    start(1);
    for (unsigned i = 0; i < 40; i++) {
        fake_setup_irq(0, 32 + i, (i % 8) * 16 + 8);
        fake_line(32 + i, true);
    }
    unsigned first = fake_ack(0);
    for (unsigned i = 0; i < 40; i++) {
        fake.current = fake.on[0];
        fake.chip->ops->put(fake.chip, 0);
        fake.on[0] = fake.current = i % FAKE_CPUS;
        fake.chip->ops->load(fake.chip, 0);
        fake_line(first, false);
        fake_end(0, first);
        if (i == 39) {
            break;
        }
        first = fake_ack(0);
        assert_in_range(first, 32, 71);
    }
    idle(0);
    stop();
}

static void test_end_before_put(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    assert_int_equal(fake_ack(0), SPI);
    fake_eoir(SPI); // and before the maintenance interrupt is taken
    fake.chip->ops->put(fake.chip, 0);
    fake.on[0] = fake.current = 3;
    fake.chip->ops->load(fake.chip, 0);
    serve(0, SPI);
    stop();
}

static void test_reset(void **state)
{
    (void)state;
    start(2);
    for (unsigned i = 0; i < 10; i++) {
        fake_setup_irq(0, 40 + i, 0x80);
        fake_line(40 + i, true);
    }
    fake_ack(0);
    fake_write(0, fake_gicr(1, 0x10100), 4, UINT32_MAX); // posted, not applied
    for (unsigned v = 0; v < 2; v++) {
        fake.current = v;
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->reset(fake.chip);
    for (unsigned v = 0; v < 2; v++) {
        fake.current = v;
        fake.chip->ops->load(fake.chip, v);
        assert_int_equal(fake_here()->apr, 0);
    }
    fake_enter_all();
    idle(0);
    assert_int_equal(fake_read(0, FAKE_GICD, 4), 0x50);
    assert_int_equal(fake_read(0, fake_gicr(0, 0x14), 4), 6);
    for (unsigned off = 0x80; off < 0xf00; off += 4) {
        assert_int_equal(fake_read(0, FAKE_GICD + off, 4), 0);
        assert_int_equal(fake_read(0, fake_gicr(1, 0x10000 + off), 4), off == 0xc00 ? 0xaaaaaaaa : 0);
    }
    stop();
}

// A reset finds the vCPU still loaded: the next one on that CPU meets nothing of it.
static void test_reset_while_loaded(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, TIMER, 0x80);
    fake_setup_irq(0, 1, 0x80);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake_sgi(0, 1, 0);
    fake.chip->ops->reset(fake.chip);
    fake_phys(0, TIMER, false);
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake.cpu[0].active[TIMER]);
    assert_int_equal(fake.cpu[0].hcr, 0);
    for (unsigned n = 0; n < lr_count; n++) {
        assert_int_equal(fake.cpu[0].lr[n], 0);
    }
    fake.current = 1;
    fake.chip->ops->load(fake.chip, 1); // without put
    fake.current = 0;
    fake.chip->ops->load(fake.chip, 0);
    assert_true(fake_write(0, FAKE_GICD + CTLR, 4, 2));
    fake_setup_irq(0, TIMER, 0x80);
    idle(0);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(fake_ack(0), TIMER);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    stop();
}

static void test_lr_writes(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    fake_enter(0);
    fake_here()->lr_writes = 0;
    for (unsigned i = 0; i < 20; i++) {
        fake_set_priority(0, SPI, 0x80); // the same value
        fake_set_bit(0, SPI, ISENABLER);
        fake.request[0] = true;
        fake_enter(0);
    }
    assert_int_equal(fake_here()->lr_writes, 0);
    fake_set_priority(0, SPI, 0x88);
    assert_int_equal(fake_here()->lr_writes, 1);
    stop();
}

// ProcessorSleep holds interrupts back; its value at reset does not.
static void test_sleep(void **state)
{
    (void)state;
    start(2);
    fake_setup_irq(0, SPI, 0x80);
    fake_setup_irq(0, TIMER, 0x80);
    assert_int_equal(fake_read(0, fake_gicr(0, 0x14), 4), 6);
    fake_line(SPI, true);
    fake_enter(0);
    fake_write(0, fake_gicr(0, 0x14), 4, 2);
    idle(0);
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    fake_sgi(1, 3, 0);
    idle(0);
    assert_true(fake_bit(0, SPI, ISPENDR));
    fake_write(1, fake_gicr(0, 0x14), 4, 0); // by the other one
    assert_int_equal(fake_read(0, fake_gicr(0, 0x14), 4), 0);
    fake_setup_irq(0, 3, 0x40);
    serve(0, 3);
    assert_int_equal(fake_ack(0), TIMER);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    serve(0, SPI);
    stop();
}

// What the guest masked at its CPU interface does not wake it.
static void test_pending_masked(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_line(SPI, true);
    fake_enter(0);
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    fake_here()->vmcr = VMCR_GRP0 | UINT64_C(0xf8) << VMCR_PMR_SHIFT; // its group is off
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake_here()->vmcr = VMCR_GRP1 | UINT64_C(0x80) << VMCR_PMR_SHIFT; // not above the mask
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake.chip->ops->put(fake.chip, 0);
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake.chip->ops->load(fake.chip, 0);
    fake_here()->vmcr = VMCR_GRP1 | UINT64_C(0x88) << VMCR_PMR_SHIFT;
    assert_true(fake.chip->ops->pending(fake.chip, 0));
    fake_here()->apr = 1u << (0x40 / 8); // something more urgent runs
    assert_false(fake.chip->ops->pending(fake.chip, 0));
    fake_here()->apr = 0;
    serve(0, SPI);
    stop();
}

// A device inside the vCPU's own exit: no request, no flush.
static void test_line_in_exit(void **state)
{
    (void)state;
    start(1);
    fake_setup_irq(0, SPI, 0x80);
    fake_enter(0);
    fake.vcpu[0].thread = this_cpu()->current;
    this_cpu()->loaded_vcpu = &fake.vcpu[0];
    fake.notifies = 0;
    for (unsigned i = 0; i < 3; i++) {
        fake_line(SPI, true);
        assert_int_equal(fake_iar(), SPI);
        fake_line(SPI, false);
        fake_eoir(SPI);
        assert_int_equal(fake_eisr(), 0); // nothing left to tell
        assert_int_equal(fake_elrsr(), MASK64(0, lr_count));
        fake_enter(0);
        vgic_maintenance(fake.chip, 0); // finds it out some time
    }
    fake_line(SPI, true);
    fake_line(SPI, false);
    assert_int_equal(fake_iar(), FAKE_SPURIOUS);
    assert_int_equal(fake.notifies, 0);
    this_cpu()->loaded_vcpu = NULL;
    stop();
}

static void test_create_errors(void **state)
{
    struct virqchip *chip;
    struct plan_gic plan = {
        .version = 2, .gicd_base = FAKE_GICD, .gicd_size = 0x10000, .gicr_base = FAKE_GICR};

    (void)state;
    start(1);
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_INVAL); // no room for the CPU interface
    plan.version = 3;
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_INVAL); // no room for the redistributor
    plan.gicr_size = 0x20000;
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_EXISTS); // the first one lives there
    plan.gicd_base = UINT64_C(0x20000000);
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_EXISTS);
    plan.spi_count = 2000;
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_INVAL);
    gic_virt_set(NULL);
    assert_int_equal(vgic_create(&fake.vm, &plan, &chip), E_UNSUPPORTED);
    gic_virt_set(&fake_virt);
    stop();
}

static int few(void **state)
{
    (void)state;
    lr_count = 4;
    return 0;
}

static int many(void **state)
{
    (void)state;
    lr_count = 16;
    return 0;
}

static int one(void **state)
{
    (void)state;
    lr_count = 1;
    return 0;
}

#define WITH_LRS(t) \
    cmocka_unit_test_setup(t, few), cmocka_unit_test_setup(t, many), cmocka_unit_test_setup(t, one)

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
        WITH_LRS(test_timer_forwarded),
        WITH_LRS(test_timer_disabled),
        WITH_LRS(test_nested_beyond_lrs),
        WITH_LRS(test_timer_cause_gone),
        WITH_LRS(test_timer_moves),
        WITH_LRS(test_timer_active_games),
        WITH_LRS(test_disable_in_lr),
        WITH_LRS(test_group_disable),
        WITH_LRS(test_routing),
        WITH_LRS(test_active_games),
        WITH_LRS(test_pending_registers),
        WITH_LRS(test_priority_change),
        WITH_LRS(test_vcpu_line),
        WITH_LRS(test_pending_op),
        WITH_LRS(test_put_with_everything),
        WITH_LRS(test_end_before_put),
        WITH_LRS(test_foreign_redistributor),
        WITH_LRS(test_reset),
        WITH_LRS(test_lr_writes),
        WITH_LRS(test_reset_while_loaded),
        WITH_LRS(test_sleep),
        WITH_LRS(test_pending_masked),
        WITH_LRS(test_line_in_exit),
        cmocka_unit_test_setup(test_create_errors, few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
