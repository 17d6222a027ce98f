// SPDX-License-Identifier: Apache-2.0
//
// The clock that a guest shares with its hypervisor, as KVM's guests know it (Linux: Documentation/virt/kvm/x86/msr.rst and
// cpuid.rst). Pure: structures and the scale from TSC ticks to nanoseconds.
#pragma once

#include "kernel/lib/types.h"

// One for each vCPU: ns = system_time + (((tsc - tsc_timestamp) << or >> tsc_shift) * tsc_to_system_mul >> 32), valid while
// `version` is even.
struct pvclock_time {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift; // left; right when negative
    uint8_t flags, pad2[2];
};
_Static_assert(sizeof(struct pvclock_time) == 32);
#define PVCLOCK_TSC_STABLE 1 // the same scale and origin on all vCPUs

// The date when system_time was 0.
struct pvclock_wall {
    uint32_t version, seconds, nanoseconds;
};

// Of a TSC that counted 0 when the clock did. hz: 1 and up.
struct pvclock_time pvclock_of(uint64_t hz);
