// SPDX-License-Identifier: Apache-2.0
//
// Which VM-execution, exit and entry controls this CPU can be asked for (Intel SDM vol. 3C, appendix A.3 to A.5). Pure.
#pragma once

#include "kernel/lib/types.h"

enum vmx_control {
    VMX_PIN,
    VMX_PRIMARY,
    VMX_SECONDARY,
    VMX_EXIT,
    VMX_ENTRY,
    VMX_CONTROL_COUNT
};

// What the hypervisor wants of a control word.
struct vmx_wish {
    uint32_t required, optional;
    uint32_t unwanted; // must be possible to leave out
};

// A capability MSR says in its low half which bits must be set, in its high half which may be. False: a wish cannot be
// fulfilled; else *out is the word to use: all that must be, is required, or is optional and possible.
bool vmx_controls_fit(const struct vmx_wish *wish, uint64_t capability, uint32_t *out);

// What a MOV to CR0 that the hypervisor carries out may ask for (vol. 3A, 2.5; vol. 2B, MOV to control registers). False: #GP.
struct vmx_paging {
    uint64_t cr0, cr4, efer; // before
    bool code64;             // CS.L
};
bool vmx_cr0_allowed(const struct vmx_paging *now, uint64_t v);

// A page-directory pointer of PAE paging that a processor would not load (vol. 3A, 4.4.1): #GP.
bool vmx_pdpte_allowed(uint64_t e, unsigned physical_bits);

// Why guests cannot be run, for people: IA32_FEATURE_CONTROL is what the firmware has left (vol. 3C, 23.7), `complete` whether the
// CPU has what the hypervisor needs. NULL: they can.
const char *vmx_refusal(uint64_t feature_control, bool complete);
