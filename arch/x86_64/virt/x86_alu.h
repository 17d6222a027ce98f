// SPDX-License-Identifier: Apache-2.0
//
// The integer operations that x86 instructions make of a memory operand, with their flags (Intel SDM vol. 1, 3.4.3.1).
// Pure. Flags that the manual leaves undefined are what common processors make of them, or cleared, or kept.
#pragma once

#include "kernel/lib/types.h"

#define X86_FLAG_CF BIT64(0)
#define X86_FLAG_PF BIT64(2)
#define X86_FLAG_AF BIT64(4)
#define X86_FLAG_ZF BIT64(6)
#define X86_FLAG_SF BIT64(7)
#define X86_FLAG_TF BIT64(8)
#define X86_FLAG_DF BIT64(10)
#define X86_FLAG_OF BIT64(11)
#define X86_FLAGS_ARITHMETIC \
    (X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF)

// In the order of the first eight opcodes groups and of group 1.
enum x86_op {
    X86_OP_ADD,
    X86_OP_OR,
    X86_OP_ADC,
    X86_OP_SBB,
    X86_OP_AND,
    X86_OP_SUB,
    X86_OP_XOR,
    X86_OP_CMP,
    X86_OP_TEST,
    X86_OP_MOV,
    X86_OP_XCHG,
    X86_OP_XADD,
    X86_OP_CMPXCHG,
    X86_OP_NOT,
    X86_OP_NEG,
    X86_OP_INC,
    X86_OP_DEC,
    X86_OP_BT,
    X86_OP_BTS,
    X86_OP_BTR,
    X86_OP_BTC,
    X86_OP_ROL, // group 2: src counts, of which five or, for 8 bytes, six bits matter
    X86_OP_ROR,
    X86_OP_RCL,
    X86_OP_RCR,
    X86_OP_SHL,
    X86_OP_SHR,
    X86_OP_SAR,
    X86_OP_IMUL,
    X86_OP_SWAP, // bytes
    X86_OP_COUNT
};

struct x86_alu {
    uint64_t dst, src; // operands, then what they become; zero-extended
    uint64_t rax;      // CMPXCHG: the accumulator, likewise
    uint64_t flags;    // RFLAGS before and after
    uint8_t size;      // bytes: 1 2 4 8
};

struct x86_op_traits {
    void (*run)(struct x86_alu *a);
    bool reads_dst, writes_dst;
    bool writes_src; // a register
    bool locks;      // can be asked for with LOCK
};

extern const struct x86_op_traits x86_op_table[X86_OP_COUNT];

// Do the flags meet the condition of a Jcc, SETcc or CMOVcc? `code`: 0 to 15, the lowest bits of its opcode.
bool x86_condition(uint64_t flags, unsigned code);
