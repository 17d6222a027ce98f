// SPDX-License-Identifier: Apache-2.0
//
// An address space of device registers: a sorted array that is replaced as a whole, and the way through it.
//
// Writers build the next array under the lock, publish it, then bump the generation. A reader that misses its
// cache reads the generation first and the array second: the array it finds is at least as new as the
// generation it notes down, so a stale cache entry never survives the next comparison.
#include "vmm/core/io_bus.h"

#include <stdatomic.h>

#include "kernel/lib/range.h"
#include "kernel/mm/pool.h"

struct io_map {
    struct io_map *next; // in io_bus.retired
    unsigned count;
    struct io_region regions[];
};

static size_t map_bytes(unsigned count)
{
    return sizeof(struct io_map) + count * sizeof(struct io_region);
}

static struct io_map *map_alloc(unsigned count)
{
    struct io_map *m = pool_alloc(map_bytes(count));

    if (m) {
        m->count = count;
    }
    return m;
}

static void publish_locked(struct io_bus *bus, struct io_map *next)
{
    struct io_map *old = atomic_load_explicit(&bus->map, memory_order_relaxed);

    atomic_store_explicit(&bus->map, next,
                          memory_order_release); // pairs with the acquire in io_bus_access_slow()
    atomic_fetch_add_explicit(&bus->generation, 1,
                              memory_order_release); // pairs with that in io_bus_access()
    old->next = bus->retired;
    bus->retired = old;
}

