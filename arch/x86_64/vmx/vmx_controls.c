// SPDX-License-Identifier: Apache-2.0
//
// See vmx_controls.h.
#include "arch/x86_64/vmx/vmx_controls.h"

#include "arch/x86_64/vmx/vmcs.h"

#define CR0_PE BIT64(0)
#define CR0_NW BIT64(29)
#define CR0_CD BIT64(30)
#define CR0_PG BIT64(31)
#define CR4_PAE BIT64(5)
#define EFER_LME BIT64(8)
#define EFER_LMA BIT64(10)
#define PDPTE_P BIT64(0)
#define PDPTE_RESERVED (MASK64(1, 2) | MASK64(5, 4))

bool vmx_controls_fit(const struct vmx_wish *wish, uint64_t capability, uint32_t *out)
{
    uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);

    *out = must | wish->required | (wish->optional & may);
    return !(wish->required & ~may) && !(wish->unwanted & must);
}

bool vmx_cr0_allowed(const struct vmx_paging *now, uint64_t v)
{
    bool paging = v & CR0_PG, was = now->cr0 & CR0_PG;

    if (v > UINT32_MAX || (paging && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD))) {
        return false;
    }
    if (paging && !was && (now->efer & EFER_LME)) {
        return (now->cr4 & CR4_PAE) && !now->code64;
    }
    // Paging cannot be left from 64-bit code.
    return paging || !was || !((now->efer & EFER_LMA) && now->code64);
}

bool vmx_pdpte_allowed(uint64_t e, unsigned physical_bits)
{
    return !(e & PDPTE_P) || !(e & (PDPTE_RESERVED | ~MASK64(0, physical_bits)));
}

const char *vmx_refusal(uint64_t feature_control, bool complete)
{
    if ((feature_control & FEATURE_CONTROL_LOCK) && !(feature_control & FEATURE_CONTROL_VMX)) {
        return "VMX is switched off by the firmware";
    }
    return complete ? NULL : "VMX without EPT, unrestricted guests or switching of EFER and PAT";
}
