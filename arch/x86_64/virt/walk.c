// SPDX-License-Identifier: Apache-2.0
//
// Walks of the guest's page tables with the registers of a vCPU: x86_walk.h does them.
#include "arch/x86_64/virt/virt_local.h"
#include "arch/x86_64/virt/x86_walk.h"

// What no physical address has: the guest reads the machine's own width from CPUID.
static uint64_t reserved_address(void)
{
    static uint64_t reserved; // the same on all CPUs

    if (!reserved) {
        unsigned bits = cpuid_read(0x80000008, 0).eax & 0xFF;

        reserved = MASK64(0, 52) & ~MASK64(0, bits < 52 ? bits : 51);
    }
    return reserved;
}

static inline void read_registers(struct x86_paging *p, struct arch_vcpu *av)
{
    p->av = av;
    p->cr0 = x86_ops->get(av, X86_CR0);
    p->cr3 = x86_ops->get(av, X86_CR3);
    p->cr4 = x86_ops->get(av, X86_CR4);
    p->efer = x86_ops->get(av, X86_EFER);
}

bool x86_guest_walk(struct arch_vcpu *av, uint64_t va, uint64_t *gpa)
{
    struct x86_paging p; // the rest does not count

    read_registers(&p, av);
    return x86_walk_peek(&p, va, gpa);
}

enum x86_walk_result x86_guest_access(struct arch_vcpu *av, uint64_t va, struct x86_walk_for why,
                                      uint64_t *gpa, uint32_t *error)
{
    struct x86_paging p;

    read_registers(&p, av);
    p.flags = x86_ops->get(av, X86_RFLAGS);
    p.reserved = reserved_address();
    return x86_walk(&p, va, why, gpa, error);
}
