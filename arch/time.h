// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 4: one free-running counter and one deadline timer per CPU.
#pragma once

#include "kernel/lib/types.h"

// Ticks since some fixed point; the same on all CPUs, never steps back. Any context.
uint64_t arch_time_now(void);

// Ticks per second; constant.
uint64_t arch_time_hz(void);

// Programs this CPU's hypervisor timer to interrupt at or after `deadline` (ticks). Interrupts masked.
void arch_timer_set(uint64_t deadline);

// Disarms it.
void arch_timer_stop(void);

// The interrupt number (of the root irqchip) of that timer.
unsigned arch_timer_irq(void);
