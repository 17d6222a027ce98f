// SPDX-License-Identifier: Apache-2.0
//
// RISC-V page tables: Sv39 and Sv48 for HS-mode, Sv39x4 and Sv48x4 for the G-stage.
// RISC-V Privileged Architecture 10.4 (Sv39), 10.5 (Sv48), 18.5 (two-stage translation).
//
// A, D are set (a machine that traps on clear ones needs no handler); the G-stage treats all accesses as user accesses,
// so its leaves have U set. Permission R is implied by W (W without R is reserved).
#include "kernel/mm/pt_format.h"

#define PTE_V BIT64(0)
#define PTE_R BIT64(1)
#define PTE_W BIT64(2)
#define PTE_X BIT64(3)
#define PTE_U BIT64(4)
#define PTE_G BIT64(5)
#define PTE_A BIT64(6)
#define PTE_D BIT64(7)
#define PTE_PPN_SHIFT 10
#define PTE_PPN MASK64(10, 44)
// Memory types are left to the PMAs (Svpbmt is not used), which every machine has: they do not show in an entry.

static uint64_t leaf_bits(hpa_t pa, struct mem_attr attr)
{
    uint64_t e = ((pa.v >> PAGE_SHIFT) << PTE_PPN_SHIFT) & PTE_PPN;

    e |= PTE_V | PTE_A | PTE_D;
    e |= (attr.perm & (PERM_R | PERM_W)) ? PTE_R : 0;
    e |= (attr.perm & PERM_W) ? PTE_W : 0;
    e |= (attr.perm & PERM_X) ? PTE_X : 0;
    // A leaf without any permission would be a pointer to a table.
    e |= (attr.perm & (PERM_R | PERM_W | PERM_X)) ? 0 : PTE_R;
    return e;
}

static uint64_t host_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    (void)level;
    return leaf_bits(pa, attr) | PTE_G;
}

static uint64_t guest_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    (void)level;
    return leaf_bits(pa, attr) | PTE_U;
}

static uint64_t riscv_table(hpa_t pa)
{
    return (((pa.v >> PAGE_SHIFT) << PTE_PPN_SHIFT) & PTE_PPN) | PTE_V;
}

static bool riscv_valid(uint64_t e)
{
    return (e & PTE_V) != 0;
}

static bool riscv_is_leaf(uint64_t e, unsigned level)
{
    (void)level;
    return (e & (PTE_R | PTE_W | PTE_X)) != 0;
}

static hpa_t riscv_pa(uint64_t e)
{
    return hpa(((e & PTE_PPN) >> PTE_PPN_SHIFT) << PAGE_SHIFT);
}

static struct mem_attr riscv_attr(uint64_t e)
{
    struct mem_attr attr = {.type = MEM_NORMAL};

    attr.perm =
        (uint8_t)(((e & PTE_R) ? PERM_R : 0) | ((e & PTE_W) ? PERM_W : 0) | ((e & PTE_X) ? PERM_X : 0));
    return attr;
}

// x4: the root is four pages, the input two bits wider. Leaves exist at every level.
#define RISCV(label, depth, bits, roots, leaf_fn)                                                \
    {                                                                                            \
        .name = label, .levels = depth, .va_bits = bits, .pa_bits = 56, .root_pages = roots,     \
        .leaf_levels = (1u << (depth)) - 1, .break_before_make = false, .leaf = leaf_fn,         \
        .table = riscv_table, .is_valid = riscv_valid, .is_leaf = riscv_is_leaf, .pa = riscv_pa, \
        .attr = riscv_attr,                                                                      \
    }

const struct pt_format pt_riscv_sv39 = RISCV("sv39", 3, 39, 1, host_leaf);
const struct pt_format pt_riscv_sv48 = RISCV("sv48", 4, 48, 1, host_leaf);
const struct pt_format pt_riscv_sv39x4 = RISCV("sv39x4", 3, 41, 4, guest_leaf);
const struct pt_format pt_riscv_sv48x4 = RISCV("sv48x4", 4, 50, 4, guest_leaf);
