// SPDX-License-Identifier: Apache-2.0
//
// One-shot timers: a list per CPU, sorted by deadline, in front of the CPU's one hardware timer; and tick conversions in
// plain 64-bit arithmetic (whole seconds and rest apart, saturating).
#include "kernel/time/timer.h"

#include "arch/cpu.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"

#define FIRE_MAX 64u // callbacks per interrupt: one that re-arms itself in the past cannot hold the CPU

struct timer_queue {
    struct spinlock lock;  // protects all below, and node, deadline and cpu of the timers in it
    struct list_node list; // sorted, earliest first
    struct timer *running; // its callback is being called
};

static enum irq_result timer_irq(unsigned irq, void *ctx)
{
    (void)irq;
    (void)ctx;
    timer_interrupt();
    return IRQ_HANDLED;
}

enum status timer_init_cpu(void)
{
    struct timer_queue *q = pool_alloc(sizeof(*q));
    struct cpu *cpu = this_cpu();
    enum status s = OK;

    if (q == NULL) {
        return E_NOMEM;
    }
    spin_init(&q->lock, LOCK_TIMER);
    list_init(&q->list);
    cpu->timers = q;
    arch_timer_stop();
    if (cpu->index == 0) {
        s = irq_register(arch_timer_irq(), IRQ_LEVEL, timer_irq, NULL);
    } else {
        irq_enable_percpu(arch_timer_irq());
    }
    return s;
}

void timer_setup(struct timer *t, void (*fn)(struct timer *t))
{
    *t = (struct timer){.fn = fn};
    list_init(&t->node);
}

static struct timer *first(const struct timer_queue *q)
{
    return list_empty(&q->list) ? NULL : list_entry(q->list.next, struct timer, node);
}

static bool is_armed(const struct timer *t)
{
    return atomic_load_explicit(&t->armed, memory_order_acquire);
}

// Unlinks `t` from the queue it is in; interrupts masked. False when it is not (any more) in that one.
static bool unlink_from(struct timer_queue *q, unsigned cpu, struct timer *t)
{
    bool mine;

    spin_lock_masked(&q->lock);
    mine = is_armed(t) && t->cpu == cpu;
    if (mine) {
        list_remove(&t->node);
        atomic_store_explicit(&t->armed, false, memory_order_release);
        if (list_empty(&q->list) && this_cpu()->timers == q) {
            arch_timer_stop();
        }
    }
    spin_unlock_masked(&q->lock);
    return mine;
}

static inline void insert(struct timer_queue *q, struct timer *t)
{
    struct list_node *pos = q->list.next;

    while (pos != &q->list && list_entry(pos, struct timer, node)->deadline <= t->deadline) {
        pos = pos->next;
    }
    list_insert_before(pos, &t->node);
    atomic_store_explicit(&t->armed, true, memory_order_release);
}

void timer_set(struct timer *t, uint64_t deadline)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct timer_queue *q = cpu->timers;
    bool earliest;

    if (__builtin_expect(is_armed(t), false)) {
        (void)unlink_from(cpu_get(t->cpu)->timers, t->cpu, t);
    }
    t->deadline = deadline;
    t->cpu = cpu->index;
    spin_lock_masked(&q->lock);
    insert(q, t);
    earliest = q->list.next == &t->node;
    spin_unlock_masked(&q->lock);
    if (earliest) { // another CPU may cancel it from here on: it fires for nothing then
        arch_timer_set(deadline);
    }
    arch_irq_restore(irq);
}

void timer_set_masked(struct timer *t, uint64_t deadline)
{
    struct cpu *cpu = this_cpu();
    struct timer_queue *q = cpu->timers;

    if (__builtin_expect(is_armed(t) || !spin_try_masked(&q->lock), false)) {
        timer_set(t, deadline);
        return;
    }
    t->deadline = deadline;
    t->cpu = cpu->index;
    insert(q, t);
    if (q->list.next != &t->node) {
        spin_unlock_masked(&q->lock);
        return;
    }
    spin_unlock_masked(&q->lock);
    arch_timer_set(deadline); // as in timer_set()
}

void timer_cancel_armed(struct timer *t)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = cpu_get(t->cpu);
    struct timer_queue *q = cpu->timers;
    bool busy = true;

    (void)unlink_from(q, cpu->index, t);
    arch_irq_restore(irq);
    while (busy && this_cpu() != cpu) {
        irq = spin_lock_irqsave(&q->lock);
        busy = q->running == t;
        spin_unlock_irqrestore(&q->lock, irq);
        if (busy) {
            arch_cpu_relax();
        }
    }
    t->cpu = this_cpu()->index; // the next one has nothing to wait for
}

void timer_interrupt(void)
{
    struct timer_queue *q = this_cpu()->timers;

    spin_lock_masked(&q->lock);
    for (unsigned n = 0; n < FIRE_MAX; n++) {
        struct timer *t = first(q);

        if (t == NULL || t->deadline > arch_time_now()) {
            break;
        }
        list_remove(&t->node);
        q->running = t;
        atomic_store_explicit(&t->armed, false, memory_order_release);
        spin_unlock_masked(&q->lock);
        t->fn(t);
        spin_lock_masked(&q->lock);
        q->running = NULL;
    }
    if (first(q) != NULL) {
        arch_timer_set(first(q)->deadline);
    } else {
        arch_timer_stop();
    }
    spin_unlock_masked(&q->lock);
}

// ---- conversions ----------------------------------------------------------------------------------------------------

// value * to / from without overflow of the intermediate for from, to <= 2^32; UINT64_MAX when the result does not fit.
static uint64_t scale(uint64_t value, uint64_t to, uint64_t from, bool round_up)
{
    uint64_t whole;
    uint64_t rest = value % from * to;
    uint64_t part = rest / from + (round_up && rest % from != 0 ? 1 : 0);

    if (__builtin_mul_overflow(value / from, to, &whole) || whole + part < whole) {
        return UINT64_MAX;
    }
    return whole + part;
}

uint64_t time_from_us(uint64_t us)
{
    return scale(us, arch_time_hz(), 1000000, true);
}

uint64_t time_from_ms(uint64_t ms)
{
    return scale(ms, arch_time_hz(), 1000, true);
}

uint64_t time_to_us(uint64_t ticks)
{
    return scale(ticks, 1000000, arch_time_hz(), false);
}

uint64_t time_to_ns(uint64_t ticks)
{
    return scale(ticks, 1000000000, arch_time_hz(), false);
}

void time_delay_us(uint64_t us)
{
    uint64_t start = arch_time_now();
    uint64_t ticks = time_from_us(us);

    while (arch_time_now() - start < ticks) {
        arch_cpu_relax();
    }
}
