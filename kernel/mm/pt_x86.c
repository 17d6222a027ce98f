// SPDX-License-Identifier: Apache-2.0
//
// x86-64 page tables, 4 levels: the hypervisor's own, AMD nested paging (the same format) and Intel EPT.
// Intel SDM vol. 3A 4.5 (4-level paging), 3C 29.3 (EPT); AMD APM vol. 2 5.3 and 15.25.
//
// Memory types: PAT entries 0 write-back, 1 write-combining, 2 uncached minus, 3 uncacheable (IA32_PAT is programmed so
// by arch/x86_64/cpu); EPT leaves carry the type themselves.
#include "kernel/mm/pt_format.h"

#define PTE_P BIT64(0)
#define PTE_RW BIT64(1)
#define PTE_US BIT64(2)
#define PTE_PWT BIT64(3) // PAT index bit 0
#define PTE_PCD BIT64(4) // PAT index bit 1
#define PTE_A BIT64(5)
#define PTE_D BIT64(6)
#define PTE_PS BIT64(7) // a leaf above the last level
#define PTE_PA MASK64(12, 40)
#define PTE_NX BIT64(63)

#define EPT_R BIT64(0)
#define EPT_W BIT64(1)
#define EPT_X BIT64(2)
#define EPT_TYPE_SHIFT 3
#define EPT_TYPE (UINT64_C(7) << EPT_TYPE_SHIFT) // 0 UC, 1 WC, 6 WB
#define EPT_PS BIT64(7)

#define LEAF_LEVEL 3u

static uint64_t x86_bits(hpa_t pa, struct mem_attr attr, unsigned level)
{
    uint64_t e = (pa.v & PTE_PA) | PTE_P | PTE_A | PTE_D;

    e |= (attr.perm & PERM_W) ? PTE_RW : 0;
    e |= (attr.perm & PERM_X) ? 0 : PTE_NX;
    e |= attr.type == MEM_DEVICE ? PTE_PCD | PTE_PWT : attr.type == MEM_NORMAL_NC ? PTE_PWT : 0;
    return e | (level < LEAF_LEVEL ? PTE_PS : 0);
}

static uint64_t host_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    return x86_bits(pa, attr, level);
}

// Nested walks are user accesses (APM 15.25.5).
static uint64_t npt_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    return x86_bits(pa, attr, level) | PTE_US;
}

static uint64_t x86_table(hpa_t pa)
{
    return (pa.v & PTE_PA) | PTE_P | PTE_RW | PTE_US | PTE_A;
}

static bool x86_valid(uint64_t e)
{
    return (e & PTE_P) != 0;
}

// EPT and the others agree: bit 7.
static bool x86_is_leaf(uint64_t e, unsigned level)
{
    return level == LEAF_LEVEL || (e & PTE_PS) != 0;
}

static hpa_t x86_pa(uint64_t e)
{
    return hpa(e & PTE_PA);
}

static struct mem_attr x86_attr(uint64_t e)
{
    struct mem_attr attr = {.perm = PERM_R, .type = MEM_NORMAL};

    attr.perm |= (e & PTE_RW) ? PERM_W : 0;
    attr.perm |= (e & PTE_NX) ? 0 : PERM_X;
    if (e & PTE_PCD) {
        attr.type = MEM_DEVICE;
    } else if (e & PTE_PWT) {
        attr.type = MEM_NORMAL_NC;
    }
    return attr;
}

static uint64_t ept_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    static const uint8_t types[] = {[MEM_NORMAL] = 6, [MEM_NORMAL_NC] = 1, [MEM_DEVICE] = 0};
    uint64_t e = (pa.v & PTE_PA) | ((uint64_t)types[attr.type] << EPT_TYPE_SHIFT);

    // Writable without readable is a misconfiguration (SDM 29.3.3.1).
    e |= (attr.perm & (PERM_R | PERM_W)) ? EPT_R : 0;
    e |= (attr.perm & PERM_W) ? EPT_W : 0;
    e |= (attr.perm & PERM_X) ? EPT_X : 0;
    return e | (level < LEAF_LEVEL ? EPT_PS : 0);
}

static uint64_t ept_table(hpa_t pa)
{
    return (pa.v & PTE_PA) | EPT_R | EPT_W | EPT_X;
}

static bool ept_valid(uint64_t e)
{
    return (e & (EPT_R | EPT_W | EPT_X)) != 0;
}

static struct mem_attr ept_attr(uint64_t e)
{
    unsigned type = (unsigned)((e & EPT_TYPE) >> EPT_TYPE_SHIFT);
    struct mem_attr attr = {.type = type == 6 ? MEM_NORMAL : type == 1 ? MEM_NORMAL_NC : MEM_DEVICE};

    attr.perm =
        (uint8_t)(((e & EPT_R) ? PERM_R : 0) | ((e & EPT_W) ? PERM_W : 0) | ((e & EPT_X) ? PERM_X : 0));
    return attr;
}

// Leaves of 1 GiB, 2 MiB and 4 KiB.
#define X86(label, leaf_fn, table_fn, valid_fn, attr_fn)                                               \
    {                                                                                                  \
        .name = label, .levels = 4, .va_bits = 48, .pa_bits = 52, .root_pages = 1, .leaf_levels = 0xE, \
        .break_before_make = false, .leaf = leaf_fn, .table = table_fn, .is_valid = valid_fn,          \
        .is_leaf = x86_is_leaf, .pa = x86_pa, .attr = attr_fn,                                         \
    }

const struct pt_format pt_x86_host = X86("x86-host", host_leaf, x86_table, x86_valid, x86_attr);
const struct pt_format pt_x86_npt = X86("x86-npt", npt_leaf, x86_table, x86_valid, x86_attr);
const struct pt_format pt_x86_ept = X86("x86-ept", ept_leaf, ept_table, ept_valid, ept_attr);
