// SPDX-License-Identifier: Apache-2.0
//
// VMSAv8-64 translation tables, 4 KiB granule: the EL2 stage-1 regime and stage 2.
// Arm ARM DDI 0487, D8.3 (descriptor formats), D8.4 (permissions), D8.5 (memory attributes), D8.16 (break-before-make).
#include "kernel/mm/pt_format.h"

#define DESC_VALID BIT64(0)
#define DESC_TABLE BIT64(1) // table at levels 0-2, page at level 3; clear: block
#define DESC_AF BIT64(10)
#define DESC_SH_INNER (UINT64_C(3) << 8)
#define DESC_OA MASK64(12, 36)
#define DESC_LEAF_LEVEL 3u // the architecture's number of the page level

// Stage 1, EL2 (one privilege level: AP[1] is RES1, XN is bit 54).
#define S1_ATTR_SHIFT 2
#define S1_ATTR_MASK (UINT64_C(7) << S1_ATTR_SHIFT)
#define S1_AP1 BIT64(6)
#define S1_AP_RO BIT64(7)
#define S1_XN BIT64(54)
#define S1_GP BIT64(50) // guarded page: BTI is enforced where the CPU has it; RES0 otherwise

// MAIR_EL2 indices: 0 normal write-back, 1 device nGnRE, 2 normal non-cacheable.
static const uint8_t s1_index[] = {[MEM_NORMAL] = 0, [MEM_DEVICE] = 1, [MEM_NORMAL_NC] = 2};

// Stage 2.
#define S2_MEMATTR_SHIFT 2
#define S2_MEMATTR_MASK (UINT64_C(15) << S2_MEMATTR_SHIFT)
#define S2_AP_READ BIT64(6)
#define S2_AP_WRITE BIT64(7)
#define S2_XN BIT64(54) // XN[1:0] = 0b10: execute-never at EL1 and EL0

// MemAttr[3:0] with HCR_EL2.FWB clear: 0b1111 normal write-back, 0b0101 normal non-cacheable, 0b0001 device nGnRE.
static const uint8_t s2_memattr[] = {[MEM_NORMAL] = 15, [MEM_DEVICE] = 1, [MEM_NORMAL_NC] = 5};

static uint64_t leaf_bits(hpa_t pa, bool page)
{
    return (pa.v & DESC_OA) | DESC_VALID | (page ? DESC_TABLE : 0) | DESC_AF | DESC_SH_INNER;
}

static uint64_t s1_leaf(hpa_t pa, struct mem_attr attr, unsigned level)
{
    uint64_t d = leaf_bits(pa, level == 3) | S1_AP1;

    d |= (uint64_t)s1_index[attr.type] << S1_ATTR_SHIFT;
    d |= (attr.perm & PERM_W) ? 0 : S1_AP_RO;
    d |= (attr.perm & PERM_X) ? S1_GP : S1_XN;
    return d;
}

static struct mem_attr s1_attr(uint64_t d)
{
    struct mem_attr attr = {.perm = PERM_R, .type = MEM_NORMAL};
    unsigned index = (unsigned)((d & S1_ATTR_MASK) >> S1_ATTR_SHIFT);

    attr.perm |= (d & S1_AP_RO) ? 0 : PERM_W;
    attr.perm |= (d & S1_XN) ? 0 : PERM_X;
    if (index == s1_index[MEM_DEVICE]) {
        attr.type = MEM_DEVICE;
    } else if (index == s1_index[MEM_NORMAL_NC]) {
        attr.type = MEM_NORMAL_NC;
    }
    return attr;
}

static uint64_t s2_bits(hpa_t pa, struct mem_attr attr, bool page)
{
    uint64_t d = leaf_bits(pa, page);

    d |= (uint64_t)s2_memattr[attr.type] << S2_MEMATTR_SHIFT;
    d |= (attr.perm & PERM_R) ? S2_AP_READ : 0;
    d |= (attr.perm & PERM_W) ? S2_AP_WRITE : 0;
    d |= (attr.perm & PERM_X) ? 0 : S2_XN;
    return d;
}

// Tables of 4 levels begin at the architecture's level 0, those of 3 at level 1.
static uint64_t s2_leaf4(hpa_t pa, struct mem_attr attr, unsigned level)
{
    return s2_bits(pa, attr, level == 3);
}

static uint64_t s2_leaf3(hpa_t pa, struct mem_attr attr, unsigned level)
{
    return s2_bits(pa, attr, level == 2);
}

static struct mem_attr s2_attr(uint64_t d)
{
    struct mem_attr attr = {.type = MEM_NORMAL};
    unsigned memattr = (unsigned)((d & S2_MEMATTR_MASK) >> S2_MEMATTR_SHIFT);

    attr.perm = (uint8_t)(((d & S2_AP_READ) ? PERM_R : 0) | ((d & S2_AP_WRITE) ? PERM_W : 0) |
                          ((d & S2_XN) ? 0 : PERM_X));
    if (memattr == s2_memattr[MEM_DEVICE]) {
        attr.type = MEM_DEVICE;
    } else if (memattr == s2_memattr[MEM_NORMAL_NC]) {
        attr.type = MEM_NORMAL_NC;
    }
    return attr;
}

static uint64_t arm64_table(hpa_t pa)
{
    return (pa.v & DESC_OA) | DESC_TABLE | DESC_VALID;
}

static bool arm64_valid(uint64_t d)
{
    return (d & DESC_VALID) != 0;
}

static bool leaf4(uint64_t d, unsigned level)
{
    return level == 3 || (d & DESC_TABLE) == 0;
}

static bool leaf3(uint64_t d, unsigned level)
{
    return level == 2 || (d & DESC_TABLE) == 0;
}

static hpa_t arm64_pa(uint64_t d)
{
    return hpa(d & DESC_OA);
}

// Blocks exist at the architecture's levels 1 (1 GiB) and 2 (2 MiB), pages at 3.
const struct pt_format pt_arm64_stage1 = {
    .name = "arm64-stage1",
    .levels = 4,
    .va_bits = 48,
    .pa_bits = 48,
    .root_pages = 1,
    .leaf_levels = 0xE,
    .break_before_make = true,
    .leaf = s1_leaf,
    .table = arm64_table,
    .is_valid = arm64_valid,
    .is_leaf = leaf4,
    .pa = arm64_pa,
    .attr = s1_attr,
};

#define STAGE2(label, bits, depth, roots)                                                          \
    {                                                                                              \
        .name = label, .levels = depth, .va_bits = bits, .pa_bits = 48, .root_pages = roots,       \
        .leaf_levels = (depth) == 4 ? 0xE : 0x7, .break_before_make = true,                        \
        .leaf = (depth) == 4 ? s2_leaf4 : s2_leaf3, .table = arm64_table, .is_valid = arm64_valid, \
        .is_leaf = (depth) == 4 ? leaf4 : leaf3, .pa = arm64_pa, .attr = s2_attr,                  \
    }

const struct pt_format pt_arm64_stage2_48 = STAGE2("arm64-stage2-48", 48, 4, 1);
const struct pt_format pt_arm64_stage2_44 = STAGE2("arm64-stage2-44", 44, 4, 1);
const struct pt_format pt_arm64_stage2_42 = STAGE2("arm64-stage2-42", 42, 3, 8);
const struct pt_format pt_arm64_stage2_40 = STAGE2("arm64-stage2-40", 40, 3, 2);
const struct pt_format pt_arm64_stage2_36 = STAGE2("arm64-stage2-36", 36, 3, 1);
