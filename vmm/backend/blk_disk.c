// SPDX-License-Identifier: Apache-2.0
//
// A file on the host's FAT disk as a guest's disk: see blk_disk.h.
//
// A request of the front end (the parent) owns one piece at a time: the part up to the next extent boundary.
// When the disk has done it, the piece moves on to the next part, or goes to the parent that has waited
// longest. A disk that is memory completes inside its submit(): piece_step() then loops where it otherwise
// would recurse, `phase` decides.
#include "vmm/backend/blk_disk.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/mutex.h"
#include "kernel/sync/spinlock.h"

struct blk_disk;

enum phase {
    SUBMITTING,
    SUBMITTED,
    COMPLETED
};

struct piece {
    struct block_request block;
    _Atomic enum phase phase; // who goes on: the submitter, or piece_done()
    enum status result;
    struct blk_disk *owner;
    struct block_request *parent;
    struct piece *next; // in the free list
    uint64_t sector;    // of the file: the next one to transfer
    unsigned segment;   // of the parent: where it goes on ...
    uint32_t offset;    // ... and how far into it
    bool flush;         // a flush that has not been submitted
};

struct blk_disk {
    struct blk_backend be; // first
    struct fs_extents file;
    struct list_node node; // in `open`
    struct spinlock lock;  // protects what follows; taken in interrupt handlers
    struct piece *free;
    struct list_node waiting; // parents without a piece
    struct piece pieces[BLK_DISK_PIECES];
};

// The extent that holds a sector of the file; the caller knows that there is one.
static const struct fs_extent *find_extent(const struct fs_extents *f, uint64_t sector)
{
    unsigned lo = 0;
    unsigned hi = f->count;

    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;

        if (f->extents[mid].file_sector <= sector) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return &f->extents[lo];
}

// The next part of the parent, as far as the extent reaches and in as many segments as the disk takes.
static void fill(struct piece *p)
{
    unsigned segment_max = p->owner->file.dev->segment_max;
    const struct fs_extent *e = find_extent(&p->owner->file, p->sector);
    uint64_t skip = p->sector - e->file_sector;
    uint64_t room = (e->count - skip) * SECTOR_SIZE;
    unsigned n = 0;

    p->block.op = p->parent->op;
    p->block.sector = e->disk_sector + skip;
    while (room > 0 && n < segment_max && p->segment < p->parent->segment_count) {
        const struct block_segment *s = &p->parent->segments[p->segment];
        uint32_t size = (uint32_t)min_u64(room, s->size - p->offset);

        if (size > 0) {
            p->block.segments[n++] = (struct block_segment){.va = (char *)s->va + p->offset, .size = size};
        }
        p->offset += size;
        room -= size;
        p->sector += size / SECTOR_SIZE;
        if (p->offset == s->size) {
            p->segment++;
            p->offset = 0;
        }
    }
    p->block.segment_count = n;
}

static void piece_adopt(struct piece *p, struct block_request *parent)
{
    p->parent = parent;
    p->sector = parent->sector;
    p->segment = 0;
    p->offset = 0;
    p->flush = parent->op == BLOCK_FLUSH;
}

static bool piece_has_more(const struct piece *p)
{
    return p->flush || (p->parent->op != BLOCK_FLUSH && p->segment < p->parent->segment_count);
}

static enum status piece_submit(struct piece *p)
{
    struct block_device *dev = p->owner->file.dev;

    if (p->flush) {
        p->flush = false;
        p->block.op = BLOCK_FLUSH;
        p->block.sector = 0;
        p->block.segment_count = 0;
    } else {
        fill(p);
    }
    atomic_store_explicit(&p->phase, SUBMITTING, memory_order_relaxed);
    return dev->submit(dev, &p->block);
}

// Submits the parent's parts one after the other. False: the disk is at work, piece_done() goes on. True:
// finished.
static bool piece_step(struct piece *p, enum status *result)
{
    *result = OK;
    while (*result == OK && piece_has_more(p)) {
        *result = piece_submit(p);
        if (*result != OK) {
            break;
        }
        // Acquire and release on both sides: whoever comes second sees all that the first did to the piece.
        if (atomic_exchange_explicit(&p->phase, SUBMITTED, memory_order_acq_rel) != COMPLETED) {
            return false;
        }
        *result = p->result;
    }
    return true;
}

