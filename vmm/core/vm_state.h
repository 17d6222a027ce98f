// SPDX-License-Identifier: Apache-2.0
//
// The life of a VM as data: its states, the operations on it, and what each operation means in each state.
// docs/lifecycle.md prints the same table. Pure.
#pragma once

#include "kernel/lib/status.h"

enum vm_state {
    VM_CREATED, // configured and loaded, no vCPU has run
    VM_RUNNING,
    VM_PAUSED,   // vCPUs are held between two instructions, or about to be
    VM_STOPPING, // a stop or reset was asked for; vCPUs are leaving
    VM_STOPPED,  // powered off or stopped by the operator
    VM_CRASHED,  // stopped with a fault card
    VM_WAITING,  // crashed; starts again when its back-off is over
    VM_STATE_COUNT
};

enum vm_op {
    VM_OP_START,
    VM_OP_PAUSE,
    VM_OP_RESUME,
    VM_OP_STOP,
    VM_OP_RESET, // memory cleared, images loaded afresh, devices at power-on, started
    VM_OP_DESTROY,
    VM_OP_COUNT
};

enum vm_verdict {
    VM_REFUSE,  // E_STATE, nothing changes
    VM_NOTHING, // it is so already: OK
    VM_DO,
    VM_LATER, // E_BUSY: it is stopping, ask again
};

// Both arguments may be any value: an unknown one is refused.
enum vm_verdict vm_transition(enum vm_state state, enum vm_op op);

// Lower-case words, never NULL: "running"; "pause".
const char *vm_state_name(enum vm_state s);
const char *vm_op_name(enum vm_op op);
