// SPDX-License-Identifier: Apache-2.0
//
// The guest's own page tables, read through its memory: for decoding instructions and for backtraces. Nothing is written:
// accessed and dirty bits stay as they are.
#include "arch/x86_64/virt/virt_local.h"

#define PTE_P BIT64(0)
#define PTE_PS BIT64(7)
#define PTE_PA MASK64(12, 40)
#define PDE4M_PA MASK64(22, 10)
#define PDE4M_HIGH MASK64(13, 8) // address bits 32 and up (PSE-36)
#define PAGE_4M_SHIFT 22u

static bool read_entry(struct arch_vcpu *av, uint64_t gpa_of_entry, unsigned size, uint64_t *out)
{
    *out = 0;
    return av->up->read(av, gpa(gpa_of_entry), out, size) && (*out & PTE_P);
}

// Tables of 8-byte entries: `shift` is what the root's entries cover.
static bool walk_wide(struct arch_vcpu *av, uint64_t root, unsigned shift, uint64_t va, uint64_t *out)
{
    uint64_t table = root;

    for (;; shift -= 9) {
        uint64_t e;

        if (!read_entry(av, table + (va >> shift & 511) * 8, 8, &e)) {
            return false;
        }
        if (shift == PAGE_SHIFT || (shift <= 30 && (e & PTE_PS))) {
            *out = (e & PTE_PA & ~(BIT64(shift) - 1)) | (va & (BIT64(shift) - 1));
            return true;
        }
        table = e & PTE_PA;
    }
}

static bool walk_32bit(struct arch_vcpu *av, uint64_t cr3, uint64_t va, bool pse, uint64_t *out)
{
    uint64_t e;

    if (!read_entry(av, (cr3 & MASK64(12, 20)) + (va >> PAGE_4M_SHIFT & 1023) * 4, 4, &e)) {
        return false;
    }
    if (pse && (e & PTE_PS)) {
        *out = (e & PDE4M_PA) | (e & PDE4M_HIGH) << 19 | (va & MASK64(0, PAGE_4M_SHIFT));
        return true;
    }
    if (!read_entry(av, (e & MASK64(12, 20)) + (va >> PAGE_SHIFT & 1023) * 4, 4, &e)) {
        return false;
    }
    *out = (e & MASK64(12, 20)) | (va & MASK64(0, PAGE_SHIFT));
    return true;
}

// PAE: four pointers instead of a root table.
static bool walk_pae(struct arch_vcpu *av, uint64_t cr3, uint64_t va, uint64_t *out)
{
    uint64_t e;

    return read_entry(av, (cr3 & MASK64(5, 27)) + (va >> 30 & 3) * 8, 8, &e) &&
           walk_wide(av, e & PTE_PA, 21, va, out);
}

bool x86_guest_walk(struct arch_vcpu *av, uint64_t va, uint64_t *gpa)
{
    uint64_t cr3 = x86_ops->get(av, X86_CR3), cr4 = x86_ops->get(av, X86_CR4);

    if (!(x86_ops->get(av, X86_CR0) & CR0_PG)) {
        *gpa = va & UINT32_MAX;
        return true;
    }
    if (x86_ops->get(av, X86_EFER) & EFER_LMA) {
        return walk_wide(av, cr3 & PTE_PA, cr4 & CR4_LA57 ? 48 : 39, va, gpa);
    }
    va &= UINT32_MAX;
    return cr4 & CR4_PAE ? walk_pae(av, cr3, va, gpa) : walk_32bit(av, cr3, va, cr4 & CR4_PSE, gpa);
}
