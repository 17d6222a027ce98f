// SPDX-License-Identifier: Apache-2.0
//
// MOV to and from CR8 by its bytes: every register, prefixes that mean nothing, the LOCK form, what is something else.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/virt/priority.h"

static bool decode(struct x86_priority *x, unsigned count, const uint8_t *bytes)
{
    uint8_t all[X86_INSN_MAX] = {0};

    memcpy(all, bytes, count);
    *x = (struct x86_priority){0};
    return x86_decode_priority(all, x);
}
#define DECODE(x, ...) decode(x, sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static void every_register_both_ways(void **state)
{
    struct x86_priority x;

    (void)state;
    for (uint8_t reg = 0; reg < 16; reg++) {
        const uint8_t rex = (uint8_t)(0x44 | reg >> 3), modrm = (uint8_t)(0xC0 | (reg & 7));

        assert_true(DECODE(&x, rex, 0x0F, 0x22, modrm));
        assert_true(x.write);
        assert_int_equal(x.reg, reg);
        assert_int_equal(x.length, 4);
        assert_true(DECODE(&x, rex, 0x0F, 0x20, modrm));
        assert_false(x.write);
        assert_int_equal(x.reg, reg);
    }
}

static void prefixes(void **state)
{
    struct x86_priority x;

    (void)state;
    assert_true(DECODE(&x, 0x66, 0x2E, 0x44, 0x0F, 0x20, 0xC3));
    assert_int_equal(x.length, 6);
    assert_int_equal(x.reg, 3);
    assert_true(DECODE(&x, 0xF0, 0x0F, 0x22, 0xC1)); // LOCK MOV CR0, from 32-bit code
    assert_int_equal(x.length, 4);
    assert_int_equal(x.reg, 1);
    assert_true(DECODE(&x, 0x44, 0x0F, 0x22, 0x01)); // the mode bits count as 3
}

static void something_else(void **state)
{
    struct x86_priority x;

    (void)state;
    assert_false(DECODE(&x, 0x0F, 0x22, 0xC0));             // CR0
    assert_false(DECODE(&x, 0x44, 0x0F, 0x22, 0xC8));       // CR9
    assert_false(DECODE(&x, 0xF0, 0x44, 0x0F, 0x22, 0xC0)); // LOCK with CR8
    assert_false(DECODE(&x, 0x44, 0x0F, 0x21, 0xC0));       // a debug register
    assert_false(DECODE(&x, 0x44, 0x66, 0x0F, 0x22, 0xC0)); // REX is not the last prefix
    assert_false(DECODE(&x, 0x90));
    assert_false(
        DECODE(&x, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x44, 0x0F, 0x22));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_register_both_ways),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(something_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
