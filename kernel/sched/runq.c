// SPDX-License-Identifier: Apache-2.0
//
// Run queue policy.
#include "kernel/sched/runq.h"

void runq_init(struct runq *q)
{
    q->mask = 0;
    for (unsigned p = 0; p < PRIO_COUNT; p++) {
        list_init(&q->lists[p]);
    }
}

void runq_push(struct runq *q, struct thread *t)
{
    list_push_back(&q->lists[t->prio], &t->run_node);
    q->mask |= 1u << t->prio;
}

void runq_push_front(struct runq *q, struct thread *t)
{
    list_push_front(&q->lists[t->prio], &t->run_node);
    q->mask |= 1u << t->prio;
}

void runq_remove(struct runq *q, struct thread *t)
{
    list_remove(&t->run_node);
    if (list_empty(&q->lists[t->prio])) {
        q->mask &= ~(1u << t->prio);
    }
}

int runq_best(const struct runq *q)
{
    return q->mask == 0 ? -1 : 31 - __builtin_clz(q->mask);
}

struct thread *runq_pop(struct runq *q)
{
    int best = runq_best(q);
    struct thread *t;

    if (best < 0) {
        return NULL;
    }
    t = list_entry(q->lists[best].next, struct thread, run_node);
    runq_remove(q, t);
    return t;
}

bool runq_has(const struct runq *q, unsigned prio)
{
    return (q->mask & (1u << prio)) != 0;
}

enum runq_verdict runq_decide(const struct runq *q, unsigned prio, bool slice_over)
{
    int best = runq_best(q);

    if (best > (int)prio) {
        return RUNQ_PREEMPT;
    }
    return best == (int)prio && slice_over ? RUNQ_ROTATE : RUNQ_STAY;
}
