// SPDX-License-Identifier: Apache-2.0
//
// See x86_forms.h.
#include "arch/x86_64/virt/x86_forms.h"

#include "arch/x86_64/virt/x86_emulate_local.h"

enum {
    ALU = X86_ALU,
    NOTHING = X86_NOTHING,
    STRING = X86_STRING,
    NONE = X86_NONE,
    MEM = X86_MEM,
    REG = X86_REG,
    LOW = X86_REG_LOW,
    ACC = X86_ACC,
    IMM = X86_IMM,
    DIRECT = X86_DIRECT,
    SI = X86_SI,
    DI = X86_DI,
    PORT = X86_PORT,
    BYTE = X86_FORM_BYTE,
    BITS = X86_FORM_BITS
};

enum group {
    NO_GROUP,
    GROUP_1,
    GROUP_2,
    GROUP_3,
    GROUP_4,
    GROUP_5,
    GROUP_8,
    GROUP_9,
    GROUP_MOV,
    GROUP_POP,
    GROUP_CACHE,
    GROUP_COUNT
};

#define ARITHMETIC(op)                                                                 \
    [(op)*8] = {ALU, op, MEM, REG, BYTE, 0}, [(op)*8 + 1] = {ALU, op, MEM, REG, 0, 0}, \
    [(op)*8 + 2] = {ALU, op, REG, MEM, BYTE, 0}, [(op)*8 + 3] = {ALU, op, REG, MEM, 0, 0}
#define BOTH_SIZES(opcode, ...) [opcode] = {__VA_ARGS__, BYTE, 0}, [(opcode) + 1] = {__VA_ARGS__, 0, 0}
#define SHIFTS(opcode, by) \
    [opcode] = {ALU, 0, MEM, by, BYTE, GROUP_2}, [(opcode) + 1] = {ALU, 0, MEM, by, 0, GROUP_2}
#define EIGHT(opcode, ...)                                                                          \
    [opcode] = {__VA_ARGS__}, [(opcode) + 1] = {__VA_ARGS__}, [(opcode) + 2] = {__VA_ARGS__},       \
    [(opcode) + 3] = {__VA_ARGS__}, [(opcode) + 4] = {__VA_ARGS__}, [(opcode) + 5] = {__VA_ARGS__}, \
    [(opcode) + 6] = {__VA_ARGS__}, [(opcode) + 7] = {__VA_ARGS__}

// A row of the tables: x86_form's fields, and the group of opcodes, if any.
struct row {
    uint8_t kind, op, dst, src, flags, group;
};

static const struct row forms_byte[256] = {
    ARITHMETIC(X86_OP_ADD),
    ARITHMETIC(X86_OP_OR),
    ARITHMETIC(X86_OP_ADC),
    ARITHMETIC(X86_OP_SBB),
    ARITHMETIC(X86_OP_AND),
    ARITHMETIC(X86_OP_SUB),
    ARITHMETIC(X86_OP_XOR),
    ARITHMETIC(X86_OP_CMP),
    EIGHT(0x50, X86_PUSH, 0, NONE, LOW, 0, 0),
    EIGHT(0x58, X86_POP, 0, LOW, NONE, 0, 0),
    [0x63] = {ALU, X86_OP_MOV, REG, MEM, X86_FORM_SRC_4 | X86_FORM_SIGNED | X86_FORM_ONLY_64, 0},
    [0x68] = {X86_PUSH, 0, NONE, IMM, 0, 0},
    [0x69] = {ALU, X86_OP_IMUL, REG, MEM, X86_FORM_THREE, 0},
    [0x6A] = {X86_PUSH, 0, NONE, IMM, 0, 0},
    [0x6B] = {ALU, X86_OP_IMUL, REG, MEM, X86_FORM_THREE, 0},
    BOTH_SIZES(0x6C, STRING, 0, DI, PORT),
    BOTH_SIZES(0x6E, STRING, 0, PORT, SI),
    [0x80] = {ALU, 0, MEM, IMM, BYTE, GROUP_1},
    [0x81] = {ALU, 0, MEM, IMM, 0, GROUP_1},
    [0x82] = {ALU, 0, MEM, IMM, BYTE, GROUP_1},
    [0x83] = {ALU, 0, MEM, IMM, 0, GROUP_1},
    BOTH_SIZES(0x84, ALU, X86_OP_TEST, MEM, REG),
    BOTH_SIZES(0x86, ALU, X86_OP_XCHG, MEM, REG),
    BOTH_SIZES(0x88, ALU, X86_OP_MOV, MEM, REG),
    BOTH_SIZES(0x8A, ALU, X86_OP_MOV, REG, MEM),
    [0x8F] = {X86_POP, 0, MEM, NONE, 0, GROUP_POP},
    BOTH_SIZES(0xA0, ALU, X86_OP_MOV, ACC, DIRECT),
    BOTH_SIZES(0xA2, ALU, X86_OP_MOV, DIRECT, ACC),
    BOTH_SIZES(0xA4, STRING, 0, DI, SI),
    BOTH_SIZES(0xA6, STRING, 1, SI, DI),
    BOTH_SIZES(0xAA, STRING, 0, DI, ACC),
    BOTH_SIZES(0xAC, STRING, 0, ACC, SI),
    BOTH_SIZES(0xAE, STRING, 1, ACC, DI),
    SHIFTS(0xC0, IMM),
    [0xC2] = {X86_RETURN, 0, NONE, IMM, 0, 0},
    [0xC3] = {X86_RETURN, 0, NONE, NONE, 0, 0},
    [0xC6] = {ALU, X86_OP_MOV, MEM, IMM, BYTE, GROUP_MOV},
    [0xC7] = {ALU, X86_OP_MOV, MEM, IMM, 0, GROUP_MOV},
    SHIFTS(0xD0, X86_ONE),
    SHIFTS(0xD2, X86_CL),
    [0xE8] = {X86_CALL, 0, NONE, IMM, 0, 0},
    [0xF6] = {ALU, 0, MEM, IMM, BYTE, GROUP_3},
    [0xF7] = {ALU, 0, MEM, IMM, 0, GROUP_3},
    [0xFE] = {ALU, 0, MEM, NONE, BYTE, GROUP_4},
    [0xFF] = {ALU, 0, MEM, NONE, 0, GROUP_5},
};

