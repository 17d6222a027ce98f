// SPDX-License-Identifier: Apache-2.0
//
// The page table as it grows from the first instruction until the page allocator takes over: Sv48 or Sv39, tables from
// a fixed pool inside the image. Runs with the MMU off (no absolute address is used) and on.
#pragma once

#include "kernel/lib/types.h"

#define EARLY_R 0u
#define EARLY_RX 1u
#define EARLY_RW 2u

struct early_map {
    uint64_t root;      // physical
    uint64_t pool_next; // physical address of the next free table page
    uint64_t pool_end;
    uint64_t to_pointer; // add to a table's physical address to reach it now
    unsigned levels;     // 3: Sv39, 4: Sv48
};

// Maps [va, va + size) to pa with the largest pages that fit; what is mapped already stays. All 4 KiB-aligned. False
// when the pool is empty.
bool early_map(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, unsigned kind);
bool early_map_init(struct early_map *m, unsigned levels, uint64_t pool, uint64_t pool_end);

// Takes the write permission from [va, va + size), which is mapped by pages.
void early_map_protect(struct early_map *m, uint64_t va, uint64_t size);
