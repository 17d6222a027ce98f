// SPDX-License-Identifier: Apache-2.0
//
// What a load or store does, for guest-page faults on emulated registers (RISC-V Unprivileged ISA: RV64I 5.3, F and D
// 21.2 and 22.3, C 27.3, Zcb 28).
//
// Pure: one instruction in, one struct out. The address needs no computing, the fault reports it.
#pragma once

#include "kernel/lib/types.h"

enum rv_kind {
    RV_UNKNOWN,
    RV_LOAD,
    RV_STORE,
    RV_ATOMIC,  // SC, AMO: cannot be emulated; faults are a store's, whatever part of it faulted
    RV_RESERVE, // LR: cannot be emulated
    RV_CACHE,   // cbo.*, prefetch: no effect on device registers
    RV_KIND_COUNT
};

// For RV_LOAD and RV_STORE all fields hold; for the others only kind and length.
struct rv_access {
    enum rv_kind kind;
    uint8_t length; // of the instruction: 2 or 4 bytes
    uint8_t size;   // bytes: 1 2 4 8
    uint8_t reg;    // x or f register that is loaded or stored
    bool fp;
    bool sign_extend;
};

// The low half-word decides the length; the high one of a compressed instruction is ignored. Any context.
struct rv_access rv_decode(uint32_t insn);

// The same for what htinst holds: an instruction transformed to 32 bits, bit 1 clear when it was a compressed one.
struct rv_access rv_decode_htinst(uint64_t htinst);

// A compressed load or store as htinst would show it: the 32-bit encoding without offset and base, bit 1 clear. 0 when it is
// anything else.
uint32_t rv_expand(uint16_t insn);

// htinst says that the access was one of the hart's own on the guest's page tables.
static inline bool rv_htinst_is_walk(uint64_t htinst)
{
    return (htinst & ~UINT64_C(0x20)) == 0x2000 || (htinst & ~UINT64_C(0x20)) == 0x3000;
}
