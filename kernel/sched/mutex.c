// SPDX-License-Identifier: Apache-2.0
//
// Sleeping locks: an owner word and a wait queue. Before there are threads, the only context there is owns everything.
#include "kernel/sched/mutex.h"

#include "kernel/log/log.h"

static struct thread early_thread;

static struct thread *self(void)
{
    struct thread *t = thread_current();

    return t != NULL ? t : &early_thread;
}

static bool take(void *ctx)
{
    struct mutex *m = ctx;
    struct thread *expected = NULL;

    // Acquire pairs with the release in mutex_unlock().
    return atomic_compare_exchange_strong_explicit(&m->owner, &expected, self(), memory_order_acquire,
                                                   memory_order_relaxed);
}

void mutex_init(struct mutex *m)
{
    wait_queue_init(&m->wq);
    atomic_store_explicit(&m->owner, NULL, memory_order_relaxed);
}

void mutex_lock(struct mutex *m)
{
    BUG_ON(atomic_load_explicit(&m->owner, memory_order_relaxed) == self());
    wait_event(&m->wq, take, m);
}

void mutex_unlock(struct mutex *m)
{
    BUG_ON(atomic_load_explicit(&m->owner, memory_order_relaxed) != self());
    atomic_store_explicit(&m->owner, NULL, memory_order_release);
    wait_wake_all(&m->wq);
}
