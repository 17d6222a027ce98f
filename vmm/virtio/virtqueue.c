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
    vq->found = 0;
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

__attribute__((noinline)) static void find_rings(struct virtqueue *vq, uint32_t generation)
{
    const struct virtqueue_state *s = vq->s;

    vq->va[VIRTQ_DESC] = find_ring(vq, s->desc, (uint64_t)s->size * sizeof(struct virtq_desc), PERM_R);
    vq->va[VIRTQ_AVAIL] = find_ring(vq, s->driver, VIRTQ_AVAIL_SIZE(s->size), PERM_R);
    vq->va[VIRTQ_USED] = find_ring(vq, s->device, VIRTQ_USED_SIZE(s->size), PERM_R | PERM_W);
    vq->found = 1 + (uint64_t)generation;
}

// Every public function that touches the rings begins with this; until it returns, `va` lives as long as any pointer
// from gmem_ptr(). The generation is read before the look-up, so a change in between is seen the next time.
static inline void look(struct virtqueue *vq)
{
    uint32_t now = atomic_load_explicit(&vq->gm->generation, memory_order_acquire);

    if (__builtin_expect(vq->found != 1 + (uint64_t)now, 0)) {
        find_rings(vq, now);
    }
}

// The ways through gmem are functions of their own: the ordinary ones then need no memory of their own on the stack.
__attribute__((noinline)) static int32_t avail_load16_slow(struct virtqueue *vq, uint32_t off)
{
    uint16_t v;

    return gmem_load16(vq->gm, gpa(vq->s->driver + off), &v) == OK ? v : -1;
}

// -1: not memory.
static inline int32_t avail_load16(struct virtqueue *vq, uint32_t off)
{
    uint8_t *va = vq->va[VIRTQ_AVAIL];

    if (__builtin_expect(va != NULL, 1)) {
        return __atomic_load_n((uint16_t *)(void *)(va + off), __ATOMIC_ACQUIRE);
    }
    return avail_load16_slow(vq, off);
}

static inline bool used_store16(struct virtqueue *vq, uint32_t off, uint16_t v)
{
    uint8_t *va = vq->va[VIRTQ_USED];

    if (__builtin_expect(va != NULL, 1)) {
        __atomic_store_n((uint16_t *)(void *)(va + off), v, __ATOMIC_RELEASE);
        return true;
    }
    return gmem_store16(vq->gm, gpa(vq->s->device + off), v) == OK;
}

