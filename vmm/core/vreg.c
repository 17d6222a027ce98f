// SPDX-License-Identifier: Apache-2.0
//
// Register tables: the rows' check, their expansion into a dense index, and the one access path of all
// devices.
#include "vmm/core/vreg.h"

#include <stdatomic.h>

#include "kernel/lib/range.h"
#include "kernel/mm/pool.h"

#define ROW_MAX 255 // the index holds row + 1 in a byte
#define GRANULE_SHIFT_MAX 2
#define UNUSED_BITS(size) (-(8 * (uint64_t)(size)) & 63) // of 64

// What an access needs of a row, in half a cache line.
struct vreg_slot {
    uint32_t offset;
    uint8_t widths;     // 0: reserved
    uint8_t low;        // bytes of a register - 1
    uint8_t size_shift; // log2 of the bytes
    uint64_t (*read)(void *dev, const struct vreg_access *a);
    void (*write)(void *dev, const struct vreg_access *a);
    uint64_t reset;
};
_Static_assert(sizeof(struct vreg_slot) == 32, "half a cache line");

static bool row_valid(const struct vreg *row)
{
    unsigned wider = ~((2u * row->size) - 1); // width bits have the value of the width

    return row->count > 0 && row->size <= 8 && is_power_of_two(row->size) &&
           is_aligned(row->offset, row->size) && row->widths != 0 && (row->widths & wider) == 0;
}

static uint64_t row_bytes(const struct vreg *row)
{
    return (uint64_t)row->count * row->size;
}

static enum status rows_check(const struct vreg *rows, unsigned count, uint32_t size, uint8_t *shift)
{
    *shift = GRANULE_SHIFT_MAX;
    if (count > ROW_MAX || size == 0) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!row_valid(&rows[i])) {
            return E_INVAL;
        }
        if (!range_contains(0, size, rows[i].offset, row_bytes(&rows[i]))) {
            return E_RANGE;
        }
        while (!is_aligned(rows[i].offset | row_bytes(&rows[i]), BIT64(*shift))) {
            (*shift)--;
        }
    }
    return OK;
}

static uint32_t index_bytes(const struct vreg_map *map)
{
    return (uint32_t)(((uint64_t)map->size + (1u << map->shift) - 1) >> map->shift);
}

static enum status index_fill(struct vreg_map *map)
{
    for (unsigned i = 0; i < map->row_count; i++) {
        const struct vreg *row = &map->rows[i];

        map->slots[i + 1] = (struct vreg_slot){.offset = row->offset,
                                               .widths = row->widths,
                                               .low = (uint8_t)(row->size - 1),
                                               .size_shift = (uint8_t)__builtin_ctz(row->size),
                                               .read = row->read,
                                               .write = row->write,
                                               .reset = row->reset};
        uint32_t first = map->rows[i].offset >> map->shift;
        uint32_t last = (uint32_t)((map->rows[i].offset + row_bytes(&map->rows[i]) - 1) >> map->shift);

        for (uint32_t g = first; g <= last; g++) {
            if (map->index[g] != 0) {
                return E_EXISTS;
            }
            map->index[g] = (uint8_t)(i + 1);
        }
    }
    return OK;
}

enum status vreg_map_create(struct vreg_map *map, const struct vreg *rows, unsigned count, uint32_t size)
{
    uint8_t shift;
    enum status st = rows_check(rows, count, size, &shift);

    if (st != OK) {
        return st;
    }
    *map = (struct vreg_map){.rows = rows, .row_count = (uint16_t)count, .size = size, .shift = shift};
    map->index = pool_alloc(index_bytes(map));
    map->slots = pool_alloc((count + 1) * sizeof(map->slots[0]));
    if (!map->index || !map->slots) {
        vreg_map_destroy(map);
        return E_NOMEM;
    }
    st = index_fill(map);
    if (st != OK) {
        vreg_map_destroy(map);
    }
    return st;
}

void vreg_map_destroy(struct vreg_map *map)
{
    if (map->index) {
        pool_free(map->index, index_bytes(map));
        map->index = NULL;
    }
    if (map->slots) {
        pool_free(map->slots, (map->row_count + 1u) * sizeof(map->slots[0]));
        map->slots = NULL;
    }
}

// A width that the row does not allow, or no row.
__attribute__((noinline)) static enum io_result refused(struct vreg_map *map, unsigned slot,
                                                        struct io_access *a)
{
    if (slot != 0) {
        return IO_BAD;
    }
    atomic_fetch_add_explicit(&map->reserved_accesses, 1, memory_order_relaxed);
    if (!a->write) {
        a->value = 0;
    }
    return IO_DONE;
}

// The hottest function of all device emulation, counted in instructions: no stack protector (nothing here is
// written through an index).
__attribute__((no_stack_protector)) enum io_result vreg_map_access(struct vreg_map *map, void *dev,
                                                                   struct io_access *a)
{
    const uint64_t size = a->size;

    if (((a->offset | size) & (size - 1)) != 0 || a->offset >= map->size) {
        return IO_BAD;
    }
    const unsigned n = map->index[a->offset >> map->shift];
    const struct vreg_slot *s = &map->slots[n];

    if ((s->widths & size) == 0) { // also refuses 0 and what is wider than 8
        return refused(map, n, a);
    }
    const uint64_t rel = a->offset - s->offset;
    struct vreg_access va;

    va.index = (uint32_t)(rel >> s->size_shift);
    va.byte = (uint32_t)(rel & s->low);
    va.size = a->size;
    va.vcpu = a->vcpu;
    if (!a->write) {
        uint64_t v = s->read ? s->read(dev, &va) : vreg_part(s->reset, &va);

        a->value = v << UNUSED_BITS(a->size) >> UNUSED_BITS(a->size);
        return IO_DONE;
    }
    va.value = a->value << UNUSED_BITS(size) >> UNUSED_BITS(size);
    if (s->write) {
        s->write(dev, &va);
    }
    return IO_DONE;
}
