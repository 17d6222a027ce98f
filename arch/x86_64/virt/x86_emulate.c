// SPDX-License-Identifier: Apache-2.0
//
// See x86_emulate.h. x86_forms.c says what an instruction does and to what.
#include "arch/x86_64/virt/x86_emulate.h"

#include "arch/x86_64/virt/x86_emulate_local.h"

// ---- registers and addresses -------------------------

// Byte registers 4 to 7 without REX: bits 8 to 15 of the first four.
static bool is_high_byte(const struct x86_insn *in, unsigned reg, unsigned size)
{
    return size == 1 && !in->rex && reg >= 4;
}

uint64_t x86_reg_get(const struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size)
{
    if (is_high_byte(in, reg, size)) {
        return e->r[reg - 4] >> 8 & 0xFF;
    }
    return e->r[reg] & MASK64(0, 8 * size);
}

void x86_reg_merge(uint64_t *reg, unsigned low, unsigned size, uint64_t v)
{
    uint64_t mask = MASK64(low, 8 * size);

    *reg = size >= 4 ? v & mask : (*reg & ~mask) | (v << low & mask);
}

void x86_reg_set(struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size, uint64_t v)
{
    if (is_high_byte(in, reg, size)) {
        x86_reg_merge(&e->r[reg - 4], 8, 1, v);
    } else {
        x86_reg_merge(&e->r[reg], 0, size, v);
    }
}

uint64_t x86_sign_extend(uint64_t v, unsigned size)
{
    unsigned unused = 64 - 8 * size;

    return (uint64_t)((int64_t)(v << unused) >> unused);
}

bool x86_locate(const struct x86_emulation *e, const struct x86_insn *in, uint64_t extra, unsigned size,
                bool write, uint64_t *linear)
{
    uint64_t offset = (uint64_t)(int64_t)in->displacement + extra;
    struct x86_operand_at at = {
        .segment = in->segment, .mode = in->mode, .size = (uint8_t)size, .write = write};

    offset += in->base != X86_NO_REG ? e->r[in->base] : 0;
    offset += in->index != X86_NO_REG ? e->r[in->index] * in->scale : 0;
    offset += in->rip_relative ? e->rip + in->length : 0;
    at.offset = offset & MASK64(0, 8u * in->address_size);
    return e->bus->address(e->ctx, &at, linear);
}

enum x86_emulate_result x86_done(struct x86_emulation *e, const struct x86_insn *in)
{
    e->rip += in->length;
    if (in->mode != 8) {
        e->rip &= UINT32_MAX;
    }
    return X86_EMULATE_DONE;
}

// ---- two operands ------------------------------------

struct operation {
    const struct x86_form *form;
    unsigned size, src_size;
    uint64_t where; // of the operand in memory
};

static bool load(struct x86_emulation *e, const struct x86_insn *in, const struct operation *o,
                 unsigned operand, uint64_t *out)
{
    unsigned size = operand == o->form->src ? o->src_size : o->size;

    switch (operand) {
    case X86_MEM:
    case X86_DIRECT:
        return e->bus->read(e->ctx, o->where, size, out);
    case X86_REG:
        *out = x86_reg_get(e, in, in->reg, size);
        return true;
    case X86_ACC:
        *out = x86_reg_get(e, in, RAX, size);
        return true;
    case X86_IMM:
        *out = in->immediate & MASK64(0, 8 * size);
        return true;
    case X86_CL:
        *out = e->r[RCX] & 0xFF;
        return true;
    default:
        *out = operand == X86_ONE;
        return true;
    }
}

static bool store(struct x86_emulation *e, const struct x86_insn *in, const struct operation *o, uint64_t v)
{
    switch (o->form->dst) {
    case X86_MEM:
    case X86_DIRECT:
        return e->bus->write(e->ctx, o->where, o->size, v);
    case X86_REG:
        x86_reg_set(e, in, in->reg, o->size, v);
        return true;
    default:
        x86_reg_set(e, in, RAX, o->size, v);
        return true;
    }
}

static bool is_memory(unsigned operand)
{
    return operand == X86_MEM || operand == X86_DIRECT;
}

