// SPDX-License-Identifier: Apache-2.0
//
// The fake architecture's per-VM state.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm {
    hpa_t root;
    unsigned vmid;
    bool created;
    bool irq_regs_hidden;
};
