// SPDX-License-Identifier: Apache-2.0
//
// The switch: who runs next, for how long, and what a wake-up changes about that.
//
// A CPU's interrupt that ends in sched_preempt() switches inside the interrupt's frame; the interrupted thread returns
// through it later. Tickless: the slice timer is armed only while an equal of the running thread waits, while a waiting
// thread might find a place elsewhere, or for the end of a budget.
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/sched/sched.h"

static const struct thread *running_on(const struct run_queue *rq)
{
    return rq->owner->current;
}

static void publish_load(struct run_queue *rq)
{
    unsigned n = rq->queued + (thread_is_idle(rq, running_on(rq)) ? 0u : 1u);

    atomic_store_explicit(&rq->load, n, memory_order_relaxed);
}

// ---- the switch, run queue locked, interrupts masked ------------------------------------------------------------------

// When the slice timer of this CPU fires next.
static void slice_arm(struct run_queue *rq, uint64_t at)
{
    if (at == rq->slice_at) {
        return;
    }
    rq->slice_at = at;
    if (at != UINT64_MAX) {
        timer_set(&rq->slice, at);
    } else {
        timer_cancel(&rq->slice);
    }
}

// ... as long as somebody waits who may get the CPU at its end, or a budget is being used up.
__attribute__((noinline)) static void slice_limit(struct run_queue *rq, struct thread *t, uint64_t now)
{
    uint64_t at = UINT64_MAX;

    if (!thread_is_idle(rq, t)) {
        if (rq->movable > 0 || runq_has(&rq->ready, t->prio) || sched_boosted(t)) {
            at = t->slice_end;
        }
        if (t->server.budget != 0 && !t->urgent && (t->server.left > 0 || !t->server.soft)) {
            at = min_u64(at, now + sched_account(rq, t)->left);
        }
    }
    slice_arm(rq, at);
}

// Arms or stops the slice timer according to who runs and who waits.
static inline void slice_update(struct run_queue *rq, struct thread *t, uint64_t now)
{
    if (rq->movable > 0 || t->server.budget != 0 || runq_has(&rq->ready, t->prio) || t->payer) {
        slice_limit(rq, t, now);
    } else if (rq->slice_at != UINT64_MAX) {
        slice_arm(rq, UINT64_MAX);
    }
}

// The budget is used up: false when it runs on all the same, because its next period has begun already or on credit.
static bool throttle(const struct run_queue *rq, struct thread *t, uint64_t now)
{
    struct server *s = sched_account(rq, t);

    if (now >= s->end) {
        server_refill(s, now);
        t->prio = s->soft ? t->own_prio : t->prio;
        return false;
    }
    if (t->urgent) {
        return false;
    }
    timer_set(&t->refill, s->end);
    if (s->soft) {
        t->prio = PRIO_VCPU_DEFAULT;
        return false;
    }
    t->state = THREAD_THROTTLED;
    return true;
}

// The running thread could go on: does it? When not, it has a place now.
static bool goes_on(struct run_queue *rq, struct thread *prev, bool spent, uint64_t now)
{
    if (spent && throttle(rq, prev, now)) {
        prev->slice_left = prev->slice;
        return false;
    }
    switch (runq_decide(&rq->ready, prev->prio, now >= prev->slice_end)) {
    case RUNQ_STAY:
        if (rq->movable > 0 && now >= prev->slice_end) {
            prev->slice_end = now + prev->slice;
        }
        return true;
    case RUNQ_PREEMPT:
        prev->slice_left = prev->slice_end > now ? prev->slice_end - now : 0;
        if (prev->slice_left > 0) {
            sched_enqueue(rq, prev, true);
            return false;
        }
        break;
    case RUNQ_ROTATE:
        break;
    }
    prev->slice_left = prev->slice;
    sched_enqueue(rq, prev, false);
    return false;
}

// Off to another CPU as soon as this one has left its stack. False when there is none for it.
static bool send_away(struct run_queue *rq, struct thread *t)
{
    unsigned cpu = balance_refuge(t);

    if (cpu == CPU_NONE || cpu == rq->cpu) {
        return false;
    }
    sched_depart(rq, t, cpu);
    list_push_back(&rq->leaving, &t->run_node);
    return true;
}

// The thread that ran until now goes on, or has a place.
__attribute__((noinline)) static bool stays(struct run_queue *rq, struct thread *prev, bool spent,
                                            uint64_t now)
{
    if (thread_is_idle(rq, prev)) {
        return rq->booting;
    }
    return !(!cpumask_test(&prev->allowed, rq->cpu) && send_away(rq, prev)) && goes_on(rq, prev, spent, now);
}