// The offset in a bit string, signed, is in units of the operand: the address moves, the rest selects the bit.
static uint64_t bit_string_offset(const struct x86_emulation *e, const struct x86_insn *in, unsigned size)
{
    int64_t bit = (int64_t)x86_sign_extend(e->r[in->reg], size);

    return (uint64_t)(bit >> 3) & ~(uint64_t)(size - 1);
}

static bool prepare(const struct x86_emulation *e, const struct x86_insn *in, const struct x86_form *f,
                    struct operation *o)
{
    bool write = is_memory(f->dst) && x86_op_table[f->op].writes_dst;

    o->form = f;
    o->size = f->flags & X86_FORM_BYTE ? 1 : in->operand_size;
    o->src_size = f->flags & X86_FORM_SRC_1   ? 1
                  : f->flags & X86_FORM_SRC_2 ? 2
                  : f->flags & X86_FORM_SRC_4 ? 4
                                              : o->size;
    if (f->dst == X86_DIRECT || f->src == X86_DIRECT) {
        struct x86_operand_at at = {.offset = in->immediate,
                                    .segment = in->segment,
                                    .mode = in->mode,
                                    .size = (uint8_t)o->size,
                                    .write = write};

        return e->bus->address(e->ctx, &at, &o->where);
    }
    return x86_locate(e, in, f->flags & X86_FORM_BITS ? bit_string_offset(e, in, o->size) : 0,
                      is_memory(f->dst) ? o->size : o->src_size, write, &o->where);
}

// A processor that reads memory to change it looks first whether it may.
static bool load_both(struct x86_emulation *e, const struct x86_insn *in, const struct operation *o,
                      struct x86_alu *a)
{
    const struct x86_op_traits *op = &x86_op_table[o->form->op];

    if (!load(e, in, o, o->form->src, &a->src)) {
        return false;
    }
    if (o->form->flags & X86_FORM_THREE) {
        return load(e, in, o, X86_IMM, &a->dst);
    }
    if (!op->reads_dst) {
        return true;
    }
    if (op->writes_dst && is_memory(o->form->dst) && !e->bus->allowed(e->ctx, o->where, o->size, true)) {
        return false;
    }
    return load(e, in, o, o->form->dst, &a->dst);
}

static enum x86_emulate_result run_alu(struct x86_emulation *e, const struct x86_insn *in,
                                       const struct x86_form *f)
{
    const struct x86_op_traits *op = &x86_op_table[f->op];
    struct operation o;
    struct x86_alu a = {.flags = e->flags};

    if (!prepare(e, in, f, &o)) {
        return X86_EMULATE_STOPPED;
    }
    a.size = (uint8_t)o.size;
    a.rax = x86_reg_get(e, in, RAX, o.size);
    if (!load_both(e, in, &o, &a)) {
        return X86_EMULATE_STOPPED;
    }
    if (f->flags & X86_FORM_SIGNED) {
        a.src = x86_sign_extend(a.src, o.src_size) & MASK64(0, 8 * o.size);
    }
    op->run(&a);
    if (op->writes_dst && !store(e, in, &o, a.dst)) {
        return X86_EMULATE_STOPPED;
    }
    if (op->writes_src) {
        x86_reg_set(e, in, in->reg, o.size, a.src);
    }
    // The accumulator of a CMPXCHG that has failed; RAX keeps its upper half otherwise.
    if (f->op == X86_OP_CMPXCHG && !(a.flags & X86_FLAG_ZF)) {
        x86_reg_set(e, in, RAX, o.size, a.rax);
    }
    e->flags = a.flags;
    return x86_done(e, in);
}

// SETcc, and CMOVcc, which reads memory in any case and clears the upper half of a register in 32-bit form.
static enum x86_emulate_result run_condition(struct x86_emulation *e, const struct x86_insn *in,
                                             const struct x86_form *f)
{
    struct operation o;
    bool met = x86_condition(e->flags, in->opcode & 15);
    uint64_t v = met;

    if (!prepare(e, in, f, &o) || (f->kind == X86_MOVE_IF && !load(e, in, &o, f->src, &v))) {
        return X86_EMULATE_STOPPED;
    }
    if (f->kind == X86_MOVE_IF && !met) {
        v = x86_reg_get(e, in, in->reg, o.size);
    }
    return store(e, in, &o, v) ? x86_done(e, in) : X86_EMULATE_STOPPED;
}

