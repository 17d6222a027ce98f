// SPDX-License-Identifier: Apache-2.0
//
// What an A64 load or store does, for stage-2 aborts whose syndrome does not say (Arm DDI 0487, C4.1.94 "Loads and
// Stores"): write-back, pairs, SIMD registers and the like.
//
// Pure: one word in, one struct out. The address needs no computing, the abort reports it; for a pair the second
// element follows the first. Encodings that are unallocated, constrained unpredictable (write-back to a register that
// is transferred too, a load pair into one register) or of extensions that guests do not see are A64_UNKNOWN.
#pragma once

#include "kernel/lib/types.h"

enum a64_kind {
    A64_UNKNOWN,
    A64_LOAD,
    A64_STORE,
    A64_PREFETCH,  // no effect
    A64_CACHE,     // DC or IC by address: no effect on device registers
    A64_ZERO,      // DC ZVA: no sensible meaning on device registers
    A64_EXCLUSIVE, // LDXR, STXR and their kin: cannot be emulated
    A64_ATOMIC,    // CAS, SWP, LDADD and their kin: cannot be emulated
    A64_STRUCTURE, // LD1 to LD4, ST1 to ST4: not emulated
    A64_KIND_COUNT
};

#define A64_REG_ZR 31 // in reg[]: the zero register; as base: the stack pointer

// For A64_LOAD and A64_STORE all fields hold; for the other kinds only `kind`.
struct a64_access {
    enum a64_kind kind;
    uint8_t size;   // bytes of one element: 1 2 4 8, with `simd` also 16
    uint8_t count;  // 1 or 2 elements, adjacent in memory
    uint8_t reg[2]; // x or v register of each element
    bool simd;
    bool sign_extend;     // load: of the element, to 64 bits with `dest64`, else to 32
    bool dest64;          // load: the destination is an x register
    bool acquire_release; // ordered access: LDAR, STLR, LDAPR
    bool unprivileged;    // LDTR, STTR
    bool write_back;      // base += amount
    uint8_t base;         // 31: SP
    int16_t amount;
};

// Never fails: what cannot be decoded is A64_UNKNOWN. Any context.
struct a64_access a64_decode(uint32_t insn);

// "load", "atomic", ... for fault cards; never NULL.
const char *a64_kind_name(enum a64_kind kind);
