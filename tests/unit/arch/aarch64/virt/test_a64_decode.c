// SPDX-License-Identifier: Apache-2.0
//
// The A64 load/store decoder against encodings made by the GNU assembler, and its rules on random words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/aarch64/virt/a64_decode.h"

enum {
    SIMD = 1,
    SIGN = 2,
    WIDE = 4,
    ORDER = 8,
    UNPRIV = 16,
    WB = 32
};

static const struct row {
    uint32_t insn;
    const char *text;
    enum a64_kind kind;
    uint8_t size, count, reg0, reg1;
    uint8_t flags;
    uint8_t base;
    int16_t amount;
} rows[] = {
    // clang-format off
    {0x39401483, "ldrb w3, [x4, #5]", A64_LOAD, 1, 1, 3, 0, 0, 4, 0},
    {0x39001483, "strb w3, [x4, #5]", A64_STORE, 1, 1, 3, 0, 0, 4, 0},
    {0x385f94c5, "ldrb w5, [x6], #-7", A64_LOAD, 1, 1, 5, 0, WB, 6, -7},
    {0x380ff4c5, "strb w5, [x6], #255", A64_STORE, 1, 1, 5, 0, WB, 6, 255},
    {0x38500fe7, "ldrb w7, [sp, #-256]!", A64_LOAD, 1, 1, 7, 0, WB, 31, -256},
    {0x38010d1f, "strb wzr, [x8, #16]!", A64_STORE, 1, 1, 31, 0, WB, 8, 16},
    {0x386b6949, "ldrb w9, [x10, x11]", A64_LOAD, 1, 1, 9, 0, 0, 10, 0},
    {0x382bc949, "strb w9, [x10, w11, sxtw]", A64_STORE, 1, 1, 9, 0, 0, 10, 0},
    {0x385ff041, "ldurb w1, [x2, #-1]", A64_LOAD, 1, 1, 1, 0, 0, 2, 0},
    {0x381ff041, "sturb w1, [x2, #-1]", A64_STORE, 1, 1, 1, 0, 0, 2, 0},
    {0x38403841, "ldtrb w1, [x2, #3]", A64_LOAD, 1, 1, 1, 0, UNPRIV, 2, 0},
    {0x38003841, "sttrb w1, [x2, #3]", A64_STORE, 1, 1, 1, 0, UNPRIV, 2, 0},
    {0x08dffdac, "ldarb w12, [x13]", A64_LOAD, 1, 1, 12, 0, ORDER, 13, 0},
    {0x089ffdac, "stlrb w12, [x13]", A64_STORE, 1, 1, 12, 0, ORDER, 13, 0},
    {0x38bfc3ec, "ldaprb w12, [sp]", A64_LOAD, 1, 1, 12, 0, ORDER, 31, 0},
    {0x195f702c, "ldapurb w12, [x1, #-9]", A64_LOAD, 1, 1, 12, 0, ORDER, 1, 0},
    {0x191f702c, "stlurb w12, [x1, #-9]", A64_STORE, 1, 1, 12, 0, ORDER, 1, 0},
    {0x085f7c41, "ldxrb w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x08037c41, "stxrb w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x085ffc41, "ldaxrb w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x0803fc41, "stlxrb w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x08a17c62, "casb w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x08e1fc62, "casalb w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x38218062, "swpb w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x38210062, "ldaddb w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x38e11062, "ldclralb w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x3821707f, "stuminb w1, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x79401483, "ldrh w3, [x4, #10]", A64_LOAD, 2, 1, 3, 0, 0, 4, 0},
    {0x79001483, "strh w3, [x4, #10]", A64_STORE, 2, 1, 3, 0, 0, 4, 0},
    {0x785f94c5, "ldrh w5, [x6], #-7", A64_LOAD, 2, 1, 5, 0, WB, 6, -7},
    {0x780ff4c5, "strh w5, [x6], #255", A64_STORE, 2, 1, 5, 0, WB, 6, 255},
    {0x78500fe7, "ldrh w7, [sp, #-256]!", A64_LOAD, 2, 1, 7, 0, WB, 31, -256},
    {0x78010d1f, "strh wzr, [x8, #16]!", A64_STORE, 2, 1, 31, 0, WB, 8, 16},
    {0x786b6949, "ldrh w9, [x10, x11]", A64_LOAD, 2, 1, 9, 0, 0, 10, 0},
    {0x782bc949, "strh w9, [x10, w11, sxtw]", A64_STORE, 2, 1, 9, 0, 0, 10, 0},
    {0x785ff041, "ldurh w1, [x2, #-1]", A64_LOAD, 2, 1, 1, 0, 0, 2, 0},
    {0x781ff041, "sturh w1, [x2, #-1]", A64_STORE, 2, 1, 1, 0, 0, 2, 0},
    {0x78403841, "ldtrh w1, [x2, #3]", A64_LOAD, 2, 1, 1, 0, UNPRIV, 2, 0},
    {0x78003841, "sttrh w1, [x2, #3]", A64_STORE, 2, 1, 1, 0, UNPRIV, 2, 0},
    {0x48dffdac, "ldarh w12, [x13]", A64_LOAD, 2, 1, 12, 0, ORDER, 13, 0},
    {0x489ffdac, "stlrh w12, [x13]", A64_STORE, 2, 1, 12, 0, ORDER, 13, 0},
    {0x78bfc3ec, "ldaprh w12, [sp]", A64_LOAD, 2, 1, 12, 0, ORDER, 31, 0},
    {0x595f702c, "ldapurh w12, [x1, #-9]", A64_LOAD, 2, 1, 12, 0, ORDER, 1, 0},
    {0x591f702c, "stlurh w12, [x1, #-9]", A64_STORE, 2, 1, 12, 0, ORDER, 1, 0},
    {0x485f7c41, "ldxrh w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x48037c41, "stxrh w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x485ffc41, "ldaxrh w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x4803fc41, "stlxrh w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x48a17c62, "cash w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x48e1fc62, "casalh w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x78218062, "swph w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x78210062, "ldaddh w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x78e11062, "ldclralh w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x7821707f, "stuminh w1, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xb9401483, "ldr w3, [x4, #20]", A64_LOAD, 4, 1, 3, 0, 0, 4, 0},
    {0xb9001483, "str w3, [x4, #20]", A64_STORE, 4, 1, 3, 0, 0, 4, 0},
    {0xb85f94c5, "ldr w5, [x6], #-7", A64_LOAD, 4, 1, 5, 0, WB, 6, -7},
    {0xb80ff4c5, "str w5, [x6], #255", A64_STORE, 4, 1, 5, 0, WB, 6, 255},
    {0xb8500fe7, "ldr w7, [sp, #-256]!", A64_LOAD, 4, 1, 7, 0, WB, 31, -256},
    {0xb8010d1f, "str wzr, [x8, #16]!", A64_STORE, 4, 1, 31, 0, WB, 8, 16},
    {0xb86b6949, "ldr w9, [x10, x11]", A64_LOAD, 4, 1, 9, 0, 0, 10, 0},
    {0xb82bc949, "str w9, [x10, w11, sxtw]", A64_STORE, 4, 1, 9, 0, 0, 10, 0},
    {0xb85ff041, "ldur w1, [x2, #-1]", A64_LOAD, 4, 1, 1, 0, 0, 2, 0},
    {0xb81ff041, "stur w1, [x2, #-1]", A64_STORE, 4, 1, 1, 0, 0, 2, 0},
    {0xb8403841, "ldtr w1, [x2, #3]", A64_LOAD, 4, 1, 1, 0, UNPRIV, 2, 0},
    {0xb8003841, "sttr w1, [x2, #3]", A64_STORE, 4, 1, 1, 0, UNPRIV, 2, 0},
    {0x88dffdac, "ldar w12, [x13]", A64_LOAD, 4, 1, 12, 0, ORDER, 13, 0},
    {0x889ffdac, "stlr w12, [x13]", A64_STORE, 4, 1, 12, 0, ORDER, 13, 0},
    {0xb8bfc3ec, "ldapr w12, [sp]", A64_LOAD, 4, 1, 12, 0, ORDER, 31, 0},
    {0x995f702c, "ldapur w12, [x1, #-9]", A64_LOAD, 4, 1, 12, 0, ORDER, 1, 0},
    {0x991f702c, "stlur w12, [x1, #-9]", A64_STORE, 4, 1, 12, 0, ORDER, 1, 0},
    {0x885f7c41, "ldxr w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x88037c41, "stxr w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x885ffc41, "ldaxr w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x8803fc41, "stlxr w3, w1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x88a17c62, "cas w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x88e1fc62, "casal w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xb8218062, "swp w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xb8210062, "ldadd w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xb8e11062, "ldclral w1, w2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xb821707f, "stumin w1, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xf9401483, "ldr x3, [x4, #40]", A64_LOAD, 8, 1, 3, 0, WIDE, 4, 0},
    {0xf9001483, "str x3, [x4, #40]", A64_STORE, 8, 1, 3, 0, 0, 4, 0},
    {0xf85f94c5, "ldr x5, [x6], #-7", A64_LOAD, 8, 1, 5, 0, WIDE|WB, 6, -7},
    {0xf80ff4c5, "str x5, [x6], #255", A64_STORE, 8, 1, 5, 0, WB, 6, 255},
    {0xf8500fe7, "ldr x7, [sp, #-256]!", A64_LOAD, 8, 1, 7, 0, WIDE|WB, 31, -256},
    {0xf8010d1f, "str xzr, [x8, #16]!", A64_STORE, 8, 1, 31, 0, WB, 8, 16},
    {0xf86b6949, "ldr x9, [x10, x11]", A64_LOAD, 8, 1, 9, 0, WIDE, 10, 0},
    {0xf82bc949, "str x9, [x10, w11, sxtw]", A64_STORE, 8, 1, 9, 0, 0, 10, 0},
    {0xf85ff041, "ldur x1, [x2, #-1]", A64_LOAD, 8, 1, 1, 0, WIDE, 2, 0},
    {0xf81ff041, "stur x1, [x2, #-1]", A64_STORE, 8, 1, 1, 0, 0, 2, 0},
    {0xf8403841, "ldtr x1, [x2, #3]", A64_LOAD, 8, 1, 1, 0, WIDE|UNPRIV, 2, 0},
    {0xf8003841, "sttr x1, [x2, #3]", A64_STORE, 8, 1, 1, 0, UNPRIV, 2, 0},
    {0xc8dffdac, "ldar x12, [x13]", A64_LOAD, 8, 1, 12, 0, WIDE|ORDER, 13, 0},
    {0xc89ffdac, "stlr x12, [x13]", A64_STORE, 8, 1, 12, 0, ORDER, 13, 0},
    {0xf8bfc3ec, "ldapr x12, [sp]", A64_LOAD, 8, 1, 12, 0, WIDE|ORDER, 31, 0},
    {0xd95f702c, "ldapur x12, [x1, #-9]", A64_LOAD, 8, 1, 12, 0, WIDE|ORDER, 1, 0},
    {0xd91f702c, "stlur x12, [x1, #-9]", A64_STORE, 8, 1, 12, 0, ORDER, 1, 0},
    {0xc85f7c41, "ldxr x1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc8037c41, "stxr w3, x1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc85ffc41, "ldaxr x1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc803fc41, "stlxr w3, x1, [x2]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc8a17c62, "cas x1, x2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xc8e1fc62, "casal x1, x2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xf8218062, "swp x1, x2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xf8210062, "ldadd x1, x2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xf8e11062, "ldclral x1, x2, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xf821707f, "stumin x1, [x3]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x39c026b4, "ldrsb w20, [x21, #9]", A64_LOAD, 1, 1, 20, 0, SIGN, 21, 0},
    {0x38c016b4, "ldrsb w20, [x21], #1", A64_LOAD, 1, 1, 20, 0, SIGN|WB, 21, 1},
    {0x38f67ab4, "ldrsb w20, [x21, x22, lsl #0]", A64_LOAD, 1, 1, 20, 0, SIGN, 21, 0},
    {0x38dfd2b4, "ldursb w20, [x21, #-3]", A64_LOAD, 1, 1, 20, 0, SIGN, 21, 0},
    {0x38dfdab4, "ldtrsb w20, [x21, #-3]", A64_LOAD, 1, 1, 20, 0, SIGN|UNPRIV, 21, 0},
    {0x398026b4, "ldrsb x20, [x21, #9]", A64_LOAD, 1, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x388016b4, "ldrsb x20, [x21], #1", A64_LOAD, 1, 1, 20, 0, SIGN|WIDE|WB, 21, 1},
    {0x38b67ab4, "ldrsb x20, [x21, x22, lsl #0]", A64_LOAD, 1, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x389fd2b4, "ldursb x20, [x21, #-3]", A64_LOAD, 1, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x389fdab4, "ldtrsb x20, [x21, #-3]", A64_LOAD, 1, 1, 20, 0, SIGN|WIDE|UNPRIV, 21, 0},
    {0x79c026b4, "ldrsh w20, [x21, #18]", A64_LOAD, 2, 1, 20, 0, SIGN, 21, 0},
    {0x78c016b4, "ldrsh w20, [x21], #1", A64_LOAD, 2, 1, 20, 0, SIGN|WB, 21, 1},
    {0x78f66ab4, "ldrsh w20, [x21, x22, lsl #0]", A64_LOAD, 2, 1, 20, 0, SIGN, 21, 0},
    {0x78dfd2b4, "ldursh w20, [x21, #-3]", A64_LOAD, 2, 1, 20, 0, SIGN, 21, 0},
    {0x78dfdab4, "ldtrsh w20, [x21, #-3]", A64_LOAD, 2, 1, 20, 0, SIGN|UNPRIV, 21, 0},
    {0x798026b4, "ldrsh x20, [x21, #18]", A64_LOAD, 2, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x788016b4, "ldrsh x20, [x21], #1", A64_LOAD, 2, 1, 20, 0, SIGN|WIDE|WB, 21, 1},
    {0x78b66ab4, "ldrsh x20, [x21, x22, lsl #0]", A64_LOAD, 2, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x789fd2b4, "ldursh x20, [x21, #-3]", A64_LOAD, 2, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0x789fdab4, "ldtrsh x20, [x21, #-3]", A64_LOAD, 2, 1, 20, 0, SIGN|WIDE|UNPRIV, 21, 0},
    {0xb98026b4, "ldrsw x20, [x21, #36]", A64_LOAD, 4, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0xb88016b4, "ldrsw x20, [x21], #1", A64_LOAD, 4, 1, 20, 0, SIGN|WIDE|WB, 21, 1},
    {0xb8b66ab4, "ldrsw x20, [x21, x22, lsl #0]", A64_LOAD, 4, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0xb89fd2b4, "ldursw x20, [x21, #-3]", A64_LOAD, 4, 1, 20, 0, SIGN|WIDE, 21, 0},
    {0xb89fdab4, "ldtrsw x20, [x21, #-3]", A64_LOAD, 4, 1, 20, 0, SIGN|WIDE|UNPRIV, 21, 0},
    {0x3d400bbe, "ldr b30, [x29, #2]", A64_LOAD, 1, 1, 30, 0, SIMD, 29, 0},
    {0x3d000bbe, "str b30, [x29, #2]", A64_STORE, 1, 1, 30, 0, SIMD, 29, 0},
    {0x3c5f04a5, "ldr b5, [x5], #-16", A64_LOAD, 1, 1, 5, 0, SIMD|WB, 5, -16},
    {0x3c020ca5, "str b5, [x5, #32]!", A64_STORE, 1, 1, 5, 0, SIMD|WB, 5, 32},
    {0x3c626820, "ldr b0, [x1, x2]", A64_LOAD, 1, 1, 0, 0, SIMD, 1, 0},
    {0x3c1fb3ff, "stur b31, [sp, #-5]", A64_STORE, 1, 1, 31, 0, SIMD, 31, 0},
    {0x7d400bbe, "ldr h30, [x29, #4]", A64_LOAD, 2, 1, 30, 0, SIMD, 29, 0},
    {0x7d000bbe, "str h30, [x29, #4]", A64_STORE, 2, 1, 30, 0, SIMD, 29, 0},
    {0x7c5f04a5, "ldr h5, [x5], #-16", A64_LOAD, 2, 1, 5, 0, SIMD|WB, 5, -16},
    {0x7c020ca5, "str h5, [x5, #32]!", A64_STORE, 2, 1, 5, 0, SIMD|WB, 5, 32},
    {0x7c626820, "ldr h0, [x1, x2]", A64_LOAD, 2, 1, 0, 0, SIMD, 1, 0},
    {0x7c1fb3ff, "stur h31, [sp, #-5]", A64_STORE, 2, 1, 31, 0, SIMD, 31, 0},
    {0xbd400bbe, "ldr s30, [x29, #8]", A64_LOAD, 4, 1, 30, 0, SIMD, 29, 0},
    {0xbd000bbe, "str s30, [x29, #8]", A64_STORE, 4, 1, 30, 0, SIMD, 29, 0},
    {0xbc5f04a5, "ldr s5, [x5], #-16", A64_LOAD, 4, 1, 5, 0, SIMD|WB, 5, -16},
    {0xbc020ca5, "str s5, [x5, #32]!", A64_STORE, 4, 1, 5, 0, SIMD|WB, 5, 32},
    {0xbc626820, "ldr s0, [x1, x2]", A64_LOAD, 4, 1, 0, 0, SIMD, 1, 0},
    {0xbc1fb3ff, "stur s31, [sp, #-5]", A64_STORE, 4, 1, 31, 0, SIMD, 31, 0},
    {0xfd400bbe, "ldr d30, [x29, #16]", A64_LOAD, 8, 1, 30, 0, SIMD, 29, 0},
    {0xfd000bbe, "str d30, [x29, #16]", A64_STORE, 8, 1, 30, 0, SIMD, 29, 0},
    {0xfc5f04a5, "ldr d5, [x5], #-16", A64_LOAD, 8, 1, 5, 0, SIMD|WB, 5, -16},
    {0xfc020ca5, "str d5, [x5, #32]!", A64_STORE, 8, 1, 5, 0, SIMD|WB, 5, 32},
    {0xfc626820, "ldr d0, [x1, x2]", A64_LOAD, 8, 1, 0, 0, SIMD, 1, 0},
    {0xfc1fb3ff, "stur d31, [sp, #-5]", A64_STORE, 8, 1, 31, 0, SIMD, 31, 0},
    {0x3dc00bbe, "ldr q30, [x29, #32]", A64_LOAD, 16, 1, 30, 0, SIMD, 29, 0},
    {0x3d800bbe, "str q30, [x29, #32]", A64_STORE, 16, 1, 30, 0, SIMD, 29, 0},
    {0x3cdf04a5, "ldr q5, [x5], #-16", A64_LOAD, 16, 1, 5, 0, SIMD|WB, 5, -16},
    {0x3c820ca5, "str q5, [x5, #32]!", A64_STORE, 16, 1, 5, 0, SIMD|WB, 5, 32},
    {0x3ce26820, "ldr q0, [x1, x2]", A64_LOAD, 16, 1, 0, 0, SIMD, 1, 0},
    {0x3c9fb3ff, "stur q31, [sp, #-5]", A64_STORE, 16, 1, 31, 0, SIMD, 31, 0},
    {0x29420861, "ldp w1, w2, [x3, #16]", A64_LOAD, 4, 2, 1, 2, 0, 3, 0},
    {0x293e0861, "stp w1, w2, [x3, #-16]", A64_STORE, 4, 2, 1, 2, 0, 3, 0},
    {0x28dffbfd, "ldp w29, w30, [sp], #252", A64_LOAD, 4, 2, 29, 30, WB, 31, 252},
    {0x29a07bfd, "stp w29, w30, [sp, #-256]!", A64_STORE, 4, 2, 29, 30, WB, 31, -256},
    {0x28400861, "ldnp w1, w2, [x3]", A64_LOAD, 4, 2, 1, 2, 0, 3, 0},
    {0x28007c61, "stnp w1, wzr, [x3]", A64_STORE, 4, 2, 1, 31, 0, 3, 0},
    {0x29001064, "stp w4, w4, [x3]", A64_STORE, 4, 2, 4, 4, 0, 3, 0},
    {0x887f0861, "ldxp w1, w2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x88240861, "stxp w4, w1, w2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x887f8861, "ldaxp w1, w2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x88248861, "stlxp w4, w1, w2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x08227cc4, "casp w2, w3, w4, w5, [x6]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0xa9420861, "ldp x1, x2, [x3, #32]", A64_LOAD, 8, 2, 1, 2, WIDE, 3, 0},
    {0xa93e0861, "stp x1, x2, [x3, #-32]", A64_STORE, 8, 2, 1, 2, 0, 3, 0},
    {0xa8dffbfd, "ldp x29, x30, [sp], #504", A64_LOAD, 8, 2, 29, 30, WIDE|WB, 31, 504},
    {0xa9a07bfd, "stp x29, x30, [sp, #-512]!", A64_STORE, 8, 2, 29, 30, WB, 31, -512},
    {0xa8400861, "ldnp x1, x2, [x3]", A64_LOAD, 8, 2, 1, 2, WIDE, 3, 0},
    {0xa8007c61, "stnp x1, xzr, [x3]", A64_STORE, 8, 2, 1, 31, 0, 3, 0},
    {0xa9001064, "stp x4, x4, [x3]", A64_STORE, 8, 2, 4, 4, 0, 3, 0},
    {0xc87f0861, "ldxp x1, x2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc8240861, "stxp w4, x1, x2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc87f8861, "ldaxp x1, x2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0xc8248861, "stlxp w4, x1, x2, [x3]", A64_EXCLUSIVE, 0, 0, 0, 0, 0, 0, 0},
    {0x48227cc4, "casp x2, x3, x4, x5, [x6]", A64_ATOMIC, 0, 0, 0, 0, 0, 0, 0},
    {0x69410861, "ldpsw x1, x2, [x3, #8]", A64_LOAD, 4, 2, 1, 2, SIGN|WIDE, 3, 0},
    {0x68c10861, "ldpsw x1, x2, [x3], #8", A64_LOAD, 4, 2, 1, 2, SIGN|WIDE|WB, 3, 8},
    {0x69ff0861, "ldpsw x1, x2, [x3, #-8]!", A64_LOAD, 4, 2, 1, 2, SIGN|WIDE|WB, 3, -8},
    {0x2d408821, "ldp s1, s2, [x1, #4]", A64_LOAD, 4, 2, 1, 2, SIMD, 1, 0},
    {0x2c810821, "stp s1, s2, [x1], #8", A64_STORE, 4, 2, 1, 2, SIMD|WB, 1, 8},
    {0x2de00be1, "ldp s1, s2, [sp, #-256]!", A64_LOAD, 4, 2, 1, 2, SIMD|WB, 31, -256},
    {0x2c000821, "stnp s1, s2, [x1]", A64_STORE, 4, 2, 1, 2, SIMD, 1, 0},
    {0x1c000209, "ldr s9, .+64", A64_LOAD, 4, 1, 9, 0, SIMD, 31, 0},
    {0x6d408821, "ldp d1, d2, [x1, #8]", A64_LOAD, 8, 2, 1, 2, SIMD, 1, 0},
    {0x6c810821, "stp d1, d2, [x1], #16", A64_STORE, 8, 2, 1, 2, SIMD|WB, 1, 16},
    {0x6de00be1, "ldp d1, d2, [sp, #-512]!", A64_LOAD, 8, 2, 1, 2, SIMD|WB, 31, -512},
    {0x6c000821, "stnp d1, d2, [x1]", A64_STORE, 8, 2, 1, 2, SIMD, 1, 0},
    {0x5c000209, "ldr d9, .+64", A64_LOAD, 8, 1, 9, 0, SIMD, 31, 0},
    {0xad408821, "ldp q1, q2, [x1, #16]", A64_LOAD, 16, 2, 1, 2, SIMD, 1, 0},
    {0xac810821, "stp q1, q2, [x1], #32", A64_STORE, 16, 2, 1, 2, SIMD|WB, 1, 32},
    {0xade00be1, "ldp q1, q2, [sp, #-1024]!", A64_LOAD, 16, 2, 1, 2, SIMD|WB, 31, -1024},
    {0xac000821, "stnp q1, q2, [x1]", A64_STORE, 16, 2, 1, 2, SIMD, 1, 0},
    {0x9c000209, "ldr q9, .+64", A64_LOAD, 16, 1, 9, 0, SIMD, 31, 0},
    {0x18000029, "ldr w9, .+4", A64_LOAD, 4, 1, 9, 0, 0, 31, 0},
    {0x58ffffe9, "ldr x9, .-4", A64_LOAD, 8, 1, 9, 0, WIDE, 31, 0},
    {0x98000049, "ldrsw x9, .+8", A64_LOAD, 4, 1, 9, 0, SIGN|WIDE, 31, 0},
    {0xf9800420, "prfm pldl1keep, [x1, #8]", A64_PREFETCH, 0, 0, 0, 0, 0, 0, 0},
    {0xf89fd030, "prfum pstl1keep, [x1, #-3]", A64_PREFETCH, 0, 0, 0, 0, 0, 0, 0},
    {0xf8a26823, "prfm pldl2strm, [x1, x2]", A64_PREFETCH, 0, 0, 0, 0, 0, 0, 0},
    {0xd8000040, "prfm pldl1keep, .+8", A64_PREFETCH, 0, 0, 0, 0, 0, 0, 0},
    {0xd5087621, "dc ivac, x1", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7a21, "dc cvac, x1", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7b21, "dc cvau, x1", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7e3f, "dc civac, xzr", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7c22, "dc cvap, x2", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7523, "ic ivau, x3", A64_CACHE, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7425, "dc zva, x5", A64_ZERO, 0, 0, 0, 0, 0, 0, 0},
    {0x4c407000, "ld1 {v0.16b}, [x0]", A64_STRUCTURE, 0, 0, 0, 0, 0, 0, 0},
    {0x0c9f0800, "st4 {v0.2s, v1.2s, v2.2s, v3.2s}, [x0], #32", A64_STRUCTURE, 0, 0, 0, 0, 0, 0, 0},
    {0x0d40c423, "ld1r {v3.4h}, [x1]", A64_STRUCTURE, 0, 0, 0, 0, 0, 0, 0},
    {0x0da40c40, "st2 {v0.b, v1.b}[3], [x2], x4", A64_STRUCTURE, 0, 0, 0, 0, 0, 0, 0},
    {0x4d40a7e0, "ld3 {v0.d, v1.d, v2.d}[1], [sp]", A64_STRUCTURE, 0, 0, 0, 0, 0, 0, 0},
    {0xd503201f, "nop", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0x8b020020, "add x0, x1, x2", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd5087641, "dc isw, x1", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd5087e41, "dc cisw, x1", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd508751f, "ic iallu", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd5087800, "at s1e1r, x0", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd508871f, "tlbi vmalle1", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xf8200441, "ldraa x1, [x2]", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xf8a01c41, "ldrab x1, [x2, #8]!", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd9200841, "stg x1, [x2]", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd9600041, "ldg x1, [x2]", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd4000001, "svc #0", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd61f0020, "br x1", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd53be040, "mrs x0, cntvct_el0", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    {0xd50b7461, "dc gva, x1", A64_UNKNOWN, 0, 0, 0, 0, 0, 0, 0},
    // clang-format on
};

static unsigned flags_of(const struct a64_access *a)
{
    return (a->simd ? SIMD : 0u) | (a->sign_extend ? SIGN : 0u) | (a->dest64 ? WIDE : 0u) |
           (a->acquire_release ? ORDER : 0u) | (a->unprivileged ? UNPRIV : 0u) | (a->write_back ? WB : 0u);
}

static void test_assembled(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *r = &rows[i];
        struct a64_access a = a64_decode(r->insn);

        if (a.kind != r->kind || a.size != r->size || a.count != r->count || a.reg[0] != r->reg0 ||
            a.reg[1] != r->reg1 || flags_of(&a) != r->flags || a.base != r->base || a.amount != r->amount) {
            fail_msg("%08x %s: %s size %u count %u reg %u %u flags %u base %u amount %d", r->insn, r->text,
                     a64_kind_name(a.kind), a.size, a.count, a.reg[0], a.reg[1], flags_of(&a), a.base,
                     a.amount);
        }
    }
}

static void test_unpredictable_forms(void **state)
{
    static const struct {
        uint32_t insn;
        const char *text;
    } cases[] = {
        {0xb8404421, "ldr w1, [x1], #4"},
        {0xf8008c21, "str x1, [x1, #8]!"},
        {0xa8c10423, "ldp x3, x1, [x1], #16"},
        {0xa9810441, "stp x1, x1, [x2, #16]! is fine"},
        {0xa9400421, "ldp x1, x1, [x1]"},
        {0x2d400421, "ldp s1, s1, [x1]"},
        {0x48dcef26, "ldarh, should-be-one"},
        {0x387f4841, "register offset, option 010 is fine"},
        {0x38620841, "register offset, 000"},
        {0x38622841, "register offset, 001"},
        {0xe8400000, "pair, opc 3"},
        {0x68000000, "stgp"},
        {0x68400000, "ldpsw, non-temporal"},
        {0xb8c00000, "ldursw to 32 bits"},
        {0xf8c00000, "size 3, opc 3"},
        {0x7c800000, "simd size 1, opc 2"},
        {0xf8800c00, "prfm with pre-index"},
        {0xf8800400, "prfm with post-index"},
        {0xf8800800, "unprivileged prefetch"},
        {0x3c400800, "unprivileged simd"},
        {0xdc000000, "literal simd, opc 3"},
        {0xd9800000, "ldapursw of 64 bits"},
        {0x0827fd46, "casp with odd registers is atomic"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        enum a64_kind kind = a64_decode(cases[i].insn).kind;
        bool fine = i == 3 || i == 7 || i == 22;

        if ((kind == A64_UNKNOWN) == fine) {
            fail_msg("%08x %s: %s", cases[i].insn, cases[i].text, a64_kind_name(kind));
        }
    }
}

// What callers may rely on, whatever the word.
static void test_rules_on_random_words(void **state)
{
    uint64_t seed = 88172645463325252;
    unsigned decoded = 0;

    (void)state;
    for (unsigned i = 0; i < 2000000; i++) {
        struct a64_access a;

        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        a = a64_decode((uint32_t)(seed >> 16));
        if (a.kind != A64_LOAD && a.kind != A64_STORE) {
            assert_in_range(a.kind, A64_UNKNOWN, A64_KIND_COUNT - 1);
            assert_int_equal(a.size, 0);
            continue;
        }
        decoded++;
        assert_true(is_power_of_two(a.size) && a.size <= (a.simd ? 16 : 8));
        assert_in_range(a.count, 1, 2);
        assert_true(a.reg[0] < 32 && a.reg[1] < 32 && a.base < 32);
        assert_true(!a.sign_extend || (a.kind == A64_LOAD && !a.simd && a.size < (a.dest64 ? 8 : 4)));
        assert_true(!a.dest64 || (a.kind == A64_LOAD && !a.simd));
        assert_true(a.write_back || a.amount == 0);
        assert_true(a.amount >= -1024 && a.amount <= 1008);
        assert_true(!a.write_back || a.simd || a.base == A64_REG_ZR || a.base != a.reg[0]);
    }
    assert_in_range(decoded, 100000, 2000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assembled),
        cmocka_unit_test(test_unpredictable_forms),
        cmocka_unit_test(test_rules_on_random_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
