// SPDX-License-Identifier: Apache-2.0
//
// The page table as it grows from an architecture's first instruction until the page allocator takes over: tables from a
// fixed pool inside the image. Runs with the MMU off (no absolute address is used) and on; what an entry looks like is
// plain numbers, since a table of functions would be stored pointers.
#pragma once

#include "kernel/lib/types.h"

enum early_kind {
    EARLY_R,
    EARLY_RX,
    EARLY_RW,
    EARLY_DEVICE,
    EARLY_KINDS
};

// Entries of one architecture.
struct early_format {
    uint64_t leaf[EARLY_KINDS];      // attributes of a mapping
    uint64_t page;                   // further bits of a 4 KiB leaf
    uint64_t block;                  // further bits of a larger leaf
    uint64_t valid;                  // set in every entry that means something
    uint64_t table, table_mask;      // a pointer to the next level: (entry & table_mask) == table
    uint64_t write_set, write_clear; // what takes the write permission of a leaf
    uint64_t pa_mask;                // the address in an entry: (entry & pa_mask) << pa_shift
    unsigned pa_shift;
    unsigned levels;        // of 512 entries each
    unsigned largest_shift; // of a leaf's size; 0: 1 GiB
};

struct early_map {
    uint64_t root;       // physical
    uint64_t pool_next;  // physical address of the next free table page
    uint64_t pool_end;   // physical
    uint64_t to_pointer; // add to a table's physical address to reach it now
    struct early_format format;
};

struct early_range {
    uint64_t start, end;
};

// Takes the root from the pool, with tables reached at their physical addresses; false when the pool is empty.
bool early_map_init(struct early_map *m, const struct early_format *format, uint64_t pool, uint64_t pool_end);

// Maps [va, va + size) to pa with the largest pages that fit; what is mapped already stays. All 4 KiB-aligned.
// False when the pool is empty.
bool early_map(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, enum early_kind kind);

// Maps RAM for reading and writing at `pa + to_va`, without what lies in the hole: the image's text and read-only data get
// no second, writable address.
bool early_map_around(struct early_map *m, uint64_t to_va, struct early_range ram, struct early_range hole);

// Takes the write permission from [va, va + size), which is mapped by 4 KiB pages.
void early_map_protect(struct early_map *m, uint64_t va, uint64_t size);
