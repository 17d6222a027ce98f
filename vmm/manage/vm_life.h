// SPDX-License-Identifier: Apache-2.0
//
// One VM from its configuration to its end: steps, each undone when a later one fails. Manager thread.
#pragma once

#include "arch/vcpu.h"
#include "vmm/core/vm.h"
#include "vmm/manage/restart.h"
#include "vmm/manage/vm_board.h"

struct guest_memory;

struct managed {
    struct vm vm;            // first
    struct vm_config config; // its own copy
    struct vm_board board;
    struct guest_memory *memory;
    uint16_t pcpus[CPU_MAX];
    struct vcpu_entry entry; // where the loaded images start
    struct restart_state restart;
    uint64_t restart_at;  // ticks, in VM_WAITING
    uint64_t started_at;  // ticks
    _Atomic bool stopped; // posted by the VM's last vCPU
};

static inline struct managed *managed_of(struct vm *vm)
{
    return (struct managed *)vm;
}

// Memory, board, vCPUs, images: in state CREATED. `c` is copied. On failure the log says why and nothing is left.
enum status vm_life_create(const struct vm_config *c, unsigned id, const struct vm_manager_ops *ops,
                           struct managed **out);

// Frees everything; guest memory is cleared first. No vCPU runs.
void vm_life_destroy(struct managed *m);

// CREATED: runs. Else: everything as at power-on (memory cleared, images loaded afresh), then runs. No vCPU runs before. On
// failure it is CRASHED.
enum status vm_life_start(struct managed *m);

// Milliseconds since the machine's clock began, for restart_state.
uint64_t vm_life_ms(void);
