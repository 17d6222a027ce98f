// SPDX-License-Identifier: Apache-2.0
//
// Driver side of a split virtqueue ("VIRTIO Version 1.2", 2.7.13 and 2.7.14).
#include "drivers/virtio/vring.h"

#include <stdatomic.h>

static size_t avail_offset(uint16_t size)
{
    return sizeof(struct virtq_desc) * size;
}

static size_t used_offset(uint16_t size)
{
    return align_up(avail_offset(size) + VIRTQ_AVAIL_SIZE(size), VIRTQ_USED_ALIGN);
}

size_t vring_bytes(uint16_t size)
{
    return used_offset(size) + VIRTQ_USED_SIZE(size);
}

void vring_init(struct vring *vr, uint16_t size, void *mem, struct vring_slot *slots)
{
    char *base = mem;

    *vr = (struct vring){
        .size = size,
        .free_count = size,
        .desc = mem,
        .avail = (void *)(base + avail_offset(size)),
        .used = (void *)(base + used_offset(size)),
        .slots = slots,
    };
    for (uint16_t i = 0; i < size; i++) {
        slots[i] = (struct vring_slot){.next = (uint16_t)(i + 1)};
    }
}

enum status vring_add(struct vring *vr, const struct vring_buf *bufs, unsigned count, void *token)
{
    uint16_t head = vr->free_head;
    uint16_t at = head;

    if (count == 0 || count > vr->size) {
        return E_INVAL;
    }
    if (count > vr->free_count) {
        return E_BUSY;
    }
    for (unsigned i = 0; i < count; i++) {
        bool last = i + 1 == count;

        vr->desc[at] = (struct virtq_desc){
            .addr = bufs[i].addr,
            .len = bufs[i].len,
            .flags = (uint16_t)((bufs[i].device_writes ? VIRTQ_DESC_F_WRITE : 0u) |
                                (last ? 0u : VIRTQ_DESC_F_NEXT)),
            .next = last ? (uint16_t)0 : vr->slots[at].next,
        };
        at = vr->slots[at].next;
    }
    vr->free_head = at;
    vr->free_count = (uint16_t)(vr->free_count - count);
    vr->slots[head].token = token;
    vr->slots[head].count = (uint16_t)count;
    vr->avail->ring[vr->avail_idx % vr->size] = head;
    vr->avail_idx++;

    // Pairs with the device's read of idx: descriptors and ring entry first.
    atomic_thread_fence(memory_order_release);
    *(volatile uint16_t *)&vr->avail->idx = vr->avail_idx;
    return OK;
}

bool vring_wants_notify(const struct vring *vr)
{
    // Pairs with the device's barrier between clearing NO_NOTIFY and reading idx again: one of both sees the
    // other.
    atomic_thread_fence(memory_order_seq_cst);
    return !(*(const volatile uint16_t *)&vr->used->flags & VIRTQ_USED_F_NO_NOTIFY);
}

unsigned vring_used_count(const struct vring *vr)
{
    uint16_t idx = *(const volatile uint16_t *)&vr->used->idx;

    // Pairs with the device's release of idx: used elements and data are read after it.
    atomic_thread_fence(memory_order_acquire);
    return (uint16_t)(idx - vr->last_used);
}

static void free_chain(struct vring *vr, uint16_t head)
{
    uint16_t last = head;

    for (uint16_t i = 1; i < vr->slots[head].count; i++) {
        last = vr->slots[last].next;
    }
    vr->free_count = (uint16_t)(vr->free_count + vr->slots[head].count);
    vr->slots[last].next = vr->free_head;
    vr->free_head = head;
    vr->slots[head].token = NULL;
    vr->slots[head].count = 0;
}

enum status vring_take(struct vring *vr, void **token, uint32_t *written)
{
    if (vring_used_count(vr) == 0) {
        return E_NOENT;
    }

    const volatile struct virtq_used_elem *elem = &vr->used->ring[vr->last_used % vr->size];
    uint32_t id = elem->id;

    *written = elem->len;
    vr->last_used++;
    if (id >= vr->size || !vr->slots[id].token) {
        return E_CORRUPT;
    }
    *token = vr->slots[id].token;
    free_chain(vr, (uint16_t)id);
    return OK;
}
