// SPDX-License-Identifier: Apache-2.0
//
// The per-VM part.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm {
    hpa_t root; // of the nested page table
    unsigned vmid;
    uint64_t tsc_offset; // guest TSC = host TSC + tsc_offset
    hpa_t apic_access;   // of struct apic_page_ops.attach(): the page and where the guest sees it
    gpa_t apic_base;
    _Atomic uint32_t
        flush_count; // changes of the nested page table that TLBs must forget; by arch_tlb_flush_guest()
};
