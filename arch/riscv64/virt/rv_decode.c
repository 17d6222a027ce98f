// SPDX-License-Identifier: Apache-2.0
//
// See rv_decode.h.
#include "arch/riscv64/virt/rv_decode.h"

enum {
    OP_LOAD = 0x03,
    OP_LOAD_FP = 0x07,
    OP_MISC_MEM = 0x0F,
    OP_STORE = 0x23,
    OP_STORE_FP = 0x27,
    OP_AMO = 0x2F
};
#define FUNCT5_LR 2u

static unsigned bits(uint32_t insn, unsigned low, unsigned width)
{
    return insn >> low & ((1u << width) - 1);
}

static struct rv_access access(enum rv_kind kind, unsigned size, unsigned reg)
{
    return (struct rv_access){.kind = kind, .size = (uint8_t)size, .reg = (uint8_t)reg};
}

// funct3: 0-3 LB LH LW LD, 4-6 LBU LHU LWU.
static struct rv_access decode_load(uint32_t insn)
{
    unsigned funct3 = bits(insn, 12, 3);
    struct rv_access a = access(RV_LOAD, 1u << (funct3 & 3), bits(insn, 7, 5));

    if (funct3 == 7) {
        a.kind = RV_UNKNOWN;
    }
    a.sign_extend = funct3 < 3;
    return a;
}

// funct3: 2 single, 3 double; the rest is half, quad and vector.
static struct rv_access decode_fp(uint32_t insn, enum rv_kind kind, unsigned reg)
{
    unsigned funct3 = bits(insn, 12, 3);
    struct rv_access a = access(funct3 == 2 || funct3 == 3 ? kind : RV_UNKNOWN, 1u << (funct3 & 3), reg);

    a.fp = true;
    return a;
}

static struct rv_access decode_wide(uint32_t insn)
{
    switch (insn & 0x7F) {
    case OP_LOAD:
        return decode_load(insn);
    case OP_STORE:
        return access(bits(insn, 12, 3) < 4 ? RV_STORE : RV_UNKNOWN, 1u << bits(insn, 12, 2),
                      bits(insn, 20, 5));
    case OP_LOAD_FP:
        return decode_fp(insn, RV_LOAD, bits(insn, 7, 5));
    case OP_STORE_FP:
        return decode_fp(insn, RV_STORE, bits(insn, 20, 5));
    case OP_AMO:
        return access(bits(insn, 27, 5) == FUNCT5_LR ? RV_RESERVE : RV_ATOMIC, 0, 0);
    case OP_MISC_MEM:
        return access(bits(insn, 12, 3) == 2 ? RV_CACHE : RV_UNKNOWN, 0, 0);
    default:
        return access(RV_UNKNOWN, 0, 0);
    }
}

// Quadrant 0: registers x8 to x15. funct3: 1 C.FLD, 2 C.LW, 3 C.LD, 4 Zcb, 5 C.FSD, 6 C.SW, 7 C.SD.
static struct rv_access decode_quadrant0(uint32_t insn)
{
    unsigned reg = 8 + bits(insn, 2, 3);
    struct rv_access a;

    switch (bits(insn, 13, 3)) {
    case 1:
        a = access(RV_LOAD, 8, reg);
        a.fp = true;
        return a;
    case 2:
        a = access(RV_LOAD, 4, reg);
        a.sign_extend = true;
        return a;
    case 3:
        return access(RV_LOAD, 8, reg);
    case 5:
        a = access(RV_STORE, 8, reg);
        a.fp = true;
        return a;
    case 6:
        return access(RV_STORE, 4, reg);
    case 7:
        return access(RV_STORE, 8, reg);
    default:
        return access(RV_UNKNOWN, 0, 0);
    }
}

// Zcb: bits 12:10 say C.LBU, C.LHU/C.LH (bit 6), C.SB, C.SH.
static struct rv_access decode_zcb(uint32_t insn)
{
    unsigned reg = 8 + bits(insn, 2, 3);
    struct rv_access a;

    switch (bits(insn, 10, 3)) {
    case 0:
        return access(RV_LOAD, 1, reg);
    case 1:
        a = access(RV_LOAD, 2, reg);
        a.sign_extend = bits(insn, 6, 1);
        return a;
    case 2:
        return access(RV_STORE, 1, reg);
    case 3:
        return access(bits(insn, 6, 1) ? RV_UNKNOWN : RV_STORE, 2, reg);
    default:
        return access(RV_UNKNOWN, 0, 0);
    }
}

// Quadrant 2: relative to the stack pointer. 1 C.FLDSP, 2 C.LWSP, 3 C.LDSP, 5 C.FSDSP, 6 C.SWSP, 7 C.SDSP.
static struct rv_access decode_quadrant2(uint32_t insn)
{
    unsigned rd = bits(insn, 7, 5);
    unsigned rs2 = bits(insn, 2, 5);
    struct rv_access a;

    switch (bits(insn, 13, 3)) {
    case 1:
        a = access(RV_LOAD, 8, rd);
        a.fp = true;
        return a;
    case 2:
        a = access(rd ? RV_LOAD : RV_UNKNOWN, 4, rd); // rd = 0 is reserved
        a.sign_extend = true;
        return a;
    case 3:
        return access(rd ? RV_LOAD : RV_UNKNOWN, 8, rd);
    case 5:
        a = access(RV_STORE, 8, rs2);
        a.fp = true;
        return a;
    case 6:
        return access(RV_STORE, 4, rs2);
    case 7:
        return access(RV_STORE, 8, rs2);
    default:
        return access(RV_UNKNOWN, 0, 0);
    }
}

struct rv_access rv_decode(uint32_t insn)
{
    struct rv_access a;

    switch (insn & 3) {
    case 0:
        a = bits(insn, 13, 3) == 4 ? decode_zcb(insn) : decode_quadrant0(insn);
        a.length = 2;
        return a;
    case 1:
        a = access(RV_UNKNOWN, 0, 0);
        a.length = 2;
        return a;
    case 2:
        a = decode_quadrant2(insn);
        a.length = 2;
        return a;
    default:
        a = (insn & 0x1F) == 0x1F ? access(RV_UNKNOWN, 0, 0) : decode_wide(insn); // longer than 32 bits
        a.length = 4;
        return a;
    }
}

struct rv_access rv_decode_htinst(uint64_t htinst)
{
    struct rv_access a = {.kind = RV_UNKNOWN, .length = 4};

    if (!(htinst & 1) || htinst >> 32) { // a pseudo-instruction or a custom value
        return a;
    }
    a = decode_wide((uint32_t)htinst | 2);
    a.length = htinst & 2 ? 4 : 2;
    return a;
}
