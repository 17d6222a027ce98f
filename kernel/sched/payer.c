// SPDX-License-Identifier: Apache-2.0
//
// Workers that work for a guest (thread.payer): their time is the guest thread's.
//
// While both are at home on one CPU, what the worker runs comes out of the payer's slice and budget, so a guest with workers
// gets no more of the CPU than one without. A worker whose payer has moved away has a budget of its own, as large.
//
// For latency a worker waits one level above its payer's, in front of its equals and never of its betters, until it has used
// a slice; it gets there again after it has slept as long.
#include "kernel/sched/sched.h"

static bool shares_cpu(const struct run_queue *rq, const struct thread *payer)
{
    return atomic_load_explicit(&payer->cpu, memory_order_relaxed) == rq->cpu;
}

struct server *sched_account(const struct run_queue *rq, struct thread *t)
{
    return t->payer && shares_cpu(rq, t->payer) ? &t->payer->server : &t->server;
}

void sched_boost(struct thread *t)
{
    if (t->payer && !t->urgent) {
        t->prio = (uint8_t)(t->own_prio + 1);
    }
}

bool sched_boosted(const struct thread *t)
{
    return t->payer && !t->urgent && t->prio != t->own_prio;
}

bool sched_charge_worker(struct run_queue *rq, struct thread *t, uint64_t ran, uint64_t now)
{
    struct thread *payer = t->payer;

    if (sched_boosted(t) && now >= t->slice_end) {
        t->prio = t->own_prio;
    }
    if (!shares_cpu(rq, payer)) {
        return server_charge(&t->server, ran);
    }
    // Its turn is as much shorter; with nothing left it is over when it comes.
    payer->slice_left = payer->slice_left > ran ? payer->slice_left - ran : 0;
    return server_charge(&payer->server, ran);
}
