// SPDX-License-Identifier: Apache-2.0
//
// The RISC-V load/store decoder against encodings made by the GNU assembler, transformed instructions of htinst, and its
// rules on random words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/riscv64/virt/rv_decode.h"

enum {
    FP = 1,
    SIGN = 2
};

static const struct row {
    uint32_t insn;
    const char *text;
    enum rv_kind kind;
    uint8_t length, size, reg, flags;
} rows[] = {
    // clang-format off
    {0x00458503, "lb a0, 4(a1)", RV_LOAD, 4, 1, 10, SIGN},
    {0xffe59983, "lh s3, -2(a1)", RV_LOAD, 4, 2, 19, SIGN},
    {0x0005af83, "lw t6, 0(a1)", RV_LOAD, 4, 4, 31, SIGN},
    {0x0085bf83, "ld t6, 8(a1)", RV_LOAD, 4, 8, 31, 0},
    {0x0005c003, "lbu zero, 0(a1)", RV_LOAD, 4, 1, 0, 0},
    {0x0005d503, "lhu a0, 0(a1)", RV_LOAD, 4, 2, 10, 0},
    {0x0005e503, "lwu a0, 0(a1)", RV_LOAD, 4, 4, 10, 0},
    {0x0005f503, "load with funct3 7", RV_UNKNOWN, 4, 0, 0, 0},
    {0x00a581a3, "sb a0, 3(a1)", RV_STORE, 4, 1, 10, 0},
    {0x01b591a3, "sh s11, 3(a1)", RV_STORE, 4, 2, 27, 0},
    {0x00c5a1a3, "sw a2, 3(a1)", RV_STORE, 4, 4, 12, 0},
    {0x0005b1a3, "sd zero, 3(a1)", RV_STORE, 4, 8, 0, 0},
    {0x0005c1a3, "store with funct3 4", RV_UNKNOWN, 4, 0, 0, 0},
    {0x0005a187, "flw ft3, 0(a1)", RV_LOAD, 4, 4, 3, FP},
    {0x0005bf87, "fld ft11, 0(a1)", RV_LOAD, 4, 8, 31, FP},
    {0x0035a027, "fsw ft3, 0(a1)", RV_STORE, 4, 4, 3, FP},
    {0x01e5b027, "fsd ft10, 0(a1)", RV_STORE, 4, 8, 30, FP},
    {0x02058007, "vle8.v v0, (a1)", RV_UNKNOWN, 4, 0, 0, 0},
    {0x00b6252f, "amoadd.w a0, a1, (a2)", RV_ATOMIC, 4, 0, 0, 0},
    {0x1005b52f, "lr.d a0, (a1)", RV_RESERVE, 4, 0, 0, 0},
    {0x18b6252f, "sc.w a0, a1, (a2)", RV_ATOMIC, 4, 0, 0, 0},
    {0x0025a00f, "cbo.flush (a1)", RV_CACHE, 4, 0, 0, 0},
    {0x0000100f, "fence.i", RV_UNKNOWN, 4, 0, 0, 0},
    {0x00000013, "nop", RV_UNKNOWN, 4, 0, 0, 0},
    {0x00c58533, "add a0, a1, a2", RV_UNKNOWN, 4, 0, 0, 0},
    {0x41c8, "c.lw a0, 4(a1)", RV_LOAD, 2, 4, 10, SIGN},
    {0x6584, "c.ld s1, 8(a1)", RV_LOAD, 2, 8, 9, 0},
    {0x2584, "c.fld fs1, 8(a1)", RV_LOAD, 2, 8, 9, FP},
    {0xc1dc, "c.sw a5, 4(a1)", RV_STORE, 2, 4, 15, 0},
    {0xe598, "c.sd a4, 8(a1)", RV_STORE, 2, 8, 14, 0},
    {0xa580, "c.fsd fs0, 8(a1)", RV_STORE, 2, 8, 8, FP},
    {0x4a92, "c.lwsp s5, 4(sp)", RV_LOAD, 2, 4, 21, SIGN},
    {0x6522, "c.ldsp a0, 8(sp)", RV_LOAD, 2, 8, 10, 0},
    {0x2a22, "c.fldsp fs4, 8(sp)", RV_LOAD, 2, 8, 20, FP},
    {0xc25a, "c.swsp s6, 4(sp)", RV_STORE, 2, 4, 22, 0},
    {0xe446, "c.sdsp a7, 8(sp)", RV_STORE, 2, 8, 17, 0},
    {0xa47e, "c.fsdsp ft11, 8(sp)", RV_STORE, 2, 8, 31, FP},
    {0x4012, "c.lwsp with rd 0", RV_UNKNOWN, 2, 0, 0, 0},
    {0x6002, "c.ldsp with rd 0", RV_UNKNOWN, 2, 0, 0, 0},
    {0x8188, "c.lbu a0, 0(a1)", RV_LOAD, 2, 1, 10, 0},
    {0x8588, "c.lhu a0, 0(a1)", RV_LOAD, 2, 2, 10, 0},
    {0x85c8, "c.lh a0, 0(a1)", RV_LOAD, 2, 2, 10, SIGN},
    {0x8988, "c.sb a0, 0(a1)", RV_STORE, 2, 1, 10, 0},
    {0x8d88, "c.sh a0, 0(a1)", RV_STORE, 2, 2, 10, 0},
    {0x8082, "ret", RV_UNKNOWN, 2, 0, 0, 0},
    {0x0000, "all zero", RV_UNKNOWN, 2, 0, 0, 0},
    {0x0000001f, "48 bits or longer", RV_UNKNOWN, 4, 0, 0, 0},
    {0xffffffff, "all ones", RV_UNKNOWN, 4, 0, 0, 0},
    // clang-format on
};

