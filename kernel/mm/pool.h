// SPDX-License-Identifier: Apache-2.0
//
// Small objects: size classes from 16 bytes to 2 KiB carved from pages; larger requests take whole pages. Memory is zeroed.
// Any thread context; not from interrupt handlers.
#pragma once

#include "kernel/lib/types.h"

// NULL when out of memory. Alignment is the object's size rounded up to a power of two, at most 64 bytes (4 KiB for > 2 KiB).
void *pool_alloc(size_t size);
// The same, not zeroed above 2 KiB: for buffers of which little may be used.
void *pool_alloc_dirty(size_t size);
void pool_free(void *ptr, size_t size);

// `count` objects of `size` bytes; NULL also when the product wraps.
void *pool_alloc_array(size_t count, size_t size);
void pool_free_array(void *ptr, size_t count, size_t size);

struct pool_stats {
    uint64_t live_objects, live_bytes;
    uint64_t slabs, slab_bytes; // pages that small objects lie in; how many depends on the order of frees too
};
void pool_stats_get(struct pool_stats *out);

// Forgets all slabs: for a test that starts again with fresh pages. Not in the image's life.
void pool_reset(void);
