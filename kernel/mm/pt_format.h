// SPDX-License-Identifier: Apache-2.0
//
// What one page-table format looks like. Pure: entries in, entries out, no state.
#pragma once

#include "kernel/mm/aspace.h"

#define PT_LEVELS_MAX 5

struct pt_format {
    const char *name;
    unsigned levels;      // of tables; level 0 is the root, levels - 1 the leaf level
    unsigned va_bits;     // input address size
    unsigned pa_bits;     // output address size
    unsigned root_pages;  // concatenated root tables (stage 2, Sv48x4): the root index is wider
    unsigned leaf_levels; // bit n: a leaf is allowed at level n
    bool
        break_before_make; // replacing a valid entry by another valid one needs an invalid one and a TLB flush between
    uint64_t (*leaf)(hpa_t pa, struct mem_attr attr, unsigned level);
    uint64_t (*table)(hpa_t pa);
    bool (*is_valid)(uint64_t entry);
    bool (*is_leaf)(uint64_t entry, unsigned level); // of a valid entry
    hpa_t (*pa)(uint64_t entry);                     // of a valid entry
    struct mem_attr (*attr)(uint64_t entry);         // of a valid leaf
};

// Input address bits above the page offset are cut into `levels` fields of 9 bits from the bottom; the root takes the rest.
static inline unsigned pt_level_shift(const struct pt_format *f, unsigned level)
{
    return PAGE_SHIFT + 9 * (f->levels - 1 - level);
}

// The formats, each in kernel/mm/pt_<name>.c. Sizes that depend on the machine are chosen by picking one of the rows.
extern const struct pt_format pt_arm64_stage1;    // EL2, 48-bit, 4 KiB granule (Arm ARM D8)
extern const struct pt_format pt_arm64_stage2_48; // 4 levels, needs PARange >= 48 bits
extern const struct pt_format pt_arm64_stage2_44; // 4 levels, 44-bit
extern const struct pt_format pt_arm64_stage2_42; // 3 levels, 8 concatenated root tables
extern const struct pt_format pt_arm64_stage2_40; // 3 levels, 2 concatenated root tables
extern const struct pt_format pt_arm64_stage2_36; // 3 levels, 1 root table, used for 36 bits
extern const struct pt_format pt_riscv_sv39, pt_riscv_sv48, pt_riscv_sv39x4, pt_riscv_sv48x4;
extern const struct pt_format pt_x86_host, pt_x86_ept, pt_x86_npt;
