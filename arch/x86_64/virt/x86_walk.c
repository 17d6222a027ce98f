// SPDX-License-Identifier: Apache-2.0
//
// See x86_walk.h. A walk notes the entries it has passed; what they allow is decided at the end. One that is only to find
// its way, for which `notes` is false, is what most emulated instructions are fetched by: it is compiled on its own.
#include "arch/x86_64/virt/x86_walk.h"

#define CR0_WP BIT64(16)
#define CR0_PG BIT64(31)
#define CR4_PSE BIT64(4)
#define CR4_PAE BIT64(5)
#define CR4_LA57 BIT64(12)
#define CR4_SMAP BIT64(21)
#define EFER_LMA BIT64(10)
#define EFER_NXE BIT64(11)
#define FLAGS_AC BIT64(18)

#define PTE_P BIT64(0)
#define PTE_RW BIT64(1)
#define PTE_US BIT64(2)
#define PTE_A BIT64(5)
#define PTE_D BIT64(6)
#define PTE_PS BIT64(7)
#define PTE_NX BIT64(63)
#define PTE_PA MASK64(12, 40)
#define PTE_HIGH_PAE MASK64(52, 11) // reserved in PAE's tables, the guest's own in 64-bit mode's
#define PTE_PA_32 MASK64(12, 20)
#define PDE4M_PA MASK64(22, 10)
#define PDE4M_HIGH MASK64(13, 8) // address bits 32 and up (PSE-36)
#define PDE4M_RESERVED BIT64(21)
#define PDPTE_CR3 MASK64(5, 27)
#define SHIFT_1G 30u
#define SHIFT_2M 21u
#define SHIFT_4M 22u

#define LEVELS_MAX 5
#define ATTEMPTS 4

#define ALONE static inline __attribute__((always_inline))

struct notes {
    uint64_t rights;   // PTE_RW, PTE_US: what all levels grant
    uint64_t reserved; // bits that no entry may have
    bool broken;       // an entry had some
    unsigned count, size;
    struct {
        uint64_t where, value;
    } passed[LEVELS_MAX];
};

static void note_entry(struct notes *n, uint64_t where, uint64_t e)
{
    n->passed[n->count].where = where;
    n->passed[n->count].value = e;
    n->count++;
    n->rights &= e;
    n->broken |= (e & n->reserved) != 0;
}

ALONE bool read_entry(const struct x86_paging *p, struct notes *n, unsigned size, uint64_t where,
                      uint64_t *out)
{
    *out = 0;
    if (!p->av->up->read(p->av, gpa(where), out, size) || !(*out & PTE_P)) {
        return false;
    }
    if (n) {
        note_entry(n, where, *out);
    }
    return true;
}

// Address bits of a large page that must be 0: all but bit 12 (PAT).
static uint64_t large_reserved(unsigned shift)
{
    return MASK64(PAGE_SHIFT + 1, shift - PAGE_SHIFT - 1);
}

// Tables of 8-byte entries: `shift` is what the root's entries cover.
ALONE bool walk_wide(const struct x86_paging *p, struct notes *n, uint64_t va, uint64_t root, unsigned shift,
                     uint64_t *out)
{
    uint64_t table = root, e;

    for (;; shift -= 9) {
        if (!read_entry(p, n, 8, table + (va >> shift & 511) * 8, &e)) {
            return false;
        }
        if (shift == PAGE_SHIFT) {
            break;
        }
        if (e & PTE_PS) {
            if (n) {
                n->broken |= shift > SHIFT_1G || (e & large_reserved(shift));
            }
            break;
        }
        table = e & PTE_PA;
    }
    *out = (e & PTE_PA & ~(BIT64(shift) - 1)) | (va & (BIT64(shift) - 1));
    return true;
}
ALONE bool walk_32bit(const struct x86_paging *p, struct notes *n, uint32_t va, uint64_t *out)
{
    uint64_t e;

    if (!read_entry(p, n, 4, (p->cr3 & PTE_PA_32) + (va >> SHIFT_4M) * 4, &e)) {
        return false;
    }
    if ((p->cr4 & CR4_PSE) && (e & PTE_PS)) {
        if (n) {
            n->broken |= (e & PDE4M_RESERVED) != 0;
        }
        *out = (e & PDE4M_PA) | (e & PDE4M_HIGH) << 19 | (va & MASK64(0, SHIFT_4M));
        return true;
    }
    if (!read_entry(p, n, 4, (e & PTE_PA_32) + (va >> PAGE_SHIFT & 1023) * 4, &e)) {
        return false;
    }
    *out = (e & PTE_PA_32) | (va & MASK64(0, PAGE_SHIFT));
    return true;
}

