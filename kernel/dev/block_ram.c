// SPDX-License-Identifier: Apache-2.0
//
// A block device over memory. Requests queue up for a worker thread, so that a caller's completion never runs
// inside its own submit() and a stream of requests that submit each other cannot grow a stack.
#include "kernel/dev/block.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"

struct block_ram {
    struct block_device dev;
    char *base;
    struct spinlock lock; // protects queue
    struct list_node queue;
    struct wait_queue wq;
};

static enum status ram_submit(struct block_device *dev, struct block_request *req)
{
    struct block_ram *ram = dev->priv;
    enum status s = block_check(dev, req);

    if (s != OK) {
        return s;
    }

    irq_state_t irq = spin_lock_irqsave(&ram->lock);

    list_push_back(&ram->queue, &req->node);
    spin_unlock_irqrestore(&ram->lock, irq);
    wait_wake_all(&ram->wq);
    return OK;
}

static struct block_request *next_request(struct block_ram *ram)
{
    irq_state_t irq = spin_lock_irqsave(&ram->lock);
    struct list_node *node = list_pop_front(&ram->queue);

    spin_unlock_irqrestore(&ram->lock, irq);
    return node ? list_entry(node, struct block_request, node) : NULL;
}

static bool has_request(void *ctx)
{
    struct block_ram *ram = ctx;
    irq_state_t irq = spin_lock_irqsave(&ram->lock);
    bool has = !list_empty(&ram->queue);

    spin_unlock_irqrestore(&ram->lock, irq);
    return has;
}

static void copy(struct block_ram *ram, const struct block_request *req)
{
    char *at = ram->base + req->sector * SECTOR_SIZE;

    for (unsigned i = 0; i < req->segment_count; i++) {
        const struct block_segment *seg = &req->segments[i];

        if (req->op == BLOCK_READ) {
            memcpy(seg->va, at, seg->size);
        } else {
            memcpy(at, seg->va, seg->size);
        }
        at += seg->size;
    }
}

static void ram_worker(void *arg)
{
    struct block_ram *ram = arg;

    for (;;) {
        struct block_request *req = next_request(ram);

        if (req) {
            copy(ram, req);
            req->done(req, OK);
        } else {
            wait_event(&ram->wq, has_request, ram);
        }
    }
}

enum status block_ram_create(const char *name, void *base, uint64_t size, bool read_only)
{
    struct block_ram *ram = pool_alloc(sizeof(*ram));

    if (!ram) {
        return E_NOMEM;
    }
    ram->dev = (struct block_device){
        .name = name,
        .sector_count = size / SECTOR_SIZE,
        .read_only = read_only,
        .segment_max = BLOCK_SEGMENTS_MAX,
        .submit = ram_submit,
        .priv = ram,
    };
    ram->base = base;
    spin_init(&ram->lock, LOCK_BLOCK);
    list_init(&ram->queue);
    wait_queue_init(&ram->wq);

    struct thread *worker = thread_create(&(struct thread_attr){
        .name = "block-ram", .entry = ram_worker, .arg = ram, .cpu = 0, .prio = PRIO_WORKER});
    enum status s = worker ? block_register(&ram->dev) : E_NOMEM;

    if (s == OK) {
        thread_start(worker);
        return OK;
    }
    if (worker) {
        thread_destroy(worker);
    }
    pool_free(ram, sizeof(*ram));
    return s;
}
