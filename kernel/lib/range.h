// SPDX-License-Identifier: Apache-2.0
//
// Overflow-checked arithmetic on address ranges. A range is (base, size); a range that ends exactly at 2^64 is allowed.
#pragma once

#include "kernel/lib/types.h"

// True when base + size does not pass 2^64. A zero size is always valid.
static inline bool range_valid(uint64_t base, uint64_t size)
{
    return size == 0 || size - 1 <= UINT64_MAX - base;
}

// True when [off, off + len) lies wholly in [base, base + size). A zero length is inside when `off` is inside or at the end.
static inline bool range_contains(uint64_t base, uint64_t size, uint64_t off, uint64_t len)
{
    return off >= base && off - base <= size && len <= size - (off - base);
}

// True when the two ranges share a byte. Empty ranges share nothing.
static inline bool range_overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    if (a_size == 0 || b_size == 0) {
        return false;
    }
    return a <= b ? b - a < a_size : a - b < b_size;
}

// *out = a + b; false (and *out untouched) when it wraps.
static inline bool add_checked(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum = a + b;

    if (sum < a) {
        return false;
    }
    *out = sum;
    return true;
}
