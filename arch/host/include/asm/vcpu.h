// SPDX-License-Identifier: Apache-2.0
//
// The fake architecture's vCPU: its "guest" is a script of exits that the test provides (arch/host/host.h).
#pragma once

#include <stdatomic.h>

#include "kernel/lib/types.h"

struct arch_vm;
struct vcpu_upcalls;
struct host_step;

#define HOST_VCPU_REGS 34

#define ARCH_VCPU_TIMERS_TELL 0 // see arch/vcpu.h

struct arch_vcpu {
    _Atomic uint32_t requests; // looked at before every step
    uint64_t done;             // exits that ended without an upcall
    unsigned index;
    struct arch_vm *vm;
    const struct vcpu_upcalls *up;
    struct host_step *script;
    unsigned step_count, position;
    uint64_t regs[HOST_VCPU_REGS]; // 32 is the pc: the number of steps executed plus the entry point
    uint64_t timer_deadline;       // set by the test
    uint32_t timer_lines;
    uint32_t irq_lines; // of arch_vcpu_set_irq()
    bool loaded;
    bool trap_idle;
    unsigned aborts;  // VCPU_ABORT verdicts
    unsigned entries; // calls of arch_vcpu_run()
};