// The piece goes to the parent that has waited longest (true), or to the free list.
static bool piece_pass_on(struct piece *p)
{
    struct blk_disk *d = p->owner;
    irq_state_t irq = spin_lock_irqsave(&d->lock);
    struct list_node *node = list_pop_front(&d->waiting);

    if (node) {
        piece_adopt(p, list_entry(node, struct block_request, node));
    } else {
        p->next = d->free;
        d->free = p;
    }
    spin_unlock_irqrestore(&d->lock, irq);
    return node != NULL;
}

// Goes on with a piece whose last part ended with `result`.
static void piece_drive(struct piece *p, enum status result)
{
    bool again = true;

    while (again) {
        if (result == OK && !piece_step(p, &result)) {
            return;
        }
        struct block_request *parent = p->parent;

        again = piece_pass_on(p);
        parent->done(parent, result);
        result = OK;
    }
}

// Worker thread or interrupt handler.
static void piece_done(struct block_request *block, enum status result)
{
    struct piece *p = container_of(block, struct piece, block);

    p->result = result;
    if (atomic_exchange_explicit(&p->phase, COMPLETED, memory_order_acq_rel) == SUBMITTED) {
        piece_drive(p, result);
    }
}

static enum status check(const struct blk_disk *d, const struct block_request *req)
{
    uint64_t bytes = 0;

    if (req->op == BLOCK_FLUSH) {
        return d->be.can_flush ? OK : E_UNSUPPORTED;
    }
    if (req->op == BLOCK_WRITE && d->be.read_only) {
        return E_PERM;
    }
    if (req->segment_count == 0 || req->segment_count > BLOCK_SEGMENTS_MAX) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < req->segment_count; i++) {
        if (req->segments[i].size == 0 || req->segments[i].size % SECTOR_SIZE != 0) {
            return E_INVAL;
        }
        bytes += req->segments[i].size;
    }
    if (req->sector > d->be.sector_count || bytes / SECTOR_SIZE > d->be.sector_count - req->sector) {
        return E_RANGE;
    }
    return OK;
}

static enum status disk_submit(struct blk_backend *be, struct block_request *req)
{
    struct blk_disk *d = container_of(be, struct blk_disk, be);
    enum status st = check(d, req);

    if (st != OK) {
        return st;
    }
    irq_state_t irq = spin_lock_irqsave(&d->lock);
    struct piece *p = d->free;

    if (p) {
        d->free = p->next;
    } else {
        list_push_back(&d->waiting, &req->node);
    }
    spin_unlock_irqrestore(&d->lock, irq);
    if (p) {
        piece_adopt(p, req);
        piece_drive(p, OK);
    }
    return OK;
}

// ---- who has which sectors ------------------------------------------------------------------------------------------

// The disks that exist. A mutex, as comparing takes long: worker threads only.
static struct list_node open = {&open, &open};
static struct mutex open_lock = {
    .wq = {.lock = SPINLOCK_INIT(LOCK_WAIT), .waiters = {&open_lock.wq.waiters, &open_lock.wq.waiters}}};

static int by_disk_sector(const void *a, const void *b)
{
    const struct fs_extent *x = a, *y = b;

    return (x->disk_sector > y->disk_sector) - (x->disk_sector < y->disk_sector);
}

// Does one of `f`'s extents meet one of `sorted`, which do not meet each other?
static bool meets(const struct fs_extents *f, const struct fs_extent *sorted, unsigned count)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct fs_extent *e = &f->extents[i];
        unsigned lo = 0;
        unsigned hi = count;

        while (lo < hi) { // the first that ends behind e's beginning
            unsigned mid = lo + (hi - lo) / 2;

            if (sorted[mid].disk_sector + sorted[mid].count <= e->disk_sector) {
                lo = mid + 1;
            } else {
                hi = mid;
            }
        }
        if (lo < count && sorted[lo].disk_sector < e->disk_sector + e->count) {
            return true;
        }
    }
    return false;
}

