// SPDX-License-Identifier: Apache-2.0
//
// Appending little-endian fields to a buffer; for the writers of a PC's tables in vmm/firmware alone. What does not fit is
// left out and remembered, so that one look at the end is enough.
#pragma once

#include <string.h>

#include "kernel/lib/types.h"

struct table_out {
    uint8_t *buf;
    size_t capacity;
    size_t used;
    bool failed; // something did not fit, or could not be expressed
};

static inline void table_put(struct table_out *o, const void *bytes, size_t len)
{
    if (o->failed || len > o->capacity - o->used) {
        o->failed = true;
        return;
    }
    memcpy(o->buf + o->used, bytes, len);
    o->used += len;
}

// The `bytes` low bytes of v.
static inline void table_int(struct table_out *o, uint64_t v, unsigned bytes)
{
    uint8_t le[8];

    for (unsigned i = 0; i < sizeof(le); i++) {
        le[i] = (uint8_t)(v >> 8 * i);
    }
    table_put(o, le, bytes);
}

static inline void table_u8(struct table_out *o, uint64_t v)
{
    table_int(o, v, 1);
}

static inline void table_u16(struct table_out *o, uint64_t v)
{
    table_int(o, v, 2);
}

static inline void table_u32(struct table_out *o, uint64_t v)
{
    table_int(o, v, 4);
}

static inline void table_u64(struct table_out *o, uint64_t v)
{
    table_int(o, v, 8);
}

static inline void table_zero(struct table_out *o, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        table_u8(o, 0);
    }
}

// Zeroes up to the next multiple of `align`, a power of two.
static inline void table_align(struct table_out *o, size_t align)
{
    table_zero(o, -o->used & (align - 1));
}

// Overwrites what was put before.
static inline void table_patch(struct table_out *o, size_t at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && at + i < o->used; i++) {
        o->buf[at + i] = (uint8_t)(v >> 8 * i);
    }
}

// Sets the byte at `sum_at` so that all bytes of [at, at + len) sum to zero.
static inline void table_checksum(struct table_out *o, size_t at, size_t len, size_t sum_at)
{
    uint8_t sum = 0;

    if (o->failed) {
        return;
    }
    o->buf[sum_at] = 0;
    for (size_t i = at; i < at + len; i++) {
        sum = (uint8_t)(sum + o->buf[i]);
    }
    o->buf[sum_at] = (uint8_t)-sum;
}
