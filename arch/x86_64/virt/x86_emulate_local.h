// SPDX-License-Identifier: Apache-2.0
//
// Registers and addresses of an instruction that is being carried out: between x86_emulate.c, x86_string.c and x86_vector.c.
#pragma once

#include "arch/x86_64/virt/x86_alu.h"
#include "arch/x86_64/virt/x86_emulate.h"
#include "arch/x86_64/virt/x86_forms.h"

enum {
    RAX = 0,
    RCX = 1,
    RDX = 2,
    RBX = 3,
    RSP = 4,
    RSI = 6,
    RDI = 7,
    SEG_ES = 0,
    SEG_CS = 1,
    SEG_SS = 2
};

// `size`: bytes; values are zero-extended. 32-bit results clear the upper half of a register, smaller ones leave the rest.
uint64_t x86_reg_get(const struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size);
void x86_reg_set(struct x86_emulation *e, const struct x86_insn *in, unsigned reg, unsigned size, uint64_t v);
void x86_reg_merge(uint64_t *reg, unsigned low, unsigned size, uint64_t v);
uint64_t x86_sign_extend(uint64_t v, unsigned size);

// Where the operand of the ModRM byte is, `extra` bytes further: false as the bus's.
bool x86_locate(const struct x86_emulation *e, const struct x86_insn *in, uint64_t extra, unsigned size,
                bool write, uint64_t *linear);

// On to the next instruction.
enum x86_emulate_result x86_done(struct x86_emulation *e, const struct x86_insn *in);

enum x86_emulate_result x86_run_string(struct x86_emulation *e, const struct x86_insn *in,
                                       const struct x86_form *f);

// x86_vector.c: SSE's moves. Is it one?
bool x86_is_vector_move(const struct x86_insn *in);
enum x86_emulate_result x86_run_vector(struct x86_emulation *e, const struct x86_insn *in);
