// SPDX-License-Identifier: Apache-2.0
//
// The page allocator: binary buddy over all RAM that boot_info leaves free. There is no frame table per 4 KiB: one
// descriptor stands for a 2 MiB block and is subdivided (by a bitmap of its own) on demand. Any thread context; not from
// interrupt handlers. Memory is not zeroed unless asked for.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

struct boot_info;

// Takes over all RAM of `bi` but its reserved ranges and the image. Once, boot CPU.
enum status page_init(const struct boot_info *bi);

// 2^order contiguous pages of 4 KiB, aligned to their size; order 0 to 18 (1 GiB). NULL when there are none.
void *page_alloc(unsigned order);
void *page_alloc_zeroed(unsigned order);
void page_free(void *va, unsigned order);

// Contiguous `size` bytes (a multiple of 4 KiB), aligned to `align` (a power of two >= 4 KiB); the unused tail of the
// buddy block goes back. For guest RAM extents.
enum status page_alloc_range(uint64_t size, uint64_t align, hpa_t *out);
void page_free_range(hpa_t base, uint64_t size);

struct page_stats {
    uint64_t total; // bytes managed
    uint64_t free;  // bytes free
    uint64_t largest_free;
    uint64_t alloc_count, free_count;
};
void page_stats_get(struct page_stats *out);
