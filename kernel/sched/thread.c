// SPDX-License-Identifier: Apache-2.0
//
// Threads and the switch.
//
// A run queue's lock is held across arch_context_switch(): the outgoing thread takes it, whoever continues releases it in
// switch_finish(). So a thread on the run queue or on the dead list has always left its stack. A CPU's interrupt that
// ends in sched_preempt() switches inside the interrupt's frame; the interrupted thread returns through it later.
//
// Tickless: the slice timer is armed only while an equal of the running thread waits.
#include "kernel/sched/thread.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/runq.h"
#include "kernel/sched/sched.h"

struct run_queue {
    struct spinlock lock; // protects all below and state, wake_pending and run_node of the threads bound here
    struct runq ready;
    struct list_node dead; // left their stacks for ever; freed by the idle thread
    unsigned guest_count;
    struct timer slice;
    bool slice_armed;
    bool booting;         // the idle thread is still bringing the machine up: nothing preempts it
    uint64_t switched_at; // ticks: when the running thread was switched in
    struct thread idle;
};

static void (*guest_count_hook)(unsigned cpu);

static uint64_t slice_ticks(void)
{
    return time_from_ms(SLICE_MS);
}

static struct run_queue *rq_of(unsigned cpu)
{
    struct cpu *c = cpu_get(cpu);

    return c != NULL ? c->rq : NULL;
}

struct thread *thread_current(void)
{
    struct cpu *cpu = this_cpu();

    return cpu != NULL ? cpu->current : NULL;
}

// ---- the switch, run queue locked, interrupts masked ------------------------------------------------------------------

static void slice_fired(struct timer *t)
{
    container_of(t, struct run_queue, slice)->slice_armed = false;
    this_cpu()->need_resched = true;
}

// Arms or stops this CPU's slice timer according to who runs and who waits.
static void slice_update(struct run_queue *rq, const struct thread *running)
{
    bool wanted = running != &rq->idle && runq_has(&rq->ready, running->prio);

    if (wanted) {
        rq->slice_armed = true;
        timer_set(&rq->slice, running->slice_end);
    } else if (rq->slice_armed) {
        rq->slice_armed = false;
        timer_cancel(&rq->slice);
    }
}

// After a switch, on the stack of the thread that continues.
static void switch_finish(void)
{
    struct cpu *cpu = this_cpu();
    const struct thread *t = cpu->current;

    spin_unlock(&cpu->rq->lock);
    if (t->ops != NULL && t->ops->switch_in != NULL) {
        t->ops->switch_in(t->arg);
    }
}

// Puts the running thread where it belongs and says who runs next.
static struct thread *pick(struct run_queue *rq, struct thread *prev, uint64_t now)
{
    struct thread *next;

    if (rq->booting && prev == &rq->idle) {
        return prev;
    }
    if (prev->state == THREAD_RUNNING && prev != &rq->idle) {
        switch (runq_decide(&rq->ready, prev->prio, now >= prev->slice_end)) {
        case RUNQ_STAY:
            return prev;
        case RUNQ_PREEMPT:
            prev->slice_left = prev->slice_end > now ? prev->slice_end - now : 0;
            prev->state = THREAD_READY;
            if (prev->slice_left > 0) {
                runq_push_front(&rq->ready, prev);
                break;
            }
            prev->slice_left = slice_ticks();
            runq_push(&rq->ready, prev);
            break;
        case RUNQ_ROTATE:
            prev->slice_left = slice_ticks();
            prev->state = THREAD_READY;
            runq_push(&rq->ready, prev);
            break;
        }
    }
    next = runq_pop(&rq->ready);
    return next != NULL ? next : &rq->idle;
}

// The run queue is locked by the plain form with interrupts masked before; on return (perhaps much later) it is not, and interrupts are masked.
static void switch_locked(struct cpu *cpu)
{
    struct run_queue *rq = cpu->rq;
    struct thread *prev = cpu->current;
    uint64_t now = arch_time_now();
    struct thread *next = pick(rq, prev, now);

    cpu->need_resched = false;
    if (next == prev) {
        prev->state = THREAD_RUNNING;
        slice_update(rq, prev);
        spin_unlock(&rq->lock);
        return;
    }
    prev->run_ticks += now - rq->switched_at;
    rq->switched_at = now;
    next->state = THREAD_RUNNING;
    next->slice_end = now + next->slice_left;
    cpu->current = next;
    slice_update(rq, next);
    arch_context_switch(&prev->ctx, &next->ctx);
    switch_finish();
}