// Looks at avail.idx unless chains are known to wait. The acquire load makes the ring entries and descriptors
// that the driver wrote before its index visible (2.7.13: the driver's barrier before updating idx is the
// partner).
static inline enum status refresh(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;

    if (virtqueue_knows_more(vq)) {
        return OK;
    }
    int32_t word = avail_load16(vq, VIRTQ_AVAIL_IDX);
    uint16_t idx = (uint16_t)word;

    if (word < 0) {
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
    if (!usable(vq)) {
        return false;
    }
    look(vq);
    return refresh(vq) == OK;
}

// A table of descriptors: the queue's own or an indirect one.
struct desc_table {
    uint64_t base;
    uint32_t count;
    bool indirect;
    const uint8_t *va; // NULL: go through gmem
};

// One descriptor as its two words.
struct desc_words {
    uint64_t addr, rest;
};

static inline uint32_t desc_len(struct desc_words d)
{
    return (uint32_t)d.rest;
}

static inline uint16_t desc_flags(struct desc_words d)
{
    return (uint16_t)(d.rest >> 32);
}

static inline uint16_t desc_next(struct desc_words d)
{
    return (uint16_t)(d.rest >> 48);
}

// What is not memory breaks the queue.
__attribute__((noinline)) static struct desc_words desc_load_slow(struct virtqueue *vq, uint64_t where)
{
    struct desc_words d = {0};

    if (gmem_read(vq->gm, gpa(where), &d, sizeof(d), NULL) != OK) {
        virtqueue_set_broken(vq, "a descriptor table is not memory");
    }
    return d;
}

// One descriptor, copied once: each word is loaded exactly once, whatever the compiler thinks of it.
static inline struct desc_words desc_load(struct virtqueue *vq, const struct desc_table *t, uint32_t index)
{
    if (__builtin_expect(t->va == NULL, 0)) {
        return desc_load_slow(vq, t->base + (uint64_t)index * sizeof(struct virtq_desc));
    }
    const uint64_t *p = (const uint64_t *)(const void *)(t->va + (size_t)index * sizeof(struct virtq_desc));

    return (struct desc_words){.addr = __atomic_load_n(&p[0], __ATOMIC_RELAXED),
                               .rest = __atomic_load_n(&p[1], __ATOMIC_RELAXED)};
}

// 2.7.4.2: readable segments come first; 2.7.5: the chain's bytes together stay below 2^32.
static inline const char *chain_add(struct virtq_chain *chain, struct desc_words d)
{
    bool writable = (desc_flags(d) & VIRTQ_DESC_F_WRITE) != 0;
    uint32_t len = desc_len(d);
    uint64_t total = (uint64_t)chain->read_len + chain->write_len + len;

    if (total > UINT32_MAX) {
        return "a chain holds 4 GiB or more";
    }
    if (!writable && chain->count > chain->readable) {
        return "a readable descriptor follows a writable one";
    }
    if (len == 0) {
        return NULL;
    }
    if (len - 1 > UINT64_MAX - d.addr) {
        return "a descriptor's range wraps";
    }
    chain->segs[chain->count++] = (struct virtq_segment){.addr = gpa(d.addr), .len = len};
    if (writable) {
        chain->write_len += len;
    } else {
        chain->read_len += len;
        chain->readable++;
    }
    return NULL;
}

static const char met_indirect[] = "an indirect descriptor";

// Walks the chain that goes on at `index` of a table. Each round takes one descriptor, and at most `limit` rounds are made.
// An indirect descriptor ends the walk: met_indirect, and it is in vq->met.
__attribute__((always_inline)) static inline const char *walk(struct virtqueue *vq, struct virtq_chain *out,
                                                              const struct desc_table *t, uint32_t index)
{
    struct virtq_chain chain = *out; // so that it stays in registers
    uint32_t taken = t->indirect ? chain.count : 0;
    uint32_t limit = t->indirect ? chain.capacity : vq->s->size;
    const char *why = NULL;
    uint16_t flags;

    do {
        if (index >= t->count) {
            why = "a descriptor index is outside its table";
            break;
        }
        struct desc_words d = desc_load(vq, t, index);

        flags = desc_flags(d);
        if (__builtin_expect(flags & VIRTQ_DESC_F_INDIRECT, 0)) {
            vq->met_addr = d.addr;
            vq->met_rest = d.rest;
            why = met_indirect;
        } else if (taken++ >= limit) {
            why = "a descriptor chain is longer than the queue";
        } else {
            why = chain_add(&chain, d);
            index = desc_next(d);
        }
    } while (!why && (flags & VIRTQ_DESC_F_NEXT));
    *out = chain;
    return vq->s->broken ? vq->why : why;
}

// 2.7.5.3: the rest of the chain is in the indirect table that vq->met names.
__attribute__((noinline)) static const char *walk_indirect(struct virtqueue *vq, struct virtq_chain *chain)
{
    struct desc_words d = {.addr = vq->met_addr, .rest = vq->met_rest};
    struct desc_table t = {.base = d.addr, .indirect = true};
    uint32_t len = desc_len(d);

    if (!vq->indirect) {
        return "an indirect descriptor without VIRTIO_F_INDIRECT_DESC";
    }
    if (desc_flags(d) & VIRTQ_DESC_F_NEXT) {
        return "an indirect descriptor with NEXT";
    }
    if (len == 0 || len % sizeof(struct virtq_desc) != 0) {
        return "an indirect table's length is not a multiple of 16";
    }
    if (len - 1 > UINT64_MAX - d.addr) {
        return "an indirect table's range wraps";
    }
    if (is_aligned(d.addr, sizeof(uint64_t))) {
        t.va = gmem_window_ptr(vq->gm, &vq->tables, gpa(d.addr), len, PERM_R);
    }
    t.count = len / (uint32_t)sizeof(struct virtq_desc);
    const char *why = walk(vq, chain, &t, 0);

    return why == met_indirect ? "an indirect descriptor inside an indirect table" : why;
}

enum status virtqueue_pop(struct virtqueue *vq, struct virtq_chain *chain)
{
    struct virtqueue_state *s = vq->s;

    if (s->broken) {
        return E_CORRUPT;
    }
    if (!s->ready) {
        return E_NOENT;
    }
    look(vq);
    enum status st = refresh(vq);

    if (st != OK) {
        return st;
    }
    struct desc_table own = {.base = s->desc, .count = s->size, .va = vq->va[VIRTQ_DESC]};
    int32_t head = avail_load16(vq, VIRTQ_AVAIL_RING(s->last_avail & (s->size - 1)));

    if (head < 0) {
        return break_queue(vq, "the available ring is not memory");
    }
    *chain = (struct virtq_chain){.segs = chain->segs, .capacity = chain->capacity, .head = (uint16_t)head};
    const char *why = walk(vq, chain, &own, (uint16_t)head);

    if (__builtin_expect(why == met_indirect, 0)) {
        why = walk_indirect(vq, chain);
    }
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

// Usable, and both rings lie where `va` says: what is ordinary then needs no call.
static inline bool at_hand(const struct virtqueue *vq)
{
    uint32_t now = atomic_load_explicit(&vq->gm->generation, memory_order_acquire);

    return __builtin_expect(
        usable(vq) && vq->found == 1 + (uint64_t)now && vq->va[VIRTQ_USED] && vq->va[VIRTQ_AVAIL], 1);
}

__attribute__((noinline)) static enum status push_slow(struct virtqueue *vq, uint16_t head, uint32_t len)
{
    struct virtqueue_state *s = vq->s;
    uint32_t off = VIRTQ_USED_RING(s->used & (s->size - 1));

    if (!usable(vq)) {
        return E_CORRUPT;
    }
    look(vq);
    if (at_hand(vq)) {
        return virtqueue_push(vq, head, len);
    }
    if (gmem_store32(vq->gm, gpa(s->device + off), head) != OK ||
        gmem_store32(vq->gm, gpa(s->device + off + 4), len) != OK) {
        return break_queue(vq, "the used ring is not memory");
    }
    s->used++;
    return OK;
}

enum status virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
    struct virtqueue_state *s = vq->s;

    if (!at_hand(vq)) {
        return push_slow(vq, head, len);
    }
    // Two words: an element is aligned to 4 bytes only.
    uint32_t *elem = (uint32_t *)(void *)(vq->va[VIRTQ_USED] + VIRTQ_USED_RING(s->used & (s->size - 1)));

    __atomic_store_n(&elem[0], head, __ATOMIC_RELAXED);
    __atomic_store_n(&elem[1], len, __ATOMIC_RELAXED);
    s->used++;
    return OK;
}

// The driver's word on interrupts for what was pushed: flags or used_event, as negotiated. -1: not memory.
static inline bool wants_interrupt(struct virtqueue *vq, int32_t word)
{
    struct virtqueue_state *s = vq->s;
    uint16_t old = s->signalled;

    if (word < 0) {
        return false;
    }
    if (!vq->event_idx) {
        return !(word & (int32_t)VIRTQ_AVAIL_F_NO_INTERRUPT);
    }
    bool valid = s->signalled_valid;

    s->signalled = s->used;
    s->signalled_valid = 1;
    return !valid || vring_need_event((uint16_t)word, s->used, old);
}

static inline uint32_t interrupt_word(const struct virtqueue *vq)
{
    return vq->event_idx ? VIRTQ_AVAIL_USED_EVENT(vq->s->size) : VIRTQ_AVAIL_FLAGS;
}

__attribute__((noinline)) static bool publish_slow(struct virtqueue *vq)
{
    if (!usable(vq)) {
        return false;
    }
    look(vq);
    if (!used_store16(vq, VIRTQ_USED_IDX, vq->s->used)) {
        virtqueue_set_broken(vq, "the used ring is not memory");
        return false;
    }
    atomic_thread_fence(memory_order_seq_cst);
    return wants_interrupt(vq, avail_load16(vq, interrupt_word(vq)));
}

bool virtqueue_publish(struct virtqueue *vq)
{
    if (!at_hand(vq)) {
        return publish_slow(vq);
    }
    // After the elements, with release order: its partner is the driver's barrier after it read used.idx.
    __atomic_store_n((uint16_t *)(void *)(vq->va[VIRTQ_USED] + VIRTQ_USED_IDX), vq->s->used,
                     __ATOMIC_RELEASE);
    // Store used.idx before loading used_event or flags; the driver does the reverse (2.7.10.1).
    atomic_thread_fence(memory_order_seq_cst);
    return wants_interrupt(vq, __atomic_load_n((uint16_t *)(void *)(vq->va[VIRTQ_AVAIL] + interrupt_word(vq)),
                                               __ATOMIC_ACQUIRE));
}

bool virtqueue_await_kick(struct virtqueue *vq)
{
    struct virtqueue_state *s = vq->s;

    if (!usable(vq) || !vq->event_idx) {
        return false;
    }
    look(vq);
    if (!used_store16(vq, VIRTQ_USED_AVAIL_EVENT(s->size), s->last_avail)) {
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
