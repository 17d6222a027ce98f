// SPDX-License-Identifier: Apache-2.0
//
// The per-VM part: what goes into hgatp and htimedelta.
#pragma once

#include "kernel/lib/types.h"

#define ARCH_VM_HARTS_MAX 64

struct arch_vcpu;

struct arch_vm {
    uint64_t hgatp;
    uint64_t htimedelta;                        // virtual time = time + htimedelta
    bool has_aia;                               // the guest has the registers of an interrupt file
    bool shared_vmid;                           // the hart has too few VMIDs: switches between VMs flush
    uint64_t present;                           // bit per hart of `harts`
    struct arch_vcpu *harts[ARCH_VM_HARTS_MAX]; // by hart id
};
