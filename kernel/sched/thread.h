// SPDX-License-Identifier: Apache-2.0
//
// Threads and the scheduler.
//
// Each CPU has a run queue: fixed priorities, round robin with a time slice inside one priority. A thread is bound to
// its CPU. vCPU threads run hypervisor code with interrupts masked and are switched at the end of a host interrupt or
// when they block; worker threads run with interrupts on and are preemptible. No timer tick while a CPU has at most
// one runnable thread.
#pragma once

#include "arch/cpu.h"
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
    THREAD_DEAD
};

#define PRIO_COUNT 32
#define PRIO_IDLE 0
#define PRIO_VCPU_DEFAULT 8
#define PRIO_WORKER 24
#define SLICE_MS 10

struct thread_ops {
    // Runs on the new thread's CPU just before it continues, interrupts masked, no lock held. May be NULL.
    void (*switch_in)(void *arg);
};

struct thread_attr {
    const char *name;
    void (*entry)(void *arg);
    void *arg;
    const struct thread_ops *ops; // may be NULL
    unsigned cpu;
    uint8_t prio;
    bool guest; // counts as a guest thread of its CPU (see sched_guest_count), starts with interrupts masked
};

struct thread {
    struct arch_context ctx;
    struct list_node run_node; // in the run queue while READY
    enum thread_state state;   // protected by the run queue's lock
    bool wake_pending;         // a wake came while it was not blocked
    bool guest;
    uint8_t prio;
    unsigned cpu;
    void *stack_top;
    void (*entry)(void *arg);
    void *arg;
    const struct thread_ops *ops;
    uint64_t slice_end;  // ticks, while running
    uint64_t slice_left; // ticks, while it waits for the CPU
    uint64_t run_ticks;  // total time on a CPU
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

// Ends the calling thread; its memory is freed by the idle thread. thread_destroy() frees one that was never started.
[[gnu::noreturn]] void thread_exit(void);
void thread_destroy(struct thread *t);

// Blocks until thread_wake(); returns at once when a wake came since the last return. The caller re-checks its condition.
void thread_block(void);
// Any CPU, any context including interrupt handlers.
void thread_wake(struct thread *t);
void thread_yield(void);
// Blocks at least `ticks`.
void thread_sleep(uint64_t ticks);
struct thread *thread_current(void);

// Called at the end of every host interrupt (and by workers at preemption points): switches if somebody better is ready.
// Interrupts masked. Cheap when this_cpu()->need_resched is not set. A wake of a better thread by code with interrupts
// masked (a vCPU's exit handler) also sends this CPU an IPI, so nothing is lost by not calling it; calling it before guest
// entry when need_resched is set saves that exit.
void sched_preempt(void);

// Frees threads that ended on this CPU. The idle loop does it; only tests, whose main() is the idle thread, call it.
void sched_reap(void);

// How many guest threads are bound to this CPU, ready or not: one means that it may idle in the guest.
unsigned sched_guest_count(unsigned cpu);
// Called on `cpu` (interrupts masked) when that number changes; set once by vmm/core.
void sched_set_guest_count_hook(void (*hook)(unsigned cpu));

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
