// SPDX-License-Identifier: Apache-2.0
//
// Banks of byte-wide I/O ports on a VM's port bus.
#include "vmm/devices/vports.h"

#include "vmm/core/vm.h"

// The bus has checked that all bytes lie in the bank.
static enum io_result vports_access(void *dev, struct io_access *a)
{
    const struct vports *bank = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < a->size; i++) {
        uint16_t port = (uint16_t)(bank->base + a->offset + i);

        if (a->write) {
            bank->ops->write(bank->dev, port, (uint8_t)(a->value >> 8 * i));
        } else {
            value |= (uint64_t)bank->ops->read(bank->dev, port) << 8 * i;
        }
    }
    if (!a->write) {
        a->value = value;
    }
    return IO_DONE;
}

enum status vports_add(struct vm *vm, struct vports *banks, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        const struct io_region region = {.base = banks[i].base,
                                         .size = banks[i].count,
                                         .access = vports_access,
                                         .dev = &banks[i],
                                         .name = name};
        enum status st = io_bus_add(&vm->pio, &region, NULL);

        if (st != OK) {
            vports_remove(vm, banks, i);
            return st;
        }
    }
    return OK;
}

void vports_remove(struct vm *vm, const struct vports *banks, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)!io_bus_remove(&vm->pio, banks[i].base);
    }
}
