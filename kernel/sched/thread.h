// SPDX-License-Identifier: Apache-2.0
//
// Threads and the scheduler.
//
// Each CPU has a run queue: fixed priorities, round robin with a time slice inside one priority. A thread has a home CPU,
// which changes only among those it is allowed on: when it is pinned elsewhere, and when it waits while another CPU could
// run it (kernel/sched/balance.c). vCPU threads run hypervisor code with interrupts masked and are switched at the end of
// a host interrupt or when they block; worker threads run with interrupts on, are preemptible and do not move. No timer
// tick while a CPU has at most one runnable thread. docs/scheduling.md tells it as a whole.
#pragma once

#include "arch/cpu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"

enum thread_state {
    THREAD_NEW,
    THREAD_READY,
    THREAD_RUNNING,
    THREAD_BLOCKED,
    THREAD_THROTTLED, // its budget is used up: until the period is over
    THREAD_MOVING,    // between two run queues
    THREAD_DEAD
};

// Levels. A guest's threads have even ones: the one above each is for its workers (thread_attr.payer).
#define PRIO_COUNT 64
#define PRIO_IDLE 0
#define PRIO_GUEST(priority) ((uint8_t)(2 * (priority)))
#define PRIO_VCPU_DEFAULT PRIO_GUEST(8)
#define PRIO_WORKER PRIO_GUEST(24)
#define SLICE_MS 10
#define WEIGHT_DEFAULT 100u // that of a whole slice
#define WEIGHT_MAX 1000u

// What a thread wants to be told. Members may be NULL. On the thread's CPU, interrupts masked, no lock held.
struct thread_ops {
    // Just before it continues, on its own stack.
    void (*switch_in)(void *arg);
    // It is about to move to another CPU: nothing of it may stay in this one's registers (see thread.held).
    void (*leave)(void *arg);
    // It runs with interrupts masked and somebody better is ready: call sched_preempt() soon. Without it an interrupt is sent.
    void (*resched)(void *arg);
    // A guest thread: whether its idle instruction has to give the CPU up. Called when the answer changes; at first: no.
    void (*trap_idle)(void *arg, bool trap);
};

struct thread_attr {
    const char *name;
    void (*entry)(void *arg);
    void *arg;
    const struct thread_ops *ops; // may be NULL
    unsigned cpu;
    uint8_t prio;
    bool guest;                    // starts with interrupts masked
    const struct cpumask *allowed; // NULL: stays on `cpu`
    uint32_t weight;               // 0: WEIGHT_DEFAULT
    uint64_t budget, period;       // ticks of CPU time in ticks of time; 0: no limit
    // A worker for a guest thread, which must outlive it, with that one's prio, weight, budget and period: runs on its
    // account, before its equals as long as it does little (kernel/sched/payer.c).
    struct thread *payer;
};

struct thread {
    struct arch_context ctx;
    struct list_node run_node; // in the run queue while READY
    enum thread_state state;   // protected by the run queue's lock
    bool wake_pending;         // a wake came while it was not blocked
    bool guest;
    bool active;         // thread_set_active()
    bool movable;        // while queued: it may run elsewhere, or may not run here
    bool traps_idle;     // what ops->trap_idle() was told last
    _Atomic bool held;   // its home CPU's registers hold something of it: set and cleared by its owner, there
    _Atomic bool urgent; // thread_urge()
    uint8_t prio;
    struct thread *payer; // thread_attr.payer; NULL: pays for itself
    uint8_t own_prio;     // while it is not urgent
    _Atomic unsigned cpu; // home; changes with the old home's run queue locked
    void *stack_top;
    void (*entry)(void *arg);
    void *arg;
    const struct thread_ops *ops;
    uint64_t slice;      // ticks: as long as it may keep equals waiting
    uint64_t slice_end;  // ticks, while running
    uint64_t slice_left; // ticks, while it waits for the CPU
    uint64_t run_ticks;  // total time on a CPU
    uint64_t off_since;  // ticks: since when it has not been running
    uint64_t wait_ticks; // total time that it could have run and did not
    uint64_t moved_at;   // ticks: last change of `cpu`
    uint64_t moves;      // how often `cpu` changed
    struct server {
        uint64_t budget, period; // ticks; 0: no server
        uint64_t left, end;      // of this period
        bool soft;               // used up, it goes on as one of the guests: thread_set_bulk()
    } server;
    struct timer refill;
    struct cpumask allowed;
    unsigned choices; // CPUs in it
    char name[24];
};

