// SPDX-License-Identifier: Apache-2.0
//
// The guest's own page tables, read through its memory: for decoding instructions and for backtraces. Nothing is written:
// accessed and dirty bits stay as they are.
#include "arch/x86_64/virt/virt_local.h"

#define PTE_P BIT64(0)
#define PTE_RW BIT64(1)
#define PTE_US BIT64(2)
#define PTE_PS BIT64(7)
#define PTE_PA MASK64(12, 40)
#define PDE4M_PA MASK64(22, 10)
#define PDE4M_HIGH MASK64(13, 8) // address bits 32 and up (PSE-36)
#define PAGE_4M_SHIFT 22u
#define FLAGS_AC BIT64(18)
#define PF_P 1u
#define PF_W 2u
#define PF_U 4u

struct walk {
    struct arch_vcpu *av;
    uint64_t va;
    uint64_t rights; // PTE_RW, PTE_US: what all levels grant
};

static bool read_entry(struct walk *w, uint64_t gpa_of_entry, unsigned size, uint64_t *out)
{
    *out = 0;
    if (!w->av->up->read(w->av, gpa(gpa_of_entry), out, size) || !(*out & PTE_P)) {
        return false;
    }
    w->rights &= *out;
    return true;
}

// Tables of 8-byte entries: `shift` is what the root's entries cover.
static bool walk_wide(struct walk *w, uint64_t root, unsigned shift, uint64_t *out)
{
    uint64_t table = root, va = w->va;

    for (;; shift -= 9) {
        uint64_t e;

        if (!read_entry(w, table + (va >> shift & 511) * 8, 8, &e)) {
            return false;
        }
        if (shift == PAGE_SHIFT || (shift <= 30 && (e & PTE_PS))) {
            *out = (e & PTE_PA & ~(BIT64(shift) - 1)) | (va & (BIT64(shift) - 1));
            return true;
        }
        table = e & PTE_PA;
    }
}

static bool walk_32bit(struct walk *w, uint64_t cr3, bool pse, uint64_t *out)
{
    uint64_t e, va = w->va;

    if (!read_entry(w, (cr3 & MASK64(12, 20)) + (va >> PAGE_4M_SHIFT & 1023) * 4, 4, &e)) {
        return false;
    }
    if (pse && (e & PTE_PS)) {
        *out = (e & PDE4M_PA) | (e & PDE4M_HIGH) << 19 | (va & MASK64(0, PAGE_4M_SHIFT));
        return true;
    }
    if (!read_entry(w, (e & MASK64(12, 20)) + (va >> PAGE_SHIFT & 1023) * 4, 4, &e)) {
        return false;
    }
    *out = (e & MASK64(12, 20)) | (va & MASK64(0, PAGE_SHIFT));
    return true;
}

// PAE: four pointers instead of a root table; they grant no rights.
static bool walk_pae(struct walk *w, uint64_t cr3, uint64_t *out)
{
    uint64_t e, rights = w->rights;

    if (!read_entry(w, (cr3 & MASK64(5, 27)) + (w->va >> 30 & 3) * 8, 8, &e)) {
        return false;
    }
    w->rights = rights;
    return walk_wide(w, e & PTE_PA, 21, out);
}

static bool walk(struct walk *w, uint64_t *out)
{
    struct arch_vcpu *av = w->av;
    uint64_t cr3 = x86_ops->get(av, X86_CR3), cr4 = x86_ops->get(av, X86_CR4);

    if (!(x86_ops->get(av, X86_CR0) & CR0_PG)) {
        *out = w->va & UINT32_MAX;
        return true;
    }
    if (x86_ops->get(av, X86_EFER) & EFER_LMA) {
        return walk_wide(w, cr3 & PTE_PA, cr4 & CR4_LA57 ? 48 : 39, out);
    }
    w->va &= UINT32_MAX;
    return cr4 & CR4_PAE ? walk_pae(w, cr3, out) : walk_32bit(w, cr3, cr4 & CR4_PSE, out);
}

bool x86_guest_walk(struct arch_vcpu *av, uint64_t va, uint64_t *gpa)
{
    struct walk w = {.av = av, .va = va};

    return walk(&w, gpa);
}

static bool granted(const struct arch_vcpu *av, uint64_t rights, struct x86_walk_for why)
{
    uint64_t cr0 = x86_ops->get(av, X86_CR0);

    if (!(cr0 & CR0_PG)) {
        return true;
    }
    if (why.write && !(rights & PTE_RW) && (why.user || cr0 & CR0_WP)) {
        return false;
    }
    if (why.user || !(rights & PTE_US)) {
        return !why.user || rights & PTE_US;
    }
    return !(x86_ops->get(av, X86_CR4) & CR4_SMAP) || x86_ops->get(av, X86_RFLAGS) & FLAGS_AC;
}

bool x86_guest_access(struct arch_vcpu *av, uint64_t va, struct x86_walk_for why, uint64_t *gpa,
                      uint32_t *error)
{
    struct walk w = {.av = av, .va = va, .rights = PTE_RW | PTE_US};
    bool present = walk(&w, gpa);

    *error = (present ? PF_P : 0) | (why.write ? PF_W : 0) | (why.user ? PF_U : 0);
    return present && granted(av, w.rights, why);
}