// The best that waits and may run here, where some may not or could run elsewhere.
__attribute__((noinline)) static struct thread *take_allowed(struct run_queue *rq)
{
    struct thread *t;

    do {
        if (rq->ready.mask == 0) {
            return &rq->idle;
        }
        t = runq_pop(&rq->ready);
        sched_dequeued(rq, t);
    } while (t->movable && !cpumask_test(&t->allowed, rq->cpu) && send_away(rq, t));
    return t;
}

// The best that waits and may run here.
static inline struct thread *take_best(struct run_queue *rq)
{
    struct thread *t;

    if (rq->movable > 0) {
        return take_allowed(rq);
    }
    if (rq->ready.mask == 0) {
        return &rq->idle;
    }
    t = runq_pop(&rq->ready);
    rq->queued--;
    return t;
}

// Threads that could run elsewhere, or that may not run here, are handed over.
__attribute__((noinline)) static bool push(struct run_queue *rq, struct thread *t)
{
    bool trap;

    balance_push(rq);
    spin_lock_masked(&rq->lock);
    trap = sched_idle_decide(rq, t);
    publish_load(rq);
    spin_unlock_masked(&rq->lock);
    return trap;
}

// What remains to be done without the lock, on the stack of who runs now.
static inline void finish(struct run_queue *rq, struct thread *t, bool trap)
{
    if (rq->movable > 0 || !list_empty(&rq->leaving)) {
        trap = push(rq, t);
    }
    if (t->guest) {
        sched_idle_tell(t, trap);
    }
}

// The end of a switch, on the stack of who continues.
__attribute__((always_inline)) static inline void switched(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = cpu->rq;
    struct thread *t = cpu->current;
    bool trap = sched_idle_decide(rq, t);

    spin_unlock_masked(&rq->lock);
    if (t->ops != NULL && t->ops->switch_in != NULL) {
        t->ops->switch_in(t->arg);
    }
    finish(rq, t, trap);
    if (thread_is_idle(rq, t) && !rq->booting) {
        balance_ask(rq->cpu);
    }
}

void sched_switched(void)
{
    switched();
}

// The idle thread comes or goes.
__attribute__((noinline)) static void publish_idle(struct run_queue *rq, const struct thread *t)
{
    bool idle = thread_is_idle(rq, t);

    atomic_store_explicit(&rq->level, idle && rq->booting ? LEVEL_BOOTING : t->prio, memory_order_relaxed);
    publish_load(rq);
    balance_idle(rq->cpu, idle && !rq->booting); // claimed meanwhile, it is to be found again
    rq->idling = idle;
}

static inline void publish(struct run_queue *rq, const struct thread *t)
{
    if (__builtin_expect(thread_is_idle(rq, t) || rq->idling, 0)) {
        publish_idle(rq, t);
        return;
    }
    atomic_store_explicit(&rq->level, t->prio, memory_order_relaxed);
    atomic_store_explicit(&rq->load, rq->queued + 1, memory_order_relaxed);
}

// Nobody better: it goes on. Unlocks.
__attribute__((noinline)) static void keep(struct run_queue *rq, struct thread *t, uint64_t now)
{
    bool trap;

    t->state = THREAD_RUNNING;
    publish(rq, t);
    slice_update(rq, t, now);
    trap = sched_idle_decide(rq, t);
    spin_unlock_masked(&rq->lock);
    finish(rq, t, trap);
}

// It is not `prev` that runs from now on.
static inline void account(struct thread *prev, struct thread *next, uint64_t now)
{
    prev->off_since = now;
    next->wait_ticks += now - next->off_since;
    next->slice_end = now + next->slice_left;
    next->state = THREAD_RUNNING;
}

// What the running thread has used up to now. True: its budget is used up.
static inline bool charge(struct run_queue *rq, struct thread *t, uint64_t now)
{
    uint64_t ran = now - rq->switched_at;

    rq->switched_at = now;
    t->run_ticks += ran;
    if (__builtin_expect(t->payer != NULL, 0)) {
        return sched_charge_worker(rq, t, ran, now);
    }
    return t->server.budget != 0 && server_charge(&t->server, ran);
}

__attribute__((always_inline)) static inline void switch_to(struct cpu *cpu, struct thread *prev,
                                                            struct thread *next, uint64_t now)
{
    struct run_queue *rq = cpu->rq;

    account(prev, next, now);
    cpu->current = next;
    publish(rq, next);
    slice_update(rq, next, now);
    arch_context_switch(&prev->ctx, &next->ctx);
    switched();
}

void sched_switch_locked(struct cpu *cpu)
{
    struct run_queue *rq = cpu->rq;
    struct thread *prev = cpu->current, *next = prev;
    uint64_t now = arch_time_now();
    bool spent = charge(rq, prev, now);

    cpu->need_resched = false;
    if (prev->state != THREAD_RUNNING || !stays(rq, prev, spent, now)) {
        next = take_best(rq);
    }
    if (next == prev) {
        keep(rq, prev, now);
    } else {
        switch_to(cpu, prev, next, now);
    }
}

