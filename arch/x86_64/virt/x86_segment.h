// SPDX-License-Identifier: Apache-2.0
//
// Segments as the processor holds them, and what they allow (Intel SDM vol. 3A, 5.2 to 5.4; AMD APM vol. 2, 4.7 to 4.12).
// Pure.
#pragma once

#include "kernel/lib/types.h"

#define X86_SEG_PRESENT 0x80u
#define X86_SEG_LONG 0x200u // of CS: 64-bit code
#define X86_SEG_BIG 0x400u  // 32-bit code, stack pointer, upper bound of a segment that expands down

struct x86_seg {
    uint64_t base;
    uint32_t limit; // the last byte's offset, granularity reckoned in
    uint16_t selector;
    uint16_t attr; // descriptor bits 40-47 and 52-55, packed: type S DPL P, AVL L D G
};

// May 16- or 32-bit code access `size` bytes, 1 to 16, at `offset`? `checked`: types and presence count, which they do not in
// real and virtual-8086 mode. A segment of 4 GiB has no end: its last byte is followed by its first.
bool x86_segment_allows(const struct x86_seg *s, bool checked, uint32_t offset, unsigned size, bool write);

// In 64-bit code, whose addresses have `bits`, 48 or 57: are the bits from the top one on the same, of all `size` bytes?
static inline bool x86_is_canonical(uint64_t linear, unsigned size, unsigned bits)
{
    uint64_t half = BIT64(bits - 1);

    return (linear + half) >> bits == 0 && (linear + size - 1 + half) >> bits == 0;
}
