// SPDX-License-Identifier: Apache-2.0
//
// Between the files of kernel/sched only: a CPU's run queue, and who may touch what.
//
// A run queue's lock is held across arch_context_switch(): the outgoing thread takes it, whoever continues releases it in
// sched_switched(). So a thread on a queue or a list has always left its stack. No CPU holds two run queues' locks: a
// thread that moves is on neither, in state MOVING, between the two.
#pragma once

#include "kernel/sched/runq.h"
#include "kernel/sched/thread.h"

#define CPU_NONE UINT32_MAX
#define LEVEL_BOOTING UINT8_MAX

struct run_queue {
    struct spinlock
        lock; // protects all below and state, wake_pending, cpu and run_node of the threads homed here
    struct runq ready;
    struct list_node
        leaving;            // MOVING or DEAD, left by a switch on this CPU, which hands them over at its end
    unsigned queued;        // threads in `ready`
    unsigned movable;       // ... that may run elsewhere, or may not run here
    unsigned cpu;           // whose
    struct cpu *owner;      // the same
    unsigned active_guests; // homed here
    struct timer slice;
    uint64_t slice_at;    // ticks: when it fires, UINT64_MAX when it does not
    bool idling;          // the idle thread was switched in last
    bool booting;         // the idle thread is still bringing the machine up: nothing preempts it
    uint64_t switched_at; // ticks: when the running thread was switched in, or charged last
    // Hints for other CPUs, which read them without the lock.
    _Atomic uint8_t level; // priority of who runs
    _Atomic bool lone;     // a guest thread runs that may idle in the guest: the CPU may in truth be free
    _Atomic unsigned load; // threads that run or wait
    _Atomic bool crowded;  // `movable` is not 0
    struct thread idle;
};

static inline struct run_queue *sched_rq(unsigned cpu)
{
    struct cpu *c = cpu_get(cpu);

    return c != NULL ? c->rq : NULL;
}

static inline bool thread_is_idle(const struct run_queue *rq, const struct thread *t)
{
    return t == &rq->idle;
}

// Locks the run queue of the thread's home; interrupts are masked already.
struct run_queue *sched_lock_home(struct thread *t);

// thread_wake() without the switch: returns true when the calling CPU should call sched_resched_local() once it holds no
// lock. Other CPUs are told at once.
bool sched_wake_deferred(struct thread *t);

// Switches now when interrupts are on; later, by ops->resched() or an interrupt to itself, when they are masked; at the end
// of the interrupt when in one.
void sched_resched_local(void);

// Puts a thread that can run on its home's queue and makes that CPU look when it has to; run queue locked. Returns as
// sched_wake_deferred() does.
bool sched_make_ready(struct run_queue *rq, struct thread *t);

// Makes the thread that runs there go through a switch soon; run queue locked. Returns as sched_wake_deferred() does.
bool sched_tell(struct run_queue *rq);

// The timer of thread.refill.
void sched_refill_fired(struct timer *timer);

// Puts the calling thread where its state says and runs the next one. The run queue is locked by the plain form with
// interrupts masked before; on return (perhaps much later) it is not, and interrupts are masked.
void sched_switch_locked(struct cpu *cpu);
// The end of a switch, on the stack of who continues; thread.c calls it for new threads.
void sched_switched(void);

// ---- balance.c ------------------------------------------------------------------------------------------------------

// Takes a thread that is on no queue off `rq` (its home, locked) towards `cpu`: MOVING, to be followed by sched_arrive().
void sched_depart(struct run_queue *rq, struct thread *t, unsigned cpu);
// ... and its end at the new home; no lock held. Returns as sched_wake_deferred() does.
bool sched_arrive(struct thread *t);

// Takes one that is DEAD and has left its stack; no lock held.
void sched_bury(struct thread *t);

// Where a thread that became ready at `home`, which is busy with a better or equal one, could run at once; CPU_NONE: nowhere.
unsigned balance_place(const struct thread *t, unsigned home);
// Where a thread that may not stay at home goes.
unsigned balance_refuge(const struct thread *t);
// Hands waiting threads of this CPU to others; interrupts masked, no lock held.
void balance_push(struct run_queue *rq);
// This CPU idles, or does not any more.
void balance_idle(unsigned cpu, bool idle);
// It has just begun to: makes a CPU with a waiting thread that may run here push it. No lock held.
void balance_ask(unsigned cpu);
void balance_reset(void);
// `movable` has become or ceased to be 0: run queues are counted where it is not. Run queue locked.
void balance_crowded(struct run_queue *rq, bool crowded);

// ---- inline -----------------------------------------------------------------------------------------------------------

// On and off the queue, with the counters; run queue locked.
static inline void sched_enqueue(struct run_queue *rq, struct thread *t, bool front)
{
    t->state = THREAD_READY;
    t->movable = t->choices > 1 || !cpumask_test(&t->allowed, rq->cpu);
    if (front) {
        runq_push_front(&rq->ready, t);
    } else {
        runq_push(&rq->ready, t);
    }
    rq->queued++;
    if (t->movable && rq->movable++ == 0) {
        balance_crowded(rq, true);
    }
}

static inline void sched_dequeued(struct run_queue *rq, struct thread *t)
{
    rq->queued--;
    if (t->movable && --rq->movable == 0) {
        balance_crowded(rq, false);
    }
}

static inline void sched_dequeue(struct run_queue *rq, struct thread *t)
{
    runq_remove(&rq->ready, t);
    sched_dequeued(rq, t);
}

// Whether the running guest thread has to trap its idle instruction: decides and publishes it with the run queue locked; the
// second tells the thread, unlocked.
static inline bool sched_idle_decide(struct run_queue *rq, const struct thread *t)
{
    bool trap = rq->active_guests > 1 || rq->queued > 0 || t->server.budget != 0;

    atomic_store_explicit(&rq->lone, t->guest && t->active && !trap, memory_order_relaxed);
    return t->guest && trap;
}

static inline void sched_idle_tell(struct thread *t, bool trap)
{
    if (t->traps_idle != trap) {
        t->traps_idle = trap;
        if (t->ops != NULL && t->ops->trap_idle != NULL) {
            t->ops->trap_idle(t->arg, trap);
        }
    }
}

// ---- payer.c: workers of guests; run queue locked ---------------------------------------------------------------------

// Whose budget a thread's time comes out of: its payer's or its own.
struct server *sched_account(const struct run_queue *rq, struct thread *t);
// A worker has slept a slice's length, or begins: in front of its equals for a slice. Not on a queue.
void sched_boost(struct thread *t);
bool sched_boosted(const struct thread *t);
// The running worker has run for `ticks`. True: the budget is used up.
bool sched_charge_worker(struct run_queue *rq, struct thread *t, uint64_t ran, uint64_t now);

// ---- server.c: constant-bandwidth server, pure ------------------------------------------------------------------------

// It wakes: does it go on with what is left of its period, or begin a new one?
void server_wake(struct server *s, uint64_t now);
// It has run for `ticks`. True: the budget is used up.
bool server_charge(struct server *s, uint64_t ticks);
// The next period begins.
void server_refill(struct server *s, uint64_t now);
