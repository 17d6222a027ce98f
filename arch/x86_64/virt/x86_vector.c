// SPDX-License-Identifier: Apache-2.0
//
// SSE's moves between a register and memory, with which compilers copy structures and clear buffers. Those of MMX and AVX are
// not here.
#include "arch/x86_64/virt/x86_emulate_local.h"

#define ANY_SIZE 0 // 4 bytes, or 8 with REX.W

enum {
    LOAD,  // the rest of the register becomes 0
    MERGE, // or stays as it is
    STORE
};

enum {
    PLAIN = 0,
    P66 = X86_PFX_OPERAND,
    PF3 = X86_PFX_REP,
    PF2 = X86_PFX_REPNE
};

static const struct move {
    uint8_t opcode, prefix;
    uint8_t size; // bytes
    uint8_t how;
    uint8_t half; // of the register: 1 for the upper one
    uint8_t map;
} moves[] = {
    {0x10, PLAIN, 16, LOAD, 0, X86_MAP_0F},     {0x11, PLAIN, 16, STORE, 0, X86_MAP_0F}, // MOVUPS
    {0x10, P66, 16, LOAD, 0, X86_MAP_0F},       {0x11, P66, 16, STORE, 0, X86_MAP_0F},   // MOVUPD
    {0x10, PF3, 4, LOAD, 0, X86_MAP_0F},        {0x11, PF3, 4, STORE, 0, X86_MAP_0F},    // MOVSS
    {0x10, PF2, 8, LOAD, 0, X86_MAP_0F},        {0x11, PF2, 8, STORE, 0, X86_MAP_0F},    // MOVSD
    {0x12, PLAIN, 8, MERGE, 0, X86_MAP_0F},     {0x13, PLAIN, 8, STORE, 0, X86_MAP_0F},  // MOVLPS
    {0x12, P66, 8, MERGE, 0, X86_MAP_0F},       {0x13, P66, 8, STORE, 0, X86_MAP_0F},    // MOVLPD
    {0x16, PLAIN, 8, MERGE, 1, X86_MAP_0F},     {0x17, PLAIN, 8, STORE, 1, X86_MAP_0F},  // MOVHPS
    {0x16, P66, 8, MERGE, 1, X86_MAP_0F},       {0x17, P66, 8, STORE, 1, X86_MAP_0F},    // MOVHPD
    {0x28, PLAIN, 16, LOAD, 0, X86_MAP_0F},     {0x29, PLAIN, 16, STORE, 0, X86_MAP_0F}, // MOVAPS
    {0x28, P66, 16, LOAD, 0, X86_MAP_0F},       {0x29, P66, 16, STORE, 0, X86_MAP_0F},   // MOVAPD
    {0x2B, PLAIN, 16, STORE, 0, X86_MAP_0F},    {0x2B, P66, 16, STORE, 0, X86_MAP_0F},   // MOVNTPS, MOVNTPD
    {0x6E, P66, ANY_SIZE, LOAD, 0, X86_MAP_0F}, {0x7E, P66, ANY_SIZE, STORE, 0, X86_MAP_0F}, // MOVD, MOVQ
    {0x7E, PF3, 8, LOAD, 0, X86_MAP_0F},        {0xD6, P66, 8, STORE, 0, X86_MAP_0F},        // MOVQ
    {0x6F, P66, 16, LOAD, 0, X86_MAP_0F},       {0x7F, P66, 16, STORE, 0, X86_MAP_0F},       // MOVDQA
    {0x6F, PF3, 16, LOAD, 0, X86_MAP_0F},       {0x7F, PF3, 16, STORE, 0, X86_MAP_0F},       // MOVDQU
    {0xE7, P66, 16, STORE, 0, X86_MAP_0F},      {0xF0, PF2, 16, LOAD, 0, X86_MAP_0F},        // MOVNTDQ, LDDQU
    {0x2A, P66, 16, LOAD, 0, X86_MAP_0F38},                                                  // MOVNTDQA
};

// F2 and F3 come before 66.
static const struct move *find(const struct x86_insn *in)
{
    unsigned repeat = in->prefixes & (X86_PFX_REP | X86_PFX_REPNE);
    unsigned prefix = repeat ? repeat : in->prefixes & X86_PFX_OPERAND;

    if (in->vector || !in->memory) {
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(moves); i++) {
        if (moves[i].opcode == in->opcode && moves[i].map == in->map && moves[i].prefix == prefix) {
            return &moves[i];
        }
    }
    return NULL;
}

bool x86_is_vector_move(const struct x86_insn *in)
{
    return find(in) != NULL;
}

// 16 bytes go as two halves, both of which have been found before either is written.
static bool store(struct x86_emulation *e, const struct x86_insn *in, const struct move *m, uint64_t where,
                  unsigned size)
{
    uint64_t v[2];

    if (!e->bus->vector(e->ctx, in->reg, false, v)) {
        return false;
    }
    if (size < 16) {
        return e->bus->write(e->ctx, where, size, v[m->half] & MASK64(0, 8 * size));
    }
    return e->bus->allowed(e->ctx, where, 8, true) && e->bus->allowed(e->ctx, where + 8, 8, true) &&
           e->bus->write(e->ctx, where, 8, v[0]) && e->bus->write(e->ctx, where + 8, 8, v[1]);
}

static bool load(struct x86_emulation *e, const struct x86_insn *in, const struct move *m, uint64_t where,
                 unsigned size)
{
    uint64_t v[2] = {0};

    if (m->how == MERGE && !e->bus->vector(e->ctx, in->reg, false, v)) {
        return false;
    }
    if (size == 16) {
        if (!e->bus->allowed(e->ctx, where + 8, 8, false) || !e->bus->read(e->ctx, where, 8, &v[0]) ||
            !e->bus->read(e->ctx, where + 8, 8, &v[1])) {
            return false;
        }
    } else if (!e->bus->read(e->ctx, where, size, &v[m->half])) {
        return false;
    }
    return e->bus->vector(e->ctx, in->reg, true, v);
}

enum x86_emulate_result x86_run_vector(struct x86_emulation *e, const struct x86_insn *in)
{
    const struct move *m = find(in);
    unsigned size;
    uint64_t where;

    size = m->size != ANY_SIZE ? m->size : in->rex & X86_REX_W ? 8 : 4;
    if (!x86_locate(e, in, 0, size, m->how == STORE, &where) ||
        !(m->how == STORE ? store(e, in, m, where, size) : load(e, in, m, where, size))) {
        return X86_EMULATE_STOPPED;
    }
    return x86_done(e, in);
}
