// SPDX-License-Identifier: Apache-2.0
//
// A device's register map as a table: one row a register or array of registers.
//
// vreg_map_create() expands the rows into a dense index (one byte per granule of 4 bytes, or less where the
// rows are narrower), so an access is one look-up. Every offset of a map has a row: implemented, RAZ/WI, or
// reserved (no row: RAZ/WI too, and counted).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/io_bus.h"

#define VREG_W8 1u
#define VREG_W16 2u
#define VREG_W32 4u
#define VREG_W64 8u

struct vreg_access {
    uint32_t index; // which of the row's `count` registers
    uint32_t byte;  // offset inside that register
    uint64_t value; // write: shifted to bit 0, masked to `size`; read: undefined
    uint8_t size;   // bytes
    uint16_t vcpu;
};

struct vreg {
    uint32_t offset;
    uint32_t count; // registers in the row, `size` bytes each, adjacent
    uint8_t size;   // bytes of one register: 1 2 4 8
    // VREG_W*: access widths allowed; others give IO_BAD. Accesses must be naturally aligned.
    uint8_t widths;
    uint64_t reset; // for rows without read: the constant that reads back
    uint64_t (*read)(
        void *dev, const struct vreg_access *a); // NULL: reads `reset`. Returns the bytes at `byte`, at bit 0
    void (*write)(void *dev, const struct vreg_access *a); // NULL: write ignored
    const char *name;
};

struct vreg_slot;

struct vreg_map {
    uint8_t *index;          // slot per granule
    struct vreg_slot *slots; // 0 is "reserved", then the rows in the shape that an access wants them in
    uint32_t size;           // bytes of the register region
    uint32_t shift;          // log2 of the granule: 0 to 2
    const struct vreg *rows;
    uint16_t row_count;
    _Atomic uint32_t reserved_accesses;
};

// `rows` must stay alive; at most 255. E_EXISTS when rows overlap, E_RANGE when one leaves `size`, E_INVAL on
// a malformed row, E_NOMEM.
enum status vreg_map_create(struct vreg_map *map, const struct vreg *rows, unsigned count, uint32_t size);
void vreg_map_destroy(struct vreg_map *map);

// Performs one access on behalf of an io_region. IO_BAD for a width the row does not allow, an unaligned
// access, or one outside the map. Takes no lock: the handlers do.
enum io_result vreg_map_access(struct vreg_map *map, void *dev, struct io_access *a);

// For row handlers: the bytes of `value` that the access reads, at bit 0 (the caller masks to the access's
// size).
static inline uint64_t vreg_part(uint64_t value, const struct vreg_access *a)
{
    return value >> (8 * a->byte);
}

// For row handlers: `old` with the bytes of a partial write replaced.
static inline uint64_t vreg_merge(uint64_t old, const struct vreg_access *a)
{
    uint64_t mask = (UINT64_MAX >> (64 - 8 * a->size)) << (8 * a->byte);

    return (old & ~mask) | (a->value << (8 * a->byte));
}
