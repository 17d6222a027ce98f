// SPDX-License-Identifier: Apache-2.0
//
// The virtio block device: see virtio_blk.h. Section numbers are those of Virtual I/O Device 1.2.
//
// All requests live in one array. A free one takes a chain from the queue (take), becomes a block_request
// (submit_next), comes back through blk_done() on a lock-free stack from any context (collect), and when
// nothing is left to do gets its status byte and its place in the used ring (flush). Only process() runs
// these steps, so the request lists need no lock; the device's lock is held around the rings alone, never
// across a back-end call.
#include "vmm/virtio/virtio_blk.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/cpu.h"
#include "kernel/mm/pool.h"

#define SEGMENT_MAX GIB(1) // bytes of a merged segment

struct blk_request {
    struct block_request block;
    struct virtio_blk *owner;
    struct blk_request *next; // in the free, done or finished list
    uint32_t generation;      // of the device when the chain was taken
    uint32_t written;         // bytes that success leaves at the beginning of the chain's writable part
    uint32_t left;            // data bytes not yet submitted
    uint64_t sector;          // of the next block_request
    struct virtq_cursor cursor;
    enum status result; // of the last block_request
    uint8_t status;     // VIRTIO_BLK_S_*
    struct virtq_chain chain;
    struct virtq_segment segs[VIRTIO_BLK_QUEUE_SIZE];
};

struct virtio_blk {
    struct virtio_device dev; // first
    struct blk_backend *be;
    struct virtio_blk_config config;
    struct blk_request *requests;
    struct blk_request *free;
    struct blk_request *finished;       // to be flushed
    _Atomic(struct blk_request *) done; // completed by the back end, newest first
    _Atomic uint32_t completing;        // back-end contexts inside blk_done()
};

static struct virtio_blk *blk_of(struct virtio_device *dev)
{
    return container_of(dev, struct virtio_blk, dev);
}

static struct gmem *gmem_of(struct virtio_blk *b)
{
    return b->dev.queues[0].gm;
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
    r->next = b->finished;
    b->finished = r;
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
    }
    if (block->segment_count == BLOCK_SEGMENTS_MAX) {
        return false;
    }
    block->segments[block->segment_count++] = (struct block_segment){.va = va, .size = size};
    return true;
}

// Fills the block request with the next data pieces of the chain. E_RANGE: a piece is not memory of the guest
// with the right permission, or not a whole number of sectors.
static enum status fill(struct virtio_blk *b, struct blk_request *r)
{
    uint8_t perm = r->block.op == BLOCK_READ ? PERM_W : PERM_R;
    uint32_t before = r->left;

    r->block.segment_count = 0;
    r->block.sector = r->sector;
    while (r->left > 0) {
        struct virtq_cursor here = r->cursor;
        struct virtq_segment piece;
        uint64_t size;

        if (!virtq_cursor_next(&r->chain, &here, r->left, &piece)) {
            return E_RANGE;
        }
        void *va = gmem_ptr(gmem_of(b), piece.addr, min_u64(piece.len, SEGMENT_MAX), perm, &size);

        if (!va || size % SECTOR_SIZE != 0) {
            return E_RANGE;
        }
        if (!add_segment(&r->block, va, (uint32_t)size)) {
            break;
        }
        (void)virtq_cursor_next(&r->chain, &r->cursor, (uint32_t)size, &piece);
        r->left -= (uint32_t)size;
    }
    r->sector += (before - r->left) / SECTOR_SIZE;
    return OK;
}