void sched_preempt(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu == NULL || !cpu->need_resched || cpu->rq == NULL || cpu->irq_depth > 0) {
        return;
    }
    spin_lock_masked(&cpu->rq->lock);
    sched_switch_locked(cpu);
}

void sched_resched_local(void)
{
    struct cpu *cpu = this_cpu();
    const struct thread *t = cpu->current;

    if (!cpu->need_resched || cpu->irq_depth > 0) {
        return;
    }
    if (arch_irq_enabled()) {
        arch_irq_disable();
        sched_preempt();
        arch_irq_enable();
    } else if (t->ops != NULL && t->ops->resched != NULL) {
        t->ops->resched(t->arg);
    } else {
        ipi_send(cpu->index, IPI_RESCHED);
    }
}

// ---- blocking ---------------------------------------------------------------------------------------------------------

// The idle thread cannot leave its CPU: it waits for one interrupt, others may run in it. Spurious returns are allowed.
__attribute__((noinline)) static void idle_block(struct cpu *cpu, struct thread *idle)
{
    bool booting = cpu->rq->booting;

    cpu->rq->booting = false;
    if (cpu->rq->ready.mask != 0) {
        cpu->need_resched = true;
    }
    if (!idle->wake_pending && !cpu->need_resched) {
        arch_cpu_idle();
    }
    sched_preempt();
    idle->wake_pending = false;
    arch_irq_enable();
    arch_irq_disable();
    cpu->rq->booting = booting;
}

// As sched_switch_locked(), without the question whether it goes on: the usual way from one vCPU to another.
void thread_block_masked(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = cpu->rq;
    struct thread *t = cpu->current;
    uint64_t now;

    if (thread_is_idle(rq, t)) {
        idle_block(cpu, t);
        return;
    }
    spin_lock_masked(&rq->lock);
    if (t->wake_pending) {
        t->wake_pending = false;
        spin_unlock_masked(&rq->lock);
        return;
    }
    t->state = THREAD_BLOCKED;
    now = arch_time_now();
    (void)charge(rq, t, now);
    cpu->need_resched = false;
    t->slice_left = t->slice_end > now ? t->slice_end - now : t->slice;
    switch_to(cpu, t, take_best(rq), now);
}

void thread_block(void)
{
    irq_state_t irq = arch_irq_save();

    thread_block_masked();
    arch_irq_restore(irq);
}

// ---- waking -----------------------------------------------------------------------------------------------------------

struct run_queue *sched_lock_home(struct thread *t)
{
    for (;;) {
        unsigned cpu = t->cpu;
        struct run_queue *rq = sched_rq(cpu);

        spin_lock_masked(&rq->lock);
        if (t->cpu == cpu) {
            return rq;
        }
        spin_unlock_masked(&rq->lock);
    }
}

bool sched_tell(struct run_queue *rq)
{
    struct cpu *cpu = rq->owner;

    if (cpu == this_cpu()) {
        cpu->need_resched = true;
        return true;
    }
    ipi_send(rq->cpu, IPI_RESCHED);
    return false;
}

bool sched_make_ready(struct run_queue *rq, struct thread *t)
{
    const struct thread *running = running_on(rq);
    // A better one preempts. An equal one, or one that might find a place elsewhere, needs the slice timer or a push, which
    // only that CPU can do. A guest that idles untrapped has to give up the CPU for anybody.
    bool tell = t->prio > running->prio || thread_is_idle(rq, running);

    sched_enqueue(rq, t, false);
    publish_load(rq);
    tell = tell || t->movable || atomic_load_explicit(&rq->lone, memory_order_relaxed) ||
           (t->prio == running->prio && rq->slice_at > running->slice_end);
    return tell && sched_tell(rq);
}

// Where a thread that can run from now on does so; run queue of its home locked.
static unsigned wake_place(const struct run_queue *rq, const struct thread *t)
{
    unsigned cpu = CPU_NONE;

    if (atomic_load_explicit(&t->held, memory_order_acquire)) {
        return rq->cpu; // only there its registers can be fetched: it will be pushed
    }
    if (!cpumask_test(&t->allowed, rq->cpu)) {
        cpu = balance_refuge(t);
    } else if (t->choices > 1 && atomic_load_explicit(&rq->level, memory_order_relaxed) >= t->prio) {
        cpu = balance_place(t, rq->cpu);
    }
    return cpu != CPU_NONE ? cpu : rq->cpu;
}

