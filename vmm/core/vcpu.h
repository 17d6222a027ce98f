// SPDX-License-Identifier: Apache-2.0
//
// A schedulable guest CPU. It is a thread that spends its life in arch_vcpu_run(); others reach it by requests.
#pragma once

#include "arch/vcpu.h"
#include "kernel/sched/thread.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/vm.h"

enum vcpu_state { VCPU_OFF, VCPU_CLAIMED, VCPU_ON_PENDING, VCPU_RUNNING, VCPU_WAITING, VCPU_DEAD };

// Bits of arch_vcpu.requests: looked at before every entry.
#define VCPU_REQ_IRQ 1u   // the interrupt controller has something new
#define VCPU_REQ_STOP 2u  // leave arch_vcpu_run()
#define VCPU_REQ_PAUSE 4u

struct vcpu {
    struct arch_vcpu arch; // first: upcalls cast back
    struct vm *vm;
    unsigned index;
    struct thread *thread;
    _Atomic enum vcpu_state state; // one writer: its own thread, but OFF to CLAIMED (by compare-exchange) and to ON_PENDING: the starter
    struct io_cache mmio_cache;
    struct timer wake_timer; // an armed guest timer of a vCPU that is not loaded
    struct vcpu_entry entry; // for the next start
    struct completion gone;  // its thread has left for good
    uint64_t exits[VCPU_EXIT_COUNT];
};

// The vCPU that runs on this CPU now, for handlers of its interrupts; NULL when none is loaded.
struct vcpu *vcpu_loaded(void);

// Creates the thread (parked) on host CPU `pcpu`. Worker thread.
enum status vcpu_create(struct vm *vm, unsigned index, unsigned pcpu, struct vcpu **out);
// The vCPU is parked.
void vcpu_destroy(struct vcpu *v);

// Makes a parked vCPU run from `entry`. E_STATE when it runs, E_BUSY when somebody else is starting it. Any thread.
enum status vcpu_start(struct vcpu *v, const struct vcpu_entry *entry);

// Waits as WFI does: until an interrupt is deliverable or somebody asks for attention. The vCPU's thread.
void vcpu_idle(struct vcpu *v);

// The upcalls of every vCPU (vmm/core/run.c).
extern const struct vcpu_upcalls vcpu_upcalls;

// Sets request bits, then makes the vCPU look at them soon: an IPI when it runs on another CPU, a wake when it waits. Any context.
void vcpu_request(struct vcpu *v, uint32_t bits);
