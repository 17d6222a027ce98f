// SPDX-License-Identifier: Apache-2.0
//
// The virtio console: see virtio_console.h.
//
// A kick works on the queues in the vCPU's exit, the back end's events on the worker, so two may want to at
// once: the one who finds `busy` set leaves its bit in `pending` and goes; the one who set it looks at
// `pending` again before it ends.
#include "vmm/virtio/virtio_console.h"

#include <stdatomic.h>
#include <string.h>

#include "kernel/mm/pool.h"

#define COPY_SIZE 256
#define PENDING_RX BIT64(VIRTIO_CONSOLE_RX)
#define PENDING_TX BIT64(VIRTIO_CONSOLE_TX)
#define EXIT_BUDGET 16 // back-end calls in a vCPU's exit: at most 4 KiB
#define NO_BUDGET UINT32_MAX

struct virtio_console {
    struct virtio_device dev; // first
    struct char_backend *be;
    struct virtio_console_config config;
    _Atomic uint64_t pending; // PENDING_*: queues to work on
    _Atomic bool busy;
    // Of whoever set `busy`.
    struct virtq_chain chain;
    struct virtq_segment segs[VIRTIO_CONSOLE_QUEUE_SIZE];
    char buf[COPY_SIZE];
};

enum step {
    STEP_AGAIN,
    STEP_EMPTY,
    STEP_BLOCKED
};

static struct virtio_console *console_of(struct virtio_device *dev)
{
    return container_of(dev, struct virtio_console, dev);
}

// Takes the next chain of a queue. Lock held.
static bool next_chain(struct virtio_console *c, struct virtqueue *vq)
{
    struct virtio_device *dev = &c->dev;

    if (!virtio_running(dev)) {
        return false;
    }
    enum status st = virtqueue_pop(vq, &c->chain);

    if (st == E_NOENT && virtqueue_await_kick(vq)) {
        st = virtqueue_pop(vq, &c->chain);
    }
    if (vq->s->broken) {
        virtio_break(dev, vq, vq->why);
    }
    return st == OK;
}

// Gives the chain back. Lock held.
static void give_back(struct virtio_console *c, struct virtqueue *vq, uint32_t written)
{
    vq->s->offset = 0;
    if (virtqueue_push(vq, c->chain.head, written) != OK) {
        virtio_break(&c->dev, vq, vq->why);
    }
    virtio_notify_used(&c->dev, vq);
}

// Sends one buffer's worth of the next chain.
static enum step tx_step(struct virtio_console *c)
{
    struct virtio_device *dev = &c->dev;
    struct virtqueue *vq = &dev->queues[VIRTIO_CONSOLE_TX];
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (!next_chain(c, vq)) {
        spin_unlock_irqrestore(&dev->lock, irq);
        return STEP_EMPTY;
    }
    // The guest may have made the chain shorter since it was put back: then it is done.
    uint32_t generation = dev->generation;
    uint32_t off = (uint32_t)min_u64(vq->s->offset, c->chain.read_len);
    uint32_t len = (uint32_t)min_u64(c->chain.read_len - off, COPY_SIZE);
    size_t sent = 0;

