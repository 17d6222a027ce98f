// SPDX-License-Identifier: Apache-2.0
//
// What CPUID tells a guest: the machine's own answers, less what is not virtualised (Intel SDM vol. 2A, CPUID; AMD APM vol. 3,
// appendix E). A feature that no row here lists is hidden.
#include <string.h>

#include "arch/time.h"
#include "arch/x86_64/virt/virt_local.h"

#define LEAF_MAX 0xDu
#define EXTENDED_MAX 0x80000008u
#define HYPERVISOR_MAX 0x40000010u

// Leaf 1
#define F1_ECX_OSXSAVE BIT64(27)
#define F1_ECX_X2APIC BIT64(21)
#define F1_ECX_DEADLINE BIT64(24)
#define F1_ECX_HYPERVISOR BIT64(31)
#define F1_ECX_CX16 BIT64(13)
#define F1_ECX                                                                                     \
    (BIT64(0) /* SSE3 */ | BIT64(1) /* PCLMULQDQ */ | BIT64(9) /* SSSE3 */ | BIT64(12) /* FMA */ | \
     F1_ECX_CX16 | BIT64(19) /* SSE4.1 */ | BIT64(20) /* SSE4.2 */ | BIT64(22) /* MOVBE */ |       \
     BIT64(23) /* POPCNT */ | BIT64(25) /* AES */ | BIT64(26) /* XSAVE */ | BIT64(28) /* AVX */ |  \
     BIT64(29) /* F16C */ | BIT64(30) /* RDRAND */)
#define F1_EDX                                                                                     \
    (MASK64(0, 7) /* FPU VME DE PSE TSC MSR PAE */ | BIT64(7) /* MCE */ | BIT64(8) /* CX8 */ |     \
     BIT64(9) /* APIC */ | BIT64(11) /* SEP */ | MASK64(12, 6) /* MTRR PGE MCA CMOV PAT PSE36 */ | \
     BIT64(19) /* CLFLUSH */ | MASK64(23, 4) /* MMX FXSR SSE SSE2 */)
#define F1_EDX_HTT BIT64(28)
// Leaf 7
#define F7_EBX                                                                                          \
    (BIT64(0) /* FSGSBASE */ | BIT64(3) /* BMI1 */ | BIT64(5) /* AVX2 */ | BIT64(7) /* SMEP */ |        \
     BIT64(8) /* BMI2 */ | BIT64(9) /* ERMS */ | BIT64(16) | BIT64(17) /* AVX512F DQ */ |               \
     BIT64(18) /* RDSEED */ | BIT64(19) /* ADX */ | BIT64(20) /* SMAP */ | BIT64(23) /* CLFLUSHOPT */ | \
     BIT64(24) /* CLWB */ | BIT64(28) | BIT64(29) /* AVX512CD, SHA */ | BIT64(30) | BIT64(31))
#define F7_ECX BIT64(2) // UMIP
#define F7_EDX BIT64(4) // FSRM
// Leaf 0x80000001
#define F81_ECX (BIT64(0) | BIT64(5) | BIT64(6) | BIT64(7) | BIT64(8)) // LAHF ABM SSE4A MISALIGNSSE PREFETCH
#define F81_EDX                                                                                            \
    (F1_EDX | BIT64(11) /* SYSCALL */ | BIT64(20) /* NX */ | BIT64(22) /* MMXEXT */ | BIT64(26) /* 1G */ | \
     BIT64(27) /* RDTSCP */ | BIT64(29) /* LM */)
#define F87_EDX BIT64(8)     // invariant TSC
#define FD1_EAX MASK64(0, 3) // XSAVEOPT, XSAVEC, XGETBV with ECX 1

// Leaf 0x40000001 (Linux: Documentation/virt/kvm/x86/cpuid.rst)
#define KVM_CLOCK_OLD (1u << 0)
#define KVM_CLOCK (1u << 3)
#define KVM_STEAL_TIME (1u << 5)
#define KVM_CLOCK_STABLE (1u << 24)

typedef void (*leaf_edit)(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r);

static void leaf_basic(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    r->eax = r->eax > LEAF_MAX ? LEAF_MAX : r->eax;
}

// QEMU 7's TCG leaves garbage in all of RFLAGS after CMPXCHG16B. Kernels meet that at an interrupt and may live on; through
// VMRUN it becomes virtual-8086 mode. Linux does without the instruction where it is not offered.
static uint32_t broken_features(void)
{
    static bool known;
    static uint32_t broken; // the same on all CPUs

    if (!known) {
        broken = cpu_is_tcg() ? (uint32_t)F1_ECX_CX16 : 0;
        known = true;
    }
    return broken;
}

