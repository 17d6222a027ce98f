// SPDX-License-Identifier: Apache-2.0
//
// Host memory behind a region of guest memory: a short list of contiguous pieces, as large as the page allocator has them.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/gmem.h"

#define EXTENTS_MAX 64

struct extents {
    uint32_t count;
    struct gmem_extent list[EXTENTS_MAX];
};

// Takes `size` bytes (a multiple of 4 KiB), zeroed. Nothing is taken on failure. Worker thread; takes long.
enum status extents_take(struct extents *e, uint64_t size);
void extents_scrub(const struct extents *e);
void extents_free(struct extents *e);

// Memory that several VMs see under one name ([[vm.memory]] kind = "shared"): made, zeroed, for the first of them, freed with
// the last. E_CONFIG: it exists with another size. The manager's thread only.
enum status extents_share(const char *name, uint64_t size, const struct extents **out);
void extents_unshare(const struct extents *e);
