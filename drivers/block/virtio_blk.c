// SPDX-License-Identifier: Apache-2.0
//
// virtio block device, driver side ("VIRTIO Version 1.2", 5.2), with one queue.
//
// A request takes a slot (its header and status byte) and one descriptor chain; when either is short it waits
// in a list that each completion drains. Completions run in the interrupt handler, at most as many as there
// were when it began.
#include "drivers/block/virtio_blk.h"

#include <inttypes.h>
#include <stdio.h>

#include "arch/mmu.h"
#include "kernel/dev/block.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"

#define QUEUE_SIZE_MAX 256
#define CHAIN_EXTRA 2 // header and status

// One request in flight. The device reads hdr and writes status.
struct slot {
    struct virtio_blk_req_hdr hdr;
    uint8_t status;
    struct slot *next; // free list
    struct block_request *req;
};

struct virtio_blk {
    struct block_device dev;
    struct virtio_dev virtio;
    char name[8];
    struct spinlock lock; // protects all below, and the ring
    struct vring ring;
    struct slot *slots;
    struct slot *free_slots;
    struct list_node waiting;
    bool dead;
};

static unsigned disk_count;

static unsigned fill_chain(struct slot *slot, struct vring_buf bufs[BLOCK_SEGMENTS_MAX + CHAIN_EXTRA])
{
    const struct block_request *req = slot->req;
    unsigned n = 0;

    bufs[n++] = (struct vring_buf){.addr = arch_virt_to_phys(&slot->hdr).v, .len = sizeof(slot->hdr)};
    if (req->op != BLOCK_FLUSH) {
        for (unsigned i = 0; i < req->segment_count; i++) {
            bufs[n++] = (struct vring_buf){
                .addr = arch_virt_to_phys(req->segments[i].va).v,
                .len = req->segments[i].size,
                .device_writes = req->op == BLOCK_READ,
            };
        }
    }
    bufs[n++] =
        (struct vring_buf){.addr = arch_virt_to_phys(&slot->status).v, .len = 1, .device_writes = true};
    return n;
}

// Puts a request into the ring; false when there is no room now.
static bool start_locked(struct virtio_blk *blk, struct block_request *req)
{
    static const uint32_t types[] = {
        [BLOCK_READ] = VIRTIO_BLK_T_IN, [BLOCK_WRITE] = VIRTIO_BLK_T_OUT, [BLOCK_FLUSH] = VIRTIO_BLK_T_FLUSH};
    struct vring_buf bufs[BLOCK_SEGMENTS_MAX + CHAIN_EXTRA];
    struct slot *slot = blk->free_slots;

    if (!slot) {
        return false;
    }
    slot->req = req;
    slot->status = VIRTIO_BLK_S_IOERR;
    slot->hdr = (struct virtio_blk_req_hdr){
        .type = types[req->op],
        .sector = req->op == BLOCK_FLUSH ? 0 : req->sector,
    };
    if (vring_add(&blk->ring, bufs, fill_chain(slot, bufs), slot) != OK) {
        slot->req = NULL;
        return false;
    }
    blk->free_slots = slot->next;
    return true;
}

// Starts what waits, as far as there is room.
static void start_waiting_locked(struct virtio_blk *blk)
{
    bool started = false;

    while (!list_empty(&blk->waiting)) {
        struct list_node *node = blk->waiting.next;

        if (!start_locked(blk, list_entry(node, struct block_request, node))) {
            break;
        }
        list_remove(node);
        started = true;
    }
    if (started && vring_wants_notify(&blk->ring)) {
        virtio_notify(&blk->virtio, 0);
    }
}

static enum status blk_submit(struct block_device *dev, struct block_request *req)
{
    struct virtio_blk *blk = dev->priv;
    enum status s = block_check(dev, req);

    if (s != OK) {
        return s;
    }

    irq_state_t irq = spin_lock_irqsave(&blk->lock);

    if (blk->dead) {
        s = E_IO;
    } else {
        list_push_back(&blk->waiting, &req->node);
        start_waiting_locked(blk);
    }
    spin_unlock_irqrestore(&blk->lock, irq);
    return s;
}

static enum status status_of(uint8_t status)
{
    switch (status) {
    case VIRTIO_BLK_S_OK:
        return OK;
    case VIRTIO_BLK_S_UNSUPP:
        return E_UNSUPPORTED;
    default:
        return E_IO;
    }
}

// Takes one finished request; NULL when there is none. A device that hands back nonsense is not used any
// further, but what it still owns stays allocated: it may yet write there.
static struct block_request *take_one(struct virtio_blk *blk, enum status *result)
{
    irq_state_t irq = spin_lock_irqsave(&blk->lock);
    struct block_request *req = NULL;
    void *token = NULL;
    uint32_t written = 0;
    enum status s = blk->dead ? E_NOENT : vring_take(&blk->ring, &token, &written);

