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

enum runq_verdict runq_decide(const struct runq *q, unsigned prio, bool slice_over)
{
    int best = runq_best(q);

    if (best > (int)prio) {
        return RUNQ_PREEMPT;
    }
    return best == (int)prio && slice_over ? RUNQ_ROTATE : RUNQ_STAY;
}
