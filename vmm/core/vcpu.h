// SPDX-License-Identifier: Apache-2.0
//
// A schedulable guest CPU. It is a thread that spends its life in arch_vcpu_run(); others reach it by requests.
#pragma once

#include "arch/vcpu.h"
#include "kernel/sched/thread.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/vm.h"

enum vcpu_state { VCPU_OFF, VCPU_ON_PENDING, VCPU_RUNNING, VCPU_WAITING, VCPU_DEAD };

// Bits of arch_vcpu.requests: looked at before every entry.
#define VCPU_REQ_IRQ 1u   // the interrupt controller has something new
#define VCPU_REQ_STOP 2u  // leave arch_vcpu_run()
#define VCPU_REQ_PAUSE 4u

struct vcpu {
    struct arch_vcpu arch; // first: upcalls cast back
    struct vm *vm;
    unsigned index;
    struct thread *thread;
    _Atomic enum vcpu_state state; // one writer: its own thread (OFF to ON_PENDING: the caller of CPU_ON, by compare-exchange)
    _Atomic bool in_guest;
    struct io_cache mmio_cache;
    struct timer wake_timer; // an armed guest timer of a vCPU that is not loaded
    struct vcpu_entry entry; // for the next start
    uint64_t exits[VCPU_EXIT_COUNT];
};

// Sets request bits, then makes the vCPU look at them soon: an IPI when it runs on another CPU, a wake when it waits. Any context.
void vcpu_request(struct vcpu *v, uint32_t bits);