// Four pointers instead of a root table: they grant no rights and have no accessed bit.
ALONE bool walk_pae(const struct x86_paging *p, struct notes *n, uint32_t va, uint64_t *out)
{
    uint64_t e;

    if (!read_entry(p, NULL, 8, (p->cr3 & PDPTE_CR3) + (va >> SHIFT_1G) * 8, &e)) {
        return false;
    }
    if (n) {
        n->reserved |= PTE_HIGH_PAE;
    }
    return walk_wide(p, n, va, e & PTE_PA, SHIFT_2M, out);
}

ALONE bool walk(const struct x86_paging *p, struct notes *n, uint64_t va, uint64_t *out)
{
    if (n) {
        n->rights = PTE_RW | PTE_US;
        n->reserved = p->cr4 & CR4_PAE ? p->reserved | (p->efer & EFER_NXE ? 0 : PTE_NX) : 0;
        n->size = p->cr4 & CR4_PAE ? 8 : 4;
        n->broken = false;
        n->count = 0;
    }
    if (p->efer & EFER_LMA) {
        return walk_wide(p, n, va, p->cr3 & PTE_PA, p->cr4 & CR4_LA57 ? 48 : 39, out);
    }
    return p->cr4 & CR4_PAE ? walk_pae(p, n, (uint32_t)va, out) : walk_32bit(p, n, (uint32_t)va, out);
}

static bool granted(const struct x86_paging *p, uint64_t rights, struct x86_walk_for why)
{
    if (why.write && !(rights & PTE_RW) && (why.user || p->cr0 & CR0_WP)) {
        return false;
    }
    if (why.user || !(rights & PTE_US)) {
        return !why.user || rights & PTE_US;
    }
    return !(p->cr4 & CR4_SMAP) || p->flags & FLAGS_AC;
}

// False: an entry is no longer what it was. Tables that cannot be written stay as they are.
static bool mark(struct arch_vcpu *av, const struct notes *n, bool write)
{
    for (unsigned i = 0; i < n->count; i++) {
        uint64_t bits = PTE_A | (write && i + 1 == n->count ? PTE_D : 0), old = n->passed[i].value;

        if ((old & bits) != bits && av->up->swap(av, gpa(n->passed[i].where), n->size, &old, old | bits) &&
            old != n->passed[i].value) {
            return false;
        }
    }
    return true;
}

enum x86_walk_result x86_walk(const struct x86_paging *p, uint64_t va, struct x86_walk_for why, uint64_t *gpa,
                              uint32_t *error)
{
    *error = (why.write ? X86_PF_WRITE : 0) | (why.user ? X86_PF_USER : 0);
    if (!(p->cr0 & CR0_PG)) {
        *gpa = va & UINT32_MAX;
        return X86_WALK_DONE;
    }
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        struct notes n;
        bool present = walk(p, &n, va, gpa);

        if (n.broken) {
            *error |= X86_PF_PRESENT | X86_PF_RESERVED;
            return X86_WALK_FAULT;
        }
        if (!present || !granted(p, n.rights, why)) {
            *error |= present ? X86_PF_PRESENT : 0;
            return X86_WALK_FAULT;
        }
        if (mark(p->av, &n, why.write)) {
            return X86_WALK_DONE;
        }
    }
    return X86_WALK_AGAIN;
}

bool x86_walk_peek(const struct x86_paging *p, uint64_t va, uint64_t *gpa)
{
    if (!(p->cr0 & CR0_PG)) {
        *gpa = va & UINT32_MAX;
        return true;
    }
    return walk(p, NULL, va, gpa);
}