void sched_preempt(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu == NULL || !cpu->need_resched || cpu->rq == NULL || cpu->irq_depth > 0) {
        return;
    }
    spin_lock(&cpu->rq->lock);
    switch_locked(cpu);
}

void sched_resched_local(void)
{
    struct cpu *cpu = this_cpu();

    if (!cpu->need_resched || cpu->irq_depth > 0) {
        return;
    }
    if (arch_irq_enabled()) {
        arch_irq_disable();
        sched_preempt();
        arch_irq_enable();
    } else {
        ipi_send(cpu->index, IPI_RESCHED);
    }
}

// ---- waking -----------------------------------------------------------------------------------------------------------

static bool make_ready(struct run_queue *rq, struct thread *t)
{
    struct cpu *cpu = cpu_get(t->cpu);
    const struct thread *running = cpu->current;
    // A better one preempts; an equal one needs the slice timer, which only that CPU can arm.
    bool tell =
        t->prio > running->prio || (t->prio == running->prio && !rq->slice_armed) || running == &rq->idle;

    t->state = THREAD_READY;
    t->slice_left = slice_ticks();
    runq_push(&rq->ready, t);
    if (!tell) {
        return false;
    }
    if (cpu == this_cpu()) {
        cpu->need_resched = true;
        return true;
    }
    ipi_send(t->cpu, IPI_RESCHED);
    return false;
}

bool sched_wake_deferred(struct thread *t)
{
    struct run_queue *rq = rq_of(t->cpu);
    irq_state_t irq = spin_lock_irqsave(&rq->lock);
    bool local = false;

    if (t->state == THREAD_BLOCKED) {
        local = make_ready(rq, t);
    } else {
        t->wake_pending = true;
        if (t == &rq->idle && this_cpu() != cpu_get(t->cpu)) {
            ipi_send(t->cpu, IPI_RESCHED);
        }
    }
    spin_unlock_irqrestore(&rq->lock, irq);
    return local;
}

void thread_wake(struct thread *t)
{
    if (sched_wake_deferred(t)) {
        sched_resched_local();
    }
}

// The idle thread cannot leave its CPU: it waits for one interrupt, others may run in it. Spurious returns are allowed.
static void idle_block(struct cpu *cpu, struct thread *idle)
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

void thread_block(void)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct thread *t = cpu->current;

    if (t == &cpu->rq->idle) {
        idle_block(cpu, t);
        arch_irq_restore(irq);
        return;
    }
    spin_lock(&cpu->rq->lock);
    if (t->wake_pending) {
        t->wake_pending = false;
        spin_unlock(&cpu->rq->lock);
    } else {
        t->state = THREAD_BLOCKED;
        switch_locked(cpu);
    }
    arch_irq_restore(irq);
}

void thread_yield(void)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();

    cpu->current->slice_end = 0;
    spin_lock(&cpu->rq->lock);
    switch_locked(cpu);
    arch_irq_restore(irq);
}

// ---- guest threads ----------------------------------------------------------------------------------------------------

void sched_set_guest_count_hook(void (*hook)(unsigned cpu))
{
    guest_count_hook = hook;
}

unsigned sched_guest_count(unsigned cpu)
{
    const struct run_queue *rq = rq_of(cpu);

    return rq != NULL ? rq->guest_count : 0;
}

static void guest_count_tell(void *ctx)
{
    (void)ctx;
    guest_count_hook(this_cpu()->index);
}

static void guest_count_add(unsigned cpu, unsigned delta)
{
    struct run_queue *rq = rq_of(cpu);
    irq_state_t irq = spin_lock_irqsave(&rq->lock);

    rq->guest_count += delta;
    spin_unlock_irqrestore(&rq->lock, irq);
    if (guest_count_hook != NULL) {
        // Online is certain: it has a run queue; a boot CPU that is not idle yet is the caller itself.
        (void)cpu_call(cpu, guest_count_tell, NULL);
    }
}

// ---- life -------------------------------------------------------------------------------------------------------------

