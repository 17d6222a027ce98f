// SPDX-License-Identifier: Apache-2.0
//
// The driver's side of a split virtqueue ("VIRTIO Version 1.2", 2.7), without EVENT_IDX and indirect
// descriptors. Pure: it only knows memory. The device is trusted with what it is given, but what it hands
// back is checked: the free list and the bookkeeping of chains are ours, the device cannot write them. Not
// locked: one caller at a time.
#pragma once

#include "drivers/virtio/virtio_ring.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define VRING_ALIGN PAGE_SIZE

// Bookkeeping for one descriptor.
struct vring_slot {
    void *token;    // of the chain that starts here; NULL when none does
    uint16_t next;  // the free list, or the rest of the chain
    uint16_t count; // descriptors of the chain that starts here
};

struct vring {
    uint16_t size;
    uint16_t free_head;
    uint16_t free_count;
    uint16_t avail_idx;
    uint16_t last_used;
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    struct vring_slot *slots;
};

// One piece of a request: physical address, length, direction.
struct vring_buf {
    uint64_t addr;
    uint32_t len;
    bool device_writes;
};

// Bytes of the shared memory for `size` descriptors (a power of two).
size_t vring_bytes(uint16_t size);

// `mem` is zeroed, aligned to VRING_ALIGN, vring_bytes(size) long; `slots` has `size` elements.
void vring_init(struct vring *vr, uint16_t size, void *mem, struct vring_slot *slots);

// Offers a chain of `count` buffers (>= 1; those the device writes come last) to the device; `token` is not
// NULL. E_BUSY when there are not enough free descriptors.
enum status vring_add(struct vring *vr, const struct vring_buf *bufs, unsigned count, void *token);

// After vring_add(): must the device be told? Orders the ring before the answer.
bool vring_wants_notify(const struct vring *vr);

// How many chains the device has handed back and vring_take() has not returned. More than `size`: the device
// is broken.
unsigned vring_used_count(const struct vring *vr);

// Takes the next chain back. E_NOENT: none. E_CORRUPT: the device returned what it was not given; the entry
// is skipped.
enum status vring_take(struct vring *vr, void **token, uint32_t *written);