// Per CPU, on that CPU, interrupts masked: makes the running stack the idle thread. Until sched_idle_loop() it brings the
// machine up and is preempted by nobody; others run while it blocks (in a completion, say).
enum status sched_init_cpu(void);
// What sched_idle_loop() begins with: from here on the idle thread is idle. For tests, which do not end in that loop.
void sched_boot_done(void);

// Ends in the idle loop; the calling context becomes the CPU's idle thread.
[[gnu::noreturn]] void sched_idle_loop(void);

// Created blocked in state NEW; thread_start() makes it ready. NULL when out of memory or no such CPU.
struct thread *thread_create(const struct thread_attr *attr);
void thread_start(struct thread *t);

// Ends the calling thread; its memory is freed by the reaper. thread_destroy() frees one that was never started.
[[gnu::noreturn]] void thread_exit(void);
void thread_destroy(struct thread *t);

// Blocks until thread_wake(); returns at once when a wake came since the last return. The caller re-checks its condition.
void thread_block(void);
void thread_block_masked(void); // ... interrupts masked
// Any CPU, any context including interrupt handlers.
void thread_wake(struct thread *t);
void thread_yield(void);
// The calling worker has long work from now on, or has done it. So that better guests are not kept waiting, it goes on with
// the priority of an ordinary one; but so that none can stop it for ever, with its own for BULK_BUDGET_US in BULK_PERIOD_MS.
#define BULK_BUDGET_US 200u
#define BULK_PERIOD_MS 10u
void thread_set_bulk(bool bulk);
// Blocks at least `ticks`.
void thread_sleep(uint64_t ticks);
struct thread *thread_current(void);

// thread_wake(); one that runs on another CPU is also interrupted there. What the caller stored before is seen by the
// thread at the latest when it has been interrupted, wherever it has moved meanwhile.
void thread_kick(struct thread *t);

// As thread_kick() for work that does not wait for the thread's turn: as long as one of the bits `*why` is set, it runs before
// all guests and on credit, until it calls thread_calm(). The caller has set the bits; the thread clears them, does what they
// ask for and calms down before it goes on with its own work.
void thread_urge(struct thread *t, const _Atomic uint32_t *why, uint32_t bits);
// Unless one of the bits is set again. What the thread has used beyond its budget counts now.
void thread_calm(const _Atomic uint32_t *why, uint32_t bits);

// Only the interruption, for one that does not block before it has seen what the caller stored: the CPU that it runs on, if
// it does, takes an interrupt. No lock.
void thread_interrupt(const struct thread *t);

// From now on only on these CPUs, soon (thread_migrate(): on that one). E_INVAL when none of them is online. Any thread; not
// for workers that count on their CPU.
enum status thread_set_allowed(struct thread *t, const struct cpumask *allowed);
enum status thread_migrate(struct thread *t, unsigned cpu);

// The calling guest thread has a guest to run from now on, or has none. A CPU's only active guest thread may idle in the
// guest.
void thread_set_active(bool active);

// Called at the end of every host interrupt (and by workers at preemption points): switches if somebody better is ready.
// Interrupts masked, no lock held. Cheap when this_cpu()->need_resched is not set. A wake of a better thread by code with
// interrupts masked (a vCPU's exit handler) also calls ops->resched() or sends this CPU an IPI, so nothing is lost by not
// calling it.
void sched_preempt(void);

// Starts the worker that frees the memory of threads that have ended. Once, at boot.
enum status sched_reaper_start(void);
// What it does. Only tests call it, which have no reaper.
void sched_reap(void);

// How long the thread has been on a CPU, now included; not exact while it runs.
uint64_t thread_run_ticks(const struct thread *t);

// What a CPU has been doing, for listings; not exact while it runs.
struct sched_stats {
    uint64_t idle_ticks;
    unsigned runnable;      // threads that run or wait there
    unsigned active_guests; // homed there
};
bool sched_stats_get(unsigned cpu, struct sched_stats *out);

// A wait queue with a condition: one waiter or many, woken all together.
struct wait_queue {
    struct spinlock lock; // protects the list
    struct list_node waiters;
};
void wait_queue_init(struct wait_queue *wq);
// Blocks until cond(ctx) is true; cond is called without locks. A wake after cond changed is never lost.
void wait_event(struct wait_queue *wq, bool (*cond)(void *ctx), void *ctx);
void wait_wake_all(struct wait_queue *wq);

// A one-shot event, reusable after completion_reset().
struct completion {
    _Atomic bool done;
    struct wait_queue wq;
};
void completion_init(struct completion *c);
void completion_reset(struct completion *c);
void completion_wait(struct completion *c);
// False on time-out (ticks).
bool completion_wait_timeout(struct completion *c, uint64_t ticks);
void completion_signal(struct completion *c);