static const struct row forms_0f[256] = {
    [0x0D] = {NOTHING, 0, MEM, NONE, 0, 0},
    [0x18] = {NOTHING, 0, MEM, NONE, 0, 0},
    EIGHT(0x40, X86_MOVE_IF, X86_OP_MOV, REG, MEM, 0, 0),
    EIGHT(0x48, X86_MOVE_IF, X86_OP_MOV, REG, MEM, 0, 0),
    EIGHT(0x90, X86_SET, X86_OP_MOV, MEM, NONE, BYTE, 0),
    EIGHT(0x98, X86_SET, X86_OP_MOV, MEM, NONE, BYTE, 0),
    [0xA3] = {ALU, X86_OP_BT, MEM, REG, BITS, 0},
    [0xAB] = {ALU, X86_OP_BTS, MEM, REG, BITS, 0},
    [0xAE] = {NOTHING, 0, MEM, NONE, 0, GROUP_CACHE},
    [0xAF] = {ALU, X86_OP_IMUL, REG, MEM, 0, 0},
    BOTH_SIZES(0xB0, ALU, X86_OP_CMPXCHG, MEM, REG),
    [0xB3] = {ALU, X86_OP_BTR, MEM, REG, BITS, 0},
    [0xB6] = {ALU, X86_OP_MOV, REG, MEM, X86_FORM_SRC_1, 0},
    [0xB7] = {ALU, X86_OP_MOV, REG, MEM, X86_FORM_SRC_2, 0},
    [0xBA] = {ALU, 0, MEM, IMM, 0, GROUP_8},
    [0xBB] = {ALU, X86_OP_BTC, MEM, REG, BITS, 0},
    [0xBE] = {ALU, X86_OP_MOV, REG, MEM, X86_FORM_SRC_1 | X86_FORM_SIGNED, 0},
    [0xBF] = {ALU, X86_OP_MOV, REG, MEM, X86_FORM_SRC_2 | X86_FORM_SIGNED, 0},
    BOTH_SIZES(0xC0, ALU, X86_OP_XADD, MEM, REG),
    [0xC3] = {ALU, X86_OP_MOV, MEM, REG, 0, 0}, // MOVNTI
    [0xC7] = {X86_CMPXCHG_PAIR, X86_OP_CMPXCHG, MEM, NONE, 0, GROUP_9},
};

// MOVBE; with F2 they are CRC32.
static const struct row movbe_load = {ALU, X86_OP_SWAP, REG, MEM, 0, 0};
static const struct row movbe_store = {ALU, X86_OP_SWAP, MEM, REG, 0, 0};

