// SPDX-License-Identifier: Apache-2.0
//
// The per-VM part: what goes into hgatp and htimedelta.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm {
    uint64_t hgatp;
    uint64_t htimedelta; // virtual time = time + htimedelta
    bool shared_vmid;    // the hart has too few VMIDs: switches between VMs flush
};
