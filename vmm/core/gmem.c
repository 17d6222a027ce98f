// SPDX-License-Identifier: Apache-2.0
//
// Guest memory: snapshots of sorted regions, the look-up, and every copy into and out of a guest.
//
// A reader takes the current snapshot once (acquire) and works on it to its end; a writer builds the next one
// under the lock and publishes it (release). Old snapshots wait in a list until gmem_quiesce(). The look-up
// remembers the region that was found last, then falls back to a binary search.
//
// A byte is marked dirty after it was written, by an atomic OR with release order: it pairs with the acquire
// exchange of gmem_dirty_take(), so whoever takes a bit sees the data, and a write behind his back sets the
// bit again.
#include "vmm/core/gmem.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/lib/range.h"
#include "kernel/mm/pool.h"

// Copies up to this size go by aligned words; longer ones by memcpy().
#define COPY_WORDS_MAX 64

struct gmem_snapshot {
    struct gmem_snapshot *next; // in gmem.retired
    unsigned count;
    _Atomic unsigned hint; // the region found last; only a guess
    struct gmem_region regions[];
};

// One contiguous piece of guest memory in the hypervisor's own mapping.
struct piece {
    const struct gmem_region *region;
    uint64_t offset; // in the region
    uint64_t len;
    uint8_t *va;
};

enum copy_op {
    COPY_READ,
    COPY_WRITE,
    COPY_LOAD,
    COPY_ZERO
};

// ---- snapshots --------------------------------------------------------------------------------------------

static size_t snapshot_bytes(unsigned count)
{
    return sizeof(struct gmem_snapshot) + count * sizeof(struct gmem_region);
}

static struct gmem_snapshot *snapshot_alloc(unsigned count)
{
    struct gmem_snapshot *s = pool_alloc(snapshot_bytes(count));

    if (s) {
        s->count = count;
    }
    return s;
}

static struct gmem_snapshot *snapshot_get(struct gmem *gm)
{
    return atomic_load_explicit(&gm->current,
                                memory_order_acquire); // pairs with the release in publish_locked()
}

static void publish_locked(struct gmem *gm, struct gmem_snapshot *next)
{
    struct gmem_snapshot *old = atomic_load_explicit(&gm->current, memory_order_relaxed);

    atomic_store_explicit(&gm->current, next, memory_order_release);
    atomic_fetch_add_explicit(&gm->generation, 1, memory_order_release);
    old->next = gm->retired;
    gm->retired = old;
}

enum status gmem_init(struct gmem *gm)
{
    struct gmem_snapshot *empty = snapshot_alloc(0);

    if (!empty) {
        return E_NOMEM;
    }
    spin_init(&gm->lock, LOCK_GMEM);
    gm->retired = NULL;
    atomic_init(&gm->current, empty);
    return OK;
}

void gmem_quiesce(struct gmem *gm)
{
    irq_state_t irq = spin_lock_irqsave(&gm->lock);
    struct gmem_snapshot *s = gm->retired;

    gm->retired = NULL;
    spin_unlock_irqrestore(&gm->lock, irq);
    while (s) {
        struct gmem_snapshot *next = s->next;

        pool_free(s, snapshot_bytes(s->count));
        s = next;
    }
}

void gmem_destroy(struct gmem *gm)
{
    struct gmem_snapshot *s = snapshot_get(gm);

    if (!s) {
        return;
    }
    gmem_quiesce(gm);
    atomic_store_explicit(&gm->current, NULL, memory_order_relaxed);
    pool_free(s, snapshot_bytes(s->count));
}

static bool extents_cover(const struct gmem_region *r)
{
    uint64_t next = 0;

    if (r->extent_count == 0 || !r->extents) {
        return false;
    }
    for (uint32_t i = 0; i < r->extent_count; i++) {
        const struct gmem_extent *e = &r->extents[i];

        if (e->offset != next || e->size == 0 || e->size > r->size - next ||
            !range_valid(e->hpa.v, e->size) || !is_aligned(e->hpa.v | e->size, PAGE_SIZE)) {
            return false;
        }
        next += e->size;
    }
    return next == r->size;
}

