// SPDX-License-Identifier: Apache-2.0
//
// A virtual machine: identity, state machine, memory, buses, vCPUs, devices.
#pragma once

#include "arch/virt.h"
#include "kernel/cpu/cpu.h"
#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/log/log.h"
#include "kernel/mm/aspace.h"
#include "kernel/sched/thread.h"
#include "vmm/config/config.h"
#include "vmm/config/plan.h"
#include "vmm/core/gmem.h"
#include "vmm/core/io_bus.h"
#include "vmm/core/irq_line.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm_state.h"

enum vm_stop_reason {
    VM_STOP_NONE,
    VM_STOP_POWEROFF,
    VM_STOP_RESET,
    VM_STOP_FORCED,
    VM_STOP_FAULT
};

struct vcpu;
struct vcpu_entry;
struct vm;

// What the core tells the manager (vmm/manage), which is above it.
struct vm_manager_ops {
    // The last running vCPU of a VM that was asked to stop has left. That vCPU's thread, interrupts masked: must only post.
    void (*stopped)(struct vm *vm);
    // The guest's console, for its firmware calls: how many bytes were taken or given. Never block; any vCPU's thread,
    // interrupts masked. May be NULL.
    size_t (*console_write)(struct vm *vm, const void *buf, size_t len);
    size_t (*console_read)(struct vm *vm, void *buf, size_t len);
};

struct vm {
    unsigned id; // dense, from 1
    const struct vm_config *config;
    struct io_bus mmio; // what exits want lies near the beginning: shorter instructions reach it
    struct io_bus pio;
    struct virqchip *irqchip;
    struct vm_plan plan;
    _Atomic enum vm_state state; // changed by vm_*() only, with `lock` held
    _Atomic enum vm_stop_reason stop_reason;
    struct spinlock lock;

    struct arch_vm arch;
    unsigned vmid;
    struct aspace stage2;
    struct tlb_sink tlb_sink;
    struct gmem gmem;
    struct list_node devices;
    unsigned vcpu_count;
    struct vcpu **vcpus;
    uint16_t last_vcpu[CPU_MAX]; // by host CPU: which vCPU (index + 1) it ran last; each CPU its own entry
    void *stolen;                // records of stolen time (vmm/core/stolen.c), NULL: none
    hpa_t stolen_page;
    uint64_t time_offset; // vm_now() = arch_time_now() - time_offset
    struct log_limit warn_limit;
    char fault[512]; // the fault card's summary; empty when none
    unsigned restarts;
    _Atomic bool failed;            // a vCPU is writing, or has written, the fault card
    _Atomic bool hold;              // vCPUs wait between two instructions
    _Atomic unsigned running_vcpus; // inside vcpu_start() .. leaving
    _Atomic unsigned held_vcpus;    // of these: waiting because of `hold`
    struct completion changed;      // signalled when one of the two numbers moves
    const struct vm_manager_ops *manager;
    void *manage; // vmm/manage's
};

static inline const char *vm_name(const struct vm *vm)
{
    return vm->config->name;
}

// Prepares the core parts: buses, guest memory, stage-2 table, VMID, vCPUs with their threads (parked). `pcpus` has one host CPU
// for each vCPU. The caller has filled `config` and `plan`. Nothing is left behind on failure. Worker thread.
enum status vm_core_create(struct vm *vm, const uint16_t *pcpus);
// All vCPUs are parked; devices and the interrupt controller are gone. Worker thread.
void vm_core_destroy(struct vm *vm);

// Adds guest memory and maps it; the extents stay the caller's.
enum status vm_map_region(struct vm *vm, const struct gmem_region *region);

// Resets vCPU 0 to `entry` and lets it run; the others wait for the guest to start them.
void vm_start(struct vm *vm, const struct vcpu_entry *entry);

// Guest time in host ticks since the VM was created; feeds every emulated clock.
uint64_t vm_now(const struct vm *vm);

// Rate-limited log line "[name] ..." about something odd that the guest did. Any context.
__attribute__((format(printf, 2, 3))) void vm_warn(struct vm *vm, const char *fmt, ...);

// Stops the VM with a fault card on the log. The vCPU's thread.
struct vcpu_exit;
void vm_fail(struct vcpu *v, const struct vcpu_exit *exit);

// Asks all vCPUs to leave and records why. Any context; returns at once.
void vm_request_stop(struct vm *vm, enum vm_stop_reason reason);

// Waits until the vCPUs of a stopping VM have left. E_TIMEOUT after `ticks`: the stop goes on. Worker thread.
enum status vm_wait_stopped(struct vm *vm, uint64_t ticks);

// Running: holds every vCPU at its next instruction boundary; each is kicked out of the guest or of its sleep. Time goes on.
// E_TIMEOUT after `ticks`: all run on. E_STATE: it stopped meanwhile, or does not run. Worker thread, one at a time.
enum status vm_pause(struct vm *vm, uint64_t ticks);
// Lets a paused VM go on. Any thread.
void vm_resume(struct vm *vm);

// How many address-space identifiers are in use: one for each VM.
unsigned vm_vmids_used(void);