static void thread_main(void *arg)
{
    struct thread *t = arg;

    switch_finish();
    if (!t->guest) {
        arch_irq_enable();
    }
    t->entry(t->arg);
    thread_exit();
}

struct thread *thread_create(const struct thread_attr *attr)
{
    struct thread *t;

    if (rq_of(attr->cpu) == NULL || attr->prio == PRIO_IDLE || attr->prio >= PRIO_COUNT) {
        return NULL;
    }
    t = pool_alloc(sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->stack_top = stack_alloc();
    if (t->stack_top == NULL) {
        pool_free(t, sizeof(*t));
        return NULL;
    }
    list_init(&t->run_node);
    t->state = THREAD_NEW;
    t->guest = attr->guest;
    t->prio = attr->prio;
    t->cpu = attr->cpu;
    t->entry = attr->entry;
    t->arg = attr->arg;
    t->ops = attr->ops;
    (void)strncpy(t->name, attr->name != NULL ? attr->name : "?", sizeof(t->name) - 1);
    arch_context_init(&t->ctx, t->stack_top, thread_main, t);
    if (t->guest) {
        guest_count_add(t->cpu, 1);
    }
    return t;
}

void thread_start(struct thread *t)
{
    struct run_queue *rq = rq_of(t->cpu);
    irq_state_t irq = spin_lock_irqsave(&rq->lock);
    bool local = false;

    if (t->state == THREAD_NEW) {
        local = make_ready(rq, t);
    }
    spin_unlock_irqrestore(&rq->lock, irq);
    if (local) {
        sched_resched_local();
    }
}

static void thread_free(struct thread *t)
{
    stack_free(t->stack_top);
    pool_free(t, sizeof(*t));
}

void thread_destroy(struct thread *t)
{
    BUG_ON(t->state != THREAD_NEW);
    if (t->guest) {
        guest_count_add(t->cpu, (unsigned)-1);
    }
    thread_free(t);
}

[[gnu::noreturn]] void thread_exit(void)
{
    struct cpu *cpu;
    struct thread *t;

    arch_irq_disable();
    cpu = this_cpu();
    t = cpu->current;
    BUG_ON(t == &cpu->rq->idle);
    if (t->guest) {
        guest_count_add(t->cpu, (unsigned)-1);
    }
    spin_lock(&cpu->rq->lock);
    t->state = THREAD_DEAD;
    list_push_back(&cpu->rq->dead, &t->run_node);
    switch_locked(cpu);
    panic("a dead thread ran");
}

// ---- idle -------------------------------------------------------------------------------------------------------------

enum status sched_init_cpu(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = pool_alloc(sizeof(*rq));

    if (rq == NULL) {
        return E_NOMEM;
    }
    spin_init(&rq->lock, LOCK_SCHED);
    runq_init(&rq->ready);
    list_init(&rq->dead);
    timer_setup(&rq->slice, slice_fired);
    rq->slice.cpu = cpu->index;
    list_init(&rq->idle.run_node);
    rq->idle.state = THREAD_RUNNING;
    rq->idle.prio = PRIO_IDLE;
    rq->idle.cpu = cpu->index;
    strcpy(rq->idle.name, "idle");
    rq->booting = true;
    rq->switched_at = arch_time_now();
    cpu->current = &rq->idle;
    cpu->idle = &rq->idle;
    cpu->rq = rq;
    return OK;
}

void sched_reap(void)
{
    struct run_queue *rq = this_cpu()->rq;

    for (;;) {
        irq_state_t irq = spin_lock_irqsave(&rq->lock);
        struct list_node *node = list_pop_front(&rq->dead);

        spin_unlock_irqrestore(&rq->lock, irq);
        if (node == NULL) {
            return;
        }
        thread_free(list_entry(node, struct thread, run_node));
    }
}

void sched_boot_done(void)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();

    cpu->rq->booting = false;
    cpu->need_resched = true;
    sched_preempt();
    arch_irq_restore(irq);
}

[[gnu::noreturn]] void sched_idle_loop(void)
{
    sched_boot_done();
    for (;;) {
        arch_irq_enable();
        sched_reap();
        arch_irq_disable();
        if (this_cpu()->need_resched) {
            sched_preempt();
        } else {
            arch_cpu_idle();
        }
    }
}
