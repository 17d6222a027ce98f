// SPDX-License-Identifier: Apache-2.0
//
// See priority.h.
#include "arch/x86_64/virt/priority.h"

#define OPCODE_ESCAPE 0x0F
#define OPCODE_READ 0x20
#define OPCODE_WRITE 0x22
#define REX 0x40
#define REX_R 4
#define REX_B 1
#define LOCK 0xF0 // with CR0: CR8 for 32-bit code, on CPUs that can do that

static bool is_prefix(uint8_t byte)
{
    static const uint8_t prefixes[] = {0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, LOCK, 0xF2, 0xF3};

    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (prefixes[i] == byte) {
            return true;
        }
    }
    return false;
}

// The two mode bits of ModRM mean nothing here: the operand is always a register.
bool x86_decode_priority(const uint8_t bytes[X86_INSN_MAX], struct x86_priority *out)
{
    unsigned at = 0, rex = 0, number;
    bool lock = false;

    for (; at < X86_INSN_MAX && is_prefix(bytes[at]); at++) {
        lock |= bytes[at] == LOCK;
    }
    if (at < X86_INSN_MAX && (bytes[at] & 0xF0) == REX) {
        rex = bytes[at++];
    }
    if (at + 3 > X86_INSN_MAX || bytes[at] != OPCODE_ESCAPE ||
        (bytes[at + 1] != OPCODE_READ && bytes[at + 1] != OPCODE_WRITE)) {
        return false;
    }
    number = (bytes[at + 2] >> 3 & 7) | (rex & REX_R ? 8 : 0);
    if (number != (lock ? 0 : 8)) {
        return false;
    }
    *out = (struct x86_priority){
        .write = bytes[at + 1] == OPCODE_WRITE,
        .reg = (uint8_t)((bytes[at + 2] & 7) | (rex & REX_B ? 8 : 0)),
        .length = (uint8_t)(at + 3),
    };
    return true;
}
