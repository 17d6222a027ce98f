// SPDX-License-Identifier: Apache-2.0
//
// The virtio console: see virtio_console.h.
//
// The back end is written to and read from with no lock held; the device's lock is held around the queues and around every
// touch of the guest's buffers, so after a reset nothing of the old driver's is touched any more.
#include "vmm/virtio/virtio_console.h"

#include <string.h>

#include "kernel/mm/pool.h"

#define COPY_SIZE 256
#define EXIT_BUDGET 16 // back-end calls in a vCPU's exit: at most 4 KiB
#define WORK_RX (1u << VIRTIO_CONSOLE_RX)
#define WORK_TX (1u << VIRTIO_CONSOLE_TX)

struct virtio_console {
    struct virtio_device dev; // first
    struct char_backend *be;
    struct virtio_console_config config;
    // Of whoever is in process().
    struct gmem_window window; // where buffers lay last
    struct virtq_chain chain;
    struct virtq_segment segs[VIRTIO_CONSOLE_QUEUE_SIZE];
    char buf[COPY_SIZE];
};

enum step {
    STEP_AGAIN,
    STEP_EMPTY,
    STEP_BLOCKED, // the back end will say when to go on
    STEP_CUT      // the budget is used up
};

// What was taken out of the chain at the head of the transmit queue.
struct tx_piece {
    bool first; // none before since the kick
    bool taken;
    uint32_t generation; // of the device
    uint32_t off, len;   // which bytes of the chain
    size_t sent;         // how many of them the back end took
};

static struct virtio_console *console_of(struct virtio_device *dev)
{
    return container_of(dev, struct virtio_console, dev);
}

// Takes the next chain of a queue; `kicked`: the driver may have offered one since the queue was looked at. When there is
// none, the driver will kick. Lock held.
static bool next_chain(struct virtio_console *c, struct virtqueue *vq, bool kicked)
{
    struct virtio_device *dev = &c->dev;

    if (!virtio_running(dev)) {
        return false;
    }
    enum status st = kicked || virtqueue_knows_more(vq) ? virtqueue_pop(vq, &c->chain) : E_NOENT;

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

// Copies [off, off + len) of the chain into c->buf. Lock held.
static bool copy_out(struct virtio_console *c, uint32_t off, uint32_t len)
{
    struct gmem *gm = c->dev.queues[VIRTIO_CONSOLE_TX].gm;
    const struct virtq_segment *s = &c->chain.segs[0];

    if (c->chain.readable == 1 && len > 0) { // the whole chain, as a rule
        const void *from = gmem_window_ptr(gm, &c->window, gpa(s->addr.v + off), len, PERM_R);

        if (from) {
            memcpy(c->buf, from, len);
            return true;
        }
    }
    return virtq_chain_read(gm, &c->chain, off, c->buf, len) == OK;
}

// The back end has taken p->sent bytes. Lock held.
static enum step tx_settle(struct virtio_console *c, struct tx_piece *p)
{
    struct virtqueue *vq = &c->dev.queues[VIRTIO_CONSOLE_TX];

    if (p->generation != c->dev.generation) {
        // Reset meanwhile: the chain is no longer ours.
    } else if (p->off + p->sent < c->chain.read_len) {
        virtqueue_unpop(vq, p->off + (uint32_t)p->sent);
    } else {
        give_back(c, vq, 0);
    }
    return p->sent < p->len ? STEP_BLOCKED : STEP_AGAIN;
}

// Takes the next piece out of the queue. Lock held.
static enum step tx_take(struct virtio_console *c, struct tx_piece *p)
{
    struct virtqueue *vq = &c->dev.queues[VIRTIO_CONSOLE_TX];

    p->taken = next_chain(c, vq, p->first);
    p->first = false;
    if (!p->taken) {
        return STEP_EMPTY;
    }
    // The guest may have made the chain shorter since it was put back: then it is done.
    p->generation = c->dev.generation;
    p->off = (uint32_t)min_u64(vq->s->offset, c->chain.read_len);
    p->len = (uint32_t)min_u64(c->chain.read_len - p->off, COPY_SIZE);
    p->sent = 0;
    if (!copy_out(c, p->off, p->len)) {
        p->len = 0;
        p->off = c->chain.read_len; // not memory: drop the chain
    }
    return STEP_AGAIN;
}

// Sends what the queue holds, a piece at a time. Returns why it ended.
static enum step tx_work(struct virtio_console *c, uint32_t *budget)
{
    struct virtio_device *dev = &c->dev;
    struct tx_piece p = {.first = true};

    for (;;) {
        irq_state_t irq = spin_lock_irqsave(&dev->lock);
        enum step step = p.taken ? tx_settle(c, &p) : STEP_AGAIN;

        if (step == STEP_AGAIN) {
            step = *budget > 0 ? tx_take(c, &p) : STEP_CUT;
        }
        spin_unlock_irqrestore(&dev->lock, irq);
        if (step != STEP_AGAIN) {
            return step;
        }
        *budget -= *budget == VIRTIO_NO_BUDGET ? 0 : 1;
        if (p.len > 0) {
            p.sent = c->be->ops->write(c->be, c->buf, p.len);
        }
    }
}

// Fills the next chain with input that waits.
static enum step rx_step(struct virtio_console *c)
{
    struct virtio_device *dev = &c->dev;
    struct virtqueue *vq = &dev->queues[VIRTIO_CONSOLE_RX];
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    bool got = next_chain(c, vq, true);
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

static enum step rx_work(struct virtio_console *c, uint32_t *budget)
{
    enum step step = STEP_AGAIN;

    while (step == STEP_AGAIN && *budget > 0) {
        *budget -= *budget == VIRTIO_NO_BUDGET ? 0 : 1;
        step = rx_step(c);
    }
    return step == STEP_AGAIN ? STEP_CUT : step;
}

static uint32_t console_process(struct virtio_device *dev, uint32_t work, uint32_t budget)
{
    struct virtio_console *c = console_of(dev);
    uint32_t left = 0;

    if (work & VIRTIO_WORK_BACKEND) {
        work = WORK_RX | WORK_TX;
    }
    if ((work & WORK_RX) && rx_work(c, &budget) == STEP_CUT) {
        left |= WORK_RX;
    }
    if ((work & WORK_TX) && tx_work(c, &budget) == STEP_CUT) {
        left |= WORK_TX;
    }
    return left;
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
    .process = console_process,
    .exit_budget = EXIT_BUDGET,
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