// Adds the disk to the open ones, unless one of them may write what the other sees.
static enum status disk_claim(struct blk_disk *d)
{
    size_t count = d->file.count;
    struct fs_extent *sorted = pool_alloc_array(count, sizeof(*sorted));
    enum status st = sorted ? OK : E_NOMEM;

    if (!sorted) {
        return st;
    }
    memcpy(sorted, d->file.extents, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), by_disk_sector);
    mutex_lock(&open_lock);
    list_for_each(it, &open)
    {
        const struct blk_disk *other = list_entry(it, struct blk_disk, node);

        if (other->file.dev == d->file.dev && !(other->be.read_only && d->be.read_only) &&
            meets(&other->file, sorted, d->file.count)) {
            log_err("disk file '%.20s' shares sectors with '%.20s' of vm '%s': one writer alone, or "
                    "read_only = true on all",
                    d->be.serial, other->be.serial, other->be.owner ? other->be.owner : "-");
            st = E_BUSY;
            break;
        }
    }
    if (st == OK) {
        list_push_back(&open, &d->node);
    }
    mutex_unlock(&open_lock);
    pool_free_array(sorted, count, sizeof(*sorted));
    return st;
}

static void disk_destroy(struct blk_backend *be)
{
    struct blk_disk *d = container_of(be, struct blk_disk, be);

    mutex_lock(&open_lock);
    list_remove(&d->node);
    mutex_unlock(&open_lock);
    fs_extents_free(&d->file);
    pool_free(d, sizeof(*d));
}

static const struct blk_backend_ops disk_ops = {.submit = disk_submit, .destroy = disk_destroy};

// The extents cover the file's whole sectors without gap, inside the medium.
static bool extents_valid(const struct fs_extents *f)
{
    uint64_t next = 0;

    for (unsigned i = 0; i < f->count; i++) {
        const struct fs_extent *e = &f->extents[i];

        if (e->file_sector != next || e->count == 0 || e->disk_sector > f->dev->sector_count ||
            e->count > f->dev->sector_count - e->disk_sector) {
            return false;
        }
        next += e->count;
    }
    return next >= f->size / SECTOR_SIZE;
}

enum status blk_disk_create_extents(const char *name, const struct fs_extents *extents, bool read_only,
                                    struct blk_backend **out)
{
    if (extents->size < SECTOR_SIZE) {
        return E_INVAL;
    }
    if (!extents_valid(extents)) {
        return E_CORRUPT;
    }
    struct blk_disk *d = pool_alloc(sizeof(*d));

    if (!d) {
        return E_NOMEM;
    }
    d->file = *extents;
    d->be = (struct blk_backend){.ops = &disk_ops,
                                 .sector_count = extents->size / SECTOR_SIZE,
                                 .read_only = read_only || extents->dev->read_only,
                                 .can_flush = extents->dev->can_flush};
    memcpy(d->be.serial, name, strnlen(name, sizeof(d->be.serial)));
    spin_init(&d->lock, LOCK_BACKEND);
    list_init(&d->waiting);
    for (unsigned i = 0; i < BLK_DISK_PIECES; i++) {
        struct piece *p = &d->pieces[i];

        p->owner = d;
        p->block.done = piece_done;
        p->next = d->free;
        d->free = p;
    }
    enum status st = disk_claim(d);

    if (st != OK) {
        pool_free(d, sizeof(*d));
        return st;
    }
    *out = &d->be;
    return OK;
}

enum status blk_disk_create(const char *path, bool read_only, struct blk_backend **out)
{
    struct fs_extents extents;
    const char *name = strrchr(path, '/');
    enum status st = fs_resolve(path, &extents);

    if (st != OK) {
        return st;
    }
    st = blk_disk_create_extents(name ? name + 1 : path, &extents, read_only, out);
    if (st != OK) {
        fs_extents_free(&extents);
    }
    return st;
}
