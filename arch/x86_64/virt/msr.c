// SPDX-License-Identifier: Apache-2.0
//
// Model-specific registers of a guest: a table of those that it has; access to any other is #GP (Intel SDM vol. 4, AMD APM
// vol. 2, appendix A). The local APIC's go to the interrupt controller.
#include "arch/time.h"
#include "arch/x86_64/virt/virt_local.h"

#define MSR_TSC 0x10
#define MSR_MTRR_CAP 0xFE
#define MSR_UCODE_REV 0x8B
#define MSR_MCG_CAP 0x179
#define MSR_MCG_STATUS 0x17A
#define MSR_MISC_ENABLE 0x1A0
#define MSR_MTRR_PHYS 0x200 // base and mask in turn
#define MSR_MTRR_FIX64K 0x250
#define MSR_MTRR_FIX16K 0x258
#define MSR_MTRR_FIX4K 0x268
#define MSR_MTRR_DEF 0x2FF
#define MSR_TSC_AUX 0xC0000103
#define MSR_AMD_SYSCFG 0xC0010010
#define MSR_AMD_HWCR 0xC0010015
#define MSR_AMD_PATCH 0xC0010020
#define MSR_AMD_CSTATE 0xC0010055
#define MSR_AMD_DE_CFG 0xC0011029

#define MSR_KVM_WALL_OLD 0x11
#define MSR_KVM_TIME_OLD 0x12
#define MSR_KVM_WALL 0x4B564D00
#define MSR_KVM_TIME 0x4B564D01
#define MSR_KVM_STEAL 0x4B564D03

#define EFER_GUEST (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define MTRR_CAP (UINT64_C(0x500) | X86_MTRR_VARIABLE) // fixed ranges, write-combining
#define MTRR_DEF_RESET 0xC06                           // on, write-back
#define MISC_ENABLE_RESET 0x1                          // fast strings

struct msr {
    uint32_t first, last;
    bool (*read)(struct arch_vcpu *av, uint32_t msr, uint64_t *out);
    bool (*write)(struct arch_vcpu *av, uint32_t msr, uint64_t v);
};

static bool read_zero(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)av;
    (void)msr;
    *out = 0;
    return true;
}

static bool ignore(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    (void)av;
    (void)msr;
    (void)v;
    return true;
}

static bool read_vendor(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    return x86_ops->get_msr(av, msr, out);
}

static bool is_canonical(uint64_t v)
{
    return (uint64_t)((int64_t)(v << 16) >> 16) == v;
}

static bool write_pat(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t type = v >> i & 0xFF;

        if (type > 7 || type == 2 || type == 3) {
            return false;
        }
    }
    return x86_ops->set_msr(av, msr, v);
}

static bool read_efer(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = x86_ops->get(av, X86_EFER);
    return true;
}

// LMA is the processor's; LME does not change while paging is on.
static bool write_efer(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    uint64_t old = x86_ops->get(av, X86_EFER);

    (void)msr;
    if ((v & ~(uint64_t)EFER_GUEST) || ((x86_ops->get(av, X86_CR0) & CR0_PG) && ((v ^ old) & EFER_LME))) {
        return false;
    }
    x86_ops->set(av, X86_EFER, (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
    return true;
}

static bool read_tsc(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = arch_time_now() + av->vm->tsc_offset;
    return true;
}

static bool read_aux(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = av->msr.tsc_aux;
    return true;
}

static bool write_aux(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    if (v > UINT32_MAX) {
        return false;
    }
    av->msr.tsc_aux = v;
    wrmsr(msr, v); // the vCPU is loaded
    return true;
}

static bool read_misc(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)msr;
    *out = av->msr.misc_enable;
    return true;
}

static bool read_mtrr_cap(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    (void)av;
    (void)msr;
    *out = MTRR_CAP;
    return true;
}

// Where an MTRR is remembered: nested paging has the types.
static uint64_t *mtrr_of(struct arch_vcpu *av, uint32_t msr)
{
    struct x86_msrs *m = &av->msr;

    if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 2 * X86_MTRR_VARIABLE) {
        unsigned i = (msr - MSR_MTRR_PHYS) / 2;
        return msr % 2 ? &m->mtrr_mask[i] : &m->mtrr_base[i];
    }
    if (msr == MSR_MTRR_FIX64K) {
        return &m->mtrr_fixed[0];
    }
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1) {
        return &m->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K];
    }
    return msr == MSR_MTRR_DEF ? &m->mtrr_default : &m->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K];
}

static bool read_mtrr(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    *out = *mtrr_of(av, msr);
    return true;
}

static bool write_mtrr(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    *mtrr_of(av, msr) = v;
    return true;
}

// Counted as the controller's.
static bool read_apic(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    av->done--;
    *out = 0;
    return av->up->sysreg(av, msr, false, out);
}

// The value is no array that could be overrun.
__attribute__((no_stack_protector)) static bool write_apic(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    av->done--;
    return av->up->sysreg(av, msr, true, &v);
}

// The deadline is the guest's TSC, the interrupt controller's clock the host's; 0 disarms on both sides.
static bool read_deadline(struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    bool ok = read_apic(av, msr, out);

    *out = *out ? *out + av->vm->tsc_offset : 0;
    return ok;
}

