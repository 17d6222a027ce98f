// SPDX-License-Identifier: Apache-2.0
//
// The virtio block device: see virtio_blk.h. Section numbers are those of Virtual I/O Device 1.2.
//
// All requests live in one array. A free one takes a chain from the queue (turn), becomes a block_request
// (submit_next), which is carried out at once when it is short work, else comes back through blk_done() on a lock-free
// stack from any context (collect); when nothing is left to do it gets its status byte and its place in the used ring
// (turn again). Only process() runs these steps, so the request lists need no lock; the device's lock is held around
// the rings alone, once for a batch, never across a back-end call.
#include "vmm/virtio/virtio_blk.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/cpu.h"
#include "kernel/mm/pool.h"

#define SEGMENT_MAX GIB(1) // bytes of a merged segment
#define EXIT_BUDGET 4u     // requests that a kick may begin in the vCPU's exit, if they have few segments
#define SEGMENT_COST 16u   // that many segments count as another request
#define QUEUE 0u

struct blk_request {
    struct block_request block;
    struct virtio_blk *owner;
    struct blk_request *next; // in the free, done or finished list
    uint32_t generation;      // of the device when the chain was taken
    uint32_t written;         // bytes that success leaves at the beginning of the chain's writable part
    uint32_t left;            // data bytes not yet submitted
    uint64_t sector;          // of the next block_request
    struct virtq_cursor cursor;
    struct virtq_cursor bounce_at; // where the sector in `bounce` belongs
    bool bounced;                  // the last segment of the block_request is `bounce`
    bool quick;                    // short enough for ops->quick()
    uint8_t status;                // VIRTIO_BLK_S_*
    enum status result;            // of the last block_request
    struct virtq_chain chain;
    struct virtq_segment segs[VIRTIO_BLK_QUEUE_SIZE];
    uint8_t bounce[SECTOR_SIZE]; // a sector that the guest has cut into pieces
};

// Requests in order.
struct blk_list {
    struct blk_request *first, **end;
};

struct virtio_blk {
    struct virtio_device dev; // first
    struct blk_backend *be;
    struct virtio_blk_config config;
    struct blk_request *requests;
    // Of whoever is in process().
    struct blk_request *free;
    struct blk_list finished;           // to be given back
    bool submitted;                     // something, to a back end that has to be run
    bool kicked;                        // the driver may have offered something since the queue was looked at
    struct gmem_window control, data;   // where headers and status bytes, and where data lay last
    _Atomic(struct blk_request *) done; // completed by the back end, newest first
    _Atomic uint32_t completing;        // back-end contexts inside blk_done()
};

static struct virtio_blk *blk_of(struct virtio_device *dev)
{
    return container_of(dev, struct virtio_blk, dev);
}

static struct gmem *gmem_of(struct virtio_blk *b)
{
    return b->dev.queues[QUEUE].gm;
}

