// SPDX-License-Identifier: Apache-2.0
//
// See x86_segment.h.
#include "arch/x86_64/virt/x86_segment.h"

#define TYPE_RW 2u   // data: to be written; code: to be read
#define TYPE_DOWN 4u // data: expands down
#define TYPE_CODE 8u
#define TYPE_MEMORY 16u // not a system segment

static bool type_allows(unsigned attr, bool write)
{
    if (!(attr & X86_SEG_PRESENT) || !(attr & TYPE_MEMORY)) {
        return false;
    }
    if (attr & TYPE_CODE) {
        return !write && attr & TYPE_RW;
    }
    return !write || attr & TYPE_RW;
}

bool x86_segment_allows(const struct x86_seg *s, bool checked, uint32_t offset, unsigned size, bool write)
{
    uint64_t last = (uint64_t)offset + size - 1;
    bool down = (s->attr & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN;

    if (checked && !type_allows(s->attr, write)) {
        return false;
    }
    if (checked && down) {
        return offset > s->limit && last <= (s->attr & X86_SEG_BIG ? UINT32_MAX : UINT16_MAX);
    }
    return last <= s->limit || s->limit == UINT32_MAX;
}
