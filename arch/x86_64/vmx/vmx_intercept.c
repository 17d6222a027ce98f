// SPDX-License-Identifier: Apache-2.0
//
// Exits that are settled within VMX: exceptions and NMIs (Intel SDM vol. 3C, 27.2.2), and writes to control registers that
// change what the hardware keeps for itself (27.2.1, table 27-3).
#include "arch/vcpu.h"
#include "arch/x86_64/vmx/vmx_local.h"

#define DR6_REPORTED 0xE00F // B0 to B3, BD, BS, BT
#define DR6_TRAPS 0xF
#define DR6_BD BIT64(13)
#define DR7_GD BIT64(13)
#define CR_NUMBER UINT64_C(0xF)
#define CR_TYPE_SHIFT 4
#define CR_TYPE UINT64_C(3) // 0: MOV to it, 1: MOV from it
#define CR_REGISTER_SHIFT 8
#define PAE_CR3 MASK64(5, 27)
#define PDPTES 4

// The instruction that ends an NMI's handler had let others in before it faulted: it will be executed again.
static void block_nmis(void)
{
    vmcs_write(VMCS_GUEST_SHADOW, vmcs_read(VMCS_GUEST_SHADOW) | SHADOW_NMI);
}

typedef void (*intercept)(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out);

// ---- exceptions ----------------------------------------

// Was it the guest's own, or one that reaches the host in the guest's time?
static void exception(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out)
{
    uint64_t event = vmcs_read(VMCS_EXIT_EVENT);
    uint8_t vector = event & EVENT_VECTOR;

    if (EVENT_TYPE(event) == EVENT_NMI) {
        asm volatile("int $2" ::: "memory");
        return;
    }
    if (vector == X86_MC) {
        asm volatile("int $18" ::: "memory");
        return;
    }
    if (vector == X86_DB) {
        creg_write(dr6, (creg_read(dr6) & ~(uint64_t)DR6_TRAPS) | (in->qualification & DR6_REPORTED));
        if (in->qualification & DR6_BD) {
            vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_GD);
        }
    }
    vmx_clear_shadow(av); // its delivery does
    if ((event & EVENT_UNBLOCKED) && !in->vectoring) {
        block_nmis();
    }
    out->kind = X86_EXIT_EXCEPTION;
    out->exception.vector = vector;
    out->exception.error = event & EVENT_ERROR ? 0 : -1; // #AC: always
}

// ---- control registers ----------------------------------------

static void done(struct arch_vcpu *av, const struct vmx_exit *in)
{
    vmx_advance(av, in->length);
    av->done++;
}

// The four pointers of PAE paging are loaded with CR0, when it changes paging or caches (vol. 3A, 4.4.1).
static bool load_pdptes(struct arch_vcpu *av)
{
    uint64_t e[PDPTES];

    if (!av->up->read(av, gpa(vmcs_read(VMCS_GUEST_CR3) & PAE_CR3), e, sizeof(e))) {
        return false;
    }
    for (unsigned i = 0; i < PDPTES; i++) {
        if (!vmx_pdpte_allowed(e[i], vmx_physical_bits)) {
            return false;
        }
    }
    for (unsigned i = 0; i < PDPTES; i++) {
        vmcs_write((enum vmcs_field)(VMCS_GUEST_PDPTE + 2 * i), e[i]);
    }
    return true;
}

static bool write_cr0(struct arch_vcpu *av, uint64_t v)
{
    struct vmx_paging now = {
        .cr0 = vmx_get(av, X86_CR0), .cr4 = vmx_get(av, X86_CR4), .efer = vmx_get(av, X86_EFER)};
    uint64_t known = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
    bool wide = (v & CR0_PG) && (now.efer & EFER_LME);
    struct x86_seg cs;

    vmx_get_segment(av, X86_CS, &cs);
    now.code64 = (now.efer & EFER_LMA) && (cs.attr & X86_SEG_LONG);
    if (!vmx_cr0_allowed(&now, v)) {
        return false;
    }
    if ((v & CR0_PG) && !wide && (now.cr4 & CR4_PAE) && !load_pdptes(av)) {
        return false;
    }
    vmx_set(av, X86_CR0, (v & known) | CR0_ET);
    if ((v ^ now.cr0) & CR0_PG) {
        vmx_set(av, X86_EFER, wide ? now.efer | EFER_LMA : now.efer & ~(uint64_t)EFER_LMA);
        vmx_of(av)->generation = 0; // translations of before are forgotten
    }
    return true;
}

static void control_register(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out)
{
    uint64_t q = in->qualification;
    unsigned number = q & CR_NUMBER, reg = q >> CR_REGISTER_SHIFT & CR_NUMBER;
    bool read = q >> CR_TYPE_SHIFT & CR_TYPE;

    if (number == 8) {
        out->kind = X86_EXIT_PRIORITY;
        out->priority.write = !read;
        out->priority.reg = (uint8_t)reg;
        return;
    }
    // A write to CR4 exits for bits only that the guest does not have.
    if (number == 0 && !read && write_cr0(av, av->r[reg])) {
        done(av, in);
    } else {
        vmx_inject(av, X86_EVENT_EXCEPTION, X86_GP, 0);
    }
}

static void nmi_window(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out)
{
    struct vmx_vcpu *vv = vmx_of(av);

    (void)in;
    (void)out;
    vv->primary &= ~PRIMARY_NMI_WINDOW;
    vmcs_write(VMCS_PRIMARY_CONTROLS, vv->primary);
}

bool vmx_intercept(struct arch_vcpu *av, const struct vmx_exit *in, struct x86_exit *out)
{
    intercept f = in->reason == REASON_EXCEPTION    ? exception
                  : in->reason == REASON_CR         ? control_register
                  : in->reason == REASON_NMI_WINDOW ? nmi_window
                                                    : NULL;

    if (!f) {
        if (in->reason == REASON_EPT_VIOLATION && (in->qualification & EVENT_UNBLOCKED) && !in->vectoring) {
            block_nmis();
        }
        return false;
    }
    *out = (struct x86_exit){.kind = X86_EXIT_NOTHING, .reason = in->reason, .length = in->length};
    f(av, in, out);
    return true;
}
