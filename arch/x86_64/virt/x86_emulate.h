// SPDX-License-Identifier: Apache-2.0
//
// Carries out the instructions with which compilers and operating systems reach devices: MOV and its extending forms,
// arithmetic and bit operations on memory, PUSH, POP and the string instructions, those of ports too.
//
// Pure: registers are an array, everything outside is behind `struct x86_bus`. Segment limits, alignment checks and
// canonical addresses are not looked at. A locked instruction is a read and then a write, as on a device.
#pragma once

#include "arch/x86_64/virt/x86_decode.h"

#define X86_STRING_BATCH 64u // elements of a string instruction in one call

// All return false when that is not possible: the instruction ends there, and the bus has noted why in its own context.
// Sizes: 1 2 4 8 bytes (ports 1 2 4), values zero-extended.
struct x86_bus {
    // In 64-bit code asked of FS and GS only.
    uint64_t (*segment_base)(void *ctx, unsigned segment);
    bool (*read)(void *ctx, uint64_t linear, unsigned size, uint64_t *out);
    bool (*write)(void *ctx, uint64_t linear, unsigned size, uint64_t value);
    // Would write() work? Asked before a source is read whose reading may have an effect.
    bool (*writable)(void *ctx, uint64_t linear, unsigned size);
    bool (*port)(void *ctx, uint16_t port, unsigned size, bool write, uint32_t *value);
};

struct x86_emulation {
    const struct x86_bus *bus;
    void *ctx;
    uint64_t *r;        // 16 general registers
    uint64_t rip;       // of the instruction; not changed
    uint64_t flags;     // RFLAGS before and after
    uint8_t stack_size; // bytes of the stack pointer: 2 4 8
};

enum x86_emulate_result {
    X86_EMULATE_DONE,
    X86_EMULATE_AGAIN,   // a string instruction has more to do: rip stays where it is
    X86_EMULATE_STOPPED, // the bus has refused: nothing has changed, but for the finished elements of a string
    X86_EMULATE_UNKNOWN  // not one of these instructions: nothing has changed
};

// Has the instruction just one operand in memory, at one address?
bool x86_emulates_operand(const struct x86_insn *in);

enum x86_emulate_result x86_emulate(struct x86_emulation *e, const struct x86_insn *in);
