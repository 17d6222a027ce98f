// SPDX-License-Identifier: Apache-2.0
//
// The virtual GIC and the machine around it: forwarded interrupts, vCPUs that come and go, reset, what wakes a
// sleeping one.
#include "kernel/cpu/cpu.h"
#include "tests/unit/vmm/irqchip/vgic_bench.h"

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

// Another vCPU takes the core: one call, whatever state the two are in.
static void take_turns(unsigned from, unsigned to)
{
    fake.on[0] = fake.on[1] = fake.current = 0;
    fake.chip->ops->swap(fake.chip, from, fake.chip, to);
    for (unsigned n = 0; n < lr_count; n++) {
        uint64_t known = vgic_of(fake.chip)->cpus[to].hw.lr[n];

        assert_int_equal(fake.cpu[0].lr[n] & FAKE_STATE, known & FAKE_STATE);
    }
    assert_int_equal(fake.cpu[0].hcr & HCR_EN, HCR_EN);
}

static void test_swap(void **state)
{
    unsigned before;

    (void)state;
    start(2);
    fake_setup_irq(0, TIMER, 0x80);
    fake_setup_irq(0, SPI, 0x90);
    fake_enter_all();
    fake.current = fake.on[1];
    fake.chip->ops->put(fake.chip, 1);
    before = fake.swaps;
    take_turns(0, 1);
    take_turns(1, 0);
    assert_int_equal(fake.swaps, before + 2);
    // Served, and only its list register remembers it.
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(fake_ack(0), TIMER);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    take_turns(0, 1);
    assert_int_equal(fake.swaps, before + 3);
    assert_false(fake.cpu[0].active[TIMER]);
    idle(1);
    take_turns(1, 0);
    assert_int_equal(fake.swaps, before + 4);
    idle(0);
    // In service: goes with its vCPU, and so does the physical state.
    fake_phys(0, TIMER, true);
    fake_take_phys(0);
    assert_int_equal(fake_ack(0), TIMER);
    take_turns(0, 1);
    assert_int_equal(fake.swaps, before + 4);
    assert_false(fake.cpu[0].active[TIMER]);
    idle(1);
    // Something new for the one that waits.
    fake_line(SPI, true);
    take_turns(1, 0);
    assert_int_equal(fake.swaps, before + 4);
    assert_true(fake.cpu[0].active[TIMER]);
    fake_phys(0, TIMER, false);
    fake_end(0, TIMER);
    assert_int_equal(fake_ack(0), SPI);
    fake_line(SPI, false);
    fake_end(0, SPI);
    take_turns(0, 1);
    assert_int_equal(fake.swaps, before + 5);
    // Reset while it is loaded.
    vgic_reset(fake.chip);
    take_turns(1, 0);
    assert_int_equal(fake.swaps, before + 5);
    fake.on[1] = 1;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LRS(test_timer_forwarded),
        WITH_LRS(test_timer_disabled),
        WITH_LRS(test_timer_cause_gone),
        WITH_LRS(test_timer_moves),
        WITH_LRS(test_timer_active_games),
        WITH_LRS(test_vcpu_line),
        WITH_LRS(test_pending_op),
        WITH_LRS(test_put_with_everything),
        WITH_LRS(test_swap),
        WITH_LRS(test_end_before_put),
        WITH_LRS(test_reset),
        WITH_LRS(test_reset_while_loaded),
        WITH_LRS(test_lr_writes),
        WITH_LRS(test_sleep),
        WITH_LRS(test_pending_masked),
        WITH_LRS(test_line_in_exit),
        cmocka_unit_test_setup(test_create_errors, few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