// Index of the first region that ends above `addr`.
static unsigned lower_bound(const struct io_map *m, uint64_t addr)
{
    unsigned lo = 0, hi = m->count;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        const struct io_region *r = &m->regions[mid];

        if (addr > r->base + (r->size - 1)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

enum status io_bus_init(struct io_bus *bus)
{
    struct io_map *empty = map_alloc(0);

    if (!empty) {
        return E_NOMEM;
    }
    spin_init(&bus->lock, LOCK_GMEM);
    bus->retired = NULL;
    atomic_init(&bus->map, empty);
    atomic_init(&bus->generation, 1);
    return OK;
}

void io_bus_quiesce(struct io_bus *bus)
{
    irq_state_t irq = spin_lock_irqsave(&bus->lock);
    struct io_map *m = bus->retired;

    bus->retired = NULL;
    spin_unlock_irqrestore(&bus->lock, irq);
    while (m) {
        struct io_map *next = m->next;

        pool_free(m, map_bytes(m->count));
        m = next;
    }
}

void io_bus_destroy(struct io_bus *bus)
{
    struct io_map *m = atomic_load_explicit(&bus->map, memory_order_relaxed);

    if (!m) {
        return;
    }
    io_bus_quiesce(bus);
    atomic_store_explicit(&bus->map, NULL, memory_order_relaxed);
    pool_free(m, map_bytes(m->count));
}

// The array without entry `skip` (m->count: none is left out) and with `region`, if there is one. E_EXISTS,
// E_NOMEM.
static enum status map_edit(const struct io_map *m, unsigned skip, const struct io_region *region,
                            struct io_map **out, const char **clash)
{
    unsigned keep = m->count - (skip < m->count ? 1 : 0);
    struct io_map *next = map_alloc(keep + (region ? 1 : 0));
    unsigned n = 0;
    bool placed = !region;

    if (!next) {
        return E_NOMEM;
    }
    for (unsigned i = 0; i < m->count; i++) {
        const struct io_region *r = &m->regions[i];

        if (i == skip) {
            continue;
        }
        if (region && range_overlaps(r->base, r->size, region->base, region->size)) {
            pool_free(next, map_bytes(next->count));
            if (clash) {
                *clash = r->name;
            }
            return E_EXISTS;
        }
        if (!placed && r->base > region->base) {
            next->regions[n++] = *region;
            placed = true;
        }
        next->regions[n++] = *r;
    }
    if (!placed) {
        next->regions[n] = *region;
    }
    *out = next;
    return OK;
}

enum status io_bus_add(struct io_bus *bus, const struct io_region *region, const char **clash)
{
    struct io_map *next;

    if (region->size == 0 || !region->access) {
        return E_INVAL;
    }
    if (!range_valid(region->base, region->size)) {
        return E_OVERFLOW;
    }
    irq_state_t irq = spin_lock_irqsave(&bus->lock);
    struct io_map *m = atomic_load_explicit(&bus->map, memory_order_relaxed);
    enum status st = map_edit(m, m->count, region, &next, clash);

    if (st == OK) {
        publish_locked(bus, next);
    }
    spin_unlock_irqrestore(&bus->lock, irq);
    return st;
}

static enum status remove_locked(struct io_bus *bus, uint64_t base, const uint64_t *new_base)
{
    struct io_map *m = atomic_load_explicit(&bus->map, memory_order_relaxed);
    unsigned at = lower_bound(m, base);
    struct io_region moved;
    struct io_map *next;

    if (at == m->count || m->regions[at].base != base) {
        return E_NOENT;
    }
    if (new_base) {
        moved = m->regions[at];
        moved.base = *new_base;
        if (!range_valid(moved.base, moved.size)) {
            return E_OVERFLOW;
        }
    }
    enum status st = map_edit(m, at, new_base ? &moved : NULL, &next, NULL);

    if (st == OK) {
        publish_locked(bus, next);
    }
    return st;
}

enum status io_bus_remove(struct io_bus *bus, uint64_t base)
{
    irq_state_t irq = spin_lock_irqsave(&bus->lock);
    enum status st = remove_locked(bus, base, NULL);

    spin_unlock_irqrestore(&bus->lock, irq);
    return st;
}

enum status io_bus_move(struct io_bus *bus, uint64_t base, uint64_t new_base)
{
    irq_state_t irq = spin_lock_irqsave(&bus->lock);
    enum status st = remove_locked(bus, base, &new_base);

    spin_unlock_irqrestore(&bus->lock, irq);
    return st;
}

__attribute__((noinline)) static enum io_result search(struct io_bus *bus, struct io_access *a, uint64_t addr,
                                                       struct io_cache *cache)
{
    uint32_t generation = atomic_load_explicit(&bus->generation, memory_order_acquire);
    const struct io_map *m = atomic_load_explicit(&bus->map, memory_order_acquire);
    unsigned at = lower_bound(m, addr);

    if (at == m->count || !range_contains(m->regions[at].base, m->regions[at].size, addr, a->size)) {
        return IO_UNCLAIMED;
    }
    const struct io_region *r = &m->regions[at];
    unsigned margin = cache->narrow ? 1 : IO_CACHE_MARGIN;

    if (r->size >= margin) {
        cache->previous = cache->last;
        cache->last = (struct io_cached){.base = r->base,
                                         .span = r->size - margin,
                                         .access = r->access,
                                         .dev = r->dev,
                                         .generation = generation};
    }
    a->offset = addr - r->base;
    return r->access(r->dev, a);
}

enum io_result io_bus_access_slow(struct io_bus *bus, struct io_access *a, uint64_t addr,
                                  struct io_cache *cache)
{
    const struct io_cached found = cache->previous;

    if (found.generation != atomic_load_explicit(&bus->generation, memory_order_relaxed) ||
        addr - found.base > found.span) {
        return search(bus, a, addr, cache);
    }
    cache->previous = cache->last;
    cache->last = found;
    a->offset = addr - found.base;
    return found.access(found.dev, a);
}

bool io_bus_nearest(struct io_bus *bus, uint64_t addr, struct io_region *out)
{
    const struct io_map *m = atomic_load_explicit(&bus->map, memory_order_acquire);
    unsigned at = lower_bound(m, addr);

    if (at < m->count && m->regions[at].base <= addr) {
        *out = m->regions[at];
        return true;
    }
    if (at == 0) {
        return false;
    }
    *out = m->regions[at - 1];
    return true;
}