static void list_clear(struct blk_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void list_add(struct blk_list *l, struct blk_request *r)
{
    r->next = NULL;
    *l->end = r;
    l->end = &r->next;
}

// Was the device reset since the request began? Then the driver that asked for it is gone.
static bool outdated(const struct virtio_blk *b, const struct blk_request *r)
{
    return r->generation != __atomic_load_n(&b->dev.generation, __ATOMIC_RELAXED);
}

// Any context, also interrupt handlers.
static void blk_done(struct block_request *block, enum status result)
{
    struct blk_request *r = container_of(block, struct blk_request, block);
    struct virtio_blk *b = r->owner;

    atomic_fetch_add_explicit(&b->completing, 1, memory_order_relaxed);
    r->result = result;
    r->next = atomic_load_explicit(&b->done, memory_order_relaxed);
    // Release: partner of the acquiring exchange in collect(), which then reads the result and the data's
    // arrival.
    while (!atomic_compare_exchange_weak_explicit(&b->done, &r->next, r, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    virtio_kick(&b->dev);
    atomic_fetch_sub_explicit(&b->completing, 1, memory_order_release);
}

static void finish(struct virtio_blk *b, struct blk_request *r, uint8_t status)
{
    r->status = status;
    list_add(&b->finished, r);
}

// ---- to the back end ----------------------------------------------------------------------------

// Appends host memory to the block request, merged with the segment before where it can be. False: no room.
static bool add_segment(struct block_request *block, void *va, uint32_t size)
{
    if (block->segment_count > 0) {
        struct block_segment *last = &block->segments[block->segment_count - 1];

        if ((char *)last->va + last->size == va && last->size + (uint64_t)size <= SEGMENT_MAX) {
            last->size += size;
            return true;
        }
        if (block->segment_count == BLOCK_SEGMENTS_MAX) {
            return false;
        }
    }
    block->segments[block->segment_count++] = (struct block_segment){.va = va, .size = size};
    return true;
}

// Moves the sector between the guest and r->bounce: in for a write, out for a read that is done (`out`), or only checks
// the memory for a read that begins. Advances the cursor.
static enum status bounce(struct virtio_blk *b, struct blk_request *r, struct virtq_cursor *c, bool out)
{
    struct gmem *gm = gmem_of(b);
    struct virtq_segment piece;

    for (uint32_t done = 0; done < SECTOR_SIZE; done += piece.len) {
        bool ok = virtq_cursor_next(&r->chain, c, SECTOR_SIZE - done, &piece);

        if (ok && r->block.op == BLOCK_WRITE) {
            ok = gmem_read(gm, piece.addr, r->bounce + done, piece.len, NULL) == OK;
        } else if (ok && out) {
            ok = gmem_write(gm, piece.addr, r->bounce + done, piece.len, NULL) == OK;
        } else if (ok) {
            ok = gmem_check(gm, piece.addr, piece.len, PERM_W);
        }
        if (!ok) {
            return E_RANGE;
        }
    }
    return OK;
}

// The next sector lies in pieces: it goes through r->bounce, as the last segment of this block request. *fits: there was
// room.
static enum status add_bounced(struct virtio_blk *b, struct blk_request *r, bool *fits)
{
    r->bounce_at = r->cursor;
    enum status st = bounce(b, r, &r->cursor, false);

    *fits = st == OK && add_segment(&r->block, r->bounce, SECTOR_SIZE);
    r->bounced = *fits;
    if (!*fits) {
        r->cursor = r->bounce_at;
    }
    return st;
}

// The contiguous memory at the beginning of a data piece. NULL: the guest has none there, or not with that permission.
static void *data_at(struct virtio_blk *b, const struct virtq_segment *piece, uint8_t perm, uint64_t *size)
{
    void *va = gmem_window_ptr(gmem_of(b), &b->data, piece->addr, piece->len, perm);

    if (va && piece->len <= SEGMENT_MAX) {
        *size = piece->len;
        return va;
    }
    return gmem_ptr(gmem_of(b), piece->addr, min_u64(piece->len, SEGMENT_MAX), perm, size);
}

// Fills the block request with the next data pieces of the chain. E_RANGE: a piece is not memory of the guest
// with the right permission.
static enum status fill(struct virtio_blk *b, struct blk_request *r)
{
    uint8_t perm = r->block.op == BLOCK_READ ? PERM_W : PERM_R;
    uint32_t before = r->left;
    bool fits = true;

    r->block.segment_count = 0;
    r->block.sector = r->sector;
    r->bounced = false;
    while (r->left > 0 && fits && !r->bounced) {
        struct virtq_cursor next = r->cursor;
        struct virtq_segment piece;
        uint64_t size;
        enum status st = OK;

        if (!virtq_cursor_next(&r->chain, &next, r->left, &piece)) {
            return E_RANGE;
        }
        void *va = data_at(b, &piece, perm, &size);

        if (!va) {
            return E_RANGE;
        }
        size = align_down(size, SECTOR_SIZE);
        if (size == 0) {
            size = SECTOR_SIZE;
            st = add_bounced(b, r, &fits);
        } else {
            fits = add_segment(&r->block, va, (uint32_t)size);
            if (fits) {
                (void)virtq_cursor_next(&r->chain, &r->cursor, (uint32_t)size, &piece);
            }
        }
        if (st != OK) {
            return st;
        }
        r->left -= fits ? (uint32_t)size : 0;
    }
    r->sector += (before - r->left) / SECTOR_SIZE;
    return OK;
}

// To the back end: at once when that is short work and overtakes nothing. E_BUSY: it is under way.
static enum status hand_over(struct virtio_blk *b, struct blk_request *r)
{
    enum status st = E_BUSY;

    if (r->quick && !b->submitted && b->be->ops->quick) {
        st = b->be->ops->quick(b->be, &r->block);
    }
    if (st != E_BUSY) {
        return st;
    }
    b->submitted = b->be->ops->run != NULL;
    st = b->be->ops->submit(b->be, &r->block);
    return st == OK ? E_BUSY : st;
}

// A block request has ended. True: the request has another one.
static bool goes_on(struct virtio_blk *b, struct blk_request *r, enum status st)
{
    if (st == OK && r->bounced && r->block.op == BLOCK_READ && !outdated(b, r)) {
        struct virtq_cursor c = r->bounce_at;

        st = bounce(b, r, &c, true);
    }
    if (st == OK && r->left > 0 && !outdated(b, r)) {
        return true;
    }
    finish(b, r, (uint8_t)(st == OK ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR));
    return false;
}

static void submit_next(struct virtio_blk *b, struct blk_request *r)
{
    enum status st;

    do {
        st = fill(b, r);
        if (st == OK) {
            st = hand_over(b, r);
        }
    } while (st != E_BUSY && goes_on(b, r, st));
}

// 5.2.6: checks a read or write completely, then starts it.
static void start_transfer(struct virtio_blk *b, struct blk_request *r, const struct virtio_blk_req_hdr *h)
{
    bool in = h->type == VIRTIO_BLK_T_IN;
    uint32_t len = in ? r->chain.write_len - 1 : r->chain.read_len - (uint32_t)sizeof(*h);
    uint64_t sectors = len / SECTOR_SIZE;

    if (len % SECTOR_SIZE != 0 || h->sector > b->be->sector_count ||
        sectors > b->be->sector_count - h->sector || (!in && b->be->read_only)) {
        finish(b, r, VIRTIO_BLK_S_IOERR);
        return;
    }
    r->block.op = in ? BLOCK_READ : BLOCK_WRITE;
    r->sector = h->sector;
    r->written = in ? len : 0;
    r->left = len;
    r->quick = len <= BLK_QUICK_MAX;
    r->cursor = virtq_cursor_at(&r->chain, in, in ? 0 : (uint32_t)sizeof(*h));
    if (len == 0) {
        finish(b, r, VIRTIO_BLK_S_OK);
    } else {
        submit_next(b, r);
    }
}

static void start_flush(struct virtio_blk *b, struct blk_request *r)
{
    if (!b->be->can_flush) {
        finish(b, r, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    r->block.op = BLOCK_FLUSH;
    r->block.sector = 0;
    r->block.segment_count = 0;
    r->bounced = false;
    r->quick = true;
    enum status st = hand_over(b, r);

    if (st != E_BUSY) {
        (void)goes_on(b, r, st);
    }
}

static void get_id(struct virtio_blk *b, struct blk_request *r)
{
    uint32_t len = (uint32_t)min_u64(r->chain.write_len - 1, VIRTIO_BLK_ID_BYTES);

    if (virtq_chain_write(gmem_of(b), &r->chain, 0, b->be->serial, len) != OK) {
        finish(b, r, VIRTIO_BLK_S_IOERR);
    } else {
        r->written = len;
        finish(b, r, VIRTIO_BLK_S_OK);
    }
}

// Copied once; each word is loaded once where it lies in one piece, as it does with every driver.
static bool read_header(struct virtio_blk *b, const struct blk_request *r, struct virtio_blk_req_hdr *h)
{
    const struct virtq_segment *s = &r->chain.segs[0];

    if (r->chain.read_len < sizeof(*h)) {
        return false;
    }
    if (s->len >= sizeof(*h) && is_aligned(s->addr.v, sizeof(uint64_t))) {
        const uint64_t *p = gmem_window_ptr(gmem_of(b), &b->control, s->addr, sizeof(*h), PERM_R);

        if (p) {
            h->type = (uint32_t)__atomic_load_n(&p[0], __ATOMIC_RELAXED);
            h->sector = __atomic_load_n(&p[1], __ATOMIC_RELAXED);
            return true;
        }
    }
    return virtq_chain_read(gmem_of(b), &r->chain, 0, h, sizeof(*h)) == OK;
}

// A chain was taken. NULL: it is under way or finished; else how it broke the rules.
static const char *start(struct virtio_blk *b, struct blk_request *r)
{
    struct virtio_blk_req_hdr header;

    r->written = 0;
    r->left = 0;
    if (r->chain.write_len == 0) {
        return "a block request without a status byte";
    }
    if (!read_header(b, r, &header)) {
        return "a block request without a header";
    }
    switch (header.type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        start_transfer(b, r, &header);
        break;
    case VIRTIO_BLK_T_FLUSH:
        start_flush(b, r);
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(b, r);
        break;
    default:
        finish(b, r, VIRTIO_BLK_S_UNSUPP);
        break;
    }
    return NULL;
}

// ---- the queue ----------------------------------------------------------------------------------

static void make_free(struct virtio_blk *b, struct blk_request *r)
{
    r->next = b->free;
    b->free = r;
}

// The chain in `r` makes no sense: the device asks for a reset, unless it was reset meanwhile.
static void refuse(struct virtio_blk *b, struct blk_request *r, const char *why)
{
    struct virtio_device *dev = &b->dev;
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (r->generation == dev->generation) {
        virtio_break(dev, &dev->queues[QUEUE], why);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    make_free(b, r);
    virtio_requests_end(dev, 1);
}

// Takes over what the back end completed: the rest of a long request goes on, others are finished.
static void collect(struct virtio_blk *b)
{
    struct blk_request *oldest = NULL;

    if (!atomic_load_explicit(&b->done, memory_order_relaxed)) {
        return;
    }
    struct blk_request *r = atomic_exchange_explicit(&b->done, NULL, memory_order_acquire);

    while (r) {
        struct blk_request *next = r->next;

        r->next = oldest;
        oldest = r;
        r = next;
    }
    while (oldest) {
        r = oldest;
        oldest = r->next;
        if (goes_on(b, r, r->result)) {
            submit_next(b, r);
        }
    }
}

static bool write_status(struct virtio_blk *b, const struct blk_request *r)
{
    const struct virtq_chain *c = &r->chain;
    const struct virtq_segment *last = &c->segs[c->count - 1];
    uint8_t *va = gmem_window_ptr(gmem_of(b), &b->control, gpa(last->addr.v + (last->len - 1)), 1, PERM_W);

    if (va) {
        __atomic_store_n(va, r->status, __ATOMIC_RELAXED);
        return true;
    }
    return virtq_chain_write(gmem_of(b), c, c->write_len - 1, &r->status, 1) == OK;
}

// Status byte and used ring of one request. True when it was pushed. Lock held.
static bool give_back(struct virtio_blk *b, const struct blk_request *r)
{
    struct virtqueue *vq = &b->dev.queues[QUEUE];
    uint32_t written = r->status == VIRTIO_BLK_S_OK ? r->written : 0;

    if (outdated(b, r)) {
        return false;
    }
    // 2.7.8.2: count only what was written without a gap from the beginning.
    written += written == r->chain.write_len - 1 ? 1 : 0;
    if (!write_status(b, r)) {
        virtio_break(&b->dev, vq, "a block request's status byte is not memory");
        return false;
    }
    if (virtqueue_push(vq, r->chain.head, written) != OK) {
        virtio_break(&b->dev, vq, vq->why);
        return false;
    }
    return true;
}

// What is finished goes back, in one batch. Returns how many requests that were. Lock held.
static uint32_t give_all_back(struct virtio_blk *b)
{
    uint32_t ended = 0;
    bool pushed = false;

    while (b->finished.first) {
        struct blk_request *r = b->finished.first;

        b->finished.first = r->next;
        pushed |= give_back(b, r);
        make_free(b, r);
        ended++;
    }
    list_clear(&b->finished);
    if (pushed) {
        virtio_notify_used(&b->dev, &b->dev.queues[QUEUE]);
    }
    return ended;
}

// Takes what the driver is known to offer, as far as budget and free requests go. What it offers later it will kick for, or
// virtqueue_await_kick() tells. Lock held.
static uint32_t take(struct virtio_blk *b, struct blk_list *taken, uint32_t *budget)
{
    struct virtio_device *dev = &b->dev;
    struct virtqueue *vq = &dev->queues[QUEUE];
    uint32_t begun = 0;

    while (b->free && *budget > 0 && (b->kicked || virtqueue_knows_more(vq))) {
        struct blk_request *r = b->free;

        if (virtqueue_pop(vq, &r->chain) != OK) {
            b->kicked = false;
            break;
        }
        b->kicked = false;
        b->free = r->next;
        r->generation = dev->generation;
        list_add(taken, r);
        begun++;
        uint32_t cost = 1 + r->chain.count / SEGMENT_COST;

        *budget = *budget == VIRTIO_NO_BUDGET ? *budget : *budget - (uint32_t)min_u64(cost, *budget);
    }
    return begun;
}

// One turn at the queue: gives back what is finished and takes what is offered. False: nothing came, and the driver will
// kick, or completions will bring the next turn; *left: or chains wait, but the budget is used up.
static bool turn(struct virtio_blk *b, struct blk_list *taken, uint32_t *budget, uint32_t *left)
{
    struct virtio_device *dev = &b->dev;
    struct virtqueue *vq = &dev->queues[QUEUE];
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    uint32_t ended = give_all_back(b);
    uint32_t begun = 0;

    list_clear(taken);
    if (virtio_running(dev)) {
        begun = take(b, taken, budget);
        if (begun == 0 && b->free && (virtqueue_knows_more(vq) || virtqueue_await_kick(vq))) {
            begun = take(b, taken, budget);
            *left |= *budget == 0 ? 1u << QUEUE : 0;
        }
        if (vq->s->broken) {
            virtio_break(dev, vq, vq->why);
        }
    }
    if (begun > 0) {
        virtio_requests_begin(dev, begun);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    if (ended > 0) {
        virtio_requests_end(dev, ended);
    }
    return begun > 0;
}

static uint32_t blk_process(struct virtio_device *dev, uint32_t work, uint32_t budget)
{
    struct virtio_blk *b = blk_of(dev);
    bool may_run = budget == VIRTIO_NO_BUDGET;
    struct blk_list taken;
    uint32_t left = 0;
    bool any;

    (void)work;       // whatever it is
    b->kicked = true; // at least look
    do {
        collect(b);
        any = turn(b, &taken, &budget, &left);
        while (taken.first) {
            struct blk_request *r = taken.first;

            taken.first = r->next;
            const char *why = start(b, r);

            if (why) {
                refuse(b, r, why);
            }
        }
        if (b->submitted && may_run) {
            b->submitted = false;
            b->be->ops->run(b->be);
        }
    } while (any || b->finished.first || atomic_load_explicit(&b->done, memory_order_relaxed));
    return left | (b->submitted ? VIRTIO_WORK_BACKEND : 0);
}

// ---- life cycle ---------------------------------------------------------------------------------

static void blk_destroy(struct virtio_device *dev)
{
    struct virtio_blk *b = blk_of(dev);

    // Nothing is in flight, but an interrupt handler may be on its way out of blk_done().
    while (atomic_load_explicit(&b->completing, memory_order_acquire) > 0) {
        arch_cpu_relax();
    }
    pool_free_array(b->requests, VIRTIO_BLK_REQUESTS, sizeof(*b->requests));
    pool_free(b, sizeof(*b));
}

static const struct virtio_ops blk_ops = {
    .vdev = VIRTIO_VDEV_OPS("virtio-blk"),
    .device_id = VIRTIO_ID_BLOCK,
    .queue_count = 1,
    .queue_size_max = VIRTIO_BLK_QUEUE_SIZE,
    .process = blk_process,
    .exit_budget = EXIT_BUDGET,
    .destroy = blk_destroy,
};

static void requests_init(struct virtio_blk *b)
{
    for (unsigned i = 0; i < VIRTIO_BLK_REQUESTS; i++) {
        struct blk_request *r = &b->requests[i];

        r->owner = b;
        r->block.done = blk_done;
        r->chain.segs = r->segs;
        r->chain.capacity = VIRTIO_BLK_QUEUE_SIZE;
        r->next = b->free;
        b->free = r;
    }
}

enum status virtio_blk_create(struct vm *vm, const char *name, struct blk_backend *be,
                              struct virtio_device **out)
{
    struct virtio_blk *b = pool_alloc(sizeof(*b));
    enum status st;

    if (!b) {
        return E_NOMEM;
    }
    b->requests = pool_alloc_array(VIRTIO_BLK_REQUESTS, sizeof(*b->requests));
    if (!b->requests) {
        st = E_NOMEM;
        goto out_free;
    }
    b->be = be;
    list_clear(&b->finished);
    requests_init(b);
    b->config = (struct virtio_blk_config){
        .capacity = be->sector_count, .seg_max = VIRTIO_BLK_QUEUE_SIZE - 2, .blk_size = SECTOR_SIZE};
    b->dev.config = &b->config;
    b->dev.config_size = sizeof(b->config);
    b->dev.features = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
                      (be->read_only ? BIT64(VIRTIO_BLK_F_RO) : 0) |
                      (be->can_flush ? BIT64(VIRTIO_BLK_F_FLUSH) : 0);
    st = virtio_setup(&b->dev, &blk_ops, vm, name);
    if (st != OK) {
        goto out_requests;
    }
    *out = &b->dev;
    return OK;
out_requests:
    pool_free_array(b->requests, VIRTIO_BLK_REQUESTS, sizeof(*b->requests));
out_free:
    pool_free(b, sizeof(*b));
    return st;
}
