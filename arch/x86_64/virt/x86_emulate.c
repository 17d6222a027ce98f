// SPDX-License-Identifier: Apache-2.0
//
// See x86_emulate.h. A table says for each opcode what it does and to what; groups of opcodes that the ModRM byte tells
// apart have a table of their own (Intel SDM vol. 2, appendix A).
#include "arch/x86_64/virt/x86_emulate.h"

#include "arch/x86_64/virt/x86_alu.h"

enum {
    RAX = 0,
    RCX = 1,
    RDX = 2,
    RSP = 4,
    RSI = 6,
    RDI = 7,
    SEG_ES = 0,
    SEG_SS = 2,
    SEG_FS = 4
};

enum kind {
    UNKNOWN,
    ALU,
    PUSH,
    POP,
    NOTHING, // cache maintenance and hints
    STRING
};

enum operand {
    NONE,
    MEM,
    REG,
    ACC,
    IMM,
    DIRECT, // memory at the address in the instruction
    SI,     // the rest: strings
    DI,
    PORT
};

enum group {
    NO_GROUP,
    GROUP_1,
    GROUP_3,
    GROUP_4,
    GROUP_5,
    GROUP_8,
    GROUP_MOV,
    GROUP_POP,
    GROUP_CACHE,
    GROUP_COUNT
};

enum {
    BYTE = 1,    // the operands are bytes
    SRC_1 = 2,   // the source is smaller than the destination
    SRC_2 = 4,   //
    SRC_4 = 8,   //
    SIGNED = 16, // and extended by its sign
    BITS = 32,   // the source counts bits from the destination's address
    ONLY_64 = 64
};

struct form {
    uint8_t kind, op, dst, src, flags, group;
};

#define ARITHMETIC(op)                                                                 \
    [(op)*8] = {ALU, op, MEM, REG, BYTE, 0}, [(op)*8 + 1] = {ALU, op, MEM, REG, 0, 0}, \
    [(op)*8 + 2] = {ALU, op, REG, MEM, BYTE, 0}, [(op)*8 + 3] = {ALU, op, REG, MEM, 0, 0}
#define BOTH_SIZES(opcode, ...) [opcode] = {__VA_ARGS__, BYTE, 0}, [(opcode) + 1] = {__VA_ARGS__, 0, 0}

static const struct form forms_byte[256] = {
    ARITHMETIC(X86_OP_ADD),
    ARITHMETIC(X86_OP_OR),
    ARITHMETIC(X86_OP_ADC),
    ARITHMETIC(X86_OP_SBB),
    ARITHMETIC(X86_OP_AND),
    ARITHMETIC(X86_OP_SUB),
    ARITHMETIC(X86_OP_XOR),
    ARITHMETIC(X86_OP_CMP),
    [0x63] = {ALU, X86_OP_MOV, REG, MEM, SRC_4 | SIGNED | ONLY_64, 0},
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
    [0x8F] = {POP, 0, MEM, NONE, 0, GROUP_POP},
    BOTH_SIZES(0xA0, ALU, X86_OP_MOV, ACC, DIRECT),
    BOTH_SIZES(0xA2, ALU, X86_OP_MOV, DIRECT, ACC),
    BOTH_SIZES(0xA4, STRING, 0, DI, SI),
    BOTH_SIZES(0xAA, STRING, 0, DI, ACC),
    BOTH_SIZES(0xAC, STRING, 0, ACC, SI),
    [0xC6] = {ALU, X86_OP_MOV, MEM, IMM, BYTE, GROUP_MOV},
    [0xC7] = {ALU, X86_OP_MOV, MEM, IMM, 0, GROUP_MOV},
    [0xF6] = {ALU, 0, MEM, IMM, BYTE, GROUP_3},
    [0xF7] = {ALU, 0, MEM, IMM, 0, GROUP_3},
    [0xFE] = {ALU, 0, MEM, NONE, BYTE, GROUP_4},
    [0xFF] = {ALU, 0, MEM, NONE, 0, GROUP_5},
};

