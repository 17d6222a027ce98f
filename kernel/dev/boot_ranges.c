// SPDX-License-Identifier: Apache-2.0
//
// Sorted, merged sets of physical ranges. The arithmetic uses the last byte instead of the end, so that a
// range may reach the top of the address space.
#include "kernel/dev/boot_ranges.h"

#include <string.h>

#include "kernel/lib/range.h"

static uint64_t last_of(const struct boot_range *r)
{
    return r->base.v + (r->size - 1);
}

static struct boot_range make_range(uint64_t base, uint64_t last)
{
    uint64_t size = last - base + 1;

    return (struct boot_range){.base = hpa(base), .size = size ? size : UINT64_MAX};
}

enum status boot_ranges_add(struct boot_ranges *set, uint64_t base, uint64_t size)
{
    if (size == 0) {
        return OK;
    }
    if (!range_valid(base, size)) {
        return E_OVERFLOW;
    }

    uint64_t last = base + (size - 1);
    unsigned from = 0;

    while (from < set->count && last_of(&set->r[from]) < base && last_of(&set->r[from]) + 1 < base) {
        from++;
    }

    unsigned to = from; // [from, to) touch the new range

    while (to < set->count && (last == UINT64_MAX || set->r[to].base.v <= last + 1)) {
        base = min_u64(base, set->r[to].base.v);
        last = max_u64(last, last_of(&set->r[to]));
        to++;
    }
    if (to == from && set->count == BOOT_RANGE_MAX) {
        return E_RANGE;
    }
    memmove(&set->r[from + 1], &set->r[to], (set->count - to) * sizeof(set->r[0]));
    set->r[from] = make_range(base, last);
    set->count = set->count - (to - from) + 1;
    return OK;
}

static void close_smallest_gap(struct boot_ranges *set)
{
    unsigned best = 0;
    uint64_t best_gap = UINT64_MAX;

    for (unsigned i = 0; i + 1 < set->count; i++) {
        uint64_t gap = set->r[i + 1].base.v - last_of(&set->r[i]);

        if (gap < best_gap) {
            best_gap = gap;
            best = i;
        }
    }
    set->r[best] = make_range(set->r[best].base.v, last_of(&set->r[best + 1]));
    memmove(&set->r[best + 1], &set->r[best + 2], (set->count - best - 2) * sizeof(set->r[0]));
    set->count--;
}

enum status boot_ranges_cover(struct boot_ranges *set, uint64_t base, uint64_t size)
{
    enum status s = boot_ranges_add(set, base, size);

    if (s != E_RANGE) {
        return s;
    }
    close_smallest_gap(set);
    return boot_ranges_add(set, base, size);
}

bool boot_ranges_contain(const struct boot_ranges *set, uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < set->count; i++) {
        if (range_contains(set->r[i].base.v, set->r[i].size, base, size)) {
            return true;
        }
    }
    return false;
}
