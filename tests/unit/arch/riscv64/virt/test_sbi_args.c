// SPDX-License-Identifier: Apache-2.0
//
// Sets of harts and ranges of fences as guests name them, against plain 128-bit arithmetic.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/riscv64/virt/sbi_args.h"

#define ALL UINT64_MAX
#define HARTS 64u
#define TRIES 200000u

static uint64_t seed = 1;

static uint64_t random64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

// Bit by bit, as the specification says it.
static bool expected(uint64_t present, struct sbi_harts set, uint64_t *out)
{
    *out = 0;
    if (set.base == ALL) {
        *out = present;
        return true;
    }
    for (unsigned i = 0; i < 64; i++) {
        unsigned __int128 hart = (unsigned __int128)set.base + i;

        if (set.mask >> i & 1) {
            if (hart >= HARTS || !(present >> (unsigned)hart & 1)) {
                return false;
            }
            *out |= BIT64((unsigned)hart);
        }
    }
    return true;
}

static void check(uint64_t present, uint64_t mask, uint64_t base)
{
    struct sbi_harts set = {mask, base};
    uint64_t found = 0, wanted;
    bool ok = sbi_harts_resolve(present, set, &found);

    assert_int_equal(ok, expected(present, set, &wanted));
    if (ok) {
        assert_true(found == wanted);
    }
}

static void test_hart_sets(void **state)
{
    static const uint64_t masks[] = {0, 1, 2, 3, 0xF, 0x10, BIT64(63), BIT64(63) | 1, ALL, ALL - 1};
    static const uint64_t bases[] = {
        0,  1,  2,   3,   4,         5,        59,       60,      61,  62,        63,
        64, 65, 127, 128, BIT64(32), ALL - 64, ALL - 63, ALL - 1, ALL, BIT64(63), BIT64(63) - 1};
    static const uint64_t present[] = {1, 0xF, 0x13, BIT64(63), ALL};

    (void)state;
    for (unsigned p = 0; p < ARRAY_SIZE(present); p++) {
        for (unsigned b = 0; b < ARRAY_SIZE(bases); b++) {
            for (unsigned m = 0; m < ARRAY_SIZE(masks); m++) {
                check(present[p], masks[m], bases[b]);
            }
        }
    }
    for (unsigned i = 0; i < TRIES; i++) {
        uint64_t r = random64();

        check(MASK64(0, 1 + r % 63), random64() >> random64() % 64,
              r >> 32 & 1 ? random64() % 70 : random64());
    }
}

// Everything that is asked for is fenced, and no more than a bounded number of pages one by one.
static void check_fence(uint64_t start, uint64_t size)
{
    struct sbi_fence f = {.start = start, .size = size};

    sbi_fence_clamp(&f);
    if (f.size == ALL) {
        assert_int_equal(f.start, 0);
        return;
    }
    unsigned __int128 first = f.start - f.start % PAGE_SIZE;
    unsigned __int128 end = first + (unsigned __int128)sbi_fence_pages(&f) * PAGE_SIZE;
    assert_true(f.start == start && f.size == size && size != 0);
    assert_true(first <= start && end >= (unsigned __int128)start + size);
    assert_true(end - start - size < PAGE_SIZE);
    assert_true(end <= (unsigned __int128)ALL + 1);
    assert_in_range(sbi_fence_pages(&f), 1, SBI_FENCE_RANGE_MAX / PAGE_SIZE + 1);
}

static void test_fence_ranges(void **state)
{
    static const uint64_t edges[] = {0,          1,
                                     2,          4095,
                                     4096,       4097,
                                     8192,       KIB(256) - 1,
                                     KIB(256),   KIB(256) + 1,
                                     BIT64(63),  ALL - 8192,
                                     ALL - 4096, ALL - 4095,
                                     ALL - 1,    ALL};

    (void)state;
    for (unsigned s = 0; s < ARRAY_SIZE(edges); s++) {
        for (unsigned n = 0; n < ARRAY_SIZE(edges); n++) {
            check_fence(edges[s], edges[n]);
        }
    }
    for (unsigned i = 0; i < TRIES; i++) {
        check_fence(random64(), random64() >> random64() % 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hart_sets),
        cmocka_unit_test(test_fence_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