static const struct form forms_0f[256] = {
    [0x0D] = {NOTHING, 0, MEM, NONE, 0, 0},
    [0x18] = {NOTHING, 0, MEM, NONE, 0, 0},
    [0xA3] = {ALU, X86_OP_BT, MEM, REG, BITS, 0},
    [0xAB] = {ALU, X86_OP_BTS, MEM, REG, BITS, 0},
    [0xAE] = {NOTHING, 0, MEM, NONE, 0, GROUP_CACHE},
    BOTH_SIZES(0xB0, ALU, X86_OP_CMPXCHG, MEM, REG),
    [0xB3] = {ALU, X86_OP_BTR, MEM, REG, BITS, 0},
    [0xB6] = {ALU, X86_OP_MOV, REG, MEM, SRC_1, 0},
    [0xB7] = {ALU, X86_OP_MOV, REG, MEM, SRC_2, 0},
    [0xBA] = {ALU, 0, MEM, IMM, 0, GROUP_8},
    [0xBB] = {ALU, X86_OP_BTC, MEM, REG, BITS, 0},
    [0xBE] = {ALU, X86_OP_MOV, REG, MEM, SRC_1 | SIGNED, 0},
    [0xBF] = {ALU, X86_OP_MOV, REG, MEM, SRC_2 | SIGNED, 0},
    BOTH_SIZES(0xC0, ALU, X86_OP_XADD, MEM, REG),
    [0xC3] = {ALU, X86_OP_MOV, MEM, REG, 0, 0}, // MOVNTI
};

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
    [GROUP_3] = {{ALU, X86_OP_TEST}, {ALU, X86_OP_TEST}, {ALU, X86_OP_NOT}, {ALU, X86_OP_NEG}},
    [GROUP_4] = {{ALU, X86_OP_INC}, {ALU, X86_OP_DEC}},
    [GROUP_5] = {{ALU, X86_OP_INC}, {ALU, X86_OP_DEC}, [6] = {PUSH, 0}},
    [GROUP_8] = {[4] = {ALU, X86_OP_BT}, {ALU, X86_OP_BTS}, {ALU, X86_OP_BTR}, {ALU, X86_OP_BTC}},
    [GROUP_MOV] = {{ALU, X86_OP_MOV}},
    [GROUP_POP] = {{POP, 0}},
    [GROUP_CACHE] = {[7] = {NOTHING, 0}}, // CLFLUSH, CLFLUSHOPT
};

static struct form find_form(const struct x86_insn *in)
{
    struct form f = {0};

    if (in->vector || in->map > X86_MAP_0F) {
        return f;
    }
    f = in->map == X86_MAP_BYTE ? forms_byte[in->opcode] : forms_0f[in->opcode];
    if (f.group) {
        f.kind = groups[f.group][in->reg & 7].kind;
        f.op = groups[f.group][in->reg & 7].op;
    }
    if ((f.flags & ONLY_64 && in->mode != 8) || ((f.dst == MEM || f.src == MEM) && !in->memory)) {
        f.kind = UNKNOWN;
    }
    return f;
}

// ---- registers and addresses -------------------------

// Byte registers 4 to 7 without REX: bits 8 to 15 of the first four.
static bool is_high_byte(const struct x86_insn *in, unsigned reg, unsigned size)
{
    return size == 1 && !in->rex && reg >= 4;
}

static uint64_t reg_get(const struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size)
{
    if (is_high_byte(in, reg, size)) {
        return e->r[reg - 4] >> 8 & 0xFF;
    }
    return e->r[reg] & MASK64(0, 8 * size);
}

static void reg_merge(uint64_t *reg, unsigned low, unsigned size, uint64_t v)
{
    uint64_t mask = MASK64(low, 8 * size);

    // 32-bit results clear the upper half.
    *reg = size >= 4 ? v & mask : (*reg & ~mask) | (v << low & mask);
}

static void reg_set(struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size,
                    uint64_t v)
{
    if (is_high_byte(in, reg, size)) {
        reg_merge(&e->r[reg - 4], 8, 1, v);
    } else {
        reg_merge(&e->r[reg], 0, size, v);
    }
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned unused = 64 - 8 * size;

    return (uint64_t)((int64_t)(v << unused) >> unused);
}

static uint64_t linear_address(const struct x86_emulation *e, const struct x86_insn *in, unsigned segment,
                               uint64_t offset)
{
    if (in->mode == 8) {
        return offset + (segment >= SEG_FS ? e->bus->segment_base(e->ctx, segment) : 0);
    }
    return (offset + e->bus->segment_base(e->ctx, segment)) & UINT32_MAX;
}

// `extra`: bytes to the operand of a bit instruction.
static uint64_t operand_address(const struct x86_emulation *e, const struct x86_insn *in, uint64_t extra)
{
    uint64_t offset = (uint64_t)(int64_t)in->displacement + extra;

    offset += in->base != X86_NO_REG ? e->r[in->base] : 0;
    offset += in->index != X86_NO_REG ? e->r[in->index] * in->scale : 0;
    offset += in->rip_relative ? e->rip + in->length : 0;
    return linear_address(e, in, in->segment, offset & MASK64(0, 8u * in->address_size));
}

