// SPDX-License-Identifier: Apache-2.0
//
// Integer operations and their flags: against the processor that runs the tests where that is an x86, and a few by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/virt/x86_alu.h"

static struct x86_alu run(enum x86_op op, unsigned size, uint64_t dst, uint64_t src, uint64_t flags)
{
    struct x86_alu a = {.dst = dst, .src = src, .flags = flags, .size = (uint8_t)size};

    x86_op_table[op].run(&a);
    return a;
}

static void test_by_hand(void **state)
{
    struct x86_alu a = run(X86_OP_ADD, 1, 0x7F, 1, 0x202);

    (void)state;
    assert_int_equal(a.dst, 0x80);
    assert_int_equal(a.flags, 0x202 | X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF);
    a = run(X86_OP_SUB, 4, 0, 1, 0);
    assert_int_equal(a.dst, 0xFFFFFFFF);
    assert_int_equal(a.flags, X86_FLAG_CF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF);
    a = run(X86_OP_CMP, 2, 5, 5, 0);
    assert_int_equal(a.dst, 5);
    assert_int_equal(a.flags, X86_FLAG_ZF | X86_FLAG_PF);
    a = run(X86_OP_INC, 8, UINT64_MAX, 0, X86_FLAG_CF);
    assert_int_equal(a.dst, 0);
    assert_int_equal(a.flags, X86_FLAG_CF | X86_FLAG_ZF | X86_FLAG_PF | X86_FLAG_AF);
    a = run(X86_OP_XOR, 4, 0xF0, 0xF1, X86_FLAG_CF | X86_FLAG_OF | X86_FLAG_DF);
    assert_int_equal(a.flags, X86_FLAG_DF);
    a = run(X86_OP_XADD, 4, 5, 7, 0);
    assert_true(a.dst == 12 && a.src == 5);
    a = run(X86_OP_BTS, 4, 1, 33, 0);
    assert_int_equal(a.dst, 3);
    a = run(X86_OP_BTR, 4, 3, 1, 0);
    assert_true(a.dst == 1 && a.flags == X86_FLAG_CF);
}

static void test_cmpxchg(void **state)
{
    struct x86_alu a = {.dst = 5, .src = 9, .rax = 5, .size = 4};

    (void)state;
    x86_op_table[X86_OP_CMPXCHG].run(&a);
    assert_true(a.dst == 9 && a.rax == 5 && a.flags & X86_FLAG_ZF);
    a = (struct x86_alu){.dst = 5, .src = 9, .rax = 6, .size = 4};
    x86_op_table[X86_OP_CMPXCHG].run(&a);
    assert_true(a.dst == 5 && a.rax == 5 && !(a.flags & X86_FLAG_ZF));
}

// ---- against the processor ---------------------------

#if defined(__x86_64__)
// LAHF and SETO instead of the stack, which the compiler may be using below its pointer.
#define NATIVE_SIZED(type, insn)                                     \
    {                                                                \
        type d = (type)a->dst;                                       \
        uint32_t ax;                                                 \
        asm volatile("bt $0, %k[f]\n\t" insn "\n\tlahf\n\tseto %%al" \
                     : [d] "+&r"(d), "=&a"(ax)                       \
                     : [s] "r"((type)a->src), [f] "r"(a->flags)      \
                     : "cc");                                        \
        a->dst = d;                                                  \
        a->flags = (ax >> 8 & 0xD5) | (ax & 1 ? X86_FLAG_OF : 0);    \
    }
#define NATIVE(name, insn)               \
    static void name(struct x86_alu *a)  \
    {                                    \
        if (a->size == 1)                \
            NATIVE_SIZED(uint8_t, insn)  \
        else if (a->size == 2)           \
            NATIVE_SIZED(uint16_t, insn) \
        else if (a->size == 4)           \
            NATIVE_SIZED(uint32_t, insn) \
        else                             \
            NATIVE_SIZED(uint64_t, insn) \
    }

