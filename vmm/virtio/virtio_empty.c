// SPDX-License-Identifier: Apache-2.0
//
// Slots of the virtual board without a device: guests that look through all of them find device ID 0 (Virtual I/O Device
// 1.2, 4.2.3.1.1: "ignore this device").
#include "vmm/virtio/virtio_mmio.h"

#define SLOT_MAGIC 0x74726976u // "virt"
#define SLOT_VERSION 2u

static enum io_result empty_access(void *dev, struct io_access *a)
{
    (void)dev;
    if (!a->write) {
        a->value = 0;
    }
    if (!a->write && a->size == 4) { // 4.2.2.2: no other width is a driver's
        a->value = a->offset == 0 ? SLOT_MAGIC : (a->offset == 4 ? SLOT_VERSION : 0);
    }
    return IO_DONE;
}

enum status virtio_mmio_fill_slots(struct vm *vm)
{
    for (unsigned i = 0; i < vm->plan.virtio_slots; i++) {
        struct io_region r = {
            .base = vm->plan.virtio_base + (uint64_t)i * vm->plan.virtio_slot_size,
            .size = vm->plan.virtio_slot_size,
            .access = empty_access,
            .name = "empty virtio slot",
        };
        enum status s = io_bus_add(&vm->mmio, &r, NULL);

        if (s != OK && s != E_EXISTS) { // taken by a device: as it should be
            return s;
        }
    }
    return OK;
}