    if (s == OK) {
        struct slot *slot = token;

        req = slot->req;
        *result = status_of(slot->status);
        slot->req = NULL;
        slot->next = blk->free_slots;
        blk->free_slots = slot;
        start_waiting_locked(blk);
    } else if (s == E_CORRUPT) {
        blk->dead = true;
    }
    spin_unlock_irqrestore(&blk->lock, irq);
    if (s == E_CORRUPT) {
        log_err("%s: the device returned a request that it was not given; it is not used any more",
                blk->name);
    }
    return req;
}

// A dead device: the requests that have not been given to it, and then those that have (their memory is not
// reused: the device was reset).
static struct block_request *take_orphan(struct virtio_blk *blk)
{
    irq_state_t irq = spin_lock_irqsave(&blk->lock);
    struct list_node *node = list_pop_front(&blk->waiting);
    struct block_request *req = node ? list_entry(node, struct block_request, node) : NULL;

    for (unsigned i = 0; !req && i < blk->ring.size; i++) {
        req = blk->slots[i].req;
        blk->slots[i].req = NULL;
    }
    spin_unlock_irqrestore(&blk->lock, irq);
    return req;
}

static void fail_all(struct virtio_blk *blk)
{
    struct block_request *req;

    virtio_dev_reset(&blk->virtio);
    while ((req = take_orphan(blk)) != NULL) {
        req->done(req, E_IO);
    }
}

static enum irq_result blk_interrupt(unsigned irq, void *ctx)
{
    struct virtio_blk *blk = ctx;

    (void)irq;
    virtio_irq_ack(&blk->virtio); // first: what completes from here on interrupts again

    unsigned budget = vring_used_count(&blk->ring);
    bool dead = budget > blk->ring.size;

    for (unsigned i = 0; i < budget && !dead; i++) {
        enum status result = E_IO;
        struct block_request *req = take_one(blk, &result);

        if (req) {
            req->done(req, result);
        }
        dead = blk->dead;
    }
    if (dead && !blk->virtio.failed) {
        blk->dead = true;
        fail_all(blk);
    }
    return IRQ_HANDLED;
}

static enum status make_slots(struct virtio_blk *blk)
{
    // One slot a descriptor: the ring, not the slots, is what runs out.
    blk->slots = pool_alloc_array(blk->ring.size, sizeof(blk->slots[0]));
    if (!blk->slots) {
        return E_NOMEM;
    }
    for (unsigned i = 0; i < blk->ring.size; i++) {
        blk->slots[i].next = blk->free_slots;
        blk->free_slots = &blk->slots[i];
    }
    return OK;
}

static enum status read_geometry(struct virtio_blk *blk)
{
    struct virtio_blk_config config;
    enum status s =
        virtio_dev_config_read(&blk->virtio, 0, &config, offsetof(struct virtio_blk_config, geometry));
    unsigned segments = BLOCK_SEGMENTS_MAX;

    if (s != OK) {
        return s;
    }
    if (virtio_has(&blk->virtio, VIRTIO_BLK_F_SEG_MAX) && config.seg_max < segments) {
        segments = config.seg_max ? config.seg_max : 1;
    }
    if (blk->ring.size < segments + CHAIN_EXTRA) {
        segments = blk->ring.size > CHAIN_EXTRA ? blk->ring.size - CHAIN_EXTRA : 0;
    }
    blk->dev = (struct block_device){
        .name = blk->name,
        .sector_count = config.capacity,
        .read_only = virtio_has(&blk->virtio, VIRTIO_BLK_F_RO),
        .can_flush = virtio_has(&blk->virtio, VIRTIO_BLK_F_FLUSH),
        .segment_max = segments,
        .submit = blk_submit,
        .priv = blk,
    };
    return segments ? OK : E_UNSUPPORTED;
}

static enum status set_up(struct virtio_blk *blk)
{
    enum status s = virtio_negotiate(&blk->virtio, BIT64(VIRTIO_BLK_F_RO) | BIT64(VIRTIO_BLK_F_FLUSH) |
                                                       BIT64(VIRTIO_BLK_F_SEG_MAX));

    if (s == OK) {
        s = virtio_queue_create(&blk->virtio, 0, QUEUE_SIZE_MAX, &blk->ring);
    }
    if (s == OK) {
        s = make_slots(blk);
    }
    if (s == OK) {
        s = read_geometry(blk);
    }
    if (s == OK) {
        s = virtio_connect(&blk->virtio, &blk->ring, blk_interrupt, blk);
    }
    return s;
}

enum status virtio_blk_attach(const struct virtio_dev *virtio)
{
    struct virtio_blk *blk = pool_alloc(sizeof(*blk));
    struct virtio_dev refused = *virtio;
    enum status s;

    if (!blk) {
        virtio_give_up(&refused);
        return E_NOMEM;
    }
    blk->virtio = *virtio;
    spin_init(&blk->lock, LOCK_BLOCK);
    list_init(&blk->waiting);
    snprintf(blk->name, sizeof(blk->name), "disk%u", disk_count % 1000);
    s = set_up(blk);
    if (s != OK) {
        virtio_give_up(&blk->virtio); // the little it has allocated stays: this happens once, at boot
        return s;
    }
    disk_count++;
    virtio_start(&blk->virtio);
    return block_register(&blk->dev);
}
