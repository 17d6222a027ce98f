// SPDX-License-Identifier: Apache-2.0
//
// What an instruction that is emulated does, and to what: a table of opcodes; those that the ModRM byte tells apart have a
// table of their own (Intel SDM vol. 2, appendix A).
#pragma once

#include "arch/x86_64/virt/x86_decode.h"

enum x86_kind {
    X86_UNKNOWN,
    X86_WRONG, // a LOCK prefix where there must be none
    X86_ALU,
    X86_PUSH,
    X86_POP,
    X86_CALL,
    X86_JUMP,
    X86_RETURN,
    X86_SET,     // a byte, by a condition
    X86_MOVE_IF, // by a condition
    X86_CMPXCHG_PAIR,
    X86_STRING,
    X86_VECTOR,
    X86_NOTHING // cache maintenance and hints
};

enum x86_operand {
    X86_NONE,
    X86_MEM,
    X86_REG,     // reg of the ModRM byte
    X86_REG_LOW, // the opcode's lowest three bits
    X86_ACC,
    X86_IMM,
    X86_DIRECT, // memory at the address in the instruction
    X86_CL,
    X86_ONE,
    X86_SI, // the rest: strings
    X86_DI,
    X86_PORT
};

enum x86_form_flag {
    X86_FORM_BYTE = 1,    // the operands are bytes
    X86_FORM_SRC_1 = 2,   // the source is smaller than the destination
    X86_FORM_SRC_2 = 4,   //
    X86_FORM_SRC_4 = 8,   //
    X86_FORM_SIGNED = 16, // and extended by its sign
    X86_FORM_BITS = 32,   // the source counts bits from the destination's address
    X86_FORM_ONLY_64 = 64,
    X86_FORM_THREE = 128 // source and immediate make the destination
};

struct x86_form {
    uint8_t kind;     // enum x86_kind
    uint8_t op;       // enum x86_op; of strings, whether they compare
    uint8_t dst, src; // enum x86_operand
    uint8_t flags;    // enum x86_form_flag, OR-ed
    bool single;      // it has just one operand in memory, at one address
};

// kind is X86_UNKNOWN for what is not emulated, and where a ModRM byte names a register instead of memory. Of X86_VECTOR the
// rest does not count: x86_vector.c has a table of its own.
struct x86_form x86_find_form(const struct x86_insn *in);
