// SPDX-License-Identifier: Apache-2.0
//
// An address space of device registers: MMIO or ports.
//
// Regions are sorted; a look-up is a binary search behind the caller's one-entry cache. Readers take no lock:
// a change publishes a new array and bumps the generation, which invalidates every cache.
#pragma once

#include <stdatomic.h>

#include "kernel/lib/io_access.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"

enum io_result {
    IO_DONE,
    IO_BAD, // the device refuses this width or alignment: the guest gets the architecture's external abort
    IO_UNCLAIMED, // nobody lives there
};

struct io_region {
    uint64_t base;
    uint64_t size;
    enum io_result (*access)(void *dev, struct io_access *a);
    void *dev;
    const char *name; // static, for fault cards and listings
};

struct io_map; // sorted array of regions

struct io_bus {
    _Atomic(struct io_map *) map;
    struct io_map *retired;
    _Atomic uint32_t generation;
    struct spinlock lock; // writers
};

// A region that a vCPU knows. Every access whose first byte lies at most `span` behind `base` is inside, whatever its width up
// to IO_CACHE_MARGIN; smaller regions are not cached.
#define IO_CACHE_MARGIN 16u
struct io_cached {
    uint64_t base, span;
    enum io_result (*access)(void *dev, struct io_access *a);
    void *dev;
    uint32_t generation;
};

// The last region and the one before it: a driver goes to and fro between its device and the interrupt controller.
struct io_cache {
    struct io_cached last, previous;
    bool narrow; // asked for single bytes only: regions of any size are cached (I/O ports)
};

enum status io_bus_init(struct io_bus *bus);
void io_bus_destroy(struct io_bus *bus);
// E_EXISTS on overlap (*clash, may be NULL, then names the owner), E_OVERFLOW, E_INVAL for an empty region,
// E_NOMEM.
enum status io_bus_add(struct io_bus *bus, const struct io_region *region, const char **clash);
enum status io_bus_remove(struct io_bus *bus, uint64_t base);
enum status io_bus_move(struct io_bus *bus, uint64_t base, uint64_t new_base);
// Frees retired arrays; the caller guarantees that no reader still runs.
void io_bus_quiesce(struct io_bus *bus);

// Finds the region that holds the whole access at `addr` and calls it. An access that straddles a region's
// end is unclaimed.
enum io_result io_bus_access_slow(struct io_bus *bus, struct io_access *a, uint64_t addr,
                                  struct io_cache *cache);

static inline enum io_result io_bus_access(struct io_bus *bus, struct io_cache *cache, uint64_t addr,
                                           struct io_access *a)
{
    const struct io_cached *last = &cache->last;
    uint64_t offset = addr - last->base;

    // Relaxed: an unchanged generation says that what is cached was still right at that moment, nothing else is read.
    if (__builtin_expect(last->generation != atomic_load_explicit(&bus->generation, memory_order_relaxed) ||
                             offset > last->span,
                         0)) {
        return io_bus_access_slow(bus, a, addr, cache);
    }
    a->offset = offset;
    return last->access(last->dev, a);
}

// For fault cards: the region at or nearest below `addr`; false when none.
bool io_bus_nearest(struct io_bus *bus, uint64_t addr, struct io_region *out);