static enum status region_check(const struct gmem_region *r)
{
    if (r->size == 0 || !is_aligned(r->base.v | r->size, PAGE_SIZE)) {
        return E_INVAL;
    }
    if (!range_valid(r->base.v, r->size)) {
        return E_OVERFLOW;
    }
    return extents_cover(r) ? OK : E_INVAL;
}

// Index of the first region that ends above `addr`: the one that holds it, or the next above a hole.
static unsigned lower_bound(const struct gmem_snapshot *s, uint64_t addr)
{
    unsigned lo = 0, hi = s->count;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        const struct gmem_region *r = &s->regions[mid];

        if (addr > r->base.v + (r->size - 1)) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static enum status insert_locked(struct gmem *gm, const struct gmem_region *region)
{
    struct gmem_snapshot *old = atomic_load_explicit(&gm->current, memory_order_relaxed);
    unsigned at = lower_bound(old, region->base.v);

    if (at < old->count &&
        range_overlaps(old->regions[at].base.v, old->regions[at].size, region->base.v, region->size)) {
        return E_EXISTS;
    }
    struct gmem_snapshot *next = snapshot_alloc(old->count + 1);
    if (!next) {
        return E_NOMEM;
    }
    memcpy(next->regions, old->regions, at * sizeof(*region));
    next->regions[at] = *region;
    memcpy(&next->regions[at + 1], &old->regions[at], (old->count - at) * sizeof(*region));
    publish_locked(gm, next);
    return OK;
}

enum status gmem_add(struct gmem *gm, const struct gmem_region *region)
{
    enum status st = region_check(region);

    if (st != OK) {
        return st;
    }
    irq_state_t irq = spin_lock_irqsave(&gm->lock);
    st = insert_locked(gm, region);
    spin_unlock_irqrestore(&gm->lock, irq);
    return st;
}

static enum status remove_locked(struct gmem *gm, uint64_t base)
{
    struct gmem_snapshot *old = atomic_load_explicit(&gm->current, memory_order_relaxed);
    unsigned at = lower_bound(old, base);

    if (at == old->count || old->regions[at].base.v != base) {
        return E_NOENT;
    }
    struct gmem_snapshot *next = snapshot_alloc(old->count - 1);
    if (!next) {
        return E_NOMEM;
    }
    memcpy(next->regions, old->regions, at * sizeof(next->regions[0]));
    memcpy(&next->regions[at], &old->regions[at + 1], (next->count - at) * sizeof(next->regions[0]));
    publish_locked(gm, next);
    return OK;
}

enum status gmem_remove(struct gmem *gm, gpa_t base)
{
    irq_state_t irq = spin_lock_irqsave(&gm->lock);
    enum status st = remove_locked(gm, base.v);

    spin_unlock_irqrestore(&gm->lock, irq);
    return st;
}

// ---- look-up ----------------------------------------------------------------------------------------------

static const struct gmem_region *snapshot_find(struct gmem_snapshot *s, uint64_t addr)
{
    unsigned i = atomic_load_explicit(&s->hint, memory_order_relaxed);

    if (i < s->count && addr - s->regions[i].base.v < s->regions[i].size) {
        return &s->regions[i];
    }
    i = lower_bound(s, addr);
    if (i == s->count || addr < s->regions[i].base.v) {
        return NULL;
    }
    atomic_store_explicit(&s->hint, i, memory_order_relaxed);
    return &s->regions[i];
}

const struct gmem_region *gmem_find(struct gmem *gm, gpa_t addr)
{
    return snapshot_find(snapshot_get(gm), addr.v);
}

unsigned gmem_region_count(struct gmem *gm)
{
    return snapshot_get(gm)->count;
}

const struct gmem_region *gmem_region(struct gmem *gm, unsigned i)
{
    const struct gmem_snapshot *s = snapshot_get(gm);

    return i < s->count ? &s->regions[i] : NULL;
}

uint64_t gmem_size(struct gmem *gm, enum gmem_kind kind)
{
    const struct gmem_snapshot *s = snapshot_get(gm);
    uint64_t sum = 0;

    for (unsigned i = 0; i < s->count; i++) {
        sum += s->regions[i].kind == kind ? s->regions[i].size : 0;
    }
    return sum;
}

static const struct gmem_extent *extent_at(const struct gmem_region *r, uint64_t offset)
{
    uint32_t lo = 0, hi = r->extent_count;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (offset < r->extents[mid].offset) {
            hi = mid;
        } else {
            lo = mid;
        }
    }
    return &r->extents[lo];
}

