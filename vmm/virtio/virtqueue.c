// SPDX-License-Identifier: Apache-2.0
//
// The device's side of a split virtqueue: see virtqueue.h. Section numbers are those of Virtual I/O Device
// 1.2.
//
// Trust: an index or descriptor that came from guest memory lives in a local copy; the guest may change the
// original at any time and gains nothing. Every loop over guest data is bounded by the queue size or the
// chain's capacity.
#include "vmm/virtio/virtqueue.h"

#include <stdatomic.h>
#include <string.h>

void virtqueue_setup(struct virtqueue *vq, struct virtqueue_state *s, struct gmem *gm, uint16_t size_max)
{
    *vq = (struct virtqueue){.s = s, .gm = gm, .size_max = size_max};
    *s = (struct virtqueue_state){0};
}

void virtqueue_reset(struct virtqueue *vq)
{
    virtqueue_setup(vq, vq->s, vq->gm, vq->size_max);
}

void virtqueue_set_features(struct virtqueue *vq, uint64_t features)
{
    vq->event_idx = (features & BIT64(VIRTIO_F_EVENT_IDX)) != 0;
    vq->indirect = (features & BIT64(VIRTIO_F_INDIRECT_DESC)) != 0;
    vq->avail = vq->s->last_avail;
}

enum status virtqueue_enable(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;

    if (!is_power_of_two(s->size) || s->size > vq->size_max) {
        return E_INVAL;
    }
    if (!is_aligned(s->desc, VIRTQ_DESC_ALIGN) || !is_aligned(s->driver, VIRTQ_AVAIL_ALIGN) ||
        !is_aligned(s->device, VIRTQ_USED_ALIGN)) {
        return E_INVAL;
    }
    if (!gmem_check(vq->gm, gpa(s->desc), (uint64_t)s->size * sizeof(struct virtq_desc), PERM_R) ||
        !gmem_check(vq->gm, gpa(s->driver), VIRTQ_AVAIL_SIZE(s->size), PERM_R) ||
        !gmem_check(vq->gm, gpa(s->device), VIRTQ_USED_SIZE(s->size), PERM_R | PERM_W)) {
        return E_RANGE;
    }
    s->ready = 1;
    vq->looked = false;
    vq->avail = s->last_avail;
    return OK;
}

void virtqueue_set_broken(struct virtqueue *vq, const char *why)
{
    if (!vq->s->broken) {
        vq->s->broken = 1;
        vq->why = why;
    }
}

static enum status break_queue(struct virtqueue *vq, const char *why)
{
    virtqueue_set_broken(vq, why);
    return E_CORRUPT;
}

static bool usable(const struct virtqueue *vq)
{
    return vq->s->ready && !vq->s->broken;
}

// ---- ring access: straight where the rings lie in one piece each, else through gmem -------------

static uint8_t *find_ring(struct virtqueue *vq, uint64_t base, uint64_t size, uint8_t perm)
{
    const struct gmem_region *r = gmem_find(vq->gm, gpa(base));
    uint64_t piece = 0;

    if (!r || ((perm & PERM_W) && r->dirty)) {
        return NULL; // each write must reach the dirty log
    }
    uint8_t *va = gmem_ptr(vq->gm, gpa(base), size, perm, &piece);

    return piece == size ? va : NULL;
}

static void find_rings(struct virtqueue *vq, uint32_t generation)
{
    const struct virtqueue_state *s = vq->s;

    vq->va[VIRTQ_DESC] = find_ring(vq, s->desc, (uint64_t)s->size * sizeof(struct virtq_desc), PERM_R);
    vq->va[VIRTQ_AVAIL] = find_ring(vq, s->driver, VIRTQ_AVAIL_SIZE(s->size), PERM_R);
    vq->va[VIRTQ_USED] = find_ring(vq, s->device, VIRTQ_USED_SIZE(s->size), PERM_R | PERM_W);
    vq->generation = generation;
    vq->looked = true;
}