// What the reg field of the ModRM byte makes of an opcode.
static const struct {
    uint8_t kind, op;
} groups[GROUP_COUNT][8] = {
    [GROUP_1] = {{ALU, X86_OP_ADD},
                 {ALU, X86_OP_OR},
                 {ALU, X86_OP_ADC},
                 {ALU, X86_OP_SBB},
                 {ALU, X86_OP_AND},
                 {ALU, X86_OP_SUB},
                 {ALU, X86_OP_XOR},
                 {ALU, X86_OP_CMP}},
    [GROUP_2] = {{ALU, X86_OP_ROL},
                 {ALU, X86_OP_ROR},
                 {ALU, X86_OP_RCL},
                 {ALU, X86_OP_RCR},
                 {ALU, X86_OP_SHL},
                 {ALU, X86_OP_SHR},
                 {ALU, X86_OP_SHL},
                 {ALU, X86_OP_SAR}},
    [GROUP_3] = {{ALU, X86_OP_TEST}, {ALU, X86_OP_TEST}, {ALU, X86_OP_NOT}, {ALU, X86_OP_NEG}},
    [GROUP_4] = {{ALU, X86_OP_INC}, {ALU, X86_OP_DEC}},
    [GROUP_5] =
        {{ALU, X86_OP_INC}, {ALU, X86_OP_DEC}, {X86_CALL, 0}, [4] = {X86_JUMP, 0}, [6] = {X86_PUSH, 0}},
    [GROUP_8] = {[4] = {ALU, X86_OP_BT}, {ALU, X86_OP_BTS}, {ALU, X86_OP_BTR}, {ALU, X86_OP_BTC}},
    [GROUP_9] = {[1] = {X86_CMPXCHG_PAIR, X86_OP_CMPXCHG}},
    [GROUP_MOV] = {{ALU, X86_OP_MOV}},
    [GROUP_POP] = {{X86_POP, 0}},
    [GROUP_CACHE] = {[6] = {NOTHING, 0}, {NOTHING, 0}}, // CLWB; CLFLUSH, CLFLUSHOPT
};

static struct row find_0f38(const struct x86_insn *in)
{
    if (!(in->prefixes & (X86_PFX_REP | X86_PFX_REPNE)) && (in->opcode & 0xFE) == 0xF0) {
        return in->opcode == 0xF0 ? movbe_load : movbe_store;
    }
    return (struct row){0};
}

static bool lock_is_wrong(const struct x86_insn *in, const struct x86_form *f)
{
    if (!(in->prefixes & X86_PFX_LOCK)) {
        return false;
    }
    return f->kind != X86_CMPXCHG_PAIR && !(f->kind == ALU && f->dst == MEM && x86_op_table[f->op].locks);
}

static struct row find_in_tables(const struct x86_insn *in)
{
    struct row f = {0};

    if (in->vector || in->map > X86_MAP_0F38) {
        return f;
    }
    f = in->map == X86_MAP_BYTE ? forms_byte[in->opcode]
        : in->map == X86_MAP_0F ? forms_0f[in->opcode]
                                : find_0f38(in);
    if (f.group) {
        f.kind = groups[f.group][in->reg & 7].kind;
        f.op = groups[f.group][in->reg & 7].op;
    }
    if (f.group == GROUP_CACHE && (in->reg & 7) == 6 && !(in->prefixes & X86_PFX_OPERAND)) {
        f.kind = X86_UNKNOWN; // XSAVEOPT
    }
    if ((f.flags & X86_FORM_ONLY_64 && in->mode != 8) || ((f.dst == MEM || f.src == MEM) && !in->memory)) {
        f.kind = X86_UNKNOWN;
    }
    return f;
}

struct x86_form x86_find_form(const struct x86_insn *in)
{
    struct row row = find_in_tables(in);
    struct x86_form f = {.kind = row.kind, .op = row.op, .dst = row.dst, .src = row.src, .flags = row.flags};

    if (f.kind == X86_UNKNOWN && x86_is_vector_move(in)) {
        f.kind = X86_VECTOR;
    }
    f.single = f.kind == ALU || f.kind == X86_SET || f.kind == X86_MOVE_IF || f.kind == X86_CMPXCHG_PAIR ||
               f.kind == X86_VECTOR;
    if (f.kind != X86_UNKNOWN && lock_is_wrong(in, &f)) {
        f.kind = X86_WRONG;
    }
    return f;
}
