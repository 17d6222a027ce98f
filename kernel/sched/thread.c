// SPDX-License-Identifier: Apache-2.0
//
// Threads: life, blocking, where they may run, and the idle thread of each CPU.
#include "kernel/sched/thread.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/sched.h"

struct thread *thread_current(void)
{
    struct cpu *cpu = this_cpu();

    return cpu != NULL ? cpu->current : NULL;
}

// ---- giving up the CPU ------------------------------------------------------------------------------------------------

void thread_yield(void)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();

    cpu->current->slice_end = 0;
    spin_lock_masked(&cpu->rq->lock);
    sched_switch_locked(cpu);
    arch_irq_restore(irq);
}

void thread_set_bulk(bool bulk)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct thread *t = cpu->current;

    spin_lock_masked(&cpu->rq->lock);
    t->prio = t->own_prio;
    t->server = (struct server){.budget = bulk ? time_from_us(BULK_BUDGET_US) : 0,
                                .period = bulk ? time_from_ms(BULK_PERIOD_MS) : 0,
                                .soft = bulk};
    // The first period begins with nothing: who works in many short pieces gets no more.
    t->server.end = arch_time_now() + t->server.period;
    sched_switch_locked(cpu);
    arch_irq_restore(irq);
}

void thread_calm(const _Atomic uint32_t *why, uint32_t bits)
{
    struct thread *t = thread_current();
    irq_state_t irq;
    struct cpu *cpu;

    if (!t->urgent) {
        return;
    }
    irq = arch_irq_save();
    cpu = this_cpu();
    spin_lock_masked(&cpu->rq->lock);
    if (atomic_load_explicit(why, memory_order_relaxed) & bits) {
        spin_unlock_masked(&cpu->rq->lock);
    } else {
        t->urgent = false;
        t->prio = t->own_prio;
        sched_switch_locked(cpu);
    }
    arch_irq_restore(irq);
}

// ---- where it may run -------------------------------------------------------------------------------------------------

