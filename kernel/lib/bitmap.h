// SPDX-License-Identifier: Apache-2.0
//
// Bitmaps in arrays of 64-bit words. Bit n is bit n % 64 of word n / 64. No locks; the caller keeps indices in range.
#pragma once

#include "kernel/lib/types.h"

#define BITMAP_WORDS(bits) (((bits) + 63) / 64)

static inline void bitmap_set(uint64_t *map, size_t bit)
{
    map[bit / 64] |= BIT64(bit % 64);
}

static inline void bitmap_clear(uint64_t *map, size_t bit)
{
    map[bit / 64] &= ~BIT64(bit % 64);
}

static inline bool bitmap_test(const uint64_t *map, size_t bit)
{
    return (map[bit / 64] & BIT64(bit % 64)) != 0;
}

// The first set bit of [from, bits); `bits` when there is none.
static inline size_t bitmap_next(const uint64_t *map, size_t bits, size_t from)
{
    while (from < bits) {
        uint64_t word = map[from / 64] >> (from % 64);

        if (word != 0) {
            from += (size_t)__builtin_ctzll(word);
            return from < bits ? from : bits;
        }
        from = (from / 64 + 1) * 64;
    }
    return bits;
}

// The first clear bit of [from, bits); `bits` when there is none.
static inline size_t bitmap_next_clear(const uint64_t *map, size_t bits, size_t from)
{
    while (from < bits) {
        uint64_t word = ~map[from / 64] >> (from % 64);

        if (word != 0) {
            from += (size_t)__builtin_ctzll(word);
            return from < bits ? from : bits;
        }
        from = (from / 64 + 1) * 64;
    }
    return bits;
}
