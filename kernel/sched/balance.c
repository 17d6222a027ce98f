// SPDX-License-Identifier: Apache-2.0
//
// Which CPU a thread runs on. Balancing is push: the CPU where a thread waits hands it to one that can run it, because
// only there its registers can be taken out of the hardware. Better is, in this order,
//   1. a CPU that idles;
//   2. one that runs something of lower priority;
//   3. one whose only thread is a guest that may idle in the guest (nobody outside can tell), or with at least two
//      threads less: not before the thread has stayed a slice where it is, so that equals take turns without ping-pong.
// A CPU that begins to idle asks one that has threads to give.
#include "arch/time.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/sched/sched.h"

#define LOOK_MAX 8u // waiting threads looked at: bounded work with interrupts masked

static _Atomic uint64_t
    idle_cpus[(CPU_MAX + 63) / 64]; // a hint: clear = claimed by a thread on its way, or busy
static _Atomic unsigned crowded_count;

void balance_reset(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(idle_cpus); i++) {
        atomic_store_explicit(&idle_cpus[i], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&crowded_count, 0, memory_order_relaxed);
}

void balance_idle(unsigned cpu, bool idle)
{
    uint64_t bit = BIT64(cpu % 64);

    if (idle) {
        // Before the look at crowded_count in balance_ask(); pairs with the order in balance_push().
        atomic_fetch_or_explicit(&idle_cpus[cpu / 64], bit, memory_order_seq_cst);
    } else if (atomic_load_explicit(&idle_cpus[cpu / 64], memory_order_relaxed) & bit) {
        atomic_fetch_and_explicit(&idle_cpus[cpu / 64], ~bit, memory_order_relaxed);
    }
}

void balance_crowded(struct run_queue *rq, bool crowded)
{
    atomic_store_explicit(&rq->crowded, crowded, memory_order_relaxed);
    atomic_fetch_add_explicit(&crowded_count, crowded ? 1u : -1u, memory_order_seq_cst);
}

// An idle CPU, which nobody else is given until it idles again.
static unsigned claim_idle(const struct cpumask *allowed)
{
    for (unsigned i = 0; i < ARRAY_SIZE(idle_cpus); i++) {
        uint64_t bits = atomic_load_explicit(&idle_cpus[i], memory_order_seq_cst) & allowed->bits[i];

        for (; bits != 0; bits &= bits - 1) {
            uint64_t bit = bits & -bits;

            if (atomic_fetch_and_explicit(&idle_cpus[i], ~bit, memory_order_relaxed) & bit) {
                return i * 64 + (unsigned)__builtin_ctzll(bit);
            }
        }
    }
    return CPU_NONE;
}

static struct run_queue *candidate(const struct thread *t, unsigned cpu, unsigned home)
{
    struct run_queue *rq = cpu != home && cpumask_test(&t->allowed, cpu) ? sched_rq(cpu) : NULL;

    return rq != NULL && atomic_load_explicit(&cpu_get(cpu)->online, memory_order_acquire) ? rq : NULL;
}

// One that runs something of lower priority: the lowest.
static unsigned find_lower(const struct thread *t, unsigned home)
{
    unsigned best = CPU_NONE, lowest = t->prio;

    for (unsigned i = 0; i < cpu_count(); i++) {
        const struct run_queue *rq = candidate(t, i, home);
        unsigned level = rq != NULL ? atomic_load_explicit(&rq->level, memory_order_relaxed) : LEVEL_BOOTING;

        if (level < lowest) {
            lowest = level;
            best = i;
        }
    }
    return best;
}

static unsigned find_lighter(const struct thread *t, unsigned home, unsigned load)
{
    unsigned best = CPU_NONE, least = UINT32_MAX;

    for (unsigned i = 0; i < cpu_count(); i++) {
        const struct run_queue *rq = candidate(t, i, home);
        unsigned n = rq != NULL ? atomic_load_explicit(&rq->load, memory_order_relaxed) : UINT32_MAX;

        if (n < least &&
            (n + 2 <= load || (n == 1 && atomic_load_explicit(&rq->lone, memory_order_relaxed)))) {
            least = n;
            best = i;
        }
    }
    return best;
}

unsigned balance_place(const struct thread *t, unsigned home)
{
    unsigned cpu = claim_idle(&t->allowed);

    return cpu != CPU_NONE ? cpu : find_lower(t, home);
}

