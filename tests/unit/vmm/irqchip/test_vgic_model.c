// SPDX-License-Identifier: Apache-2.0
//
// Random operations on the virtual GIC against a reference model that knows no list registers: for each vCPU
// the interrupt acknowledged must be one that the model would offer, and what the registers show must be what
// it holds. Both EOI modes, with deactivation in any order and of SPIs by any vCPU, and the binary point.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/irqchip/fake_gic.h"

#define VCPUS 3u
#define IRQS_MAX 288u // 0-31 private, then SPIs
#define STEPS 60000u
#define NEST_MAX 32u

struct model_irq {
    bool enabled, edge, line, latch, active, group1;
    uint8_t priority;
    unsigned holder; // while active
};

static struct {
    struct model_irq priv[VCPUS][32], spi[IRQS_MAX];
    unsigned route[IRQS_MAX]; // VCPUS: nobody
    unsigned ctlr;
    unsigned stack[VCPUS][NEST_MAX], depth[VCPUS];
    unsigned ignored[VCPUS]; // low bits of a priority that preemption does not look at
    bool split[VCPUS];       // EOImode 1: priority drop and deactivation are two things
} model;

static uint64_t seed;
static bool save_often;
static bool split_often;     // guests use EOImode 1 and the binary point
static unsigned deactivated; // by DIR, to know that it happens
static unsigned irqs;        // of this run, up to IRQS_MAX

static unsigned rnd(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 11) % limit;
}

static struct model_irq *at(unsigned vcpu, unsigned irq)
{
    return irq < 32 ? &model.priv[vcpu][irq] : &model.spi[irq];
}

static bool m_pending(const struct model_irq *m)
{
    return m->latch || (m->line && !m->edge);
}

static unsigned m_group_priority(unsigned vcpu, unsigned priority)
{
    return priority >> model.ignored[vcpu] << model.ignored[vcpu];
}

static unsigned m_running(unsigned vcpu)
{
    unsigned d = model.depth[vcpu];

    return d ? model.stack[vcpu][d - 1] >> 16 : FAKE_IDLE_PRIORITY;
}

// Would the model offer `irq` to this vCPU, whatever else there is?
static bool m_offers(unsigned vcpu, unsigned irq)
{
    const struct model_irq *m = at(vcpu, irq);

    return m_pending(m) && m->enabled && !m->active && (model.ctlr >> m->group1 & 1) &&
           (irq < 32 || model.route[irq] == vcpu) && m_group_priority(vcpu, m->priority) < m_running(vcpu);
}

static unsigned m_best_priority(unsigned vcpu)
{
    unsigned best = FAKE_IDLE_PRIORITY;

    for (unsigned irq = 0; irq < irqs; irq++) {
        if (m_offers(vcpu, irq) && at(vcpu, irq)->priority < best) {
            best = at(vcpu, irq)->priority;
        }
    }
    return best;
}

static void do_ack(unsigned vcpu)
{
    unsigned best = m_best_priority(vcpu);
    unsigned irq;

    if (model.depth[vcpu] == NEST_MAX) {
        return;
    }
    irq = fake_ack(vcpu);
    if (best == FAKE_IDLE_PRIORITY) {
        assert_int_equal(irq, FAKE_SPURIOUS);
        return;
    }
    assert_in_range(irq, 0, irqs - 1);
    assert_true(m_offers(vcpu, irq));
    assert_int_equal(at(vcpu, irq)->priority, best);
    at(vcpu, irq)->active = true;
    at(vcpu, irq)->latch = false;
    at(vcpu, irq)->holder = vcpu;
    model.stack[vcpu][model.depth[vcpu]++] = m_group_priority(vcpu, best) << 16 | irq;
}

static void do_end(unsigned vcpu)
{
    unsigned irq;

    if (model.depth[vcpu] == 0) {
        return;
    }
    irq = model.stack[vcpu][--model.depth[vcpu]] & 0xffff;
    at(vcpu, irq)->active = model.split[vcpu];
    fake_end(vcpu, irq);
}

static bool is_running(unsigned vcpu, unsigned irq)
{
    for (unsigned i = 0; i < model.depth[vcpu]; i++) {
        if ((model.stack[vcpu][i] & 0xffff) == irq) {
            return true;
        }
    }
    return false;
}