// The host's pointer to a place of a ring; NULL: use gmem. `off` is inside the ring. The generation is read
// before the look-up, so a change in between is seen the next time; until then the pointer lives as long as
// any from gmem_ptr().
static inline uint8_t *ring_va(struct virtqueue *vq, enum virtq_part part, uint32_t off)
{
    uint32_t now = atomic_load_explicit(&vq->gm->generation, memory_order_acquire);

    if (!vq->looked || vq->generation != now) {
        find_rings(vq, now);
    }
    return vq->va[part] ? vq->va[part] + off : NULL;
}

static inline bool avail_load16(struct virtqueue *vq, uint32_t off, uint16_t *out)
{
    uint8_t *va = ring_va(vq, VIRTQ_AVAIL, off);

    if (va) {
        *out = __atomic_load_n((uint16_t *)(void *)va, __ATOMIC_ACQUIRE);
        return true;
    }
    return gmem_load16(vq->gm, gpa(vq->s->driver + off), out) == OK;
}

static inline bool used_store16(struct virtqueue *vq, uint32_t off, uint16_t v)
{
    uint8_t *va = ring_va(vq, VIRTQ_USED, off);

    if (va) {
        __atomic_store_n((uint16_t *)(void *)va, v, __ATOMIC_RELEASE);
        return true;
    }
    return gmem_store16(vq->gm, gpa(vq->s->device + off), v) == OK;
}

static inline bool used_store32(struct virtqueue *vq, uint32_t off, uint32_t v)
{
    uint8_t *va = ring_va(vq, VIRTQ_USED, off);

    if (va) {
        __atomic_store_n((uint32_t *)(void *)va, v, __ATOMIC_RELAXED);
        return true;
    }
    return gmem_store32(vq->gm, gpa(vq->s->device + off), v) == OK;
}

// Looks at avail.idx unless chains are known to wait. The acquire load makes the ring entries and descriptors
// that the driver wrote before its index visible (2.7.13: the driver's barrier before updating idx is the
// partner).
static enum status refresh(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;
    uint16_t idx;

    if (vq->avail != s->last_avail) {
        return OK;
    }
    if (!avail_load16(vq, VIRTQ_AVAIL_IDX, &idx)) {
        return break_queue(vq, "the available ring is not memory");
    }
    if ((uint16_t)(idx - s->last_avail) > s->size) {
        return break_queue(vq, "avail.idx jumped by more than the queue size");
    }
    vq->avail = idx;
    return idx == s->last_avail ? E_NOENT : OK;
}

bool virtqueue_pending(struct virtqueue *vq)
{
    return usable(vq) && refresh(vq) == OK;
}

// A table of descriptors: the queue's own or an indirect one.
struct desc_table {
    uint64_t base;
    uint32_t count;
    bool indirect;
    const uint8_t *va; // NULL: go through gmem
};

// One descriptor, copied once: each word is loaded exactly once, whatever the compiler thinks of it.
static inline bool desc_load(struct virtqueue *vq, const struct desc_table *t, uint32_t index,
                             struct virtq_desc *d)
{
    if (!t->va) {
        return gmem_read(vq->gm, gpa(t->base + (uint64_t)index * sizeof(*d)), d, sizeof(*d), NULL) == OK;
    }
    const uint64_t *p = (const uint64_t *)(const void *)(t->va + (size_t)index * sizeof(*d));
    uint64_t rest = __atomic_load_n(&p[1], __ATOMIC_RELAXED);

    d->addr = __atomic_load_n(&p[0], __ATOMIC_RELAXED);
    d->len = (uint32_t)rest;
    d->flags = (uint16_t)(rest >> 32);
    d->next = (uint16_t)(rest >> 48);
    return true;
}

