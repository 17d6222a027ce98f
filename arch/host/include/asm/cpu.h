// SPDX-License-Identifier: Apache-2.0
//
// The fake architecture's CPU: contexts are fibers of the one process thread, interrupts are a flag of each simulated
// CPU, delivered where a real CPU could take them: when the mask is lifted, when idle, when the test advances the clock.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;
struct host_fiber;

struct arch_context {
    struct host_fiber *fiber;
};

// What the inline functions need of the simulated CPU that runs now; the rest is private to arch/host.
struct host_cpu_public {
    struct cpu *this_cpu;
    bool masked;
};

extern struct host_cpu_public *host_cpu_now;

// Delivers pending interrupts of the running simulated CPU. Interrupts just became unmasked.
void host_irq_unmasked(void);
// A point where another simulated CPU may run (only with host_interleave()).
void host_interleave_point(void);

static inline struct cpu *arch_this_cpu(void)
{
    return host_cpu_now->this_cpu;
}

static inline bool arch_irq_enabled(void)
{
    return !host_cpu_now->masked;
}

static inline void arch_irq_disable(void)
{
    host_interleave_point();
    host_cpu_now->masked = true;
}

static inline void arch_irq_enable(void)
{
    host_cpu_now->masked = false;
    host_irq_unmasked();
}

static inline unsigned long arch_irq_save(void)
{
    unsigned long state;

    host_interleave_point();
    state = host_cpu_now->masked;
    host_cpu_now->masked = true;
    return state;
}

static inline void arch_irq_restore(unsigned long state)
{
    if (state == 0) {
        arch_irq_enable();
    }
}