// Active, and its priority has been dropped: waits for DIR. An SPI's may be written by any vCPU.
static bool awaits_dir(unsigned vcpu, unsigned irq)
{
    const struct model_irq *m = at(vcpu, irq);

    return m->active && !is_running(irq < 32 ? vcpu : m->holder, irq);
}

// One that waits for it, from a random one on. In EOImode 0 nothing must come of it.
static void do_deactivate(unsigned vcpu)
{
    unsigned first = rnd(irqs);

    for (unsigned i = 0; i < irqs; i++) {
        unsigned irq = (first + i) % irqs;

        if (awaits_dir(vcpu, irq)) {
            at(vcpu, irq)->active = !model.split[vcpu];
            deactivated += model.split[vcpu];
            fake_dir(vcpu, irq);
            return;
        }
    }
}

static bool any_active(unsigned vcpu)
{
    for (unsigned irq = 0; irq < irqs; irq++) {
        if (at(vcpu, irq)->active && (irq < 32 || at(vcpu, irq)->holder == vcpu)) {
            return true;
        }
    }
    return false;
}

// The other EOI mode and another binary point, only while nothing is active: the hardware counts the ends of interrupts that
// had to leave their list register and does not say which; the order of preemption does. The two groups' registers say the
// same.
static void do_interface(unsigned vcpu)
{
    struct fake_cpu *c = &fake.cpu[fake.on[vcpu]];
    unsigned ignored = 3 + rnd(5);

    if (any_active(vcpu)) {
        return;
    }
    model.split[vcpu] = !model.split[vcpu];
    c->vmcr ^= VMCR_EOIM;
    model.ignored[vcpu] = ignored;
    c->vmcr &= ~(UINT64_C(7) << VMCR_BPR0_SHIFT | UINT64_C(7) << VMCR_BPR1_SHIFT | VMCR_CBPR);
    c->vmcr |= (uint64_t)(ignored - 1) << VMCR_BPR0_SHIFT;
    c->vmcr |= rnd(2) ? (uint64_t)ignored << VMCR_BPR1_SHIFT : VMCR_CBPR;
}

static void set_latch(struct model_irq *m, bool on)
{
    m->latch = on;
}

static void do_line(unsigned vcpu, unsigned irq)
{
    bool level = rnd(2);
    struct model_irq *m;

    if (irq < 16) {
        return;
    }
    m = at(vcpu, irq);
    if (level && !m->line && m->edge) {
        m->latch = true;
    }
    m->line = level;
    if (irq < 32) {
        fake.chip->ops->set_vcpu_line(fake.chip, vcpu, irq, level);
    } else {
        fake_line(irq, level);
    }
}

// A register write by the owner for private interrupts, by anybody for SPIs.
static void do_register(unsigned vcpu, unsigned irq)
{
    struct model_irq *m = at(vcpu, irq);

    switch (rnd(6)) {
    case 0:
        m->enabled = true;
        fake_set_bit(vcpu, irq, 0x100);
        break;
    case 1:
        m->enabled = false;
        fake_set_bit(vcpu, irq, 0x180);
        break;
    case 2:
        set_latch(m, true);
        fake_set_bit(vcpu, irq, 0x200);
        break;
    case 3:
        set_latch(m, false);
        fake_set_bit(vcpu, irq, 0x280);
        break;
    case 4:
        if (!m->active) { // an active one keeps its running priority in the model's stack
            m->priority = (uint8_t)(rnd(31) * 8);
            fake_set_priority(vcpu, irq, m->priority | rnd(8)); // low bits do not exist
        }
        break;
    default: {
        uint64_t reg = fake_reg(vcpu, irq, 0x80);

        m->group1 = !m->group1;
        fake_write(vcpu, reg, 4, fake_read(vcpu, reg, 4) ^ UINT64_C(1) << (irq & 31));
        break;
    }
    }
}

