// SPDX-License-Identifier: Apache-2.0
//
// Exceptions that the hypervisor gives to the loaded guest, as the architecture would have taken them to EL1
// (Arm DDI 0487, D1.3.5, AArch64.TakeException).
#include "arch/aarch64/virt/exit.h"

#define VECTOR_SP0 0x000u
#define VECTOR_SPX 0x200u
#define VECTOR_LOWER_64 0x400u
#define VECTOR_LOWER_32 0x600u
#define SPSR_SSBS BIT64(12)
#define SPSR_PAN BIT64(22)
#define SPSR_DIT BIT64(24)
#define SPSR_NZCV MASK64(28, 4)
#define SCTLR_SPAN BIT64(23)
#define SCTLR_DSSBS BIT64(44)

static uint64_t vector_offset(uint64_t pstate)
{
    if (pstate & SPSR_AARCH32) {
        return VECTOR_LOWER_32;
    }
    switch (pstate & SPSR_EL_MASK) {
    case SPSR_EL0T:
        return VECTOR_LOWER_64;
    case SPSR_EL1T:
        return VECTOR_SP0;
    default:
        return VECTOR_SPX;
    }
}

static bool has_pan(void)
{
    return id_field(sysreg_read(id_aa64mmfr1_el1), 20) != 0;
}

static void take(struct guest_frame *f, uint64_t esr)
{
    uint64_t sctlr = sysreg_read(sctlr_el1);
    uint64_t pstate = (f->pstate & (SPSR_NZCV | SPSR_PAN | SPSR_DIT)) | SPSR_DAIF | SPSR_EL1H;

    if (has_pan() && !(sctlr & SCTLR_SPAN)) {
        pstate |= SPSR_PAN;
    }
    if (sctlr & SCTLR_DSSBS) { // RES0 without FEAT_SSBS
        pstate |= SPSR_SSBS;
    }
    if (f->pstate & SPSR_AARCH32) {
        pstate &= ~SPSR_NZCV;
    }
    sysreg_write(esr_el1, esr);
    sysreg_write(elr_el1, f->pc);
    sysreg_write(spsr_el1, f->pstate);
    f->pc = sysreg_read(vbar_el1) + vector_offset(f->pstate);
    f->pstate = pstate;
}

void inject_undefined(struct guest_frame *f)
{
    take(f, ((uint64_t)EC_UNKNOWN << ESR_EC_SHIFT) | ESR_IL);
}

void inject_abort(struct guest_frame *f, uint64_t far, bool fetch, bool walk)
{
    bool from_el1 = (f->pstate & SPSR_EL_MASK) != SPSR_EL0T && !(f->pstate & SPSR_AARCH32);
    unsigned ec =
        fetch ? (from_el1 ? EC_IABT_SAME : EC_IABT_LOWER) : (from_el1 ? EC_DABT_SAME : EC_DABT_LOWER);

    sysreg_write(far_el1, far);
    take(f, ((uint64_t)ec << ESR_EC_SHIFT) | ESR_IL | (walk ? FSC_SEA_TTW + 3 : FSC_SEA));
}
