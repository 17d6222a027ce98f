// SPDX-License-Identifier: Apache-2.0
//
// A byte ring for one producer and one consumer, which may be on different CPUs. The size is a power of two; all of it is
// usable. Positions only grow and wrap at 2^32.
#pragma once

#include <stdatomic.h>

#include "kernel/lib/types.h"

struct ring {
    uint8_t *data;
    uint32_t mask;         // size - 1
    _Atomic uint32_t head; // written: producer's
    _Atomic uint32_t tail; // read: consumer's
};

// `size` is a power of two, at most 2^31.
static inline void ring_init(struct ring *r, uint8_t *data, uint32_t size)
{
    r->data = data;
    r->mask = size - 1;
    atomic_store_explicit(&r->head, 0, memory_order_relaxed);
    atomic_store_explicit(&r->tail, 0, memory_order_relaxed);
}

// Bytes to read. Either side.
static inline uint32_t ring_used(const struct ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_acquire) -
           atomic_load_explicit(&r->tail, memory_order_acquire);
}

static inline uint32_t ring_room(const struct ring *r)
{
    return r->mask + 1 - ring_used(r);
}

// Producer. How many bytes went in.
static inline uint32_t ring_write(struct ring *r, const void *buf, uint32_t len)
{
    uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint32_t room = ring_room(r);
    uint32_t n = len < room ? len : room;

    for (uint32_t i = 0; i < n; i++) {
        r->data[(head + i) & r->mask] = ((const uint8_t *)buf)[i];
    }
    // Pairs with the acquire load of head in ring_used(): the bytes are there before their number.
    atomic_store_explicit(&r->head, head + n, memory_order_release);
    return n;
}

// Consumer. Copies without removing.
static inline uint32_t ring_peek(const struct ring *r, void *buf, uint32_t len)
{
    uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint32_t used = ring_used(r);
    uint32_t n = len < used ? len : used;

    for (uint32_t i = 0; i < n; i++) {
        ((uint8_t *)buf)[i] = r->data[(tail + i) & r->mask];
    }
    return n;
}

// Consumer. Removes up to `len` bytes.
static inline uint32_t ring_skip(struct ring *r, uint32_t len)
{
    uint32_t used = ring_used(r);
    uint32_t n = len < used ? len : used;

    // Pairs with the acquire load of tail in ring_used(): the bytes were read before their room is given back.
    atomic_store_explicit(&r->tail, atomic_load_explicit(&r->tail, memory_order_relaxed) + n,
                          memory_order_release);
    return n;
}

static inline uint32_t ring_read(struct ring *r, void *buf, uint32_t len)
{
    return ring_skip(r, ring_peek(r, buf, len));
}
