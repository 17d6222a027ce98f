// SPDX-License-Identifier: Apache-2.0
//
// The table of states and operations.
#include "vmm/core/vm_state.h"

// clang-format off
static const enum vm_verdict table[VM_STATE_COUNT][VM_OP_COUNT] = {
    //                start       pause       resume      stop        reset      destroy
    [VM_CREATED]  = { VM_DO,      VM_REFUSE,  VM_REFUSE,  VM_NOTHING, VM_REFUSE, VM_DO },
    [VM_RUNNING]  = { VM_NOTHING, VM_DO,      VM_NOTHING, VM_DO,      VM_DO,     VM_DO },
    [VM_PAUSED]   = { VM_REFUSE,  VM_NOTHING, VM_DO,      VM_DO,      VM_DO,     VM_DO },
    [VM_STOPPING] = { VM_LATER,   VM_LATER,   VM_LATER,   VM_DO,      VM_LATER,  VM_DO },
    [VM_STOPPED]  = { VM_DO,      VM_REFUSE,  VM_REFUSE,  VM_NOTHING, VM_REFUSE, VM_DO },
    [VM_CRASHED]  = { VM_DO,      VM_REFUSE,  VM_REFUSE,  VM_NOTHING, VM_DO,     VM_DO },
    [VM_WAITING]  = { VM_DO,      VM_REFUSE,  VM_REFUSE,  VM_DO,      VM_DO,     VM_DO },
};
// clang-format on

enum vm_verdict vm_transition(enum vm_state state, enum vm_op op)
{
    if ((unsigned)state >= VM_STATE_COUNT || (unsigned)op >= VM_OP_COUNT) {
        return VM_REFUSE;
    }
    return table[state][op];
}

const char *vm_state_name(enum vm_state s)
{
    static const char *const names[VM_STATE_COUNT] = {
        [VM_CREATED] = "created",   [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
        [VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped", [VM_CRASHED] = "crashed",
        [VM_WAITING] = "waiting",
    };

    return (unsigned)s < VM_STATE_COUNT ? names[s] : "?";
}

const char *vm_op_name(enum vm_op op)
{
    static const char *const names[VM_OP_COUNT] = {
        [VM_OP_START] = "start", [VM_OP_PAUSE] = "pause", [VM_OP_RESUME] = "resume",
        [VM_OP_STOP] = "stop",   [VM_OP_RESET] = "reset", [VM_OP_DESTROY] = "destroy",
    };

    return (unsigned)op < VM_OP_COUNT ? names[op] : "?";
}
