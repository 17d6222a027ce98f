// SPDX-License-Identifier: Apache-2.0
//
// PCI configuration ports without a PCI bus, and port CF9h.
#include "vmm/devices/vpci_ports.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/vm.h"

#define PORT_COUNT 8u
#define ADDRESS_KEPT 0x80FFFFFCu
#define RESET_KEPT 0x0Au // which kind of reset
#define RESET_NOW 0x04u

// What the guest can see; everything that is saved. Each field is accessed atomically.
struct pci_state {
    uint32_t address;
    uint8_t reset;
    uint8_t reserved[3]; // 0
};

struct vpci_ports {
    struct vdev vdev;
    struct pci_state s;
};

static bool is_address(const struct io_access *a)
{
    return a->offset == 0 && a->size == 4;
}

static bool is_reset(const struct io_access *a)
{
    return a->offset == VPCI_PORT_RESET - VPCI_PORT_ADDRESS && a->size == 1;
}

static void ports_read(struct vpci_ports *p, struct io_access *a)
{
    if (is_address(a)) {
        a->value = __atomic_load_n(&p->s.address, __ATOMIC_RELAXED);
    } else if (is_reset(a)) {
        a->value = __atomic_load_n(&p->s.reset, __ATOMIC_RELAXED);
    } else {
        a->value = MASK64(0, 8 * a->size);
    }
}

static void ports_write(struct vpci_ports *p, const struct io_access *a)
{
    if (is_address(a)) {
        __atomic_store_n(&p->s.address, (uint32_t)a->value & ADDRESS_KEPT, __ATOMIC_RELAXED);
    } else if (is_reset(a)) {
        __atomic_store_n(&p->s.reset, (uint8_t)(a->value & RESET_KEPT), __ATOMIC_RELAXED);
        if (a->value & RESET_NOW) {
            vm_request_stop(p->vdev.vm, VM_STOP_RESET);
        }
    }
}

static enum io_result ports_access(void *dev, struct io_access *a)
{
    if (a->write) {
        ports_write(dev, a);
    } else {
        ports_read(dev, a);
    }
    return IO_DONE;
}

static void ports_reset(struct vdev *dev)
{
    struct vpci_ports *p = container_of(dev, struct vpci_ports, vdev);

    p->s = (struct pci_state){0};
}

static void ports_destroy(struct vdev *dev)
{
    struct vpci_ports *p = container_of(dev, struct vpci_ports, vdev);

    (void)!io_bus_remove(&dev->vm->pio, VPCI_PORT_ADDRESS);
    list_remove(&dev->node);
    pool_free(p, sizeof(*p));
}

static enum status ports_load(struct vdev *dev, const void *state)
{
    struct vpci_ports *p = container_of(dev, struct vpci_ports, vdev);
    struct pci_state next;

    memcpy(&next, state, sizeof(next));
    if ((next.address & ~ADDRESS_KEPT) || (next.reset & ~RESET_KEPT)) {
        return E_CORRUPT;
    }
    p->s = next;
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "pci-ports",
    .state_version = 1,
    .state_size = sizeof(struct pci_state),
    .reset = ports_reset,
    .destroy = ports_destroy,
    .load = ports_load,
};

enum status vpci_ports_create(struct vm *vm, struct vdev **out)
{
    struct vpci_ports *p = pool_alloc(sizeof(*p));
    struct io_region region = {
        .base = VPCI_PORT_ADDRESS, .size = PORT_COUNT, .access = ports_access, .name = "pci-ports"};
    enum status st;

    if (!p) {
        return E_NOMEM;
    }
    p->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = region.name, .state = &p->s};
    region.dev = p;
    st = io_bus_add(&vm->pio, &region, NULL);
    if (st != OK) {
        pool_free(p, sizeof(*p));
        return st;
    }
    list_push_back(&vm->devices, &p->vdev.node);
    *out = &p->vdev;
    return OK;
}