static void do_sgi(unsigned vcpu)
{
    unsigned irq = rnd(16), target = rnd(VCPUS), which = rnd(3);
    bool to_others = rnd(4) == 0;

    for (unsigned v = 0; v < VCPUS; v++) {
        if ((to_others ? v != vcpu : v == target) && (which == 0 || !model.priv[v][irq].group1)) {
            set_latch(&model.priv[v][irq], true);
        }
    }
    fake.current = fake.on[vcpu];
    fake.chip->ops->send_sgi(fake.chip, vcpu, which,
                             (uint64_t)irq << 24 | (to_others ? BIT64(40) : UINT64_C(1) << target));
}

static void do_route(unsigned irq, unsigned vcpu)
{
    unsigned target = rnd(VCPUS + 1);

    if (irq < 32) {
        return;
    }
    model.route[irq] = target;
    fake_write(vcpu, FAKE_GICD + 0x6000 + irq * 8, 8, target == VCPUS ? 0xffff : target);
}

static void do_move(unsigned vcpu)
{
    unsigned to = VCPUS + vcpu; // each vCPU has two physical CPUs to choose from

    fake.current = fake.on[vcpu];
    fake.chip->ops->put(fake.chip, vcpu);
    fake.on[vcpu] = fake.on[vcpu] == to ? vcpu : to;
    fake.current = fake.on[vcpu];
    fake.chip->ops->load(fake.chip, vcpu);
}

static void do_save_restore(void)
{
    static _Alignas(8) uint8_t buf[32768];
    uint32_t size = fake.chip->ops->save(fake.chip, NULL, 0);

    assert_true(size <= sizeof(buf));
    for (unsigned v = 0; v < VCPUS; v++) {
        fake.current = fake.on[v];
        fake.chip->ops->put(fake.chip, v);
    }
    assert_int_equal(fake.chip->ops->save(fake.chip, buf, size), size);
    fake.chip->ops->reset(fake.chip);
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), OK);
    for (unsigned v = 0; v < VCPUS; v++) {
        fake.current = fake.on[v];
        fake.chip->ops->load(fake.chip, v);
    }
}

// Any vCPU reads any other's, which may be loaded or not.
static void check_registers(unsigned vcpu)
{
    unsigned block = rnd(irqs / 32), reader = rnd(VCPUS);
    uint64_t enabled = 0, pending = 0, active = 0;

    for (unsigned i = 0; i < 32; i++) {
        const struct model_irq *m = at(vcpu, block * 32 + i);

        enabled |= (uint64_t)m->enabled << i;
        pending |= (uint64_t)m_pending(m) << i;
        active |= (uint64_t)m->active << i;
    }
    assert_int_equal(fake_read(reader, fake_reg(vcpu, block * 32, 0x100), 4), enabled);
    assert_int_equal(fake_read(reader, fake_reg(vcpu, block * 32, 0x200), 4), pending);
    assert_int_equal(fake_read(reader, fake_reg(vcpu, block * 32, 0x300), 4), active);
}

// The others are in memory meanwhile, their list registers too.
static void check_registers_unloaded(unsigned vcpu)
{
    for (unsigned v = 0; v < VCPUS; v++) {
        if (v != vcpu) {
            fake.current = fake.on[v];
            fake.chip->ops->put(fake.chip, v);
        }
    }
    for (unsigned block = 0; block < irqs / 32; block++) {
        uint64_t pending = 0, active = 0;
        unsigned owner = rnd(VCPUS);

        for (unsigned i = 0; i < 32; i++) {
            const struct model_irq *m = at(owner, block * 32 + i);

            pending |= (uint64_t)m_pending(m) << i;
            active |= (uint64_t)m->active << i;
        }
        assert_int_equal(fake_read(vcpu, fake_reg(owner, block * 32, 0x200), 4), pending);
        assert_int_equal(fake_read(vcpu, fake_reg(owner, block * 32, 0x300), 4), active);
    }
    for (unsigned v = 0; v < VCPUS; v++) {
        if (v != vcpu) {
            fake.current = fake.on[v];
            fake.chip->ops->load(fake.chip, v);
        }
    }
}