// 2.7.4.2: readable segments come first; 2.7.5: the chain's bytes together stay below 2^32.
static const char *chain_add(struct virtq_chain *chain, const struct virtq_desc *d)
{
    bool writable = (d->flags & VIRTQ_DESC_F_WRITE) != 0;
    uint64_t total = (uint64_t)chain->read_len + chain->write_len + d->len;

    if (total > UINT32_MAX) {
        return "a chain holds 4 GiB or more";
    }
    if (!writable && chain->count > chain->readable) {
        return "a readable descriptor follows a writable one";
    }
    if (d->len == 0) {
        return NULL;
    }
    if (d->len - 1 > UINT64_MAX - d->addr) {
        return "a descriptor's range wraps";
    }
    chain->segs[chain->count++] = (struct virtq_segment){.addr = gpa(d->addr), .len = d->len};
    if (writable) {
        chain->write_len += d->len;
    } else {
        chain->read_len += d->len;
        chain->readable++;
    }
    return NULL;
}

// 2.7.5.3: enters the indirect table that `d` names.
static const char *enter_indirect(struct virtqueue *vq, struct desc_table *t, const struct virtq_desc *d)
{
    if (!vq->indirect) {
        return "an indirect descriptor without VIRTIO_F_INDIRECT_DESC";
    }
    if (t->indirect) {
        return "an indirect descriptor inside an indirect table";
    }
    if (d->flags & VIRTQ_DESC_F_NEXT) {
        return "an indirect descriptor with NEXT";
    }
    if (d->len == 0 || d->len % sizeof(struct virtq_desc) != 0) {
        return "an indirect table's length is not a multiple of 16";
    }
    if (d->len - 1 > UINT64_MAX - d->addr) {
        return "an indirect table's range wraps";
    }
    uint64_t piece = 0;
    const uint8_t *va = NULL;

    if (is_aligned(d->addr, sizeof(uint64_t))) {
        va = gmem_ptr(vq->gm, gpa(d->addr), d->len, PERM_R, &piece);
    }
    *t = (struct desc_table){.base = d->addr,
                             .count = d->len / (uint32_t)sizeof(struct virtq_desc),
                             .indirect = true,
                             .va = piece == d->len ? va : NULL};
    return NULL;
}

// Walks the chain that starts at `index`. Each round takes one descriptor, and at most `capacity` + 1 rounds
// are made.
static const char *walk(struct virtqueue *vq, struct virtq_chain *chain, uint32_t index)
{
    struct desc_table t = {.base = vq->s->desc, .count = vq->s->size, .va = ring_va(vq, VIRTQ_DESC, 0)};
    uint32_t limit = vq->s->size;
    uint32_t taken = 0;

    for (;;) {
        struct virtq_desc d;
        const char *why;

        if (index >= t.count) {
            return "a descriptor index is outside its table";
        }
        if (!desc_load(vq, &t, index, &d)) {
            return "a descriptor table is not memory";
        }
        if (d.flags & VIRTQ_DESC_F_INDIRECT) {
            why = enter_indirect(vq, &t, &d);
            if (why) {
                return why;
            }
            index = 0;
            limit = chain->capacity;
            continue;
        }
        if (taken++ >= limit) {
            return "a descriptor chain is longer than the queue";
        }
        why = chain_add(chain, &d);
        if (why || !(d.flags & VIRTQ_DESC_F_NEXT)) {
            return why;
        }
        index = d.next;
    }
}

enum status virtqueue_pop(struct virtqueue *vq, struct virtq_chain *chain)
{
    struct virtqueue_state *s = vq->s;
    uint16_t head;

    if (s->broken) {
        return E_CORRUPT;
    }
    if (!s->ready) {
        return E_NOENT;
    }
    enum status st = refresh(vq);

    if (st != OK) {
        return st;
    }
    uint32_t slot = s->last_avail & (s->size - 1);

    if (!avail_load16(vq, VIRTQ_AVAIL_RING(slot), &head)) {
        return break_queue(vq, "the available ring is not memory");
    }
    chain->count = 0;
    chain->readable = 0;
    chain->read_len = 0;
    chain->write_len = 0;
    chain->head = head;
    const char *why = walk(vq, chain, head);

    if (why) {
        return break_queue(vq, why);
    }
    s->last_avail++;
    return OK;
}

void virtqueue_unpop(struct virtqueue *vq, uint32_t offset)
{
    vq->s->last_avail--;
    vq->s->offset = offset;
}

