// SPDX-License-Identifier: Apache-2.0
//
// Guest memory: sorted, typed, non-overlapping regions, and the only way to touch guest data.
//
// The collection is an immutable snapshot; add and remove build a new one and swap it, so readers take no
// lock and keep a consistent view. A region's backing is a list of extents (never one host range). Copies are
// short at the first hole; aligned words up to 8 bytes are never torn; a range may end exactly at 2^64.
#pragma once

#include <stdatomic.h>

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/mm/aspace.h"
#include "kernel/sync/spinlock.h"

enum gmem_kind {
    GMEM_RAM,
    GMEM_ROM,
    GMEM_FIRMWARE,
    GMEM_SHARED,
    GMEM_DEVICE
};

struct gmem_extent {
    uint64_t offset; // in the region; the list is sorted and gapless
    hpa_t hpa;
    uint64_t size;
};

struct gmem_region {
    gpa_t base;
    uint64_t size;
    enum gmem_kind kind;
    uint8_t perm; // PERM_*: what the guest and devices on its behalf may do
    uint32_t extent_count;
    const struct gmem_extent *extents; // owned by the caller of gmem_add(), must outlive the region
    _Atomic uint64_t *dirty;           // one bit a page, NULL when not tracked; same owner
};

struct gmem_snapshot; // sorted array of regions

struct gmem {
    _Atomic(struct gmem_snapshot *) current;
    struct gmem_snapshot *retired; // old snapshots, freed by gmem_quiesce()
    struct spinlock lock;          // writers
    _Atomic uint32_t generation;   // counts changes: what was found before one must be found again
};

enum status gmem_init(struct gmem *gm);
void gmem_destroy(struct gmem *gm);

// E_EXISTS on overlap, E_OVERFLOW past 2^64, E_INVAL when not page-aligned, empty, or the extents do not
// cover it exactly.
enum status gmem_add(struct gmem *gm, const struct gmem_region *region);
// The region that starts at `base`. E_NOENT. The caller unmaps stage 2 and frees the backing after
// gmem_quiesce().
enum status gmem_remove(struct gmem *gm, gpa_t base);
// Frees retired snapshots; the caller guarantees that no reader still runs.
void gmem_quiesce(struct gmem *gm);

// The region that holds `addr`, NULL for a hole. Valid until the next gmem_quiesce().
const struct gmem_region *gmem_find(struct gmem *gm, gpa_t addr);
unsigned gmem_region_count(struct gmem *gm);
const struct gmem_region *gmem_region(struct gmem *gm, unsigned i);
uint64_t gmem_size(struct gmem *gm, enum gmem_kind kind); // sum, bytes

// Copies; *done (may be NULL) is the number of bytes copied before the first hole or region without
// permission. OK: all; E_PARTIAL: some; E_RANGE: none; E_OVERFLOW: the range wraps; E_PERM: the first byte's
// region does not allow it (or is GMEM_DEVICE, which holds no data). Zero length: OK.
enum status gmem_read(struct gmem *gm, gpa_t addr, void *buf, uint64_t len, uint64_t *done);
enum status gmem_write(struct gmem *gm, gpa_t addr, const void *buf, uint64_t len, uint64_t *done);
// For loaders: ignores PERM_W (ROM, firmware), cleans the data cache to the point of coherency.
enum status gmem_load(struct gmem *gm, gpa_t addr, const void *buf, uint64_t len);
// Likewise, with zeroes; long ranges take long: worker threads.
enum status gmem_zero(struct gmem *gm, gpa_t addr, uint64_t len);

// True when all of [addr, addr + len) is memory with `perm`.
bool gmem_check(struct gmem *gm, gpa_t addr, uint64_t len, uint8_t perm);

// A pointer to the contiguous piece at `addr` (at most `len` bytes, *piece says how many), NULL (*piece 0)
// when not memory with `perm`, when [addr, addr + len) wraps or `len` is 0. With PERM_W the whole piece is
// marked dirty. The guest may change the bytes at any time: for data only, never for control structures.
void *gmem_ptr(struct gmem *gm, gpa_t addr, uint64_t len, uint8_t perm, uint64_t *piece);

// A piece of guest memory that its owner keeps found, for many look-ups in the same region. All zero: nothing yet. One
// user at a time.
struct gmem_window {
    uint64_t base, size; // guest physical
    uint8_t *va;
    uint32_t generation; // of the gmem when it was found
    uint8_t perm;        // without PERM_W where writes have to reach the dirty log
};

// Looks [addr, addr + len) up and keeps the piece around it.
void *gmem_window_miss(struct gmem *gm, struct gmem_window *w, gpa_t addr, uint64_t len, uint8_t perm);

// As gmem_ptr(), all or nothing: NULL also when the range lies in several pieces, or when it is to be written and the
// dirty log must know. The pointer is good for one operation: look up again for the next.
static inline void *gmem_window_ptr(struct gmem *gm, struct gmem_window *w, gpa_t addr, uint64_t len,
                                    uint8_t perm)
{
    uint64_t off = addr.v - w->base;

    if (__builtin_expect(off < w->size && len <= w->size - off && (perm & ~w->perm) == 0 &&
                             w->generation == atomic_load_explicit(&gm->generation, memory_order_acquire),
                         1)) {
        return w->va + off;
    }
    return gmem_window_miss(gm, w, addr, len, perm);
}

// Naturally aligned single-copy-atomic little-endian words; E_INVAL when misaligned. acquire / release order.
enum status gmem_load16(struct gmem *gm, gpa_t addr, uint16_t *out);
enum status gmem_load32(struct gmem *gm, gpa_t addr, uint32_t *out);
enum status gmem_load64(struct gmem *gm, gpa_t addr, uint64_t *out);
enum status gmem_store16(struct gmem *gm, gpa_t addr, uint16_t v);
enum status gmem_store32(struct gmem *gm, gpa_t addr, uint32_t v);
enum status gmem_store64(struct gmem *gm, gpa_t addr, uint64_t v);

// Marks pages dirty that were written through a gmem_ptr() pointer after it was handed out (device DMA: at
// completion). E_RANGE at the first hole, E_OVERFLOW.
enum status gmem_mark_dirty(struct gmem *gm, gpa_t addr, uint64_t len);

// Dirty log of one region: copies `words` words out and clears them; words beyond the region read as clean.
// E_NOENT when no region starts there, E_UNSUPPORTED when it is not tracked.
enum status gmem_dirty_take(struct gmem *gm, gpa_t region_base, uint64_t *out, uint64_t words);
