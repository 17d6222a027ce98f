// SPDX-License-Identifier: Apache-2.0
//
// What segments allow, by their limits, types and direction, and which addresses are canonical.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/virt/x86_segment.h"

#define DATA 0x93u
#define DATA_READ 0x91u
#define DOWN 0x97u
#define CODE 0x9Bu
#define CODE_EXECUTE 0x99u
#define ABSENT 0x13u
#define SYSTEM 0x82u
#define BIG X86_SEG_BIG

static bool allows(uint16_t attr, uint32_t limit, uint32_t offset, unsigned size, bool write)
{
    struct x86_seg s = {.attr = attr, .limit = limit};

    return x86_segment_allows(&s, true, offset, size, write);
}

static void test_limit(void **state)
{
    (void)state;
    assert_true(allows(DATA, 0xFFFF, 0xFFFF, 1, true));
    assert_false(allows(DATA, 0xFFFF, 0xFFFF, 2, false));
    assert_true(allows(DATA, 0xFFF, 0xFF8, 8, false));
    assert_false(allows(DATA, 0xFFF, 0xFF9, 8, false));
    assert_false(allows(DATA, 0xFFFFFFFE, 0xFFFFFFFF, 1, false));
    assert_true(allows(DATA, UINT32_MAX, 0xFFFFFFFE, 4, true)); // flat: it wraps
    assert_true(allows(DATA, 0, 0, 1, false));
}

static void test_down(void **state)
{
    (void)state;
    assert_false(allows(DOWN, 0xFFF, 0xFFF, 1, true));
    assert_true(allows(DOWN, 0xFFF, 0x1000, 1, true));
    assert_true(allows(DOWN, 0xFFF, 0xFFFC, 4, true));
    assert_false(allows(DOWN, 0xFFF, 0xFFFD, 4, true));
    assert_true(allows(DOWN | BIG, 0xFFF, 0xFFFFFFFC, 4, true));
    assert_false(allows(DOWN | BIG, 0xFFF, 0xFFFFFFFD, 4, true));
    assert_false(allows(DOWN | BIG, UINT32_MAX, 0x1000, 1, false)); // empty
}

static void test_types(void **state)
{
    struct x86_seg s = {.attr = ABSENT, .limit = 0xFFFF};

    (void)state;
    assert_false(allows(DATA_READ, 0xFFFF, 0, 1, true));
    assert_true(allows(DATA_READ, 0xFFFF, 0, 1, false));
    assert_false(allows(CODE, 0xFFFF, 0, 1, true));
    assert_true(allows(CODE, 0xFFFF, 0, 1, false));
    assert_false(allows(CODE_EXECUTE, 0xFFFF, 0, 1, false));
    assert_false(allows(ABSENT, 0xFFFF, 0, 1, false));
    assert_false(allows(SYSTEM, 0xFFFF, 0, 1, false));
    // Real mode looks at limits alone.
    assert_true(x86_segment_allows(&s, false, 0xFFFE, 2, true));
    assert_false(x86_segment_allows(&s, false, 0xFFFF, 2, true));
}

static void test_canonical(void **state)
{
    const uint64_t top = UINT64_C(0x800000000000);

    (void)state;
    assert_true(x86_is_canonical(top - 4, 4, 48));
    assert_false(x86_is_canonical(top - 4, 5, 48));
    assert_false(x86_is_canonical(top, 1, 48));
    assert_true(x86_is_canonical(top, 1, 57));
    assert_false(x86_is_canonical(-top - 1, 1, 48));
    assert_true(x86_is_canonical(-top, 16, 48));
    assert_false(x86_is_canonical(UINT64_C(1) << 56, 1, 57));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