static void check(const struct row *r, struct rv_access a, unsigned length)
{
    if (a.kind != r->kind || a.length != length) {
        fail_msg("%s: kind %d length %u", r->text, (int)a.kind, a.length);
    }
    if (a.kind != RV_LOAD && a.kind != RV_STORE) {
        return;
    }
    if (a.size != r->size || a.reg != r->reg || a.fp != ((r->flags & FP) != 0) ||
        a.sign_extend != ((r->flags & SIGN) != 0)) {
        fail_msg("%s: size %u reg %u fp %d sign %d", r->text, a.size, a.reg, a.fp, a.sign_extend);
    }
}

static void test_assembler(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        check(&rows[i], rv_decode(rows[i].insn), rows[i].length);
    }
}

// What follows a compressed instruction in memory does not matter.
static void test_compressed_ignores_the_rest(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].length == 2) {
            check(&rows[i], rv_decode(rows[i].insn | 0xABCD0000), 2);
        }
    }
}

// Offset fields are zero in htinst and rs1 holds the address offset; bit 1 is clear for a compressed instruction.
static void test_transformed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t opcode = rows[i].insn & 0x7F;
        uint64_t keep = opcode == 0x23 || opcode == 0x27 ? 0x01F0707F : 0x00007FFF;

        if (rows[i].length == 4 && (rows[i].kind == RV_LOAD || rows[i].kind == RV_STORE)) {
            uint64_t htinst = (rows[i].insn & keep) | 5u << 15;

            check(&rows[i], rv_decode_htinst(htinst), 4);
            check(&rows[i], rv_decode_htinst(htinst & ~UINT64_C(2)), 2);
        }
    }
}

static void test_pseudo_and_custom(void **state)
{
    (void)state;
    assert_true(rv_htinst_is_walk(0x2000));
    assert_true(rv_htinst_is_walk(0x2020));
    assert_true(rv_htinst_is_walk(0x3000));
    assert_true(rv_htinst_is_walk(0x3020));
    assert_false(rv_htinst_is_walk(0));
    assert_false(rv_htinst_is_walk(0x0000b503));
    assert_int_equal(rv_decode_htinst(0x3000).kind, RV_UNKNOWN);
    assert_int_equal(rv_decode_htinst(0).kind, RV_UNKNOWN);
    assert_int_equal(rv_decode_htinst(UINT64_C(0x10000b503)).kind, RV_UNKNOWN);
}

static void test_random(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 1000000; i++) {
        struct rv_access a;

        seed = seed * 6364136223846793005 + 1442695040888963407;
        a = rv_decode((uint32_t)(seed >> 32));
        assert_true((unsigned)a.kind < RV_KIND_COUNT && (a.length == 2 || a.length == 4));
        if (a.kind == RV_LOAD || a.kind == RV_STORE) {
            assert_true(is_power_of_two(a.size) && a.size <= 8 && a.reg < 32);
            assert_true(!a.sign_extend || (a.kind == RV_LOAD && !a.fp && a.size < 8));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assembler),   cmocka_unit_test(test_compressed_ignores_the_rest),
        cmocka_unit_test(test_transformed), cmocka_unit_test(test_pseudo_and_custom),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