unsigned balance_refuge(const struct thread *t)
{
    unsigned cpu = claim_idle(&t->allowed);

    return cpu != CPU_NONE ? cpu : find_lighter(t, CPU_NONE, UINT32_MAX);
}

void sched_depart(struct run_queue *rq, struct thread *t, unsigned cpu)
{
    t->state = THREAD_MOVING;
    rq->active_guests -= t->active ? 1u : 0u;
    t->cpu = cpu;
    t->moves++;
}

bool sched_arrive(struct thread *t)
{
    struct run_queue *rq = sched_rq(t->cpu); // stays: nobody moves a thread that is MOVING
    irq_state_t irq = arch_irq_save();
    bool local;

    spin_lock_masked(&rq->lock);
    rq->active_guests += t->active ? 1u : 0u;
    t->moved_at = arch_time_now();
    local = sched_make_ready(rq, t);
    spin_unlock_masked(&rq->lock);
    arch_irq_restore(irq);
    return local;
}

static unsigned target_of(const struct run_queue *rq, const struct thread *t, unsigned home, uint64_t now)
{
    unsigned cpu;

    if (!cpumask_test(&t->allowed, home)) {
        return balance_refuge(t);
    }
    cpu = balance_place(t, home);
    if (cpu != CPU_NONE || now - t->moved_at < time_from_ms(SLICE_MS)) {
        return cpu;
    }
    return find_lighter(t, home, atomic_load_explicit(&rq->load, memory_order_relaxed));
}

// The best waiting thread that has somewhere to go; it is off the queue then. Run queue locked.
static struct thread *take_one(struct run_queue *rq, unsigned home)
{
    uint64_t now = arch_time_now();
    unsigned looked = 0;

    for (uint64_t prios = rq->ready.mask; prios != 0; prios &= ~BIT64(63 - __builtin_clzll(prios))) {
        list_for_each(it, &rq->ready.lists[63 - __builtin_clzll(prios)])
        {
            struct thread *t = list_entry(it, struct thread, run_node);
            unsigned cpu = t->movable ? target_of(rq, t, home, now) : CPU_NONE;

            if (cpu != CPU_NONE && cpu != home) {
                sched_dequeue(rq, t);
                sched_depart(rq, t, cpu);
                return t;
            }
            if (++looked == LOOK_MAX) {
                return NULL;
            }
        }
    }
    return NULL;
}

static void hand_over(struct thread *t)
{
    if (t->state == THREAD_DEAD) {
        sched_bury(t);
        return;
    }
    if (t->ops != NULL && t->ops->leave != NULL) {
        t->ops->leave(t->arg);
    }
    (void)sched_arrive(t); // elsewhere, always
}

void balance_push(struct run_queue *rq)
{
    unsigned home = this_cpu()->index;

    while (!list_empty(&rq->leaving)) {
        hand_over(list_entry(list_pop_front(&rq->leaving), struct thread, run_node));
    }
    for (unsigned n = 0; n < LOOK_MAX && rq->movable > 0; n++) {
        struct thread *t;

        spin_lock_masked(&rq->lock);
        t = take_one(rq, home);
        spin_unlock_masked(&rq->lock);
        if (t == NULL) {
            return;
        }
        hand_over(t);
    }
}

// Whether one of the first waiting threads there may run here.
static bool has_for(struct run_queue *rq, unsigned cpu)
{
    unsigned looked = 0;
    bool found = false;

    spin_lock_masked(&rq->lock);
    for (unsigned p = PRIO_COUNT; p-- > 0 && !found && looked < LOOK_MAX;) {
        list_for_each(it, &rq->ready.lists[p])
        {
            found = found || cpumask_test(&list_entry(it, struct thread, run_node)->allowed, cpu);
            if (found || ++looked >= LOOK_MAX) {
                break;
            }
        }
    }
    spin_unlock_masked(&rq->lock);
    return found;
}

void balance_ask(unsigned cpu)
{
    if (atomic_load_explicit(&crowded_count, memory_order_seq_cst) == 0) {
        return;
    }
    for (unsigned i = 1; i < cpu_count(); i++) {
        unsigned other = (cpu + i) % cpu_count();
        struct run_queue *rq = sched_rq(other);

        if (rq != NULL && atomic_load_explicit(&rq->crowded, memory_order_relaxed) && has_for(rq, cpu)) {
            ipi_send(other, IPI_RESCHED);
            return;
        }
    }
}
