// SPDX-License-Identifier: Apache-2.0
//
// virtio, driver side, above the transport ("VIRTIO Version 1.2", 3.1 initialisation). See virtio_dev.h.
#include "drivers/virtio/virtio_dev.h"

#include <inttypes.h>
#include <string.h>

#include "arch/time.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"

#define RESET_POLL_US 100000u
#define CONFIG_TRIES 8
#define CONFIG_READ_MAX 64
#define POLL_BUSY_MS 1u
#define POLL_IDLE_MS 10u
#define POLL_PATIENCE 50u

static void add_status(struct virtio_dev *dev, uint32_t bits)
{
    dev->transport->set_status(dev, dev->transport->status(dev) | bits);
}

enum status virtio_begin(struct virtio_dev *dev)
{
    dev->transport->set_status(dev, 0);
    for (unsigned us = 0; dev->transport->status(dev) != 0; us++) {
        if (us == RESET_POLL_US) {
            log_err("%s: the virtio device does not finish its reset", dev->name);
            return E_TIMEOUT;
        }
        time_delay_us(1);
    }
    add_status(dev, VIRTIO_STATUS_ACKNOWLEDGE);
    add_status(dev, VIRTIO_STATUS_DRIVER);
    return OK;
}

enum status virtio_negotiate(struct virtio_dev *dev, uint64_t wanted)
{
    uint64_t offered = 0;

    for (unsigned i = 0; i < 2; i++) {
        offered |= (uint64_t)dev->transport->device_features(dev, i) << 32 * i;
    }
    dev->features = offered & (wanted | BIT64(VIRTIO_F_VERSION_1));
    for (unsigned i = 0; i < 2; i++) {
        dev->transport->driver_features(dev, i, (uint32_t)(dev->features >> 32 * i));
    }
    add_status(dev, VIRTIO_STATUS_FEATURES_OK);
    if (!virtio_has(dev, VIRTIO_F_VERSION_1) || !(dev->transport->status(dev) & VIRTIO_STATUS_FEATURES_OK)) {
        log_err("%s: no agreement on virtio features (offered 0x%" PRIx64 ")", dev->name, offered);
        return E_UNSUPPORTED;
    }
    return OK;
}

bool virtio_has(const struct virtio_dev *dev, unsigned feature)
{
    return (dev->features >> feature & 1) != 0;
}

static unsigned page_order(size_t bytes)
{
    unsigned order = 0;

    while (PAGE_SIZE << order < bytes) {
        order++;
    }
    return order;
}

enum status virtio_queue_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct vring *vr)
{
    uint32_t size = index < VIRTIO_QUEUES_MAX ? dev->transport->queue_select(dev, index) : 0;

    if (size == 0) {
        return E_NOENT;
    }
    size = size < max_size ? size : max_size;
    while (!is_power_of_two(size)) {
        size &= size - 1;
    }

    unsigned order = page_order(vring_bytes((uint16_t)size));
    void *mem = page_alloc_zeroed(order);
    struct vring_slot *slots = pool_alloc_array(size, sizeof(*slots));
    enum status s = mem && slots ? OK : E_NOMEM;

    if (s == OK) {
        vring_init(vr, (uint16_t)size, mem, slots);
        s = dev->transport->queue_start(dev, index, vr);
    }
    if (s != OK && mem) {
        page_free(mem, order);
    }
    if (s != OK && slots) {
        pool_free_array(slots, size, sizeof(*slots));
    }
    return s;
}

// Its own period: no other CPU ever arms it.
static void poll(struct timer *t)
{
    struct virtio_dev *dev = container_of(t, struct virtio_dev, poll);

    (void)dev->handler(dev->irq, dev->handler_ctx);
    if (!dev->failed) {
        bool busy = dev->ring->free_count != dev->ring->size;

        // A request is often followed by another: the long periods begin after a while.
        dev->idle_polls = busy || dev->ring->last_used != dev->seen_used ? 0 : dev->idle_polls + 1;
        dev->seen_used = dev->ring->last_used;
        timer_set(t, arch_time_now() +
                         time_from_ms(dev->idle_polls < POLL_PATIENCE ? POLL_BUSY_MS : POLL_IDLE_MS));
    }
}

enum status virtio_connect(struct virtio_dev *dev, const struct vring *ring, irq_handler fn, void *ctx)
{
    if (dev->irq != VIRTIO_NO_IRQ) {
        return irq_register(dev->irq, dev->irq_level ? IRQ_LEVEL : IRQ_EDGE, fn, ctx);
    }
    log_info("%s: no interrupt; the device is polled", dev->name);
    dev->ring = ring;
    dev->handler = fn;
    dev->handler_ctx = ctx;
    timer_setup(&dev->poll, poll);
    timer_set(&dev->poll, arch_time_now() + time_from_ms(POLL_BUSY_MS));
    return OK;
}

void virtio_start(struct virtio_dev *dev)
{
    add_status(dev, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_give_up(struct virtio_dev *dev)
{
    add_status(dev, VIRTIO_STATUS_FAILED);
}

void virtio_dev_reset(struct virtio_dev *dev)
{
    dev->failed = true;
    dev->transport->set_status(dev, 0);
}

void virtio_notify(struct virtio_dev *dev, unsigned queue)
{
    dev->transport->notify(dev, queue);
}

void virtio_irq_ack(struct virtio_dev *dev)
{
    dev->transport->irq_ack(dev);
}

// 4.1.3.1, 4.2.2.2: fields of four bytes and less are read with their own width, longer ones in words.
enum status virtio_dev_config_read(struct virtio_dev *dev, size_t off, void *buf, size_t len)
{
    uint32_t words[CONFIG_READ_MAX / sizeof(uint32_t)];
    size_t count = (len + 3) / sizeof(uint32_t);

    if (len > CONFIG_READ_MAX || off > dev->config_size || 4 * count > dev->config_size - off) {
        return E_RANGE;
    }
    for (unsigned try = 0; try < CONFIG_TRIES; try++) {
        uint32_t generation = dev->transport->generation(dev);

        for (size_t i = 0; i < count; i++) {
            words[i] = dev->transport->config_word(dev, off + 4 * i);
        }
        if (dev->transport->generation(dev) == generation) {
            memcpy(buf, words, len);
            return OK;
        }
    }
    return E_TIMEOUT;
}
