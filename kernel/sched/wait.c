// SPDX-License-Identifier: Apache-2.0
//
// Wait queues, completions, sleeping. A waiter is on the waiting thread's stack, and in the list only while the queue's
// lock protects it; a thread may wake for any reason and looks again.
#include "arch/time.h"
#include "kernel/log/log.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"

struct waiter {
    struct list_node node;
    struct thread *thread;
};

struct sleeper {
    struct timer timer;
    struct thread *thread;
};

static void sleeper_fired(struct timer *t)
{
    thread_wake(container_of(t, struct sleeper, timer)->thread);
}

void thread_sleep(uint64_t ticks)
{
    uint64_t deadline = arch_time_now() + ticks;
    struct sleeper s = {.thread = thread_current()};

    timer_setup(&s.timer, sleeper_fired);
    timer_set(&s.timer, deadline < ticks ? UINT64_MAX : deadline);
    while (arch_time_now() < s.timer.deadline) {
        thread_block();
    }
    timer_cancel(&s.timer);
}

void wait_queue_init(struct wait_queue *wq)
{
    spin_init(&wq->lock, LOCK_WAIT);
    list_init(&wq->waiters);
}

static void waiter_remove(struct wait_queue *wq, struct waiter *w)
{
    irq_state_t irq = spin_lock_irqsave(&wq->lock);

    list_remove(&w->node);
    spin_unlock_irqrestore(&wq->lock, irq);
}

void wait_event(struct wait_queue *wq, bool (*cond)(void *ctx), void *ctx)
{
    bool ready = cond(ctx);

    while (!ready) {
        struct waiter w = {.thread = thread_current()};
        irq_state_t irq = spin_lock_irqsave(&wq->lock);

        list_push_back(&wq->waiters, &w.node);
        spin_unlock_irqrestore(&wq->lock, irq);
        // Listed before looking again: a wake from here on is remembered by the thread. A condition that came true is not
        // asked again, it may have taken something.
        ready = cond(ctx);
        if (!ready) {
            thread_block();
        }
        waiter_remove(wq, &w);
        ready = ready || cond(ctx);
    }
}

// Lock held. The waiters unlink themselves.
static bool wake_listed(struct wait_queue *wq)
{
    bool local = false;

    list_for_each(it, &wq->waiters)
    {
        local |= sched_wake_deferred(list_entry(it, struct waiter, node)->thread);
    }
    return local;
}

void wait_wake_all(struct wait_queue *wq)
{
    irq_state_t irq = spin_lock_irqsave(&wq->lock);
    bool local = wake_listed(wq);

    spin_unlock_irqrestore(&wq->lock, irq);
    if (local) {
        sched_resched_local();
    }
}

void completion_init(struct completion *c)
{
    wait_queue_init(&c->wq);
    completion_reset(c);
}

void completion_reset(struct completion *c)
{
    atomic_store_explicit(&c->done, false, memory_order_relaxed);
}

// Looks with the lock held, so that on return the signaller has let go of the completion: it may be freed at once.
static bool done_or_listed(struct completion *c, struct waiter *w)
{
    irq_state_t irq = spin_lock_irqsave(&c->wq.lock);
    bool done = atomic_load_explicit(&c->done, memory_order_acquire);

    if (!done) {
        list_push_back(&c->wq.waiters, &w->node);
    }
    spin_unlock_irqrestore(&c->wq.lock, irq);
    return done;
}

static void completion_wait_until(struct completion *c, const uint64_t *deadline, bool *in_time)
{
    struct waiter w = {.thread = thread_current()};

    *in_time = true;
    while (!done_or_listed(c, &w)) {
        bool late = deadline != NULL && arch_time_now() >= *deadline;

        if (!late) {
            thread_block();
        }
        waiter_remove(&c->wq, &w);
        if (late) {
            *in_time = false;
            return;
        }
    }
}

void completion_wait(struct completion *c)
{
    bool in_time;

    completion_wait_until(c, NULL, &in_time);
}

bool completion_wait_timeout(struct completion *c, uint64_t ticks)
{
    uint64_t deadline = arch_time_now() + ticks;
    struct sleeper s = {.thread = thread_current()};
    bool in_time;

    deadline = deadline < ticks ? UINT64_MAX : deadline;
    timer_setup(&s.timer, sleeper_fired);
    timer_set(&s.timer, deadline);
    completion_wait_until(c, &deadline, &in_time);
    timer_cancel(&s.timer);
    return in_time;
}

void completion_signal(struct completion *c)
{
    irq_state_t irq = spin_lock_irqsave(&c->wq.lock);
    bool local;

    atomic_store_explicit(&c->done, true, memory_order_release);
    local = wake_listed(&c->wq);
    spin_unlock_irqrestore(&c->wq.lock, irq);
    if (local) {
        sched_resched_local();
    }
}
