// SPDX-License-Identifier: Apache-2.0
//
// One-shot timers on the CPU that arms them. Callbacks run in interrupt context, interrupts masked.
#pragma once

#include <stdatomic.h>

#include "kernel/cpu/cpu.h"
#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

struct timer {
    struct list_node node; // in its CPU's queue, sorted by deadline
    uint64_t deadline;     // arch_time_now() ticks
    void (*fn)(struct timer *t);
    unsigned cpu; // in whose queue it is, or was last
    _Atomic bool armed;
};

enum status timer_init_cpu(void);
void timer_setup(struct timer *t, void (*fn)(struct timer *t));
// Arms or re-arms on this CPU. Interrupts masked or not. A deadline in the past fires at once (by interrupt).
void timer_set(struct timer *t, uint64_t deadline);
// The same with interrupts masked, on the way of every switch of vCPUs.
void timer_set_masked(struct timer *t, uint64_t deadline);
void timer_cancel_armed(struct timer *t);

// After return the callback is not running and will not run. Any CPU.
static inline void timer_cancel(struct timer *t)
{
    // On its own CPU a callback that runs is the caller itself, or was interrupted by nobody.
    if (atomic_load_explicit(&t->armed, memory_order_acquire) || t->cpu != this_cpu()->index) {
        timer_cancel_armed(t);
    }
}

// The hypervisor timer's interrupt handler.
void timer_interrupt(void);

uint64_t time_from_us(uint64_t us);
uint64_t time_from_ms(uint64_t ms);
uint64_t time_to_us(uint64_t ticks);
uint64_t time_to_ns(uint64_t ticks);
// Busy-waits; for device drivers' short waits.
void time_delay_us(uint64_t us);