// The piece of at most `len` bytes at `addr`. Device regions hold no data and are never touched from here.
static enum status piece_at(struct gmem_snapshot *s, uint64_t addr, uint64_t len, uint8_t perm,
                            struct piece *out)
{
    const struct gmem_region *r = snapshot_find(s, addr);

    if (!r) {
        return E_RANGE;
    }
    if ((r->perm & perm) != perm || r->kind == GMEM_DEVICE) {
        return E_PERM;
    }
    uint64_t offset = addr - r->base.v;
    const struct gmem_extent *e = extent_at(r, offset);
    uint64_t in_extent = offset - e->offset;

    out->region = r;
    out->offset = offset;
    out->len = min_u64(len, e->size - in_extent);
    out->va = (uint8_t *)arch_phys_to_virt(hpa(e->hpa.v)) + in_extent;
    return OK;
}

// ---- dirty log --------------------------------------------------------------------------------------------

static void dirty_set(const struct gmem_region *r, uint64_t offset, uint64_t len)
{
    if (!r->dirty || len == 0) {
        return;
    }
    uint64_t first = offset >> PAGE_SHIFT;
    uint64_t last = (offset + len - 1) >> PAGE_SHIFT;

    for (uint64_t w = first / 64; w <= last / 64; w++) {
        uint64_t lo = w == first / 64 ? first % 64 : 0;
        uint64_t hi = w == last / 64 ? last % 64 : 63;

        atomic_fetch_or_explicit(&r->dirty[w], MASK64(lo, hi - lo + 1), memory_order_release);
    }
}

enum status gmem_dirty_take(struct gmem *gm, gpa_t region_base, uint64_t *out, uint64_t words)
{
    const struct gmem_region *r = gmem_find(gm, region_base);

    if (!r || r->base.v != region_base.v) {
        return E_NOENT;
    }
    if (!r->dirty) {
        return E_UNSUPPORTED;
    }
    uint64_t have = ((r->size >> PAGE_SHIFT) + 63) / 64;

    for (uint64_t i = 0; i < words; i++) {
        out[i] = i < have ? atomic_exchange_explicit(&r->dirty[i], 0, memory_order_acquire) : 0;
    }
    return OK;
}

enum status gmem_mark_dirty(struct gmem *gm, gpa_t addr, uint64_t len)
{
    struct gmem_snapshot *s = snapshot_get(gm);

    if (!range_valid(addr.v, len)) {
        return E_OVERFLOW;
    }
    while (len > 0) {
        const struct gmem_region *r = snapshot_find(s, addr.v);

        if (!r) {
            return E_RANGE;
        }
        uint64_t n = min_u64(len, r->size - (addr.v - r->base.v));

        dirty_set(r, addr.v - r->base.v, n);
        addr.v += n;
        len -= n;
    }
    return OK;
}

// ---- copies -----------------------------------------------------------------------------------------------

// The largest power of two, at most 8, that `va` is aligned to and that fits into `len`.
static unsigned word_size(const void *va, uint64_t len)
{
    unsigned size = 8;

    while (((uintptr_t)va & (size - 1)) != 0 || size > len) {
        size /= 2;
    }
    return size;
}

static void word_read(const void *guest, void *buf, unsigned size)
{
    uint64_t v = 0;

    switch (size) {
    case 8:
        v = *(const volatile uint64_t *)guest;
        memcpy(buf, &v, 8);
        break;
    case 4:
        v = *(const volatile uint32_t *)guest;
        memcpy(buf, &v, 4);
        break;
    case 2:
        v = *(const volatile uint16_t *)guest;
        memcpy(buf, &v, 2);
        break;
    default:
        *(uint8_t *)buf = *(const volatile uint8_t *)guest;
        break;
    }
}

