// SPDX-License-Identifier: Apache-2.0
//
// The guest's own page tables, read through its memory as its processor would: rights, reserved bits, accessed and dirty
// bits (Intel SDM vol. 3A, 4.3 to 4.8; AMD APM vol. 2, 5.3 to 5.6). Protection keys are not offered to guests.
//
// No hardware is touched: registers come in a struct, memory is behind av->up. Tables may change under it at any time: each
// entry is read once, and accessed and dirty bits are set in entries that are still what was read.
#pragma once

#include "arch/vcpu.h"

struct x86_paging {
    struct arch_vcpu *av; // for its upcalls: read() and swap()
    uint64_t cr0, cr3, cr4, efer;
    uint64_t flags;    // RFLAGS
    uint64_t reserved; // address bits that no physical address has, of 12 to 51
};

struct x86_walk_for {
    bool write, user;
};

enum x86_walk_result {
    X86_WALK_DONE,
    X86_WALK_FAULT, // #PF, with `error`
    X86_WALK_AGAIN  // the tables change all the time: the instruction is to be executed again
};

// Bits of a page fault's error code
#define X86_PF_PRESENT 1u
#define X86_PF_WRITE 2u
#define X86_PF_USER 4u
#define X86_PF_RESERVED 8u

// For a data access: rights count, and accessed and dirty bits are set when it is allowed.
enum x86_walk_result x86_walk(const struct x86_paging *p, uint64_t va, struct x86_walk_for why, uint64_t *gpa,
                              uint32_t *error);

// Only where it leads; nothing is written. False: not mapped.
bool x86_walk_peek(const struct x86_paging *p, uint64_t va, uint64_t *gpa);
