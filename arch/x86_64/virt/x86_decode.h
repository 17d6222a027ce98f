// SPDX-License-Identifier: Apache-2.0
//
// The length and the operands of an x86 instruction, for what the hardware leaves to software: accesses to devices and
// string port I/O (Intel SDM vol. 2, chapter 2 "Instruction format" and appendix A "Opcode map").
//
// Pure: bytes in, one struct out. What an opcode means is not known here, only what follows it: a ModRM byte, a displacement,
// an immediate. An opcode that no processor has may therefore decode. XOP and SSE4a, which only some of AMD's processors had,
// are not known: their bytes decode as other processors take them.
#pragma once

#include "kernel/lib/types.h"

#define X86_INSN_MAX 15u // bytes
#define X86_NO_REG 0xFFu

enum x86_map {
    X86_MAP_BYTE,
    X86_MAP_0F,
    X86_MAP_0F38,
    X86_MAP_0F3A,
    X86_MAP_5 = 5, // EVEX alone
    X86_MAP_6,
    X86_MAP_COUNT
};

enum x86_pfx {
    X86_PFX_LOCK = 1,
    X86_PFX_REPNE = 2, // F2
    X86_PFX_REP = 4,   // F3
    X86_PFX_OPERAND = 8,
    X86_PFX_ADDRESS = 16
};

enum x86_rex {
    X86_REX_B = 1,
    X86_REX_X = 2,
    X86_REX_R = 4,
    X86_REX_W = 8,
    X86_REX = 0x40 // there is one: byte registers 4 to 7 are SPL to DIL
};

// Segment registers are numbered as instructions do, ES CS SS DS FS GS from 0; general registers likewise, 0 to 15.
struct x86_insn {
    uint8_t length; // 1 to 15
    uint8_t map;    // enum x86_map
    uint8_t opcode;
    uint8_t prefixes;     // enum x86_pfx, OR-ed
    uint8_t rex;          // enum x86_rex, OR-ed; of VEX and EVEX without X86_REX
    uint8_t mode;         // as asked for
    uint8_t operand_size; // bytes: 2 4 8; as the prefixes say, whatever the opcode makes of it
    uint8_t address_size; // bytes: 2 4 8
    bool vector;          // VEX or EVEX
    bool modrm;
    uint8_t mod, reg, rm; // reg and, when mod is 3, rm are register numbers with the bits of REX
    bool memory;          // the operand of mod and rm is in memory, at base + index * scale + displacement:
    bool rip_relative;    // + the address of the next instruction
    uint8_t base, index;  // X86_NO_REG: none
    uint8_t scale;        // 1 2 4 8
    int32_t displacement;
    uint8_t segment;        // of a memory operand: the override, or what base implies (DS for string sources)
    uint8_t immediate_size; // bytes; 0: none
    uint64_t immediate;     // sign-extended; a direct address (A0 to A3) zero-extended
};

enum x86_decode_result {
    X86_DECODED,
    X86_DECODE_SHORT,    // it goes on after the bytes given
    X86_DECODE_UNDEFINED // no instruction, or longer than 15 bytes
};

// `mode`: bytes of a default address: 2 4 8 for 16-, 32- and 64-bit code. Looks at no more than `size` bytes. `out` holds only
// after X86_DECODED. Any context.
enum x86_decode_result x86_decode(const uint8_t *bytes, unsigned size, unsigned mode, struct x86_insn *out);
