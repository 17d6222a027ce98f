// SPDX-License-Identifier: Apache-2.0
//
// The virtio transport over memory-mapped registers, version 2 ("VIRTIO Version 1.2", 4.2), as a device
// driver uses it: open, negotiate, set up queues, go.
#pragma once

#include "drivers/virtio/vring.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/lib/status.h"

struct virtio_dev {
    const char *name;
    volatile void *regs;
    unsigned irq;
    bool irq_level;
    uint64_t features; // negotiated
    bool failed;       // reset for good by virtio_dev_reset()
};

// E_UNSUPPORTED: an empty slot, another kind of device, or the legacy interface (said in the log). Leaves the
// device reset, acknowledged and with DRIVER set.
enum status virtio_mmio_open(const struct hw_desc *hw, uint32_t device_id, struct virtio_dev *dev);

// Accepts those of `wanted` (bits) that the device offers; VERSION_1 is always required. E_UNSUPPORTED.
enum status virtio_negotiate(struct virtio_dev *dev, uint64_t wanted);
bool virtio_has(const struct virtio_dev *dev, unsigned feature);

// Makes queue `index` with at most `max_size` descriptors. E_NOENT: no such queue; E_NOMEM.
enum status virtio_queue_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct vring *vr);

// DRIVER_OK; FAILED, after which the device is not used.
void virtio_start(struct virtio_dev *dev);
void virtio_give_up(struct virtio_dev *dev);

// Takes all queues away from a device that misbehaves: it forgets them. Any context.
void virtio_dev_reset(struct virtio_dev *dev);

void virtio_notify(struct virtio_dev *dev, unsigned queue);

// Acknowledges the interrupt; VIRTIO_MMIO_INT_* bits. Any context.
uint32_t virtio_irq_ack(struct virtio_dev *dev);

// `len` (at most 64) bytes of the configuration space, from one generation of it; `off` is a multiple of
// four.
enum status virtio_dev_config_read(struct virtio_dev *dev, size_t off, void *buf, size_t len);