static void step(void)
{
    unsigned vcpu = rnd(VCPUS);
    unsigned irq = rnd(3) ? rnd(irqs) : 32 + rnd(8);

    switch (rnd(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        do_ack(vcpu);
        if (split_often) {
            do_deactivate(rnd(VCPUS));
        }
        break;
    case 4:
    case 5:
    case 6:
        do_end(vcpu);
        break;
    case 7:
    case 8:
    case 9:
        do_line(vcpu, irq);
        break;
    case 10:
    case 11:
        do_register(vcpu, irq);
        break;
    case 12:
        do_sgi(vcpu);
        break;
    case 13:
        do_route(irq, vcpu);
        break;
    case 14:
        check_registers(vcpu);
        break;
    default:
        if (rnd(8) == 0) {
            do_move(vcpu);
        } else if (rnd(8) == 0) {
            check_registers_unloaded(vcpu);
        } else if (save_often && rnd(8) == 0) {
            do_save_restore();
        } else if (split_often && rnd(4) == 0) {
            do_interface(vcpu);
        } else if (rnd(16) == 0) {
            model.ctlr = rnd(4);
            fake_write(vcpu, FAKE_GICD, 4, model.ctlr);
        }
        break;
    }
    fake_enter_all();
}

// Far more than there are list registers: all SPIs at once, on few vCPUs.
static void do_burst(void)
{
    for (unsigned irq = 32; irq < irqs; irq++) {
        struct model_irq *m = at(0, irq);

        m->latch = m->latch || (m->edge && !m->line);
        m->line = m->enabled = true;
        fake_line(irq, true);
        fake_set_bit(0, irq, 0x100);
    }
}

static void run(unsigned lrs, uint64_t start)
{
    memset(&model, 0, sizeof(model));
    seed = start;
    assert_true(fake_start(VCPUS, lrs, irqs - 32));
    for (unsigned v = 0; v < VCPUS; v++) {
        model.ignored[v] = 3;
        for (unsigned i = 0; i < 16; i++) {
            model.priv[v][i].edge = true;
        }
    }
    for (unsigned irq = 16; irq < irqs; irq++) {
        for (unsigned v = 0; v < (irq < 32 ? VCPUS : 1); v++) {
            at(v, irq)->edge = rnd(2);
            fake_set_edge(v, irq, at(v, irq)->edge);
        }
    }
    model.ctlr = 3;
    fake_write(0, FAKE_GICD, 4, 3);
    for (unsigned i = 0; i < STEPS; i++) {
        if (irqs > 96 && i % (STEPS / 8) == 0) {
            do_burst();
        }
        step();
        assert_false(fake.stuck);
    }
    // Drain: every vCPU ends everything and takes what the model still offers.
    for (unsigned v = 0; v < VCPUS; v++) {
        while (model.depth[v]) {
            do_end(v);
        }
        for (unsigned i = 0; i < irqs; i++) {
            do_deactivate(v);
            do_ack(v);
            do_end(v);
        }
    }
    fake_stop();
}

static void test_random(void **state)
{
    (void)state;
    irqs = 96;
    save_often = false;
    for (uint64_t s = 1; s <= 3; s++) {
        run(1, s * 0x9e3779b97f4a7c15u);
        run(2, s * 0x9e3779b97f4a7c15u);
        run(4, s * 0x9e3779b97f4a7c15u);
        run(16, s * 0x9e3779b97f4a7c15u);
    }
}

static void test_many_pending(void **state)
{
    (void)state;
    irqs = IRQS_MAX;
    save_often = true;
    run(4, 5);
    run(1, 6);
    run(16, 7);
}

static void test_random_with_restore(void **state)
{
    (void)state;
    irqs = 96;
    save_often = true;
    run(4, 77);
    run(16, 78);
    run(2, 79);
}

static void test_split(void **state)
{
    (void)state;
    irqs = 96;
    save_often = split_often = true;
    deactivated = 0;
    for (uint64_t s = 1; s <= 3; s++) {
        run(1, s * 0x9e3779b97f4a7c15u);
        run(4, s * 0x9e3779b97f4a7c15u);
        run(16, s * 0x9e3779b97f4a7c15u);
    }
    assert_true(deactivated > 1000);
    split_often = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_many_pending),
        cmocka_unit_test(test_random_with_restore),
        cmocka_unit_test(test_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
