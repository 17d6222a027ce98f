// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 4: one free-running counter and one deadline timer per CPU.
#pragma once

#include "kernel/lib/types.h"

struct boot_info;

// Once, on the boot CPU, when the machine's description has been read and before anything waits: a clock that does not say how
// fast it is may be measured now. False: nothing on this machine tells; the rate is a guess.
bool arch_time_init(const struct boot_info *bi);

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
