// SPDX-License-Identifier: Apache-2.0
//
// What CPUID tells a guest: the machine's own answers, less what is not virtualised (Intel SDM vol. 2A, CPUID; AMD APM vol. 3,
// appendix E). A feature that no row here lists is hidden.
#include <string.h>

#include "arch/time.h"
#include "arch/x86_64/virt/virt_local.h"

#define LEAF_MAX 0xDu
#define HYPERVISOR_BASE 0x40000000u
#define HYPERVISOR_MAX 0x40000010u
#define EXTENDED_BASE 0x80000000u
#define EXTENDED_MAX 0x80000008u

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

// What no vCPU and no subleaf changes is worked out once, on the boot CPU.
static void leaf_basic(struct cpuid *r)
{
    r->eax = r->eax > LEAF_MAX ? LEAF_MAX : r->eax;
}

// QEMU 7's TCG leaves garbage in all of RFLAGS after CMPXCHG16B. Kernels meet that at an interrupt and may live on; through
// VMRUN it becomes virtual-8086 mode. Linux does without the instruction where it is not offered.
static void leaf_features(struct cpuid *r)
{
    r->ebx = (r->ebx & 0xFF00) | 1u << 16;
    r->ecx = (r->ecx & (uint32_t)F1_ECX) | (uint32_t)(F1_ECX_X2APIC | F1_ECX_DEADLINE | F1_ECX_HYPERVISOR);
    r->ecx &= cpu_is_tcg() ? ~(uint32_t)F1_ECX_CX16 : UINT32_MAX;
    r->edx &= (uint32_t)F1_EDX;
}

static void leaf_extended(struct cpuid *r)
{
    r->eax = r->eax > EXTENDED_MAX ? EXTENDED_MAX : r->eax;
}

static void leaf_extended_features(struct cpuid *r)
{
    r->ecx &= (uint32_t)F81_ECX;
    r->edx &= (uint32_t)F81_EDX;
}

static void leaf_power(struct cpuid *r)
{
    *r = (struct cpuid){.edx = r->edx & (uint32_t)F87_EDX};
}

static void leaf_sizes(struct cpuid *r)
{
    *r = (struct cpuid){.eax = r->eax & 0xFFFF};
}

static void leaf_hypervisor(struct cpuid *r)
{
    *r = (struct cpuid){.eax = HYPERVISOR_MAX};
    memcpy(&r->ebx, "KVMK", 4); // what Linux wants to see before it uses x2APIC
    memcpy(&r->ecx, "VMKV", 4);
    memcpy(&r->edx, "M\0\0\0", 4);
}

// A clock by either pair of MSRs, the same on all CPUs, and stolen time: nothing else that KVM could do.
static void leaf_kvm_features(struct cpuid *r)
{
    *r = (struct cpuid){.eax = KVM_CLOCK_OLD | KVM_CLOCK | KVM_STEAL_TIME | KVM_CLOCK_STABLE};
}

// The clocks in kHz: TSC, local APIC timer, which counts the same (VMware's leaf, which KVM's guests know too).
static void leaf_clocks(struct cpuid *r)
{
    uint32_t khz = (uint32_t)(arch_time_hz() / 1000);

    *r = (struct cpuid){.eax = khz, .ebx = khz};
}

static void leaf_structured(struct cpuid *r)
{
    *r = (struct cpuid){
        .ebx = r->ebx & (uint32_t)F7_EBX, .ecx = r->ecx & (uint32_t)F7_ECX, .edx = r->edx & (uint32_t)F7_EDX};
}

// ---- what depends on who asks, and for which subleaf ----------------------------------------

static inline void answer_with(struct arch_vcpu *av, const struct cpuid *c)
{
    av->r[X86_RAX] = c->eax;
    av->r[X86_RBX] = c->ebx;
    av->r[X86_RCX] = c->ecx;
    av->r[X86_RDX] = c->edx;
}

static void live_features(struct arch_vcpu *av, uint32_t subleaf)
{
    (void)subleaf;
    av->r[X86_RBX] |= av->index << 24;
    av->r[X86_RCX] |= x86_ops->get(av, X86_CR4) & CR4_OSXSAVE ? F1_ECX_OSXSAVE : 0;
}

// How caches are shared is not the guest's business: each CPU has its own.
static void live_caches(struct arch_vcpu *av, uint32_t subleaf)
{
    struct cpuid r = cpuid_read(4, subleaf);

    r.eax &= 0x3FFF;
    answer_with(av, &r);
}

