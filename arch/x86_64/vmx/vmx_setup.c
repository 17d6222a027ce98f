// SPDX-License-Identifier: Apache-2.0
//
// A VMCS filled: the reset state of a processor after INIT (Intel SDM vol. 3A, table 9-1) for the guest, controls as the
// capability MSRs allow them, and the host's state that every exit loads (vol. 3C, 26.2).
#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/x86_64/vmx/vmx_local.h"
#include "kernel/cpu/cpu.h"

#define CPUID7_EBX_SMEP BIT64(7)
#define CPUID7_EBX_SMAP BIT64(20)
#define CPUID7_EBX_FSGSBASE BIT64(0)
#define CPUID7_ECX_UMIP BIT64(2)
#define CPUID1_ECX_XSAVE BIT64(26)
#define CR4_ALWAYS                                                                                         \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
     CR4_OSXMMEXCPT)
#define DR6_RESET 0xFFFF0FF0
#define DR7_RESET 0x400
#define RFLAGS_RESET 2
#define PAT_RESET 0x0007040600070406

extern const char vmx_exit_entry[];

// CR4 bits of features that CPUID shows the guest; the others it cannot set (#GP).
static uint64_t guest_cr4(void)
{
    struct cpuid f = cpuid_read(0, 0).eax >= 7 ? cpuid_read(7, 0) : (struct cpuid){0};
    uint64_t v = CR4_ALWAYS;

    v |= f.ebx & CPUID7_EBX_SMEP ? CR4_SMEP : 0;
    v |= f.ebx & CPUID7_EBX_SMAP ? CR4_SMAP : 0;
    v |= f.ebx & CPUID7_EBX_FSGSBASE ? CR4_FSGSBASE : 0;
    v |= f.ecx & CPUID7_ECX_UMIP ? CR4_UMIP : 0;
    v |= cpuid_read(1, 0).ecx & CPUID1_ECX_XSAVE ? CR4_OSXSAVE : 0;
    return v & rdmsr(MSR_VMX_CR4_FIXED1);
}

// Without #DB and #AC a guest could make the CPU deliver one for ever, deaf to interrupts, by a handler that faults likewise.
static void setup_controls(const struct arch_vcpu *av)
{
    vmcs_write(VMCS_PIN_CONTROLS, vmx_apic_pin(vmx_of(av)));
    vmcs_write(VMCS_PRIMARY_CONTROLS, vmx_of(av)->primary);
    vmcs_write(VMCS_EXIT_CONTROLS, vmx_controls[VMX_EXIT] & ~EXIT_SAVE_TIMER);
    vmcs_write(VMCS_ENTRY_CONTROLS, vmx_controls[VMX_ENTRY]);
    vmcs_write(VMCS_EXCEPTION_BITMAP, BIT32(X86_DB) | BIT32(X86_AC) | BIT32(X86_MC));
    vmcs_write(VMCS_TSC_OFFSET, av->vm->tsc_offset);
    vmcs_write(VMCS_EPTP, av->vm->root.v | EPTP_WB | EPTP_WALK4);
    vmcs_write(VMCS_LINK_POINTER, UINT64_MAX);
    vmcs_write(VMCS_CR0_MASK, CR0_CD | CR0_NW | CR0_NE | ~MASK64(0, 32));
    vmcs_write(VMCS_CR4_MASK, ~guest_cr4());
    vmx_apic_setup(av);
}

static void setup_segments(struct arch_vcpu *av)
{
    static const struct x86_seg data = {.limit = 0xFFFF, .attr = 0x93};
    static const struct x86_seg reset[X86_SEGMENT_COUNT] = {
        [X86_ES] = data,
        [X86_CS] = {.selector = 0xF000, .base = 0xFFFF0000, .limit = 0xFFFF, .attr = 0x9B},
        [X86_SS] = data,
        [X86_DS] = data,
        [X86_FS] = data,
        [X86_GS] = data,
        [X86_LDTR] = {.limit = 0xFFFF, .attr = 0x82},
        [X86_TR] = {.limit = 0xFFFF, .attr = 0x8B},
        [X86_GDTR] = {.limit = 0xFFFF},
        [X86_IDTR] = {.limit = 0xFFFF},
    };

    for (unsigned s = 0; s < X86_SEGMENT_COUNT; s++) {
        vmx_set_segment(av, (enum x86_segment)s, &reset[s]);
    }
}

static void setup_guest(struct arch_vcpu *av)
{
    setup_segments(av);
    vmx_set(av, X86_CR0, CR0_ET);
    vmx_set(av, X86_CR4, 0);
    vmcs_write(VMCS_GUEST_CR3, 0);
    vmcs_write(VMCS_GUEST_EFER, 0);
    vmcs_write(VMCS_GUEST_PAT, PAT_RESET);
    vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
    vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_RESET);
    vmcs_write(VMCS_GUEST_RIP, 0xFFF0);
    vmcs_write(VMCS_GUEST_RSP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_GUEST_SHADOW, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
}

void vmx_setup(struct arch_vcpu *av)
{
    struct vmx_vcpu *vv = vmx_of(av);

    vv->primary = vmx_controls[VMX_PRIMARY];
    vv->window = false;
    vv->limited = false;
    vv->event = 0;
    vv->generation = 0;
    vv->cpu = CPU_MAX;
    vv->cr2 = 0;
    vv->dr6 = DR6_RESET;
    for (unsigned i = 0; i < ARRAY_SIZE(vv->dr); i++) {
        vv->dr[i] = 0;
    }
    for (unsigned i = 0; i < KEPT_MSR_COUNT; i++) {
        vv->msr[i] = 0;
    }
    setup_controls(av);
    setup_guest(av);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit_entry);
}

// ---- the host's side, different on each CPU ----------------------------------------

struct [[gnu::packed]] table_pointer {
    uint16_t limit;
    uint64_t base;
};

// The base in a 16-byte descriptor (vol. 3A, 7.2.3).
static uint64_t task_base(const struct table_pointer *gdtr)
{
    const uint64_t *d = (const uint64_t *)(uintptr_t)(gdtr->base + SEL_TSS);

    return (d[0] >> 16 & 0xFFFFFF) | (d[0] >> 56 & 0xFF) << 24 | d[1] << 32;
}

void vmx_setup_host(void)
{
    struct table_pointer gdtr, idtr;

    asm volatile("sgdt %0" : "=m"(gdtr));
    asm volatile("sidt %0" : "=m"(idtr));
    vmcs_write(VMCS_HOST_CR0, creg_read(cr0));
    vmcs_write(VMCS_HOST_CR3, creg_read(cr3));
    vmcs_write(VMCS_HOST_CR4, creg_read(cr4));
    vmcs_write(VMCS_HOST_CS, SEL_CODE);
    vmcs_write(VMCS_HOST_SS, SEL_DATA);
    vmcs_write(VMCS_HOST_DS, SEL_DATA);
    vmcs_write(VMCS_HOST_ES, SEL_DATA);
    vmcs_write(VMCS_HOST_FS, 0);
    vmcs_write(VMCS_HOST_GS, 0);
    vmcs_write(VMCS_HOST_TR, SEL_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
    vmcs_write(VMCS_HOST_TR_BASE, task_base(&gdtr));
    vmcs_write(VMCS_HOST_GDTR_BASE, gdtr.base);
    vmcs_write(VMCS_HOST_IDTR_BASE, idtr.base);
    vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
    vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
}