// CMPXCHG8B and 16B: both halves are written in any case.
static enum x86_emulate_result run_pair(struct x86_emulation *e, const struct x86_insn *in)
{
    unsigned half = in->operand_size == 8 ? 8 : 4;
    uint64_t where, low, high;
    bool same;

    if (!x86_locate(e, in, 0, 2 * half, true, &where) || !e->bus->allowed(e->ctx, where, half, true) ||
        !e->bus->allowed(e->ctx, where + half, half, true) || !e->bus->read(e->ctx, where, half, &low) ||
        !e->bus->read(e->ctx, where + half, half, &high)) {
        return X86_EMULATE_STOPPED;
    }
    same = low == x86_reg_get(e, in, RAX, half) && high == x86_reg_get(e, in, RDX, half);
    if (!e->bus->write(e->ctx, where, half, same ? x86_reg_get(e, in, RBX, half) : low) ||
        !e->bus->write(e->ctx, where + half, half, same ? x86_reg_get(e, in, RCX, half) : high)) {
        return X86_EMULATE_STOPPED;
    }
    if (!same) {
        x86_reg_merge(&e->r[RAX], 0, half, low);
        x86_reg_merge(&e->r[RDX], 0, half, high);
    }
    e->flags = (e->flags & ~X86_FLAG_ZF) | (same ? X86_FLAG_ZF : 0);
    return x86_done(e, in);
}

// ---- the stack ---------------------------------------

static unsigned stack_operand(const struct x86_insn *in)
{
    return in->mode == 8 && in->operand_size == 4 ? 8 : in->operand_size;
}

static unsigned low_register(const struct x86_insn *in)
{
    return (in->opcode & 7u) | (in->rex & X86_REX_B ? 8 : 0);
}

static bool stack_address(const struct x86_emulation *e, const struct x86_insn *in, uint64_t sp, bool write,
                          uint64_t *linear)
{
    struct x86_operand_at at = {.offset = sp & MASK64(0, 8u * e->stack_size),
                                .segment = SEG_SS,
                                .mode = in->mode,
                                .size = (uint8_t)stack_operand(in),
                                .write = write};

    return e->bus->address(e->ctx, &at, linear);
}

// What is pushed, jumped to or called. The stack, when it is to be written, is looked at before memory is read, but a fault
// of the latter comes first.
static bool stack_source(struct x86_emulation *e, const struct x86_insn *in, const struct x86_form *f,
                         const uint64_t *stack, uint64_t *out)
{
    unsigned size = stack_operand(in);
    uint64_t where;

    if (f->src == X86_REG_LOW || f->src == X86_IMM) {
        *out = f->src == X86_IMM ? in->immediate : e->r[low_register(in)];
        *out &= MASK64(0, 8 * size);
        return true;
    }
    if (!x86_locate(e, in, 0, size, false, &where)) {
        return false;
    }
    if (stack && !e->bus->allowed(e->ctx, *stack, size, true)) {
        (void)e->bus->allowed(e->ctx, where, size, false);
        return false;
    }
    return e->bus->read(e->ctx, where, size, out);
}

static bool push(struct x86_emulation *e, const struct x86_insn *in, uint64_t where, uint64_t v)
{
    unsigned size = stack_operand(in);

    if (!e->bus->write(e->ctx, where, size, v)) {
        return false;
    }
    x86_reg_merge(&e->r[RSP], 0, e->stack_size, e->r[RSP] - size);
    return true;
}

static enum x86_emulate_result run_push(struct x86_emulation *e, const struct x86_insn *in,
                                        const struct x86_form *f)
{
    uint64_t where, v;

    if (!stack_address(e, in, e->r[RSP] - stack_operand(in), true, &where) ||
        !stack_source(e, in, f, &where, &v) || !push(e, in, where, v)) {
        return X86_EMULATE_STOPPED;
    }
    return x86_done(e, in);
}