static void submit_next(struct virtio_blk *b, struct blk_request *r)
{
    enum status st = fill(b, r);

    if (st == OK) {
        st = b->be->ops->submit(b->be, &r->block);
    }
    if (st != OK) {
        finish(b, r, VIRTIO_BLK_S_IOERR);
    }
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
    if (b->be->ops->submit(b->be, &r->block) != OK) {
        finish(b, r, VIRTIO_BLK_S_IOERR);
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

// A chain was taken. NULL: it is under way or finished; else how it broke the rules.
static const char *start(struct virtio_blk *b, struct blk_request *r)
{
    struct virtio_blk_req_hdr header;

    r->written = 0;
    r->left = 0;
    if (r->chain.write_len == 0) {
        return "a block request without a status byte";
    }
    if (r->chain.read_len < sizeof(header) ||
        virtq_chain_read(gmem_of(b), &r->chain, 0, &header, sizeof(header)) != OK) {
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

// Takes one chain into `r`. E_NOENT: there is none, and the driver will kick; E_CORRUPT: broken; E_STATE: not
// running.
static enum status take_one(struct virtio_blk *b, struct blk_request *r)
{
    struct virtio_device *dev = &b->dev;
    struct virtqueue *vq = &dev->queues[0];
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    enum status st = virtio_running(dev) ? virtqueue_pop(vq, &r->chain) : E_STATE;

    if (st == E_NOENT && virtqueue_await_kick(vq)) {
        st = virtqueue_pop(vq, &r->chain);
    }
    if (vq->s->broken) {
        virtio_break(dev, vq, vq->why);
        st = E_CORRUPT;
    }
    if (st == OK) {
        r->generation = dev->generation;
        virtio_request_begin(dev);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    return st;
}

// The chain in `r` makes no sense: the device asks for a reset, unless it was reset meanwhile.
static void refuse(struct virtio_blk *b, struct blk_request *r, const char *why)
{
    struct virtio_device *dev = &b->dev;
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (r->generation == dev->generation) {
        virtio_break(dev, &dev->queues[0], why);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    r->next = b->free;
    b->free = r;
    virtio_request_end(dev);
}

static bool take(struct virtio_blk *b)
{
    bool any = false;

    while (b->free) {
        struct blk_request *r = b->free;

        if (take_one(b, r) != OK) {
            break;
        }
        any = true;
        b->free = r->next;
        const char *why = start(b, r);

        if (why) {
            refuse(b, r, why);
        }
    }
    return any;
}

// Takes over what the back end completed: the rest of a long request goes on, others are finished.
static bool collect(struct virtio_blk *b)
{
    struct blk_request *r = atomic_exchange_explicit(&b->done, NULL, memory_order_acquire);
    struct blk_request *oldest = NULL;
    bool any = r != NULL;

    while (r) {
        struct blk_request *next = r->next;

        r->next = oldest;
        oldest = r;
        r = next;
    }
    while (oldest) {
        r = oldest;
        oldest = r->next;
        if (r->result != OK) {
            finish(b, r, VIRTIO_BLK_S_IOERR);
        } else if (r->left > 0 && r->generation == b->dev.generation) {
            submit_next(b, r);
        } else {
            finish(b, r, VIRTIO_BLK_S_OK);
        }
    }
    return any;
}

// Status byte and used ring of one request. True when it was pushed. Lock held.
static bool flush_one(struct virtio_blk *b, struct blk_request *r)
{
    struct virtqueue *vq = &b->dev.queues[0];
    const struct virtq_chain *c = &r->chain;
    uint32_t written = r->status == VIRTIO_BLK_S_OK ? r->written : 0;

    if (r->generation != b->dev.generation) {
        return false; // the driver that asked for it is gone
    }
    if (written ==
        c->write_len - 1) { // 2.7.8.2: count only what was written without a gap from the beginning
        written++;
    }
    if (virtq_chain_write(gmem_of(b), c, c->write_len - 1, &r->status, 1) != OK) {
        virtio_break(&b->dev, vq, "a block request's status byte is not memory");
        return false;
    }
    if (virtqueue_push(vq, c->head, written) != OK) {
        virtio_break(&b->dev, vq, vq->why);
        return false;
    }
    return true;
}

static void flush(struct virtio_blk *b)
{
    struct blk_request *first = NULL;
    struct virtio_device *dev = &b->dev;

    while (b->finished) { // oldest first
        struct blk_request *r = b->finished;

        b->finished = r->next;
        r->next = first;
        first = r;
    }
    if (!first) {
        return;
    }
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    bool pushed = false;

    for (struct blk_request *r = first; r; r = r->next) {
        pushed |= flush_one(b, r);
    }
    if (pushed) {
        virtio_notify_used(dev, &dev->queues[0]);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    while (first) {
        struct blk_request *r = first;

        first = r->next;
        r->next = b->free;
        b->free = r;
        virtio_request_end(dev);
    }
}

static void blk_process(struct virtio_device *dev)
{
    struct virtio_blk *b = blk_of(dev);
    bool more;

    do {
        more = take(b);
        if (b->be->ops->run) {
            b->be->ops->run(b->be);
        }
        more |= collect(b);
        flush(b);
    } while (more);
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