// ---- two operands ------------------------------------

struct operation {
    struct form form;
    unsigned size, src_size;
    uint64_t where; // of the operand in memory
};

static bool load(struct x86_emulation *e, const struct x86_insn *in, const struct operation *o,
                 unsigned operand, uint64_t *out)
{
    unsigned size = operand == o->form.src ? o->src_size : o->size;

    switch (operand) {
    case MEM:
    case DIRECT:
        return e->bus->read(e->ctx, o->where, size, out);
    case REG:
        *out = reg_get(e, in, in->reg, size);
        return true;
    case ACC:
        *out = reg_get(e, in, RAX, size);
        return true;
    case IMM:
        *out = in->immediate & MASK64(0, 8 * size);
        return true;
    default:
        *out = 0;
        return true;
    }
}

static bool store(struct x86_emulation *e, const struct x86_insn *in, const struct operation *o, uint64_t v)
{
    switch (o->form.dst) {
    case MEM:
    case DIRECT:
        return e->bus->write(e->ctx, o->where, o->size, v);
    case REG:
        reg_set(e, in, in->reg, o->size, v);
        return true;
    default:
        reg_set(e, in, RAX, o->size, v);
        return true;
    }
}

// The offset in a bit string, signed, is in units of the operand: the address moves, the rest selects the bit.
static uint64_t bit_string_offset(const struct x86_emulation *e, const struct x86_insn *in, unsigned size)
{
    int64_t bit = (int64_t)sign_extend(e->r[in->reg], size);

    return (uint64_t)(bit >> 3) & ~(uint64_t)(size - 1);
}

static struct operation prepare(const struct x86_emulation *e, const struct x86_insn *in, struct form f)
{
    struct operation o = {.form = f, .size = f.flags & BYTE ? 1 : in->operand_size};

    o.src_size = f.flags & SRC_1 ? 1 : f.flags & SRC_2 ? 2 : f.flags & SRC_4 ? 4 : o.size;
    if (f.dst == DIRECT || f.src == DIRECT) {
        o.where = linear_address(e, in, in->segment, in->immediate);
    } else {
        o.where = operand_address(e, in, f.flags & BITS ? bit_string_offset(e, in, o.size) : 0);
    }
    return o;
}

static enum x86_emulate_result run_alu(struct x86_emulation *e, const struct x86_insn *in, struct form f)
{
    const struct x86_op_traits *op = &x86_op_table[f.op];
    struct operation o = prepare(e, in, f);
    struct x86_alu a = {.size = (uint8_t)o.size, .flags = e->flags, .rax = reg_get(e, in, RAX, o.size)};

    if (!load(e, in, &o, f.src, &a.src) || (op->reads_dst && !load(e, in, &o, f.dst, &a.dst))) {
        return X86_EMULATE_STOPPED;
    }
    if (f.flags & SIGNED) {
        a.src = sign_extend(a.src, o.src_size) & MASK64(0, 8 * o.size);
    }
    op->run(&a);
    if (op->writes_dst && !store(e, in, &o, a.dst)) {
        return X86_EMULATE_STOPPED;
    }
    if (op->writes_src) {
        reg_set(e, in, in->reg, o.size, a.src);
    }
    // The accumulator of a CMPXCHG that has failed; RAX keeps its upper half otherwise.
    if (f.op == X86_OP_CMPXCHG && !(a.flags & X86_FLAG_ZF)) {
        reg_set(e, in, RAX, o.size, a.rax);
    }
    e->flags = a.flags;
    return X86_EMULATE_DONE;
}

// ---- the stack ---------------------------------------

static unsigned stack_operand(const struct x86_insn *in)
{
    return in->mode == 8 && in->operand_size == 4 ? 8 : in->operand_size;
}

static uint64_t stack_address(const struct x86_emulation *e, const struct x86_insn *in, uint64_t sp)
{
    return linear_address(e, in, SEG_SS, sp & MASK64(0, 8u * e->stack_size));
}

static enum x86_emulate_result run_push(struct x86_emulation *e, const struct x86_insn *in)
{
    unsigned size = stack_operand(in);
    uint64_t sp = e->r[RSP] - size, v;

    if (!e->bus->writable(e->ctx, stack_address(e, in, sp), size) ||
        !e->bus->read(e->ctx, operand_address(e, in, 0), size, &v) ||
        !e->bus->write(e->ctx, stack_address(e, in, sp), size, v)) {
        return X86_EMULATE_STOPPED;
    }
    reg_merge(&e->r[RSP], 0, e->stack_size, sp);
    return X86_EMULATE_DONE;
}

