// SPDX-License-Identifier: Apache-2.0
//
// Reset by the keyboard controller and by port 92h. A write only asks for the VM to stop; the vCPU leaves before it enters the
// guest again.
#include "vmm/devices/vkbc.h"

#include "kernel/mm/pool.h"
#include "vmm/core/vm.h"
#include "vmm/devices/vports.h"

#define COMMAND_RESET 0xFEu
#define STATUS_IDLE 0x1Cu // unlocked, the last write was a command, self-test passed; both buffers empty
#define PORT_A_RESET 0x01u
#define PORT_A_A20 0x02u

struct vkbc {
    struct vdev vdev;
    struct vports ports[3];
};

static uint8_t kbc_read(void *dev, uint16_t port)
{
    (void)dev;
    return port == VKBC_PORT_A ? PORT_A_A20 : port == VKBC_PORT_COMMAND ? STATUS_IDLE : UINT8_MAX;
}

static void kbc_write(void *dev, uint16_t port, uint8_t value)
{
    struct vkbc *k = dev;
    bool command = port == VKBC_PORT_COMMAND && value == COMMAND_RESET;

    if (command || (port == VKBC_PORT_A && (value & PORT_A_RESET))) {
        vm_request_stop(k->vdev.vm, VM_STOP_RESET);
    }
}

static const struct vports_ops ports_ops = {.read = kbc_read, .write = kbc_write};

static void kbc_reset(struct vdev *dev)
{
    (void)dev;
}

static void kbc_destroy(struct vdev *dev)
{
    struct vkbc *k = container_of(dev, struct vkbc, vdev);

    vports_remove(dev->vm, k->ports, ARRAY_SIZE(k->ports));
    list_remove(&dev->node);
    pool_free(k, sizeof(*k));
}

static const struct vdev_ops vdev_ops = {
    .model = "i8042",
    .state_version = 1,
    .reset = kbc_reset,
    .destroy = kbc_destroy,
};

enum status vkbc_create(struct vm *vm, struct vdev **out)
{
    static const uint16_t places[] = {VKBC_PORT_DATA, VKBC_PORT_COMMAND, VKBC_PORT_A};
    struct vkbc *k = pool_alloc(sizeof(*k));
    enum status st;

    if (!k) {
        return E_NOMEM;
    }
    k->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "kbc"};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        k->ports[i] = (struct vports){.ops = &ports_ops, .dev = k, .base = places[i], .count = 1};
    }
    st = vports_add(vm, k->ports, ARRAY_SIZE(k->ports), k->vdev.name);
    if (st != OK) {
        pool_free(k, sizeof(*k));
        return st;
    }
    list_push_back(&vm->devices, &k->vdev.node);
    *out = &k->vdev;
    return OK;
}
