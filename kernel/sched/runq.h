// SPDX-License-Identifier: Apache-2.0
//
// The policy of one CPU's run queue, pure: which thread runs next. Fixed priorities, round robin within one. No locks, no
// clock, no CPU: the caller brings them.
#pragma once

#include "kernel/sched/thread.h"

struct runq {
    uint64_t mask; // bit n: lists[n] is not empty
    unsigned best; // the highest of them, if there is one: not every CPU finds it in one instruction
    struct list_node lists[PRIO_COUNT];
};
_Static_assert(PRIO_COUNT <= 64);

void runq_init(struct runq *q);

// lists[prio] holds something from now on; or, below, nothing.
static inline void runq_mark(struct runq *q, unsigned prio)
{
    if (BIT64(prio) > q->mask) {
        q->best = prio;
    }
    q->mask |= BIT64(prio);
}

static inline void runq_unmark(struct runq *q, unsigned prio)
{
    q->mask &= ~BIT64(prio);
    if (q->mask != 0 && q->best == prio) {
        q->best = 63 - (unsigned)__builtin_clzll(q->mask);
    }
}

// Behind its equals.
static inline void runq_push(struct runq *q, struct thread *t)
{
    list_push_back(&q->lists[t->prio], &t->run_node);
    runq_mark(q, t->prio);
}

// Before its equals: it was interrupted, not finished.
static inline void runq_push_front(struct runq *q, struct thread *t)
{
    list_push_front(&q->lists[t->prio], &t->run_node);
    runq_mark(q, t->prio);
}

static inline void runq_remove(struct runq *q, struct thread *t)
{
    list_remove(&t->run_node);
    if (list_empty(&q->lists[t->prio])) {
        runq_unmark(q, t->prio);
    }
}

// The best priority, -1 when empty.
static inline int runq_best(const struct runq *q)
{
    return q->mask == 0 ? -1 : (int)q->best;
}

static inline bool runq_has(const struct runq *q, unsigned prio)
{
    return (q->mask >> prio & 1) != 0;
}

// The best; the queue is not empty.
static inline struct thread *runq_pop(struct runq *q)
{
    unsigned best = q->best;
    struct list_node *list = &q->lists[best];
    struct list_node *node = list->next;

    list->next = node->next;
    node->next->prev = list;
    list_init(node);
    if (list_empty(list)) {
        runq_unmark(q, best);
    }
    return list_entry(node, struct thread, run_node);
}

enum runq_verdict {
    RUNQ_STAY,    // the running thread goes on
    RUNQ_PREEMPT, // a better one: the running thread keeps the rest of its slice and its place
    RUNQ_ROTATE,  // its slice is over and an equal waits: to the end
};
// What happens to a thread of `prio` that could go on running.
enum runq_verdict runq_decide(const struct runq *q, unsigned prio, bool slice_over);