// An address that RSP is part of sees it as it is afterwards.
static enum x86_emulate_result run_pop(struct x86_emulation *e, const struct x86_insn *in)
{
    unsigned size = stack_operand(in);
    uint64_t sp = e->r[RSP], v;

    if (!e->bus->read(e->ctx, stack_address(e, in, sp), size, &v)) {
        return X86_EMULATE_STOPPED;
    }
    reg_merge(&e->r[RSP], 0, e->stack_size, sp + size);
    if (!e->bus->write(e->ctx, operand_address(e, in, 0), size, v)) {
        e->r[RSP] = sp;
        return X86_EMULATE_STOPPED;
    }
    return X86_EMULATE_DONE;
}

// ---- strings -----------------------------------------

struct string {
    struct form form;
    unsigned size;
    uint64_t step; // +size or -size
};

static uint64_t string_address(const struct x86_emulation *e, const struct x86_insn *in, unsigned reg)
{
    return linear_address(e, in, reg == RDI ? (unsigned)SEG_ES : in->segment,
                          e->r[reg] & MASK64(0, 8u * in->address_size));
}

static bool string_load(struct x86_emulation *e, const struct x86_insn *in, const struct string *s,
                        uint64_t *v)
{
    uint32_t port_value = 0;

    if (s->form.src == SI) {
        return e->bus->read(e->ctx, string_address(e, in, RSI), s->size, v);
    }
    *v = reg_get(e, in, RAX, s->size);
    if (s->form.src == PORT) {
        if (!e->bus->port(e->ctx, (uint16_t)e->r[RDX], s->size, false, &port_value)) {
            return false;
        }
        *v = port_value;
    }
    return true;
}

static bool string_store(struct x86_emulation *e, const struct x86_insn *in, const struct string *s,
                         uint64_t v)
{
    uint32_t port_value = (uint32_t)v;

    if (s->form.dst == DI) {
        return e->bus->write(e->ctx, string_address(e, in, RDI), s->size, v);
    }
    if (s->form.dst == PORT) {
        return e->bus->port(e->ctx, (uint16_t)e->r[RDX], s->size, true, &port_value);
    }
    reg_set(e, in, RAX, s->size, v);
    return true;
}

static bool string_element(struct x86_emulation *e, const struct x86_insn *in, const struct string *s)
{
    uint64_t v;

    if ((s->form.dst == DI && !e->bus->writable(e->ctx, string_address(e, in, RDI), s->size)) ||
        !string_load(e, in, s, &v) || !string_store(e, in, s, v)) {
        return false;
    }
    if (s->form.src == SI) {
        reg_merge(&e->r[RSI], 0, in->address_size, e->r[RSI] + s->step);
    }
    if (s->form.dst == DI) {
        reg_merge(&e->r[RDI], 0, in->address_size, e->r[RDI] + s->step);
    }
    return true;
}

static enum x86_emulate_result run_string(struct x86_emulation *e, const struct x86_insn *in, struct form f)
{
    bool repeat = in->prefixes & (X86_PFX_REP | X86_PFX_REPNE);
    struct string s = {.form = f, .size = f.flags & BYTE ? 1 : in->operand_size};
    uint64_t count = repeat ? e->r[RCX] & MASK64(0, 8u * in->address_size) : 1;

    if ((f.src == PORT || f.dst == PORT) && s.size == 8) {
        s.size = 4;
    }
    s.step = e->flags & X86_FLAG_DF ? -(uint64_t)s.size : s.size;
    for (unsigned done = 0; count; done++) {
        if (done == X86_STRING_BATCH) {
            return X86_EMULATE_AGAIN;
        }
        if (!string_element(e, in, &s)) {
            return X86_EMULATE_STOPPED;
        }
        count--;
        if (repeat) {
            reg_merge(&e->r[RCX], 0, in->address_size, count);
        }
    }
    return X86_EMULATE_DONE;
}

bool x86_emulates_operand(const struct x86_insn *in)
{
    return find_form(in).kind == ALU;
}

enum x86_emulate_result x86_emulate(struct x86_emulation *e, const struct x86_insn *in)
{
    struct form f = find_form(in);

    switch ((enum kind)f.kind) {
    case ALU:
        return run_alu(e, in, f);
    case PUSH:
        return run_push(e, in);
    case POP:
        return run_pop(e, in);
    case STRING:
        return run_string(e, in, f);
    case NOTHING:
        return X86_EMULATE_DONE;
    case UNKNOWN:
        break;
    }
    return X86_EMULATE_UNKNOWN;
}