// clang-format off
NATIVE(native_add, "add %[s], %[d]")
NATIVE(native_or, "or %[s], %[d]")
NATIVE(native_adc, "adc %[s], %[d]")
NATIVE(native_sbb, "sbb %[s], %[d]")
NATIVE(native_and, "and %[s], %[d]")
NATIVE(native_sub, "sub %[s], %[d]")
NATIVE(native_xor, "xor %[s], %[d]")
NATIVE(native_cmp, "cmp %[s], %[d]")
NATIVE(native_test, "test %[s], %[d]")
NATIVE(native_neg, "neg %[d]")
NATIVE(native_inc, "inc %[d]")
NATIVE(native_dec, "dec %[d]")
// clang-format on

static void (*const native[X86_OP_COUNT])(struct x86_alu *a) = {
    [X86_OP_ADD] = native_add, [X86_OP_OR] = native_or,     [X86_OP_ADC] = native_adc,
    [X86_OP_SBB] = native_sbb, [X86_OP_AND] = native_and,   [X86_OP_SUB] = native_sub,
    [X86_OP_XOR] = native_xor, [X86_OP_CMP] = native_cmp,   [X86_OP_NEG] = native_neg,
    [X86_OP_INC] = native_inc, [X86_OP_TEST] = native_test, [X86_OP_DEC] = native_dec,
};
#else
static void (*const native[X86_OP_COUNT])(struct x86_alu *a);
#endif

static void compare(enum x86_op op, struct x86_alu a)
{
    // Undefined after the logical operations.
    bool no_af = op == X86_OP_AND || op == X86_OP_OR || op == X86_OP_XOR || op == X86_OP_TEST;
    uint64_t known = X86_FLAGS_ARITHMETIC & ~(no_af ? X86_FLAG_AF : 0);
    struct x86_alu ours = a, theirs = a;

    x86_op_table[op].run(&ours);
    native[op](&theirs);
    if (ours.dst != theirs.dst || (ours.flags & known) != (theirs.flags & known)) {
        fail_msg("operation %d size %u of %llx, %llx: %llx flags %llx, not %llx flags %llx", (int)op, a.size,
                 (unsigned long long)a.dst, (unsigned long long)a.src, (unsigned long long)ours.dst,
                 (unsigned long long)(ours.flags & known), (unsigned long long)theirs.dst,
                 (unsigned long long)(theirs.flags & known));
    }
}

static void test_bytes_as_the_processor(void **state)
{
    (void)state;
    for (unsigned op = 0; op < X86_OP_COUNT; op++) {
        for (unsigned i = 0; native[op] && i < 0x20000; i++) {
            compare((enum x86_op)op,
                    (struct x86_alu){.dst = i & 0xFF, .src = i >> 8 & 0xFF, .flags = i >> 16, .size = 1});
        }
    }
}

static void test_wide_as_the_processor(void **state)
{
    static const uint64_t edges[] = {0,         1,          0xF,        0x10,       0x7FFF,
                                     0x8000,    0xFFFF,     0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                     INT64_MAX, 1ull << 63, UINT64_MAX, 0x12345678, 0x8765432112345678};

    (void)state;
    for (unsigned op = 0; op < X86_OP_COUNT; op++) {
        for (unsigned i = 0; native[op] && i < 6 * ARRAY_SIZE(edges) * ARRAY_SIZE(edges); i++) {
            unsigned size = 2u << i % 3, rest = i / 6;
            uint64_t mask = MASK64(0, 8 * size);

            compare((enum x86_op)op, (struct x86_alu){.dst = edges[rest % ARRAY_SIZE(edges)] & mask,
                                                      .src = edges[rest / ARRAY_SIZE(edges)] & mask,
                                                      .flags = i / 3 % 2,
                                                      .size = (uint8_t)size});
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_cmpxchg),
        cmocka_unit_test(test_bytes_as_the_processor),
        cmocka_unit_test(test_wide_as_the_processor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
