// SPDX-License-Identifier: Apache-2.0
//
// The policy of one CPU's run queue, pure: which thread runs next. Fixed priorities, round robin within one. No locks, no
// clock, no CPU: the caller brings them.
#pragma once

#include "kernel/sched/thread.h"

struct runq {
    uint32_t mask; // bit n: lists[n] is not empty
    struct list_node lists[PRIO_COUNT];
};
_Static_assert(PRIO_COUNT <= 32);

void runq_init(struct runq *q);
void runq_push(struct runq *q, struct thread *t);       // behind its equals
void runq_push_front(struct runq *q, struct thread *t); // before its equals: it was interrupted, not finished
void runq_remove(struct runq *q, struct thread *t);
struct thread *runq_pop(struct runq *q); // the best; NULL when empty
bool runq_has(const struct runq *q, unsigned prio);
int runq_best(const struct runq *q); // the best priority, -1 when empty

enum runq_verdict {
    RUNQ_STAY,    // the running thread goes on
    RUNQ_PREEMPT, // a better one: the running thread keeps the rest of its slice and its place
    RUNQ_ROTATE,  // its slice is over and an equal waits: to the end
};
// What happens to a thread of `prio` that could go on running.
enum runq_verdict runq_decide(const struct runq *q, unsigned prio, bool slice_over);
