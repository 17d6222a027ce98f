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
#define STORE_BIT 0x20u // in the opcode: a store, not a load
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

// What a compressed load or store stands for, without its register: 0 when it is none. By quadrant, then funct3.
static const uint16_t compressed[2][8] = {
    {
        [1] = OP_LOAD_FP | 3u << 12,  // C.FLD
        [2] = OP_LOAD | 2u << 12,     // C.LW
        [3] = OP_LOAD | 3u << 12,     // C.LD
        [5] = OP_STORE_FP | 3u << 12, // C.FSD
        [6] = OP_STORE | 2u << 12,    // C.SW
        [7] = OP_STORE | 3u << 12,    // C.SD
    },
    {
        [1] = OP_LOAD_FP | 3u << 12,  // C.FLDSP
        [2] = OP_LOAD | 2u << 12,     // C.LWSP
        [3] = OP_LOAD | 3u << 12,     // C.LDSP
        [5] = OP_STORE_FP | 3u << 12, // C.FSDSP
        [6] = OP_STORE | 2u << 12,    // C.SWSP
        [7] = OP_STORE | 3u << 12,    // C.SDSP
    },
};

// Zcb, quadrant 0 with funct3 4, by bits 12:10 and 6.
static const uint16_t zcb[8][2] = {
    {OP_LOAD | 4u << 12, OP_LOAD | 4u << 12}, // C.LBU
    {OP_LOAD | 5u << 12, OP_LOAD | 1u << 12}, // C.LHU, C.LH
    {OP_STORE, OP_STORE},                     // C.SB
    {OP_STORE | 1u << 12, 0},                 // C.SH
};

uint32_t rv_expand(uint16_t insn)
{
    unsigned quadrant = insn & 3;
    uint32_t wide = quadrant & 1 ? 0 : compressed[quadrant >> 1][insn >> 13];
    unsigned low = bits(insn, 2, 5), high = bits(insn, 7, 5);

    if (quadrant == 0) { // registers x8 to x15
        wide = insn >> 13 == 4 ? zcb[bits(insn, 10, 3)][bits(insn, 6, 1)] : wide;
        low = 8 + (low & 7);
        high = low;
    }
    if (wide == 0 || (quadrant == 2 && (wide & 0x7F) == OP_LOAD && high == 0)) { // rd = 0 is reserved
        return 0;
    }
    return (wide & ~UINT32_C(2)) | (wide & STORE_BIT ? low << 20 : high << 7);
}

struct rv_access rv_decode(uint32_t insn)
{
    struct rv_access a;

    if ((insn & 3) != 3) {
        a = decode_wide(rv_expand((uint16_t)insn) | 2);
        a.length = 2;
    } else {
        a = (insn & 0x1F) == 0x1F ? access(RV_UNKNOWN, 0, 0) : decode_wide(insn); // longer than 32 bits
        a.length = 4;
    }
    return a;
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
