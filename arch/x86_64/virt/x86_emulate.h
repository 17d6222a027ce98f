// SPDX-License-Identifier: Apache-2.0
//
// Carries out the instructions with which compilers and operating systems reach devices: MOV and its extending, conditional,
// swapping and vector forms, arithmetic, shifts and bit operations on memory, what uses the stack, and the string
// instructions, those of ports too.
//
// Pure: registers are an array, everything outside is behind `struct x86_bus`. Alignment checks (#AC) are not made. A locked
// instruction is a read and then a write, as on a device.
#pragma once

#include "arch/x86_64/virt/x86_forms.h"

#define X86_STRING_BATCH 64u // elements of a string instruction in one call

struct x86_operand_at {
    uint64_t offset;
    uint8_t segment; // ES CS SS DS FS GS from 0
    uint8_t mode;    // of the instruction, as x86_decode()'s
    uint8_t size;    // bytes
    bool write;
};

// All return false when that is not possible: the instruction ends there, and the bus has noted why in its own context.
// Sizes: 1 2 4 8 bytes (ports 1 2 4), values zero-extended.
struct x86_bus {
    // The linear address of `size` bytes, 1 to 16, at an offset in a segment, whose limit and rights allow that. CS: a jump.
    bool (*address)(void *ctx, const struct x86_operand_at *at, uint64_t *linear);
    bool (*read)(void *ctx, uint64_t linear, unsigned size, uint64_t *out);
    bool (*write)(void *ctx, uint64_t linear, unsigned size, uint64_t value);
    // Would that work? Asked before something is read whose reading may have an effect.
    bool (*allowed)(void *ctx, uint64_t linear, unsigned size, bool write);
    bool (*port)(void *ctx, uint16_t port, unsigned size, bool write, uint32_t *value);
    // XMM0 to XMM15, low half first.
    bool (*vector)(void *ctx, unsigned reg, bool write, uint64_t v[2]);
};

struct x86_emulation {
    const struct x86_bus *bus;
    void *ctx;
    uint64_t *r;        // 16 general registers
    uint64_t rip;       // of the instruction; of the next one when it is done
    uint64_t flags;     // RFLAGS before and after; TF: a string instruction does one element
    uint8_t stack_size; // bytes of the stack pointer: 2 4 8
};

enum x86_emulate_result {
    X86_EMULATE_DONE,
    X86_EMULATE_AGAIN,   // a string instruction has more to do: rip stays where it is
    X86_EMULATE_STOPPED, // the bus has refused: nothing has changed, but for the finished elements of a string
    X86_EMULATE_UNDEFINED, // #UD: a LOCK prefix where there must be none; nothing has changed
    X86_EMULATE_UNKNOWN    // not one of these instructions: nothing has changed
};

// `f`: x86_find_form(in).
enum x86_emulate_result x86_emulate(struct x86_emulation *e, const struct x86_insn *in,
                                    const struct x86_form *f);