static void live_structured(struct arch_vcpu *av, uint32_t subleaf)
{
    if (subleaf) {
        answer_with(av, &(struct cpuid){0});
    }
}

// Every vCPU is a package of its own.
static void live_topology(struct arch_vcpu *av, uint32_t subleaf)
{
    struct cpuid r = {.ecx = subleaf & 0xFF, .edx = av->index};

    if (subleaf < 2) {
        r.ebx = 1;
        r.ecx |= (subleaf + 1) << 8; // threads, then cores
    }
    answer_with(av, &r);
}

// Subleaf 0's EBX, the size for what XCR0 enables now, is right: XCR0 is the guest's.
static void live_xsave(struct arch_vcpu *av, uint32_t subleaf)
{
    struct cpuid r = cpuid_read(0xD, subleaf);

    if (subleaf == 0) {
        r.eax &= (uint32_t)fp_features();
        r.edx &= (uint32_t)(fp_features() >> 32);
    } else if (subleaf == 1) {
        r = (struct cpuid){.eax = r.eax & (uint32_t)FD1_EAX};
    } else if (subleaf > 63 || !(fp_features() & BIT64(subleaf))) {
        r = (struct cpuid){0};
    }
    answer_with(av, &r);
}

// ---- the table ----------------------------------------

// Leaves come in three dense ranges; all in one array.
#define HYPERVISOR_AT (LEAF_MAX + 1)
#define EXTENDED_AT (HYPERVISOR_AT + (HYPERVISOR_MAX - HYPERVISOR_BASE) + 1)
#define ANSWERS (EXTENDED_AT + (EXTENDED_MAX - EXTENDED_BASE) + 1)

struct answer {
    struct cpuid fixed;
    void (*live)(struct arch_vcpu *av, uint32_t subleaf); // changes it in the registers; NULL: nothing does
};

static struct answer answers[ANSWERS]; // a leaf that no row below lists is all zeroes

static const struct {
    uint32_t leaf;
    void (*edit)(struct cpuid *r); // of the machine's own; NULL: as it is
    void (*live)(struct arch_vcpu *av, uint32_t subleaf);
} leaves[] = {
    {0, leaf_basic, NULL},
    {1, leaf_features, live_features},
    {2, NULL, NULL},
    {4, NULL, live_caches},
    {7, leaf_structured, live_structured},
    {0xB, NULL, live_topology},
    {0xD, NULL, live_xsave},
    {0x40000000, leaf_hypervisor, NULL},
    {0x40000001, leaf_kvm_features, NULL},
    {0x40000010, leaf_clocks, NULL},
    {0x80000000, leaf_extended, NULL},
    {0x80000001, leaf_extended_features, NULL},
    {0x80000002, NULL, NULL},
    {0x80000003, NULL, NULL},
    {0x80000004, NULL, NULL},
    {0x80000005, NULL, NULL},
    {0x80000006, NULL, NULL},
    {0x80000007, leaf_power, NULL},
    {0x80000008, leaf_sizes, NULL},
};

static inline const struct answer *answer_to(uint32_t leaf)
{
    static const struct answer nothing;

    if (leaf <= LEAF_MAX) {
        return &answers[leaf];
    }
    if (leaf - HYPERVISOR_BASE <= HYPERVISOR_MAX - HYPERVISOR_BASE) {
        return &answers[HYPERVISOR_AT + leaf - HYPERVISOR_BASE];
    }
    return leaf - EXTENDED_BASE <= EXTENDED_MAX - EXTENDED_BASE ? &answers[EXTENDED_AT + leaf - EXTENDED_BASE]
                                                                : &nothing;
}

void x86_cpuid_init(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct answer a = {.fixed = cpuid_read(leaves[i].leaf, 0), .live = leaves[i].live};

        if (leaves[i].edit) {
            leaves[i].edit(&a.fixed);
        }
        answers[answer_to(leaves[i].leaf) - answers] = a;
    }
}

void x86_guest_cpuid(struct arch_vcpu *av)
{
    const struct answer *a = answer_to((uint32_t)av->r[X86_RAX]);
    uint32_t subleaf = (uint32_t)av->r[X86_RCX];

    answer_with(av, &a->fixed);
    if (a->live) {
        a->live(av, subleaf);
    }
}
