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
    if (!map->index) {
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
}

__attribute__((noinline)) static enum io_result reserved_access(struct vreg_map *map, struct io_access *a)
{
    atomic_fetch_add_explicit(&map->reserved_accesses, 1, memory_order_relaxed);
    if (!a->write) {
        a->value = 0;
    }
    return IO_DONE;
}

// The hottest function of all device emulation, counted in instructions: no stack protector (nothing here is
// written through an index), and the mask is worked out only where it is needed.
__attribute__((no_stack_protector)) enum io_result vreg_map_access(struct vreg_map *map, void *dev,
                                                                   struct io_access *a)
{
    const uint32_t size = a->size;

    if ((size & (size - 1)) != 0 || (a->offset & (size - 1)) != 0 || a->offset >= map->size) {
        return IO_BAD;
    }
    const unsigned slot = map->index[a->offset >> map->shift];

    if (slot == 0) {
        return reserved_access(map, a);
    }
    const struct vreg *row = &map->rows[slot - 1];

    if ((row->widths & size) == 0) { // also refuses 0 and what is wider than 8
        return IO_BAD;
    }
    const uint32_t rel = (uint32_t)a->offset - row->offset;
    struct vreg_access va;

    va.index = rel >> __builtin_ctz(row->size);
    va.byte = rel & (row->size - 1u);
    va.size = a->size;
    va.vcpu = a->vcpu;
    if (!a->write) {
        va.value = 0;
        a->value = row->read ? row->read(dev, &va) : vreg_part(row->reset, &va);
        a->value &= UINT64_MAX >> (64 - 8 * a->size);
        return IO_DONE;
    }
    va.value = a->value & (UINT64_MAX >> (64 - 8 * size));
    if (row->write) {
        row->write(dev, &va);
    }
    return IO_DONE;
}