static bool write_deadline(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    uint64_t host = 0;

    if (v && __builtin_add_overflow(v, 0 - av->vm->tsc_offset, &host)) {
        host = UINT64_MAX;
    }
    return write_apic(av, msr, host);
}

static bool write_address(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    return is_canonical(v) && x86_ops->set_msr(av, msr, v);
}

static bool write_vendor(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    return x86_ops->set_msr(av, msr, v);
}

static const struct msr table[] = {
    {MSR_X2APIC, MSR_X2APIC + 0xFF, read_apic, write_apic},
    {MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, read_deadline, write_deadline},
    {MSR_APIC_BASE, MSR_APIC_BASE, read_apic, write_apic},
    {MSR_EFER, MSR_EFER, read_efer, write_efer},
    {MSR_TSC, MSR_TSC, read_tsc, ignore},
    {MSR_TSC_AUX, MSR_TSC_AUX, read_aux, write_aux},
    {0x174, 0x174, read_vendor, write_vendor}, // SYSENTER
    {0x175, 0x176, read_vendor, write_address},
    {MSR_STAR, MSR_STAR, read_vendor, write_vendor},
    {MSR_LSTAR, MSR_CSTAR, read_vendor, write_address},
    {MSR_SFMASK, MSR_SFMASK, read_vendor, write_vendor},
    {MSR_FS_BASE, MSR_KERNEL_GS_BASE, read_vendor, write_address},
    {MSR_PAT, MSR_PAT, read_vendor, write_pat},
    {MSR_MTRR_CAP, MSR_MTRR_CAP, read_mtrr_cap, NULL},
    {MSR_MTRR_PHYS, MSR_MTRR_PHYS + 2 * X86_MTRR_VARIABLE - 1, read_mtrr, write_mtrr},
    {MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, read_mtrr, write_mtrr},
    {MSR_MTRR_FIX16K, MSR_MTRR_FIX16K + 1, read_mtrr, write_mtrr},
    {MSR_MTRR_FIX4K, MSR_MTRR_FIX4K + 7, read_mtrr, write_mtrr},
    {MSR_MTRR_DEF, MSR_MTRR_DEF, read_mtrr, write_mtrr},
    {MSR_MISC_ENABLE, MSR_MISC_ENABLE, read_misc, ignore},
    {MSR_UCODE_REV, MSR_UCODE_REV, read_zero, ignore},
    {MSR_MCG_CAP, MSR_MCG_STATUS, read_zero, ignore}, // no banks
    {MSR_AMD_SYSCFG, MSR_AMD_SYSCFG, read_zero, ignore},
    {MSR_AMD_HWCR, MSR_AMD_HWCR, read_zero, ignore},
    {MSR_AMD_PATCH, MSR_AMD_PATCH, NULL, ignore},
    {MSR_AMD_CSTATE, MSR_AMD_CSTATE, read_zero, ignore},
    {MSR_AMD_DE_CFG, MSR_AMD_DE_CFG, read_zero, ignore},
    {MSR_KVM_WALL_OLD, MSR_KVM_WALL_OLD, read_zero, x86_kvm_wall},
    {MSR_KVM_TIME_OLD, MSR_KVM_TIME_OLD, x86_kvm_read_time, x86_kvm_time},
    {MSR_KVM_WALL, MSR_KVM_WALL, read_zero, x86_kvm_wall},
    {MSR_KVM_TIME, MSR_KVM_TIME, x86_kvm_read_time, x86_kvm_time},
    {MSR_KVM_STEAL, MSR_KVM_STEAL, x86_kvm_read_steal, x86_kvm_steal},
};

static inline const struct msr *find(uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (msr >= table[i].first && msr <= table[i].last) {
            return &table[i];
        }
    }
    return NULL;
}

static bool read(struct arch_vcpu *av, const struct msr *m, uint32_t msr, uint64_t *v)
{
    if (!m->read || !m->read(av, msr, v)) {
        return false;
    }
    av->r[X86_RAX] = (uint32_t)*v;
    av->r[X86_RDX] = *v >> 32;
    return true;
}

static bool write(struct arch_vcpu *av, const struct msr *m, uint32_t msr)
{
    return m->write && m->write(av, msr, av->r[X86_RDX] << 32 | (uint32_t)av->r[X86_RAX]);
}

// There is no such register, or it cannot have this value: #GP.
enum vcpu_verdict x86_exit_msr(struct arch_vcpu *av, struct x86_exit *x)
{
    uint32_t msr = (uint32_t)av->r[X86_RCX];
    const struct msr *m = find(msr);
    struct vcpu_exit none;

    if (m && (x->msr.write ? write(av, m, msr) : read(av, m, msr, &x->msr.value))) {
        return x86_done(av, x->length);
    }
    none.kind = VCPU_EXIT_NO_REGISTER;
    av->done++;
    x86_fault(av, X86_GP, 0);
    return av->up->exit(av, &none);
}

void x86_msrs_reset(struct arch_vcpu *av)
{
    av->msr = (struct x86_msrs){.mtrr_default = MTRR_DEF_RESET, .misc_enable = MISC_ENABLE_RESET};
}
