// SPDX-License-Identifier: Apache-2.0
//
// VMIDs in hgatp (RISC-V Privileged Architecture, 18.2.10): a hart has 0 to 14 bits of them. A VM whose number does not fit
// shares VMID 0 with the others of its kind, and every switch between these flushes. Pure.
#pragma once

#include "kernel/lib/types.h"

static inline bool vmid_is_shared(unsigned vmid, unsigned bits)
{
    return vmid >> bits != 0;
}

// What stands in hgatp for the VM with this number.
static inline uint64_t vmid_in_hardware(unsigned vmid, unsigned bits)
{
    return vmid_is_shared(vmid, bits) ? 0 : vmid;
}
