// SPDX-License-Identifier: Apache-2.0
//
// A disk in memory: see blk_ram.h. quick() copies at once; submit() queues, run() copies on the front
// end's worker thread.
#include "vmm/backend/blk_ram.h"

#include <string.h>

#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"

#define CHUNK_ORDER 4
#define CHUNK_SIZE (PAGE_SIZE << CHUNK_ORDER)

struct blk_ram {
    struct blk_backend be; // first
    const char *data;      // first content, NULL: zeros
    uint64_t size;         // bytes: whole sectors
    char **chunks;         // NULL: not yet written. Only run() touches them
    uint64_t chunk_count;
    struct spinlock lock; // protects the queue
    struct list_node queue;
};

// The chunk as it may be written; NULL when out of memory.
static char *chunk_for_write(struct blk_ram *d, uint64_t index)
{
    uint64_t off = index * CHUNK_SIZE;

    if (d->chunks[index]) {
        return d->chunks[index];
    }
    char *c = page_alloc(CHUNK_ORDER);

    if (!c) {
        return NULL;
    }
    size_t n = d->data ? (size_t)min_u64(CHUNK_SIZE, d->size - off) : 0;

    if (n > 0) {
        memcpy(c, d->data + off, n);
    }
    memset(c + n, 0, CHUNK_SIZE - n);
    d->chunks[index] = c;
    return c;
}

static void read_piece(const struct blk_ram *d, uint64_t off, char *to, size_t len)
{
    const char *c = d->chunks[off / CHUNK_SIZE];

    if (c) {
        memcpy(to, c + off % CHUNK_SIZE, len);
    } else if (d->data) {
        memcpy(to, d->data + off, len);
    } else {
        memset(to, 0, len);
    }
}

static enum status write_piece(struct blk_ram *d, uint64_t off, const char *from, size_t len)
{
    char *c = chunk_for_write(d, off / CHUNK_SIZE);

    if (!c) {
        return E_NOMEM;
    }
    memcpy(c + off % CHUNK_SIZE, from, len);
    return OK;
}

// One segment, chunk by chunk.
static enum status transfer(struct blk_ram *d, enum block_op op, uint64_t off, const struct block_segment *s)
{
    char *va = s->va;
    uint64_t left = s->size;

    while (left > 0) {
        size_t n = (size_t)min_u64(left, CHUNK_SIZE - off % CHUNK_SIZE);

        if (op == BLOCK_READ) {
            read_piece(d, off, va, n);
        } else if (write_piece(d, off, va, n) != OK) {
            return E_NOMEM;
        }
        va += n;
        off += n;
        left -= n;
    }
    return OK;
}

static enum status perform(struct blk_ram *d, const struct block_request *req)
{
    uint64_t off = req->sector * SECTOR_SIZE;

    for (unsigned i = 0; req->op != BLOCK_FLUSH && i < req->segment_count; i++) {
        enum status st = transfer(d, req->op, off, &req->segments[i]);

        if (st != OK) {
            return st;
        }
        off += req->segments[i].size;
    }
    return OK;
}

static enum status check(const struct blk_ram *d, const struct block_request *req)
{
    uint64_t bytes = 0;

    if (req->op == BLOCK_FLUSH) {
        return OK;
    }
    if (req->op == BLOCK_WRITE && d->be.read_only) {
        return E_PERM;
    }
    if (req->segment_count == 0 || req->segment_count > BLOCK_SEGMENTS_MAX) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < req->segment_count; i++) {
        if (req->segments[i].size % SECTOR_SIZE != 0) {
            return E_INVAL;
        }
        bytes += req->segments[i].size;
    }
    if (req->sector > d->be.sector_count || bytes / SECTOR_SIZE > d->be.sector_count - req->sector) {
        return E_RANGE;
    }
    return OK;
}

static enum status ram_submit(struct blk_backend *be, struct block_request *req)
{
    struct blk_ram *d = container_of(be, struct blk_ram, be);
    enum status st = check(d, req);

    if (st != OK) {
        return st;
    }
    irq_state_t irq = spin_lock_irqsave(&d->lock);

    list_push_back(&d->queue, &req->node);
    spin_unlock_irqrestore(&d->lock, irq);
    return OK;
}

// Is the medium such that performing it allocates nothing?
static bool at_hand(const struct blk_ram *d, const struct block_request *req)
{
    uint64_t first = req->sector * SECTOR_SIZE;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < req->segment_count; i++) {
        bytes += req->segments[i].size;
    }
    if (bytes > BLK_QUICK_MAX) {
        return false;
    }
    // So short it lies in two chunks at most.
    return req->op != BLOCK_WRITE ||
           (d->chunks[first / CHUNK_SIZE] && d->chunks[(first + bytes - 1) / CHUNK_SIZE]);
}

static enum status ram_quick(struct blk_backend *be, const struct block_request *req)
{
    struct blk_ram *d = container_of(be, struct blk_ram, be);
    enum status st = check(d, req);

    if (st != OK) {
        return st;
    }
    return at_hand(d, req) ? perform(d, req) : E_BUSY;
}

static void ram_run(struct blk_backend *be)
{
    struct blk_ram *d = container_of(be, struct blk_ram, be);

    for (;;) {
        irq_state_t irq = spin_lock_irqsave(&d->lock);
        struct list_node *node = list_pop_front(&d->queue);

        spin_unlock_irqrestore(&d->lock, irq);
        if (!node) {
            return;
        }
        struct block_request *req = list_entry(node, struct block_request, node);

        req->done(req, perform(d, req));
    }
}

static void ram_destroy(struct blk_backend *be)
{
    struct blk_ram *d = container_of(be, struct blk_ram, be);

    for (uint64_t i = 0; i < d->chunk_count; i++) {
        if (d->chunks[i]) {
            page_free(d->chunks[i], CHUNK_ORDER);
        }
    }
    pool_free_array(d->chunks, (size_t)d->chunk_count, sizeof(*d->chunks));
    pool_free(d, sizeof(*d));
}

static const struct blk_backend_ops ram_ops = {.submit = ram_submit,
                                               .quick = ram_quick,
                                               .run = ram_run,
                                               .destroy = ram_destroy};

enum status blk_ram_create(const char *name, const void *data, uint64_t size, bool read_only,
                           struct blk_backend **out)
{
    if (size < SECTOR_SIZE) {
        return E_INVAL;
    }
    struct blk_ram *d = pool_alloc(sizeof(*d));

    if (!d) {
        return E_NOMEM;
    }
    d->data = data;
    d->size = align_down(size, SECTOR_SIZE);
    d->chunk_count = (d->size - 1) / CHUNK_SIZE + 1;
    d->chunks = pool_alloc_array((size_t)d->chunk_count, sizeof(*d->chunks));
    if (!d->chunks) {
        pool_free(d, sizeof(*d));
        return E_NOMEM;
    }
    d->be = (struct blk_backend){
        .ops = &ram_ops, .sector_count = d->size / SECTOR_SIZE, .read_only = read_only, .can_flush = true};
    memcpy(d->be.serial, name, strnlen(name, sizeof(d->be.serial)));
    spin_init(&d->lock, LOCK_BACKEND);
    list_init(&d->queue);
    *out = &d->be;
    return OK;
}
