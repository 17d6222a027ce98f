// SPDX-License-Identifier: Apache-2.0
//
// Counters of another frequency than the host's clock: what vm_now() is in their units, and timers for one of their values.
//
// Exact in both directions: the timer fires in the first host tick in which the counter has the value.
#pragma once

#include "arch/time.h"
#include "kernel/lib/types.h"
#include "kernel/time/timer.h"
#include "vmm/core/vm.h"

#define VCLOCK_NEVER UINT64_MAX
#define VCLOCK_STEP_SECONDS 3600u // the longest a timer is set for: a far value is reached in steps

// How far a counter of `hz` (at most 2^30) has come since the VM was created.
static inline uint64_t vclock_count(const struct vm *vm, uint64_t hz)
{
    uint64_t now = vm_now(vm), host = arch_time_hz();

    return now / host * hz + now % host * hz / host;
}

// Arms `t` for the moment when vclock_count() reaches `count`, or for an earlier one: its callback looks again. Nothing for
// VCLOCK_NEVER. The caller's lock keeps two CPUs from arming it at once.
static inline void vclock_arm(struct timer *t, const struct vm *vm, uint64_t count, uint64_t hz)
{
    uint64_t host = arch_time_hz(), now = vm_now(vm) / host;
    uint64_t second = count / hz;

    if (count == VCLOCK_NEVER) {
        return;
    }
    if (second > now + VCLOCK_STEP_SECONDS) {
        second = now + VCLOCK_STEP_SECONDS;
    }
    timer_set(t, second * host + (count % hz * host + hz - 1) / hz + vm->time_offset);
}