// It wakes: may it run, or is it throttled now?
static bool within_budget(const struct run_queue *rq, struct thread *t, uint64_t now)
{
    struct server *s = sched_account(rq, t);

    server_wake(s, now);
    return s->left != 0 || !throttle(rq, t, now);
}

// A BLOCKED thread wakes; unlocks.
static bool wake_up(struct run_queue *rq, struct thread *t)
{
    uint64_t now = arch_time_now();
    unsigned cpu;
    bool local;

    if (now - t->off_since >= t->slice) {
        t->slice_left = t->slice;
        sched_boost(t);
    }
    t->off_since = now;
    if (t->server.budget != 0 && !within_budget(rq, t, now)) {
        spin_unlock_masked(&rq->lock);
        return false;
    }
    cpu = wake_place(rq, t);
    if (cpu != rq->cpu) {
        sched_depart(rq, t, cpu);
        spin_unlock_masked(&rq->lock);
        return sched_arrive(t);
    }
    local = sched_make_ready(rq, t);
    spin_unlock_masked(&rq->lock);
    return local;
}

static bool wake(struct thread *t, bool kick)
{
    irq_state_t irq = arch_irq_save();
    struct run_queue *rq = sched_lock_home(t);
    bool local = false;

    if (t->state == THREAD_BLOCKED) {
        local = wake_up(rq, t);
    } else {
        t->wake_pending = true;
        if (rq->cpu != this_cpu()->index) {
            if (thread_is_idle(rq, t)) {
                ipi_send(rq->cpu, IPI_RESCHED);
            } else if (kick && t->state == THREAD_RUNNING) {
                ipi_kick(rq->cpu);
            }
        }
        spin_unlock_masked(&rq->lock);
    }
    arch_irq_restore(irq);
    return local;
}

bool sched_wake_deferred(struct thread *t)
{
    return wake(t, false);
}

void thread_wake(struct thread *t)
{
    if (wake(t, false)) {
        sched_resched_local();
    }
}

// Another home is published before the thread runs there, and what the caller stored before is seen there then.
void thread_interrupt(const struct thread *t)
{
    unsigned cpu = atomic_load_explicit(&t->cpu, memory_order_seq_cst);

    if (cpu != this_cpu()->index) {
        ipi_kick(cpu);
    }
}

void thread_kick(struct thread *t)
{
    if (wake(t, true)) {
        sched_resched_local();
    }
}

// Another priority, wherever it waits for its turn; its home locked. Returns as sched_wake_deferred() does.
static bool set_prio(struct run_queue *rq, struct thread *t, uint8_t prio)
{
    bool waits = t->state == THREAD_READY;

    if (waits) {
        sched_dequeue(rq, t);
    }
    t->prio = prio;
    return (waits || t->state == THREAD_THROTTLED) && sched_make_ready(rq, t);
}

void thread_urge(struct thread *t, const _Atomic uint32_t *why, uint32_t bits)
{
    irq_state_t irq = arch_irq_save();
    struct run_queue *rq = sched_lock_home(t);
    bool local = false;

    // Cleared: it is at it already, and nobody would calm it down any more.
    if (atomic_load_explicit(why, memory_order_relaxed) & bits) {
        t->urgent = true;
        local = set_prio(rq, t, t->prio > PRIO_WORKER ? t->prio : PRIO_WORKER);
    }
    spin_unlock_masked(&rq->lock);
    arch_irq_restore(irq);
    local |= wake(t, true);
    if (local) {
        sched_resched_local();
    }
}

// A throttled thread goes on, unless it waits for a later period now: it ran on credit meanwhile, or another one on the same
// account has used this one up. Returns as sched_wake_deferred() does.
static bool period_over(struct run_queue *rq, struct thread *t, uint64_t now)
{
    struct server *s = sched_account(rq, t);

    if (now >= s->end) {
        server_refill(s, now - s->end < s->period ? s->end : now);
    }
    if (s->left == 0) {
        timer_set(&t->refill, s->end);
        return false;
    }
    return sched_make_ready(rq, t);
}

// In interrupt context, on whatever CPU armed it.
void sched_refill_fired(struct timer *timer)
{
    struct thread *t = container_of(timer, struct thread, refill);
    struct run_queue *rq = sched_lock_home(t);
    uint64_t now = arch_time_now();
    bool local = false;

    if (t->server.soft) {
        server_refill(&t->server, now);
        local = set_prio(rq, t, t->own_prio);
        if (t->state == THREAD_RUNNING) {
            local = sched_tell(rq); // the new end of its budget
        }
    } else if (t->state == THREAD_THROTTLED) {
        local = period_over(rq, t, now);
    }
    spin_unlock_masked(&rq->lock);
    if (local) {
        sched_resched_local();
    }
}
