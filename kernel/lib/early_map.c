// SPDX-License-Identifier: Apache-2.0
//
// See early_map.h. One walk down for each run of pages in a table; tables are made on the way.
#include "kernel/lib/early_map.h"

#define LARGEST_SHIFT 30u // 1 GiB: 512 GiB pages would only waste what is checked less often
#define INDEX_BITS 9u
#define ENTRIES (1u << INDEX_BITS)

static volatile uint64_t *table_at(const struct early_map *m, uint64_t pa)
{
    return (volatile uint64_t *)(uintptr_t)(pa + m->to_pointer); // an address, not a pointer, until here
}

static uint64_t entry_pa(const struct early_format *f, uint64_t entry)
{
    return (entry & f->pa_mask) << f->pa_shift;
}

static unsigned top_shift(const struct early_map *m)
{
    return PAGE_SHIFT + INDEX_BITS * (m->format.levels - 1);
}

static volatile uint64_t *entry_of(const struct early_map *m, uint64_t table, uint64_t va, unsigned shift)
{
    return &table_at(m, table)[(va >> shift) & (ENTRIES - 1)];
}

// Returns the physical address of a zeroed table, 0 when the pool is empty.
static uint64_t table_new(struct early_map *m)
{
    uint64_t pa = m->pool_next;

    if (pa >= m->pool_end) {
        return 0;
    }
    volatile uint64_t *t = table_at(m, pa);
    for (unsigned i = 0; i < ENTRIES; i += 8) {
        t[i] = t[i + 1] = t[i + 2] = t[i + 3] = 0;
        t[i + 4] = t[i + 5] = t[i + 6] = t[i + 7] = 0;
    }
    m->pool_next += PAGE_SIZE;
    return pa;
}

bool early_map_init(struct early_map *m, const struct early_format *format, uint64_t pool, uint64_t pool_end)
{
    m->pool_next = pool;
    m->pool_end = pool_end;
    m->to_pointer = 0;
    m->format = *format;
    m->root = table_new(m);
    return m->root != 0;
}

// Writes leaves from `entry` on, as far as the table goes and nothing is mapped; returns their number.
static uint64_t map_run(volatile uint64_t *entry, uint64_t first, uint64_t step, uint64_t room,
                        uint64_t valid)
{
    uint64_t n = 0;

    do {
        entry[n] = first + n * step;
        n++;
    } while (n < room && !(entry[n] & valid));
    return n;
}

// Maps the largest pages possible from `va` on, as far as one table goes, and returns their size; 0 when the pool is empty.
static uint64_t map_one(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, enum early_kind kind)
{
    const struct early_format *f = &m->format;
    unsigned largest = f->largest_shift ? f->largest_shift : LARGEST_SHIFT;
    uint64_t table = m->root;

    for (unsigned shift = top_shift(m);; shift -= INDEX_BITS) {
        uint64_t page = BIT64(shift);
        volatile uint64_t *entry = entry_of(m, table, va, shift);
        bool last = shift == PAGE_SHIFT;

        if (!(*entry & f->valid)) {
            if (last || (shift <= largest && is_aligned(va | pa, page) && size >= page)) {
                uint64_t leaf = pa >> f->pa_shift | f->leaf[kind] | (last ? f->page : f->block);
                uint64_t room = min_u64(size >> shift, ENTRIES - ((va >> shift) & (ENTRIES - 1)));

                return map_run(entry, leaf, page >> f->pa_shift, room, f->valid) * page;
            }
            uint64_t next = table_new(m);
            if (!next) {
                return 0;
            }
            *entry = next >> f->pa_shift | f->table;
        } else if (last || (*entry & f->table_mask) != f->table) {
            return min_u64(size, page - (va & (page - 1)));
        }
        table = entry_pa(f, *entry);
    }
}

bool early_map(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, enum early_kind kind)
{
    while (size) {
        uint64_t done = map_one(m, va, pa, size, kind);

        if (!done) {
            return false;
        }
        va += done;
        pa += done;
        size -= done;
    }
    return true;
}

bool early_map_around(struct early_map *m, uint64_t to_va, struct early_range ram, struct early_range hole)
{
    uint64_t below = min_u64(ram.end, hole.start), above = max_u64(ram.start, hole.end);
    bool ok = true;

    if (ram.start < below) {
        ok = early_map(m, ram.start + to_va, ram.start, below - ram.start, EARLY_RW);
    }
    if (ok && above < ram.end) {
        ok = early_map(m, above + to_va, above, ram.end - above, EARLY_RW);
    }
    return ok;
}

void early_map_protect(struct early_map *m, uint64_t va, uint64_t size)
{
    for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
        uint64_t table = m->root;

        for (unsigned shift = top_shift(m); shift > PAGE_SHIFT; shift -= INDEX_BITS) {
            table = entry_pa(&m->format, *entry_of(m, table, va + off, shift));
        }
        volatile uint64_t *entry = entry_of(m, table, va + off, PAGE_SHIFT);
        *entry = (*entry & ~m->format.write_clear) | m->format.write_set;
    }
}
