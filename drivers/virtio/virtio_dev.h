// SPDX-License-Identifier: Apache-2.0
//
// A virtio device as its driver uses it, whatever the transport ("VIRTIO Version 1.2", chapters 2 and 3): open it
// (virtio_mmio.h, virtio_pci.h), negotiate, set up queues, connect the interrupt, go.
#pragma once

#include "drivers/virtio/vring.h"
#include "kernel/irq/irq.h"
#include "kernel/lib/status.h"
#include "kernel/time/timer.h"

#define VIRTIO_QUEUES_MAX 4u
#define VIRTIO_NO_IRQ UINT32_MAX

struct virtio_dev;

// What differs between transports: one register or a few each. Offsets in the configuration space are multiples of four.
struct virtio_transport {
    uint32_t (*status)(const struct virtio_dev *dev);
    void (*set_status)(struct virtio_dev *dev, uint32_t status);
    uint32_t (*device_features)(struct virtio_dev *dev, unsigned word);
    void (*driver_features)(struct virtio_dev *dev, unsigned word, uint32_t bits);
    uint32_t (*queue_select)(struct virtio_dev *dev,
                             unsigned queue); // its greatest size; 0: no such queue, or in use
    enum status (*queue_start)(struct virtio_dev *dev, unsigned queue,
                               const struct vring *vr); // of the selected one
    void (*notify)(struct virtio_dev *dev, unsigned queue);
    void (*irq_ack)(struct virtio_dev *dev);
    uint32_t (*generation)(const struct virtio_dev *dev);
    uint32_t (*config_word)(const struct virtio_dev *dev, size_t off);
};

struct virtio_dev {
    const struct virtio_transport *transport;
    const char *name;
    volatile void *regs; // virtio-mmio: all; PCI: the common configuration
    volatile void *isr;  // PCI only, as are those that follow
    volatile char *notify;
    uint32_t notify_size, notify_multiplier;
    volatile void *doorbells[VIRTIO_QUEUES_MAX];
    volatile void *config; // the device's own configuration
    size_t config_size;
    unsigned irq; // VIRTIO_NO_IRQ: none, it is polled
    bool irq_level;
    uint64_t features; // negotiated
    bool failed;       // reset for good by virtio_dev_reset()

    // A polled device.
    struct timer poll;
    const struct vring *ring;
    irq_handler handler;
    void *handler_ctx;
    unsigned idle_polls; // since anything happened
    uint16_t seen_used;  // ring->last_used then
};

// For transports: resets the device and says that a driver is here.
enum status virtio_begin(struct virtio_dev *dev);

// Accepts those of `wanted` (bits) that the device offers; VERSION_1 is always required. E_UNSUPPORTED.
enum status virtio_negotiate(struct virtio_dev *dev, uint64_t wanted);
bool virtio_has(const struct virtio_dev *dev, unsigned feature);

// Makes queue `index` with at most `max_size` descriptors. E_NOENT: no such queue; E_NOMEM; E_IO: the device refuses.
enum status virtio_queue_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct vring *vr);

// From now on fn(irq, ctx) is called, as an interrupt handler, after the device has used buffers: by its interrupt, or where
// it has none by a timer that looks often while `ring` holds requests. *dev stays where it is. Errors of irq_register().
enum status virtio_connect(struct virtio_dev *dev, const struct vring *ring, irq_handler fn, void *ctx);

// DRIVER_OK; FAILED, after which the device is not used.
void virtio_start(struct virtio_dev *dev);
void virtio_give_up(struct virtio_dev *dev);

// Takes all queues away from a device that misbehaves: it forgets them. Any context.
void virtio_dev_reset(struct virtio_dev *dev);

void virtio_notify(struct virtio_dev *dev, unsigned queue);

// Acknowledges the interrupt. Any context.
void virtio_irq_ack(struct virtio_dev *dev);

// `len` (at most 64) bytes of the configuration space, from one generation of it; `off` is a multiple of
// four. E_RANGE: beyond what there is; E_TIMEOUT: it changes all the time.
enum status virtio_dev_config_read(struct virtio_dev *dev, size_t off, void *buf, size_t len);
