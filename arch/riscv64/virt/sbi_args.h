// SPDX-License-Identifier: Apache-2.0
//
// What the guest's calls about its harts say, taken apart: sets of harts (SBI 2.0, 3.1) and ranges of remote fences
// (chapter 8). Pure: tested on the host.
#pragma once

#include "kernel/lib/types.h"

// A set of harts as the guest names it: those of `mask` from `base` on, all when base is -1.
struct sbi_harts {
    uint64_t mask;
    uint64_t base;
};

// The harts in the set as a bit mask by hart id; false when one of them is not among `present` (or the sum wraps). No hart id
// reaches 64, so a base beyond that, or bits shifted out, name harts that do not exist.
static inline bool sbi_harts_resolve(uint64_t present, struct sbi_harts set, uint64_t *out)
{
    if (set.base < 64) {
        *out = set.mask << set.base;
        return *out >> set.base == set.mask && (*out & ~present) == 0;
    }
    *out = set.base == UINT64_MAX ? present : 0;
    return set.base == UINT64_MAX || set.mask == 0;
}

// A fence for other harts: fn is SBI_RFENCE_I, _VMA or _VMA_ASID; start and size mean nothing for the first, and any size
// beyond the greatest means all of the address space.
#define SBI_FENCE_RANGE_MAX KIB(256)
#define SBI_ASID_MASK 0xFFFFu
struct sbi_fence {
    uint64_t fn, start, size, asid;
};

// Everything (size 0, or -1), and what wraps or takes long, becomes a full fence.
static inline void sbi_fence_clamp(struct sbi_fence *fence)
{
    if (fence->size - 1 >= SBI_FENCE_RANGE_MAX || fence->start + fence->size < fence->start) {
        fence->start = 0;
        fence->size = UINT64_MAX;
    }
}

// The pages of a range that is not everything, from the one that `start` lies in.
static inline uint64_t sbi_fence_pages(const struct sbi_fence *fence)
{
    return ((fence->start & (PAGE_SIZE - 1)) + fence->size + PAGE_SIZE - 1) / PAGE_SIZE;
}
