// SPDX-License-Identifier: Apache-2.0
//
// String instructions, those of ports too: a bounded number of elements at a time (Intel SDM vol. 1, 7.3.9).
#include "arch/x86_64/virt/x86_emulate_local.h"

struct string {
    const struct x86_form *form;
    unsigned size;
    uint64_t step; // +size or -size
};

static bool string_address(const struct x86_emulation *e, const struct x86_insn *in, unsigned size,
                           unsigned reg, uint64_t *linear)
{
    struct x86_operand_at at = {.offset = e->r[reg] & MASK64(0, 8u * in->address_size),
                                .segment = reg == RDI ? SEG_ES : in->segment,
                                .mode = in->mode,
                                .size = (uint8_t)size};

    return e->bus->address(e->ctx, &at, linear);
}

static bool destination(const struct x86_emulation *e, const struct x86_insn *in, unsigned size,
                        uint64_t *linear)
{
    struct x86_operand_at at = {.offset = e->r[RDI] & MASK64(0, 8u * in->address_size),
                                .segment = SEG_ES,
                                .mode = in->mode,
                                .size = (uint8_t)size,
                                .write = true};

    return e->bus->address(e->ctx, &at, linear);
}

// `to`: where it will be written, NULL for a register or port. That is looked at before anything is read, but a fault of the
// source's comes first.
static bool string_load(struct x86_emulation *e, const struct x86_insn *in, const struct string *s,
                        const uint64_t *to, uint64_t *v)
{
    uint32_t port_value = 0;
    uint64_t from;
    bool memory = s->form->src == X86_SI || s->form->src == X86_DI;

    if (memory && !string_address(e, in, s->size, s->form->src == X86_SI ? RSI : RDI, &from)) {
        return false;
    }
    if (to && !e->bus->allowed(e->ctx, *to, s->size, true)) {
        (void)(memory && e->bus->allowed(e->ctx, from, s->size, false));
        return false;
    }
    if (memory) {
        return e->bus->read(e->ctx, from, s->size, v);
    }
    *v = x86_reg_get(e, in, RAX, s->size);
    if (s->form->src == X86_PORT) {
        if (!e->bus->port(e->ctx, (uint16_t)e->r[RDX], s->size, false, &port_value)) {
            return false;
        }
        *v = port_value;
    }
    return true;
}

static bool string_move(struct x86_emulation *e, const struct x86_insn *in, const struct string *s)
{
    uint64_t to, v;
    uint32_t port_value;

    switch (s->form->dst) {
    case X86_DI:
        return destination(e, in, s->size, &to) && string_load(e, in, s, &to, &v) &&
               e->bus->write(e->ctx, to, s->size, v);
    case X86_PORT:
        if (!string_load(e, in, s, NULL, &v)) {
            return false;
        }
        port_value = (uint32_t)v;
        return e->bus->port(e->ctx, (uint16_t)e->r[RDX], s->size, true, &port_value);
    default:
        if (!string_load(e, in, s, NULL, &v)) {
            return false;
        }
        x86_reg_set(e, in, RAX, s->size, v);
        return true;
    }
}

// CMPS and SCAS: the first operand is at RSI, or the accumulator.
static bool string_compare(struct x86_emulation *e, const struct x86_insn *in, const struct string *s)
{
    struct x86_alu a = {.size = (uint8_t)s->size, .flags = e->flags, .dst = x86_reg_get(e, in, RAX, s->size)};
    uint64_t first;

    if (s->form->dst == X86_SI &&
        (!string_address(e, in, s->size, RSI, &first) || !e->bus->read(e->ctx, first, s->size, &a.dst))) {
        return false;
    }
    if (!string_load(e, in, s, NULL, &a.src)) {
        return false;
    }
    x86_op_table[X86_OP_CMP].run(&a);
    e->flags = a.flags;
    return true;
}

static bool uses(const struct x86_form *f, unsigned operand)
{
    return f->src == operand || f->dst == operand;
}

static bool string_element(struct x86_emulation *e, const struct x86_insn *in, const struct string *s)
{
    if (!(s->form->op ? string_compare(e, in, s) : string_move(e, in, s))) {
        return false;
    }
    if (uses(s->form, X86_SI)) {
        x86_reg_merge(&e->r[RSI], 0, in->address_size, e->r[RSI] + s->step);
    }
    if (uses(s->form, X86_DI)) {
        x86_reg_merge(&e->r[RDI], 0, in->address_size, e->r[RDI] + s->step);
    }
    return true;
}

// A comparison goes on while they are equal (REPE), or not (REPNE).
static bool ends_early(const struct x86_emulation *e, const struct x86_insn *in, const struct x86_form *f)
{
    bool equal = e->flags & X86_FLAG_ZF;

    return f->op && equal == ((in->prefixes & X86_PFX_REPNE) != 0);
}

static bool repeats(const struct x86_insn *in)
{
    return in->prefixes & (X86_PFX_REP | X86_PFX_REPNE);
}

enum x86_emulate_result x86_run_string(struct x86_emulation *e, const struct x86_insn *in,
                                       const struct x86_form *f)
{
    struct string s = {.form = f, .size = f->flags & X86_FORM_BYTE ? 1 : in->operand_size};
    uint64_t count = repeats(in) ? e->r[RCX] & MASK64(0, 8u * in->address_size) : 1;
    unsigned batch = e->flags & X86_FLAG_TF ? 1 : X86_STRING_BATCH;

    if (uses(f, X86_PORT) && s.size == 8) {
        s.size = 4;
    }
    s.step = e->flags & X86_FLAG_DF ? -(uint64_t)s.size : s.size;
    for (unsigned done = 0; count; done++) {
        if (done == batch) {
            return X86_EMULATE_AGAIN;
        }
        if (!string_element(e, in, &s)) {
            return X86_EMULATE_STOPPED;
        }
        count--;
        if (repeats(in)) {
            x86_reg_merge(&e->r[RCX], 0, in->address_size, count);
            if (ends_early(e, in, f)) {
                break;
            }
        }
    }
    return x86_done(e, in);
}