static void word_write(void *guest, const void *buf, unsigned size)
{
    uint64_t v = 0;

    memcpy(&v, buf, size);
    switch (size) {
    case 8:
        *(volatile uint64_t *)guest = v;
        break;
    case 4:
        *(volatile uint32_t *)guest = (uint32_t)v;
        break;
    case 2:
        *(volatile uint16_t *)guest = (uint16_t)v;
        break;
    default:
        *(volatile uint8_t *)guest = (uint8_t)v;
        break;
    }
}

// `buf` may have any alignment; the guest's side decides the width, so an aligned word there is never torn.
static void copy_from_guest(const uint8_t *guest, uint8_t *buf, uint64_t len)
{
    if (len > COPY_WORDS_MAX) {
        memcpy(buf, guest, len);
        return;
    }
    while (len > 0) {
        unsigned n = word_size(guest, len);

        word_read(guest, buf, n);
        guest += n;
        buf += n;
        len -= n;
    }
}

static void copy_to_guest(uint8_t *guest, const uint8_t *buf, uint64_t len)
{
    if (len > COPY_WORDS_MAX) {
        memcpy(guest, buf, len);
        return;
    }
    while (len > 0) {
        unsigned n = word_size(guest, len);

        word_write(guest, buf, n);
        guest += n;
        buf += n;
        len -= n;
    }
}

// Whole pages by the machine's fastest store, the ragged ends by memset().
static void zero_guest(uint8_t *va, uint64_t len)
{
    uint64_t head = min_u64(len, -(uintptr_t)va & (PAGE_SIZE - 1));
    uint64_t pages = align_down(len - head, PAGE_SIZE);

    memset(va, 0, head);
    if (pages > 0) {
        arch_zero_pages(va + head, pages);
    }
    memset(va + head + pages, 0, len - head - pages);
}

static void copy_piece(const struct piece *p, uint8_t *buf, enum copy_op op)
{
    switch (op) {
    case COPY_READ:
        copy_from_guest(p->va, buf, p->len);
        return;
    case COPY_WRITE:
        copy_to_guest(p->va, buf, p->len);
        break;
    case COPY_LOAD:
        memcpy(p->va, buf, p->len);
        arch_dcache_clean_invalidate(p->va, p->len);
        break;
    case COPY_ZERO:
        zero_guest(p->va, p->len);
        arch_dcache_clean_invalidate(p->va, p->len);
        break;
    }
    dirty_set(p->region, p->offset, p->len);
}

static uint8_t copy_perm(enum copy_op op)
{
    static const uint8_t perm[] = {
        [COPY_READ] = PERM_R, [COPY_WRITE] = PERM_W, [COPY_LOAD] = 0, [COPY_ZERO] = 0};

    return perm[op];
}

// `buf` is not touched by COPY_ZERO and only read by COPY_WRITE and COPY_LOAD.
static enum status copy(struct gmem *gm, uint64_t addr, uint8_t *buf, struct piece *p, enum copy_op op)
{
    struct gmem_snapshot *s = snapshot_get(gm);
    uint64_t len = p->len, done = 0;
    enum status st = range_valid(addr, len) ? OK : E_OVERFLOW;

    while (st == OK && done < len) {
        st = piece_at(s, addr + done, len - done, copy_perm(op), p);
        if (st == OK) {
            copy_piece(p, buf ? buf + done : NULL, op);
            done += p->len;
        }
    }
    p->len = done;
    return st != OK && done > 0 ? E_PARTIAL : st;
}

enum status gmem_read(struct gmem *gm, gpa_t addr, void *buf, uint64_t len, uint64_t *done)
{
    struct piece p = {.len = len};
    enum status st = copy(gm, addr.v, buf, &p, COPY_READ);

    if (done) {
        *done = p.len;
    }
    return st;
}

enum status gmem_write(struct gmem *gm, gpa_t addr, const void *buf, uint64_t len, uint64_t *done)
{
    struct piece p = {.len = len};
    enum status st = copy(gm, addr.v, (uint8_t *)(uintptr_t)buf, &p, COPY_WRITE);

    if (done) {
        *done = p.len;
    }
    return st;
}