enum status virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
    struct virtqueue_state *s = vq->s;

    if (!usable(vq)) {
        return E_CORRUPT;
    }
    uint32_t elem = VIRTQ_USED_RING(s->used & (s->size - 1));

    // The index goes last, with release order: its partner is the driver's barrier after it read used.idx.
    if (!used_store32(vq, elem, head) || !used_store32(vq, elem + 4, len) ||
        !used_store16(vq, VIRTQ_USED_IDX, (uint16_t)(s->used + 1))) {
        return break_queue(vq, "the used ring is not memory");
    }
    s->used++;
    return OK;
}

bool virtqueue_should_notify(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;
    uint16_t old = s->signalled;
    uint16_t word;

    if (!usable(vq)) {
        return false;
    }
    // Store used.idx before loading used_event or flags; the driver does the reverse (2.7.10.1).
    atomic_thread_fence(memory_order_seq_cst);
    if (!vq->event_idx) {
        return avail_load16(vq, VIRTQ_AVAIL_FLAGS, &word) && !(word & VIRTQ_AVAIL_F_NO_INTERRUPT);
    }
    if (!avail_load16(vq, VIRTQ_AVAIL_USED_EVENT(s->size), &word)) {
        return false;
    }
    bool valid = s->signalled_valid;

    s->signalled = s->used;
    s->signalled_valid = 1;
    return !valid || vring_need_event(word, s->used, old);
}

bool virtqueue_await_kick(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;

    if (!usable(vq)) {
        return false;
    }
    if (vq->event_idx && !used_store16(vq, VIRTQ_USED_AVAIL_EVENT(s->size), s->last_avail)) {
        virtqueue_set_broken(vq, "the used ring is not memory");
        return false;
    }
    // Ask for a kick before looking a last time; the driver publishes before it looks whether to kick
    // (2.7.13.3).
    atomic_thread_fence(memory_order_seq_cst);
    return refresh(vq) == OK;
}

struct virtq_cursor virtq_cursor_at(const struct virtq_chain *chain, bool writable, uint32_t off)
{
    struct virtq_cursor c = {
        .seg = writable ? chain->readable : 0,
        .end = writable ? chain->count : chain->readable,
        .off = off,
    };

    while (c.seg < c.end && c.off >= chain->segs[c.seg].len) {
        c.off -= chain->segs[c.seg].len;
        c.seg++;
    }
    return c;
}

bool virtq_cursor_next(const struct virtq_chain *chain, struct virtq_cursor *c, uint32_t max,
                       struct virtq_segment *out)
{
    if (c->seg >= c->end) {
        return false;
    }
    const struct virtq_segment *s = &chain->segs[c->seg];
    uint32_t len = s->len - c->off;

    if (len > max) {
        len = max;
    }
    *out = (struct virtq_segment){.addr = gpa(s->addr.v + c->off), .len = len};
    c->off += len;
    if (c->off == s->len) {
        c->seg++;
        c->off = 0;
    }
    return true;
}

enum status virtq_chain_read(struct gmem *gm, const struct virtq_chain *chain, uint32_t off, void *buf,
                             uint32_t len)
{
    struct virtq_cursor c = virtq_cursor_at(chain, false, off);
    struct virtq_segment piece;
    char *to = buf;

    while (len > 0) {
        if (!virtq_cursor_next(chain, &c, len, &piece) ||
            gmem_read(gm, piece.addr, to, piece.len, NULL) != OK) {
            return E_RANGE;
        }
        to += piece.len;
        len -= piece.len;
    }
    return OK;
}

enum status virtq_chain_write(struct gmem *gm, const struct virtq_chain *chain, uint32_t off, const void *buf,
                              uint32_t len)
{
    struct virtq_cursor c = virtq_cursor_at(chain, true, off);
    struct virtq_segment piece;
    const char *from = buf;

    while (len > 0) {
        if (!virtq_cursor_next(chain, &c, len, &piece) ||
            gmem_write(gm, piece.addr, from, piece.len, NULL) != OK) {
            return E_RANGE;
        }
        from += piece.len;
        len -= piece.len;
    }
    return OK;
}