// An address that RSP is part of sees it as it is afterwards, and so does a POP of RSP.
static enum x86_emulate_result run_pop(struct x86_emulation *e, const struct x86_insn *in,
                                       const struct x86_form *f)
{
    unsigned size = stack_operand(in);
    uint64_t sp = e->r[RSP], where, v;

    if (!stack_address(e, in, sp, false, &where) || !e->bus->read(e->ctx, where, size, &v)) {
        return X86_EMULATE_STOPPED;
    }
    x86_reg_merge(&e->r[RSP], 0, e->stack_size, sp + size);
    if (f->dst == X86_REG_LOW) {
        x86_reg_merge(&e->r[low_register(in)], 0, size, v);
        return x86_done(e, in);
    }
    if (!x86_locate(e, in, 0, size, true, &where) || !e->bus->write(e->ctx, where, size, v)) {
        e->r[RSP] = sp;
        return X86_EMULATE_STOPPED;
    }
    return x86_done(e, in);
}

// ---- jumps -------------------------------------------

static bool target_allowed(const struct x86_emulation *e, const struct x86_insn *in, uint64_t rip)
{
    struct x86_operand_at at = {.offset = rip, .segment = SEG_CS, .mode = in->mode, .size = 1};
    uint64_t linear;

    return e->bus->address(e->ctx, &at, &linear);
}

// CALL and JMP. With a size prefix they differ from maker to maker in 64-bit code.
static enum x86_emulate_result run_jump(struct x86_emulation *e, const struct x86_insn *in,
                                        const struct x86_form *f)
{
    unsigned size = stack_operand(in);
    uint64_t next = e->rip + in->length, to, where = 0;
    bool call = f->kind == X86_CALL;

    if (in->mode == 8 && size != 8) {
        return X86_EMULATE_UNKNOWN;
    }
    if ((call && !stack_address(e, in, e->r[RSP] - size, true, &where)) ||
        !stack_source(e, in, f, call ? &where : NULL, &to)) {
        return X86_EMULATE_STOPPED;
    }
    to = (f->src == X86_IMM ? next + to : to) & MASK64(0, 8 * size);
    if (!target_allowed(e, in, to) || (call && !push(e, in, where, next & MASK64(0, 8 * size)))) {
        return X86_EMULATE_STOPPED;
    }
    e->rip = to;
    return X86_EMULATE_DONE;
}

static enum x86_emulate_result run_return(struct x86_emulation *e, const struct x86_insn *in)
{
    unsigned size = stack_operand(in);
    uint64_t where, to;

    if (in->mode == 8 && size != 8) {
        return X86_EMULATE_UNKNOWN;
    }
    if (!stack_address(e, in, e->r[RSP], false, &where) || !e->bus->read(e->ctx, where, size, &to) ||
        !target_allowed(e, in, to)) {
        return X86_EMULATE_STOPPED;
    }
    x86_reg_merge(&e->r[RSP], 0, e->stack_size, e->r[RSP] + size + (in->immediate & UINT16_MAX));
    e->rip = to;
    return X86_EMULATE_DONE;
}

// ------------------------------------------------------

enum x86_emulate_result x86_emulate(struct x86_emulation *e, const struct x86_insn *in,
                                    const struct x86_form *f)
{
    switch ((enum x86_kind)f->kind) {
    case X86_ALU:
        return run_alu(e, in, f);
    case X86_PUSH:
        return run_push(e, in, f);
    case X86_POP:
        return run_pop(e, in, f);
    case X86_CALL:
    case X86_JUMP:
        return run_jump(e, in, f);
    case X86_RETURN:
        return run_return(e, in);
    case X86_SET:
    case X86_MOVE_IF:
        return run_condition(e, in, f);
    case X86_CMPXCHG_PAIR:
        return run_pair(e, in);
    case X86_STRING:
        return x86_run_string(e, in, f);
    case X86_VECTOR:
        return x86_run_vector(e, in);
    case X86_NOTHING:
        return x86_done(e, in);
    case X86_WRONG:
        return X86_EMULATE_UNDEFINED;
    case X86_UNKNOWN:
        break;
    }
    return X86_EMULATE_UNKNOWN;
}