    if (virtq_chain_read(vq->gm, &c->chain, off, c->buf, len) != OK) {
        len = 0;
        off = c->chain.read_len; // not memory: drop the chain
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    if (len > 0) {
        sent = c->be->ops->write(c->be, c->buf, len);
    }
    irq = spin_lock_irqsave(&dev->lock);
    if (generation != dev->generation) {
        // Reset meanwhile: the chain is no longer ours.
    } else if (off + sent < c->chain.read_len) {
        virtqueue_unpop(vq, off + (uint32_t)sent);
    } else {
        give_back(c, vq, 0);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    return sent < len ? STEP_BLOCKED : STEP_AGAIN;
}

// Fills the next chain with input that waits.
static enum step rx_step(struct virtio_console *c)
{
    struct virtio_device *dev = &c->dev;
    struct virtqueue *vq = &dev->queues[VIRTIO_CONSOLE_RX];
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    bool got = next_chain(c, vq);
    uint32_t generation = dev->generation;

    spin_unlock_irqrestore(&dev->lock, irq);
    if (!got) {
        return STEP_EMPTY;
    }
    size_t len = c->be->ops->read(c->be, c->buf, (size_t)min_u64(c->chain.write_len, COPY_SIZE));

    irq = spin_lock_irqsave(&dev->lock);
    if (generation != dev->generation) {
        // Reset meanwhile: the input is lost with the driver that would have had it.
    } else if (len == 0 && c->chain.write_len > 0) {
        virtqueue_unpop(vq, 0);
    } else if (virtq_chain_write(vq->gm, &c->chain, 0, c->buf, (uint32_t)len) != OK) {
        virtio_break(dev, vq, "a console receive buffer is not memory");
    } else {
        give_back(c, vq, (uint32_t)len);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    return len == 0 && c->chain.write_len > 0 ? STEP_BLOCKED : STEP_AGAIN;
}

// Works on the queues in `bits` until they are empty or blocked. Returns those that the budget cut short.
static uint64_t work(struct virtio_console *c, uint64_t bits, uint32_t *budget)
{
    while (bits != 0 && *budget > 0) {
        (*budget)--;
        if ((bits & PENDING_TX) && tx_step(c) != STEP_AGAIN) {
            bits &= ~PENDING_TX;
        }
        if ((bits & PENDING_RX) && rx_step(c) != STEP_AGAIN) {
            bits &= ~PENDING_RX;
        }
    }
    return bits;
}

// Whoever may work on the queues does so; nobody waits. True: the budget ran out, there is more.
static bool run(struct virtio_console *c, uint64_t bits, uint32_t budget)
{
    uint64_t left = 0;

    // All sequentially consistent: whoever finds `busy` set has left its bit before, and the holder looks at
    // `pending` after it cleared `busy`, so one of the two sees the other.
    atomic_fetch_or(&c->pending, bits);
    while (left == 0 && atomic_load(&c->pending) != 0) {
        if (atomic_exchange(&c->busy, true)) {
            return false;
        }
        virtio_request_begin(&c->dev);
        left = work(c, atomic_exchange(&c->pending, 0), &budget);
        atomic_fetch_or(&c->pending, left);
        virtio_request_end(&c->dev);
        atomic_store(&c->busy, false);
    }
    return left != 0;
}

static void console_process(struct virtio_device *dev)
{
    (void)run(console_of(dev), PENDING_RX | PENDING_TX, NO_BUDGET);
}

static void console_notify(struct virtio_device *dev, unsigned queue)
{
    if (queue == VIRTIO_CONSOLE_RX || run(console_of(dev), PENDING_TX, EXIT_BUDGET)) {
        virtio_kick(dev);
    }
}

static void console_ready(void *dev)
{
    virtio_kick(dev);
}

static const struct char_frontend_ops front_ops = {.rx_ready = console_ready, .tx_ready = console_ready};

static void console_destroy(struct virtio_device *dev)
{
    struct virtio_console *c = console_of(dev);

    char_backend_detach(c->be);
    pool_free(c, sizeof(*c));
}

static const struct virtio_ops console_ops = {
    .vdev = VIRTIO_VDEV_OPS("virtio-console"),
    .device_id = VIRTIO_ID_CONSOLE,
    .queue_count = 2,
    .queue_size_max = VIRTIO_CONSOLE_QUEUE_SIZE,
    .notify = console_notify,
    .process = console_process,
    .destroy = console_destroy,
};

enum status virtio_console_create(struct vm *vm, const char *name, struct char_backend *be,
                                  struct virtio_device **out)
{
    struct virtio_console *c = pool_alloc(sizeof(*c));
    enum status st;

    if (!c) {
        return E_NOMEM;
    }
    c->be = be;
    c->chain.segs = c->segs;
    c->chain.capacity = VIRTIO_CONSOLE_QUEUE_SIZE;
    c->config.max_nr_ports = 1;
    c->dev.config = &c->config;
    c->dev.config_size = sizeof(c->config);
    st = virtio_setup(&c->dev, &console_ops, vm, name);
    if (st != OK) {
        pool_free(c, sizeof(*c));
        return st;
    }
    char_backend_attach(be, &front_ops, &c->dev);
    *out = &c->dev;
    return OK;
}