static bool any_online(const struct cpumask *allowed)
{
    for (unsigned i = 0; i < cpu_count(); i++) {
        if (cpumask_test(allowed, i) && atomic_load_explicit(&cpu_get(i)->online, memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

// Of the CPUs there are.
static unsigned count_choices(const struct cpumask *allowed)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cpu_count(); i++) {
        n += cpumask_test(allowed, i) ? 1 : 0;
    }
    return n;
}

// Its home, locked, when it is not on its way to another.
static struct run_queue *lock_settled(struct thread *t)
{
    for (;;) {
        struct run_queue *rq = sched_lock_home(t);

        if (t->state != THREAD_MOVING) {
            return rq;
        }
        spin_unlock_masked(&rq->lock);
        arch_cpu_relax();
    }
}

enum status thread_set_allowed(struct thread *t, const struct cpumask *allowed)
{
    struct run_queue *rq;
    irq_state_t irq;
    bool local = false;

    if (!any_online(allowed)) {
        return E_INVAL;
    }
    irq = arch_irq_save();
    rq = lock_settled(t);
    if (t->state == THREAD_READY) {
        sched_dequeue(rq, t);
    }
    t->allowed = *allowed;
    t->choices = count_choices(allowed);
    if (t->state == THREAD_READY) {
        sched_enqueue(rq, t, true);
    }
    // One that waits or runs is sent on by its CPU; one that sleeps when it wakes.
    if (!cpumask_test(allowed, rq->cpu) && (t->state == THREAD_READY || t->state == THREAD_RUNNING)) {
        local = sched_tell(rq);
    }
    spin_unlock_masked(&rq->lock);
    arch_irq_restore(irq);
    if (local) {
        sched_resched_local();
    }
    return OK;
}

enum status thread_migrate(struct thread *t, unsigned cpu)
{
    struct cpumask only = {{0}};

    if (cpu >= CPU_MAX) {
        return E_INVAL;
    }
    cpumask_set(&only, cpu);
    return thread_set_allowed(t, &only);
}

void thread_set_active(bool active)
{
    irq_state_t irq = arch_irq_save();
    struct cpu *cpu = this_cpu();
    struct thread *t = cpu->current;
    bool trap;

    spin_lock_masked(&cpu->rq->lock);
    if (t->active != active) {
        t->active = active;
        cpu->rq->active_guests += active ? 1u : -1u;
    }
    trap = sched_idle_decide(cpu->rq, t);
    spin_unlock_masked(&cpu->rq->lock);
    sched_idle_tell(t, trap);
    arch_irq_restore(irq);
}

// ---- life -------------------------------------------------------------------------------------------------------------

static void thread_main(void *arg)
{
    struct thread *t = arg;

    sched_switched();
    if (!t->guest) {
        arch_irq_enable();
    }
    t->entry(t->arg);
    thread_exit();
}

static void set_attributes(struct thread *t, const struct thread_attr *attr)
{
    uint32_t weight = attr->weight != 0 ? attr->weight : WEIGHT_DEFAULT;

    t->state = THREAD_NEW;
    t->guest = attr->guest;
    t->prio = attr->prio;
    t->own_prio = attr->prio;
    t->cpu = attr->cpu;
    t->entry = attr->entry;
    t->arg = attr->arg;
    t->ops = attr->ops;
    if (attr->allowed != NULL) {
        t->allowed = *attr->allowed;
    } else {
        cpumask_set(&t->allowed, attr->cpu);
    }
    t->choices = count_choices(&t->allowed);
    t->slice = max_u64(time_from_ms(SLICE_MS) * weight / WEIGHT_DEFAULT, 1);
    t->slice_left = t->slice;
    t->server = (struct server){.budget = attr->budget, .period = attr->period};
    t->payer = attr->payer;
    sched_boost(t);
    (void)strncpy(t->name, attr->name != NULL ? attr->name : "?", sizeof(t->name) - 1);
}

static bool attributes_ok(const struct thread_attr *attr)
{
    return sched_rq(attr->cpu) != NULL && attr->prio != PRIO_IDLE && attr->prio < PRIO_COUNT &&
           attr->weight <= WEIGHT_MAX && attr->budget <= attr->period &&
           (attr->payer == NULL || attr->prio + 1 < PRIO_COUNT) &&
           (attr->allowed == NULL || any_online(attr->allowed));
}

struct thread *thread_create(const struct thread_attr *attr)
{
    struct thread *t;

    if (!attributes_ok(attr)) {
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
    timer_setup(&t->refill, sched_refill_fired);
    set_attributes(t, attr);
    arch_context_init(&t->ctx, t->stack_top, thread_main, t);
    return t;
}

void thread_start(struct thread *t)
{
    irq_state_t irq = arch_irq_save();
    struct run_queue *rq = sched_lock_home(t);
    bool local = false;

    if (t->state == THREAD_NEW) {
        uint64_t now = arch_time_now();

        t->off_since = now;
        t->moved_at = now;
        server_wake(sched_account(rq, t), now);
        local = sched_make_ready(rq, t);
    }
    spin_unlock_masked(&rq->lock);
    arch_irq_restore(irq);
    if (local) {
        sched_resched_local();
    }
}

static void thread_free(struct thread *t)
{
    timer_cancel(&t->refill); // it may have ended on credit
    stack_free(t->stack_top);
    pool_free(t, sizeof(*t));
}

void thread_destroy(struct thread *t)
{
    BUG_ON(t->state != THREAD_NEW);
    thread_free(t);
}

[[gnu::noreturn]] void thread_exit(void)
{
    struct cpu *cpu;
    struct thread *t;

    arch_irq_disable();
    cpu = this_cpu();
    t = cpu->current;
    BUG_ON(thread_is_idle(cpu->rq, t) || t->active);
    spin_lock_masked(&cpu->rq->lock);
    t->state = THREAD_DEAD;
    list_push_back(&cpu->rq->leaving, &t->run_node);
    sched_switch_locked(cpu);
    panic("a dead thread ran");
}

// ---- the reaper -------------------------------------------------------------------------------------------------------

static struct {
    struct spinlock lock;  // protects `dead`
    struct list_node dead; // left their stacks for ever
    struct thread *thread;
} reaper;

void sched_bury(struct thread *t)
{
    spin_lock(&reaper.lock);
    list_push_back(&reaper.dead, &t->run_node);
    spin_unlock(&reaper.lock);
    if (reaper.thread != NULL) {
        thread_wake(reaper.thread);
    }
}

void sched_reap(void)
{
    for (;;) {
        irq_state_t irq = spin_lock_irqsave(&reaper.lock);
        struct list_node *node = list_pop_front(&reaper.dead);

        spin_unlock_irqrestore(&reaper.lock, irq);
        if (node == NULL) {
            return;
        }
        thread_free(list_entry(node, struct thread, run_node));
    }
}

static void reaper_main(void *arg)
{
    (void)arg;
    for (;;) {
        sched_reap();
        thread_block();
    }
}

enum status sched_reaper_start(void)
{
    reaper.thread =
        thread_create(&(struct thread_attr){.name = "reaper", .entry = reaper_main, .prio = PRIO_WORKER});
    if (reaper.thread == NULL) {
        return E_NOMEM;
    }
    thread_start(reaper.thread);
    return OK;
}

// ---- idle -------------------------------------------------------------------------------------------------------------

static void slice_fired(struct timer *t)
{
    container_of(t, struct run_queue, slice)->slice_at = UINT64_MAX;
    this_cpu()->need_resched = true;
}

static void idle_setup(struct thread *idle, unsigned cpu)
{
    list_init(&idle->run_node);
    idle->state = THREAD_RUNNING;
    idle->prio = PRIO_IDLE;
    idle->cpu = cpu;
    cpumask_set(&idle->allowed, cpu);
    idle->choices = 1;
    strcpy(idle->name, "idle");
}

enum status sched_init_cpu(void)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = pool_alloc(sizeof(*rq));

    if (rq == NULL) {
        return E_NOMEM;
    }
    if (cpu->index == 0) {
        balance_reset();
        spin_init(&reaper.lock, LOCK_WAIT);
        list_init(&reaper.dead);
        reaper.thread = NULL;
    }
    spin_init(&rq->lock, LOCK_SCHED);
    runq_init(&rq->ready);
    list_init(&rq->leaving);
    timer_setup(&rq->slice, slice_fired);
    rq->slice.cpu = cpu->index;
    rq->slice_at = UINT64_MAX;
    rq->cpu = cpu->index;
    rq->owner = cpu;
    rq->level = LEVEL_BOOTING;
    idle_setup(&rq->idle, cpu->index);
    rq->booting = true;
    rq->switched_at = arch_time_now();
    cpu->current = &rq->idle;
    cpu->idle = &rq->idle;
    cpu->rq = rq;
    return OK;
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
        arch_irq_disable();
        if (this_cpu()->need_resched) {
            sched_preempt();
        } else {
            arch_cpu_idle();
        }
    }
}

uint64_t thread_run_ticks(const struct thread *t)
{
    const struct run_queue *rq = sched_rq(t->cpu);
    uint64_t ticks = t->run_ticks, since = rq->switched_at, now = arch_time_now();

    return cpu_get(rq->cpu)->current == t && now > since ? ticks + (now - since) : ticks;
}

bool sched_stats_get(unsigned cpu, struct sched_stats *out)
{
    const struct run_queue *rq = sched_rq(cpu);

    if (rq == NULL) {
        return false;
    }
    *out = (struct sched_stats){
        .idle_ticks = thread_run_ticks(&rq->idle),
        .runnable = atomic_load_explicit(&rq->load, memory_order_relaxed),
        .active_guests = rq->active_guests,
    };
    return true;
}