static void leaf_features(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    bool os_xsave = (x86_ops->get(av, X86_CR4) & CR4_OSXSAVE) != 0;

    (void)subleaf;
    r->ebx = (r->ebx & 0xFF00) | 1u << 16 | av->index << 24;
    r->ecx = (r->ecx & (uint32_t)F1_ECX) | (uint32_t)(F1_ECX_X2APIC | F1_ECX_DEADLINE | F1_ECX_HYPERVISOR);
    r->ecx &= ~broken_features();
    r->ecx |= os_xsave ? (uint32_t)F1_ECX_OSXSAVE : 0;
    r->edx &= (uint32_t)F1_EDX;
}

// How caches are shared is not the guest's business: each CPU has its own.
static void leaf_caches(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    r->eax &= 0x3FFF;
}

static void leaf_structured(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    if (subleaf) {
        *r = (struct cpuid){0};
        return;
    }
    r->eax = 0;
    r->ebx &= (uint32_t)F7_EBX;
    r->ecx &= (uint32_t)F7_ECX;
    r->edx &= (uint32_t)F7_EDX;
}

// Every vCPU is a package of its own.
static void leaf_topology(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    *r = (struct cpuid){.ecx = subleaf & 0xFF, .edx = av->index};
    if (subleaf < 2) {
        r->ebx = 1;
        r->ecx |= (subleaf + 1) << 8; // threads, then cores
    }
}

// Subleaf 0's EBX, the size for what XCR0 enables now, is right: XCR0 is the guest's.
static void leaf_xsave(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    if (subleaf == 0) {
        r->eax &= (uint32_t)fp_features();
        r->edx &= (uint32_t)(fp_features() >> 32);
    } else if (subleaf == 1) {
        *r = (struct cpuid){.eax = r->eax & (uint32_t)FD1_EAX};
    } else if (subleaf > 63 || !(fp_features() & BIT64(subleaf))) {
        *r = (struct cpuid){0};
    }
}

static void leaf_extended(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    r->eax = r->eax > EXTENDED_MAX ? EXTENDED_MAX : r->eax;
}

static void leaf_extended_features(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    r->ecx &= (uint32_t)F81_ECX;
    r->edx &= (uint32_t)F81_EDX;
}

static void leaf_power(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    *r = (struct cpuid){.edx = r->edx & (uint32_t)F87_EDX};
}

static void leaf_sizes(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    *r = (struct cpuid){.eax = r->eax & 0xFFFF};
}

static void leaf_same(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    (void)r;
}

static void leaf_hypervisor(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    *r = (struct cpuid){.eax = HYPERVISOR_MAX};
    memcpy(&r->ebx, "KVMK", 4); // what Linux wants to see before it uses x2APIC
    memcpy(&r->ecx, "VMKV", 4);
    memcpy(&r->edx, "M\0\0\0", 4);
}

// A clock by either pair of MSRs, the same on all CPUs, and stolen time: nothing else that KVM could do.
static void leaf_kvm_features(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    (void)av;
    (void)subleaf;
    *r = (struct cpuid){.eax = KVM_CLOCK_OLD | KVM_CLOCK | KVM_STEAL_TIME | KVM_CLOCK_STABLE};
}

// The clocks in kHz: TSC, local APIC timer, which counts the same (VMware's leaf, which KVM's guests know too).
static void leaf_clocks(const struct arch_vcpu *av, uint32_t subleaf, struct cpuid *r)
{
    uint32_t khz = (uint32_t)(arch_time_hz() / 1000);

    (void)av;
    (void)subleaf;
    *r = (struct cpuid){.eax = khz, .ebx = khz};
}

static const struct {
    uint32_t leaf;
    leaf_edit edit;
} leaves[] = {
    {0, leaf_basic},
    {1, leaf_features},
    {2, leaf_same},
    {4, leaf_caches},
    {7, leaf_structured},
    {0xB, leaf_topology},
    {0xD, leaf_xsave},
    {0x40000000, leaf_hypervisor},
    {0x40000001, leaf_kvm_features},
    {0x40000010, leaf_clocks},
    {0x80000000, leaf_extended},
    {0x80000001, leaf_extended_features},
    {0x80000002, leaf_same},
    {0x80000003, leaf_same},
    {0x80000004, leaf_same},
    {0x80000005, leaf_same},
    {0x80000006, leaf_same},
    {0x80000007, leaf_power},
    {0x80000008, leaf_sizes},
};

struct cpuid x86_guest_cpuid(const struct arch_vcpu *av, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r = {0};

    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        if (leaves[i].leaf == leaf) {
            r = cpuid_read(leaf, subleaf);
            leaves[i].edit(av, subleaf, &r);
            return r;
        }
    }
    return r;
}
