// SPDX-License-Identifier: Apache-2.0
//
// One-shot timers on the CPU that arms them. Callbacks run in interrupt context, interrupts masked.
#pragma once

#include <stdatomic.h>

#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"

enum timer_armed {
    TIMER_IDLE,
    TIMER_LISTED,
    TIMER_PLACED // timer_queue.place
};

struct timer {
    struct list_node node; // in its CPU's queue, sorted by deadline
    uint64_t deadline;     // arch_time_now() ticks
    void (*fn)(struct timer *t);
    unsigned cpu; // in whose queue it is, or was last
    _Atomic uint8_t armed;
};

// A CPU's timers (kernel/time/timer.c).
struct timer_queue {
    struct spinlock lock;          // protects list, and node, deadline and cpu of the timers in it
    struct list_node list;         // sorted, earliest first
    _Atomic(struct timer *) place; // one more timer
    uint64_t place_at;             // own CPU only: its deadline
    uint64_t programmed;           // own CPU only: when the hardware timer fires, UINT64_MAX when it does not
    _Atomic(struct timer *) running; // its callback is being called
};

enum status timer_init_cpu(void);
void timer_setup(struct timer *t, void (*fn)(struct timer *t));
// Arms or re-arms on this CPU. Interrupts masked or not. A deadline in the past fires at once (by interrupt).
void timer_set(struct timer *t, uint64_t deadline);
void timer_cancel_armed(struct timer *t);

// Own CPU, interrupts masked: the hardware timer fires at `deadline` at the latest.
static inline void timer_program(struct timer_queue *q, uint64_t deadline)
{
    if (deadline < q->programmed) {
        q->programmed = deadline;
        arch_timer_set(deadline);
    }
}

// timer_set() with interrupts masked, on the way of every switch of vCPUs.
static inline void timer_set_masked(struct timer *t, uint64_t deadline)
{
    struct cpu *cpu = this_cpu();
    struct timer_queue *q = cpu->timers;

    if (__builtin_expect(atomic_load_explicit(&t->armed, memory_order_relaxed) != TIMER_IDLE ||
                             atomic_load_explicit(&q->place, memory_order_relaxed) != NULL,
                         false)) {
        timer_set(t, deadline);
        return;
    }
    t->deadline = deadline;
    t->cpu = cpu->index;
    q->place_at = deadline;
    atomic_store_explicit(&t->armed, TIMER_PLACED, memory_order_relaxed);
    // Pairs with take_from_place(): all of the above comes before.
    atomic_store_explicit(&q->place, t, memory_order_release);
    timer_program(q, deadline);
}

// After return the callback is not running and will not run. Any CPU.
static inline void timer_cancel(struct timer *t)
{
    // On its own CPU a callback that runs is the caller itself, or was interrupted by nobody; only from elsewhere does the order
    // matter, which is the other function's business.
    if (atomic_load_explicit(&t->armed, memory_order_relaxed) != TIMER_IDLE || t->cpu != this_cpu()->index) {
        timer_cancel_armed(t);
    }
}

// The hypervisor timer's interrupt handler.
enum irq_result timer_interrupt(unsigned irq, void *ctx);

uint64_t time_from_us(uint64_t us);
uint64_t time_from_ms(uint64_t ms);
uint64_t time_to_us(uint64_t ticks);
uint64_t time_to_ns(uint64_t ticks);
// Busy-waits; for device drivers' short waits.
void time_delay_us(uint64_t us);