enum status gmem_load(struct gmem *gm, gpa_t addr, const void *buf, uint64_t len)
{
    struct piece p = {.len = len};

    return copy(gm, addr.v, (uint8_t *)(uintptr_t)buf, &p, COPY_LOAD);
}

enum status gmem_zero(struct gmem *gm, gpa_t addr, uint64_t len)
{
    struct piece p = {.len = len};

    return copy(gm, addr.v, NULL, &p, COPY_ZERO);
}

// ---- checks and pointers ----------------------------------------------------------------------------------

bool gmem_check(struct gmem *gm, gpa_t addr, uint64_t len, uint8_t perm)
{
    struct gmem_snapshot *s = snapshot_get(gm);
    uint64_t at = addr.v;

    if (!range_valid(at, len)) {
        return false;
    }
    while (len > 0) {
        const struct gmem_region *r = snapshot_find(s, at);

        if (!r || (r->perm & perm) != perm || r->kind == GMEM_DEVICE) {
            return false;
        }
        uint64_t n = min_u64(len, r->size - (at - r->base.v));

        at += n;
        len -= n;
    }
    return true;
}

void *gmem_ptr(struct gmem *gm, gpa_t addr, uint64_t len, uint8_t perm, uint64_t *piece)
{
    struct piece p;

    *piece = 0;
    if (len == 0 || !range_valid(addr.v, len) || piece_at(snapshot_get(gm), addr.v, len, perm, &p) != OK) {
        return NULL;
    }
    if (perm & PERM_W) {
        dirty_set(p.region, p.offset, p.len);
    }
    *piece = p.len;
    return p.va;
}

void *gmem_window_miss(struct gmem *gm, struct gmem_window *w, gpa_t addr, uint64_t len, uint8_t perm)
{
    // Before the look-up: a change in between makes the next look-up a miss.
    uint32_t now = atomic_load_explicit(&gm->generation, memory_order_acquire);
    struct piece p;

    *w = (struct gmem_window){0};
    if (len == 0 || !range_valid(addr.v, len) || piece_at(snapshot_get(gm), addr.v, len, perm, &p) != OK) {
        return NULL;
    }
    const struct gmem_extent *e = extent_at(p.region, p.offset);

    *w = (struct gmem_window){.base = p.region->base.v + e->offset,
                              .size = e->size,
                              .va = p.va - (p.offset - e->offset),
                              .generation = now,
                              .perm = p.region->perm};
    if (p.region->dirty) {
        w->perm &= (uint8_t)~PERM_W;
    }
    return p.len == len && (perm & ~w->perm) == 0 ? p.va : NULL;
}

// A naturally aligned word never leaves its page, so it lies in one piece.
static enum status word_at(struct gmem *gm, gpa_t addr, unsigned size, uint8_t perm, struct piece *out)
{
    if (!is_aligned(addr.v, size)) {
        return E_INVAL;
    }
    return piece_at(snapshot_get(gm), addr.v, size, perm, out);
}

#define DEFINE_WORD(bits)                                                             \
    enum status gmem_load##bits(struct gmem *gm, gpa_t addr, uint##bits##_t *out)     \
    {                                                                                 \
        struct piece p;                                                               \
        enum status st = word_at(gm, addr, bits / 8, PERM_R, &p);                     \
                                                                                      \
        if (st == OK) {                                                               \
            *out = __atomic_load_n((uint##bits##_t *)(void *)p.va, __ATOMIC_ACQUIRE); \
        }                                                                             \
        return st;                                                                    \
    }                                                                                 \
                                                                                      \
    enum status gmem_store##bits(struct gmem *gm, gpa_t addr, uint##bits##_t v)       \
    {                                                                                 \
        struct piece p;                                                               \
        enum status st = word_at(gm, addr, bits / 8, PERM_W, &p);                     \
                                                                                      \
        if (st == OK) {                                                               \
            __atomic_store_n((uint##bits##_t *)(void *)p.va, v, __ATOMIC_RELEASE);    \
            dirty_set(p.region, p.offset, bits / 8);                                  \
        }                                                                             \
        return st;                                                                    \
    }

DEFINE_WORD(16)
DEFINE_WORD(32)
DEFINE_WORD(64)
