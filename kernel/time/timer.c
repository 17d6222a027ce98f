// SPDX-License-Identifier: Apache-2.0
//
// One-shot timers: a list per CPU, sorted by deadline, in front of the CPU's one hardware timer; and tick conversions in
// plain 64-bit arithmetic (whole seconds and rest apart, saturating).
//
// Beside the list each CPU has a place for one timer, without a lock, for the one that the switch of vCPUs arms and mostly
// cancels again: only its own CPU puts a timer there, and whoever takes it away by compare-exchange, the CPU at its time or
// somebody who cancels it, has it.
#include "kernel/time/timer.h"

#include "arch/cpu.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"

#define FIRE_MAX 64u // callbacks per interrupt: one that re-arms itself in the past cannot hold the CPU

// Own CPU: the hardware timer off.
static void stop(struct timer_queue *q)
{
    q->programmed = UINT64_MAX;
    arch_timer_stop();
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
    q->place_at = UINT64_MAX;
    cpu->timers = q;
    stop(q);
    if (cpu->index == 0) {
        s = irq_register(arch_timer_irq(), IRQ_LEVEL, timer_interrupt, NULL);
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

static uint8_t armed_how(const struct timer *t)
{
    return atomic_load_explicit(&t->armed, memory_order_acquire);
}

static bool place_taken(struct timer_queue *q)
{
    return atomic_load_explicit(&q->place, memory_order_relaxed) != NULL;
}

// Out of the place without a lock, if it still is there.
static bool take_from_place(struct timer_queue *q, struct timer *t)
{
    struct timer *seen = t;

    // Pairs with itself: who fails sees `running` as the one who was first has left it.
    if (!atomic_compare_exchange_strong_explicit(&q->place, &seen, NULL, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        return false;
    }
    atomic_store_explicit(&t->armed, TIMER_IDLE, memory_order_release);
    return true;
}

// Takes `t` out of the queue it is in; interrupts masked. Nothing happens when it is not (any more) in that one.
static void unlink_from(struct timer_queue *q, unsigned cpu, struct timer *t)
{
    if (armed_how(t) == TIMER_PLACED && t->cpu == cpu) {
        (void)take_from_place(q, t);
    }
    spin_lock_masked(&q->lock);
    if (armed_how(t) == TIMER_LISTED && t->cpu == cpu) {
        list_remove(&t->node);
        atomic_store_explicit(&t->armed, TIMER_IDLE, memory_order_release);
    }
    if (list_empty(&q->list) && this_cpu()->timers == q && !place_taken(q)) {
        stop(q);
    }
    spin_unlock_masked(&q->lock);
}

static inline void insert(struct timer_queue *q, struct timer *t)
{
    struct list_node *pos = q->list.next;

    while (pos != &q->list && list_entry(pos, struct timer, node)->deadline <= t->deadline) {
        pos = pos->next;
    }
    list_insert_before(pos, &t->node);
    atomic_store_explicit(&t->armed, TIMER_LISTED, memory_order_release);
}

void timer_set(struct timer *t, uint64_t deadline)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct timer_queue *q = cpu->timers;

    if (__builtin_expect(armed_how(t) != TIMER_IDLE, false)) {
        unlink_from(cpu_get(t->cpu)->timers, t->cpu, t);
    }
    t->deadline = deadline;
    t->cpu = cpu->index;
    spin_lock_masked(&q->lock);
    insert(q, t);
    spin_unlock_masked(&q->lock);
    timer_program(q, deadline); // another CPU may have cancelled it: it fires for nothing then
    arch_irq_restore(irq);
}

void timer_cancel_armed(struct timer *t)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = cpu_get(t->cpu);
    struct timer_queue *q = cpu->timers;
    bool busy = true;

    unlink_from(q, cpu->index, t);
    arch_irq_restore(irq);
    while (busy && this_cpu() != cpu) {
        irq = spin_lock_irqsave(&q->lock);
        busy = atomic_load_explicit(&q->running, memory_order_acquire) == t;
        spin_unlock_irqrestore(&q->lock, irq);
        if (busy) {
            arch_cpu_relax();
        }
    }
    t->cpu = this_cpu()->index; // the next one has nothing to wait for
}

// What lies in the place may be gone at any moment: only the copy of its deadline may be looked at. `other`: what is due in the list.
__attribute__((noinline)) static struct timer *take_placed(struct timer_queue *q, const struct timer *other,
                                                           uint64_t now)
{
    struct timer *placed = atomic_load_explicit(&q->place, memory_order_relaxed);

    if (!placed || q->place_at > now || (other != NULL && q->place_at > other->deadline)) {
        return NULL;
    }
    atomic_store_explicit(&q->running, placed, memory_order_relaxed);
    if (!take_from_place(q, placed)) {
        atomic_store_explicit(&q->running, NULL, memory_order_relaxed);
        return NULL;
    }
    return placed;
}

// The timer whose turn it is, out of the queue, as `running`; NULL when none is due. Lock held.
static inline struct timer *take_due(struct timer_queue *q, uint64_t now)
{
    struct timer *t = list_entry(q->list.next, struct timer, node), *placed;
    bool due = !list_empty(&q->list) && t->deadline <= now;

    if (place_taken(q)) {
        placed = take_placed(q, due ? t : NULL, now);
        if (placed) {
            return placed;
        }
    }
    if (!due) {
        return NULL;
    }
    list_remove(&t->node);
    atomic_store_explicit(&q->running, t, memory_order_relaxed);
    atomic_store_explicit(&t->armed, TIMER_IDLE, memory_order_release);
    return t;
}

// Own CPU, lock held: for whatever comes next.
static void program_next(struct timer_queue *q)
{
    uint64_t next =
        list_empty(&q->list) ? UINT64_MAX : list_entry(q->list.next, struct timer, node)->deadline;

    if (place_taken(q)) {
        next = min_u64(next, q->place_at);
    }
    if (next == UINT64_MAX) {
        stop(q);
    } else {
        q->programmed = next;
        arch_timer_set(next);
    }
}

enum irq_result timer_interrupt(unsigned irq, void *ctx)
{
    struct timer_queue *q = this_cpu()->timers;
    uint64_t now = arch_time_now(); // what comes due meanwhile has its own interrupt
    struct timer *t;

    (void)irq;
    (void)ctx;
    spin_lock_masked(&q->lock);
    for (unsigned n = 0; n < FIRE_MAX && (t = take_due(q, now)) != NULL; n++) {
        asm("" : "+r"(q)); // one address: GCC would work out another for each member
        spin_unlock_masked(&q->lock);
        t->fn(t);
        spin_lock_masked(&q->lock);
        // Pairs with the canceller's acquire: what the callback did is done.
        atomic_store_explicit(&q->running, NULL, memory_order_release);
    }
    program_next(q);
    spin_unlock_masked(&q->lock);
    return IRQ_HANDLED;
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
