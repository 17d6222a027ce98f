// SPDX-License-Identifier: Apache-2.0
//
// The integer and address types that every file uses.
//
// Three address spaces are kept apart by type, so that the compiler refuses to mix them: host physical (hpa_t),
// guest physical (gpa_t; "IPA" in the Arm manuals) and guest virtual (gva_t). Host virtual addresses are pointers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t v;
} hpa_t;

typedef struct {
    uint64_t v;
} gpa_t;

typedef struct {
    uint64_t v;
} gva_t;

static inline hpa_t hpa(uint64_t v)
{
    return (hpa_t){v};
}

static inline gpa_t gpa(uint64_t v)
{
    return (gpa_t){v};
}

static inline gva_t gva(uint64_t v)
{
    return (gva_t){v};
}

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE KIB(4)
#define BLOCK_SIZE MIB(2) // the middle page size of every supported format

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

// Whether this build makes virtual boards of an architecture, a literal: an image those of its own, which keeps the other
// boards' parts out of it; the host builds all.
#define BOARD_BUILT(arch) (LODGE_ALL_BOARDS || __builtin_strcmp(LODGE_ARCH, arch) == 0)

// For a large object that its owner initialises: it has arbitrary contents at start, while other static data are zero.
#define UNCLEARED __attribute__((section(".noinit")))

// The object that holds `member` at `ptr`.
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define BIT64(n) (UINT64_C(1) << (n))

// `width` ones, starting at bit `low`; width 1 to 64.
#define MASK64(low, width) ((UINT64_MAX >> (64 - (width))) << (low))

// The smaller and the larger of two 64-bit numbers.
static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// `align` is a power of two. align_up() wraps for values in the last `align` bytes: check before.
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
    return (v & (align - 1)) == 0;
}

static inline bool is_power_of_two(uint64_t v)
{
    return v != 0 && (v & (v - 1)) == 0;
}
