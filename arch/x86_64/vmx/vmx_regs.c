// SPDX-License-Identifier: Apache-2.0
//
// A guest's registers: in its VMCS, in the CPU while it is loaded (CR2, debug registers, the MSRs of SYSCALL), or, where the
// hardware insists on a value, with what the guest wrote in a shadow (CR0, CR4; Intel SDM vol. 3C, 24.6.6).
#include "arch/x86_64/vmx/vmx_local.h"

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define RIGHTS_LOW UINT64_C(0xFF)
#define RIGHTS_HIGH_SHIFT 12 // AVL L D G
#define ATTR_HIGH_SHIFT 8
#define ATTR_HIGH UINT64_C(0xF)
#define ATTR_P UINT64_C(0x80)

// ---- control registers ----------------------------------------

// Bits that the guest may believe in, and the hardware's own value of them: caches stay on, x87 errors are exceptions, VMX is
// on. Whatever else is set in a mask the guest may not have at all (vmx_setup.c).
static uint64_t cr0_real(uint64_t v)
{
    return (v & ~(uint64_t)(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;
}

static uint64_t shadowed(enum vmcs_field value, enum vmcs_field mask, enum vmcs_field shadow)
{
    uint64_t hidden = vmcs_read(mask);

    return (vmcs_read(value) & ~hidden) | (vmcs_read(shadow) & hidden);
}

static uint64_t get(const struct arch_vcpu *av, enum x86_field f)
{
    const struct vmx_vcpu *vv = vmx_of(av);

    switch (f) {
    case X86_RIP:
        return vmcs_read(VMCS_GUEST_RIP);
    case X86_RFLAGS:
        return vmcs_read(VMCS_GUEST_RFLAGS);
    case X86_CR0:
        return shadowed(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW);
    case X86_CR2:
        return vv->active ? creg_read(cr2) : vv->cr2;
    case X86_CR3:
        return vmcs_read(VMCS_GUEST_CR3);
    case X86_CR4:
        return shadowed(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW);
    case X86_EFER:
        return vmcs_read(VMCS_GUEST_EFER);
    case X86_CR8: // the interrupt controller's
    case X86_FIELD_COUNT:
        break;
    }
    return 0;
}

uint64_t vmx_get(const struct arch_vcpu *av, enum x86_field f)
{
    unsigned long state = vmcs_acquire(av);
    uint64_t v = get(av, f);

    vmcs_release(av, state);
    return v;
}

static void set_efer(uint64_t v)
{
    uint64_t entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~(uint64_t)ENTRY_GUEST_64;

    vmcs_write(VMCS_GUEST_EFER, v);
    vmcs_write(VMCS_ENTRY_CONTROLS, entry | (v & EFER_LMA ? ENTRY_GUEST_64 : 0));
}

static void set(struct arch_vcpu *av, enum x86_field f, uint64_t v)
{
    struct vmx_vcpu *vv = vmx_of(av);

    switch (f) {
    case X86_RIP:
        vmcs_write(VMCS_GUEST_RIP, v);
        break;
    case X86_RFLAGS:
        vmcs_write(VMCS_GUEST_RFLAGS, v);
        break;
    case X86_CR0:
        vmcs_write(VMCS_CR0_SHADOW, v);
        vmcs_write(VMCS_GUEST_CR0, cr0_real(v));
        break;
    case X86_CR2:
        vv->cr2 = v;
        if (vv->active) {
            creg_write(cr2, v);
        }
        break;
    case X86_CR3:
        vmcs_write(VMCS_GUEST_CR3, v);
        break;
    case X86_CR4:
        vmcs_write(VMCS_CR4_SHADOW, v);
        vmcs_write(VMCS_GUEST_CR4, v | CR4_VMXE);
        break;
    case X86_EFER:
        set_efer(v);
        break;
    case X86_CR8:
    case X86_FIELD_COUNT:
        break;
    }
}

void vmx_set(struct arch_vcpu *av, enum x86_field f, uint64_t v)
{
    unsigned long state = vmcs_acquire(av);

    set(av, f, v);
    vmcs_release(av, state);
}

// ---- segments ----------------------------------------

// The VMCS's order: ES CS SS DS FS GS LDTR TR GDTR IDTR, as enum x86_segment has them.
static enum vmcs_field field_at(enum vmcs_field first, enum x86_segment s)
{
    return (enum vmcs_field)((unsigned)first + 2 * (unsigned)s);
}

// A null selector's descriptor is not present; its privilege level still counts in SS.
static uint16_t attr_of(uint64_t rights)
{
    uint64_t attr = (rights & RIGHTS_LOW) | (rights >> RIGHTS_HIGH_SHIFT & ATTR_HIGH) << ATTR_HIGH_SHIFT;

    return (uint16_t)(rights & RIGHTS_UNUSABLE ? attr & ~ATTR_P : attr);
}

static uint64_t rights_of(uint16_t attr)
{
    uint64_t rights = (attr & RIGHTS_LOW) | (attr >> ATTR_HIGH_SHIFT & ATTR_HIGH) << RIGHTS_HIGH_SHIFT;

    return attr & ATTR_P ? rights : rights | RIGHTS_UNUSABLE;
}

void vmx_get_segment(const struct arch_vcpu *av, enum x86_segment s, struct x86_seg *out)
{
    unsigned long state = vmcs_acquire(av);

    *out = (struct x86_seg){.base = vmcs_read(field_at(VMCS_GUEST_BASE, s)),
                            .limit = (uint32_t)vmcs_read(field_at(VMCS_GUEST_LIMIT, s))};
    if (s < X86_GDTR) {
        out->selector = (uint16_t)vmcs_read(field_at(VMCS_GUEST_SELECTOR, s));
        out->attr = attr_of(vmcs_read(field_at(VMCS_GUEST_RIGHTS, s)));
    }
    vmcs_release(av, state);
}

void vmx_get_code(const struct arch_vcpu *av, struct x86_code *out)
{
    unsigned long state = vmcs_acquire(av);

    out->rip = get(av, X86_RIP);
    out->flags = get(av, X86_RFLAGS);
    out->cr3 = get(av, X86_CR3);
    out->cr4 = get(av, X86_CR4);
    out->efer = get(av, X86_EFER);
    out->cs_attr = attr_of(vmcs_read(field_at(VMCS_GUEST_RIGHTS, X86_CS)));
    vmcs_release(av, state);
}

void vmx_set_segment(struct arch_vcpu *av, enum x86_segment s, const struct x86_seg *in)
{
    unsigned long state = vmcs_acquire(av);

    vmcs_write(field_at(VMCS_GUEST_BASE, s), in->base);
    vmcs_write(field_at(VMCS_GUEST_LIMIT, s), in->limit);
    if (s < X86_GDTR) {
        vmcs_write(field_at(VMCS_GUEST_SELECTOR, s), in->selector);
        vmcs_write(field_at(VMCS_GUEST_RIGHTS, s), rights_of(in->attr));
    }
    vmcs_release(av, state);
}

// ---- MSRs ----------------------------------------

static const uint32_t kept[KEPT_MSR_COUNT] = {[KEPT_STAR] = MSR_STAR,
                                              [KEPT_LSTAR] = MSR_LSTAR,
                                              [KEPT_CSTAR] = MSR_CSTAR,
                                              [KEPT_SFMASK] = MSR_SFMASK,
                                              [KEPT_KERNEL_GS] = MSR_KERNEL_GS_BASE};

static const struct {
    uint32_t msr;
    uint32_t field;
} in_vmcs[] = {
    {MSR_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS},   {MSR_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP},
    {MSR_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP}, {MSR_PAT, VMCS_GUEST_PAT},
    {MSR_FS_BASE, VMCS_GUEST_BASE + 2 * X86_FS}, {MSR_GS_BASE, VMCS_GUEST_BASE + 2 * X86_GS},
};

static int kept_index(uint32_t msr)
{
    for (int i = 0; i < KEPT_MSR_COUNT; i++) {
        if (kept[i] == msr) {
            return i;
        }
    }
    return -1;
}

static bool vmcs_msr(uint32_t msr, enum vmcs_field *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(in_vmcs); i++) {
        if (in_vmcs[i].msr == msr) {
            *f = (enum vmcs_field)in_vmcs[i].field;
            return true;
        }
    }
    return false;
}

bool vmx_get_msr(const struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    const struct vmx_vcpu *vv = vmx_of(av);
    int i = kept_index(msr);
    enum vmcs_field f;
    unsigned long state;

    *out = 0;
    if (i >= 0) {
        *out = vv->active ? rdmsr(msr) : vv->msr[i];
        return true;
    }
    if (!vmcs_msr(msr, &f)) {
        return false;
    }
    state = vmcs_acquire(av);
    *out = vmcs_read(f);
    vmcs_release(av, state);
    return true;
}

bool vmx_set_msr(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    struct vmx_vcpu *vv = vmx_of(av);
    int i = kept_index(msr);
    enum vmcs_field f;
    unsigned long state;

    if (i >= 0) {
        vv->msr[i] = v;
        if (vv->active) {
            wrmsr(msr, v);
        }
        return true;
    }
    if (!vmcs_msr(msr, &f)) {
        return false;
    }
    state = vmcs_acquire(av);
    vmcs_write(f, v);
    vmcs_release(av, state);
    return true;
}

// ---- what only a switch to another vCPU moves ----------------------------------------

void vmx_load_kept(struct vmx_vcpu *vv)
{
    for (unsigned i = 0; i < KEPT_MSR_COUNT; i++) {
        wrmsr(kept[i], vv->msr[i]);
    }
    creg_write(cr2, vv->cr2);
    creg_write(dr0, vv->dr[0]);
    creg_write(dr1, vv->dr[1]);
    creg_write(dr2, vv->dr[2]);
    creg_write(dr3, vv->dr[3]);
    creg_write(dr6, vv->dr6);
}

void vmx_save_kept(struct vmx_vcpu *vv)
{
    for (unsigned i = 0; i < KEPT_MSR_COUNT; i++) {
        vv->msr[i] = rdmsr(kept[i]);
    }
    vv->cr2 = creg_read(cr2);
    vv->dr[0] = creg_read(dr0);
    vv->dr[1] = creg_read(dr1);
    vv->dr[2] = creg_read(dr2);
    vv->dr[3] = creg_read(dr3);
    vv->dr6 = creg_read(dr6);
}
