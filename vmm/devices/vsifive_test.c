// SPDX-License-Identifier: Apache-2.0
//
// SiFive test finisher. A write only asks for the VM to stop; the vCPU leaves before it enters the guest
// again.
#include "vmm/devices/vsifive_test.h"

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"

#define REG_SIZE 0x1000u
#define FINISHER_FAIL 0x3333u
#define FINISHER_PASS 0x5555u
#define FINISHER_RESET 0x7777u

struct vsifive_test {
    struct vdev vdev;
    uint64_t base;
};

static void fail(struct vm *vm, unsigned vcpu, unsigned code)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_FAULT,
        .fault = {.reason = "the guest reported failure at its test device", .syndrome = code}};

    if (vcpu < vm->vcpu_count) {
        vm_fail(vm->vcpus[vcpu], &e);
    }
}

static void finish(struct vm *vm, const struct io_access *a)
{
    switch (a->value & 0xffff) {
    case FINISHER_PASS:
        vm_request_stop(vm, VM_STOP_POWEROFF);
        break;
    case FINISHER_RESET:
        vm_request_stop(vm, VM_STOP_RESET);
        break;
    case FINISHER_FAIL:
        fail(vm, a->vcpu, (unsigned)(a->value >> 16 & 0xffff));
        break;
    default:
        vm_warn(vm, "vCPU %u: %#llx written to the test device means nothing", a->vcpu,
                (unsigned long long)a->value);
    }
}

static enum io_result test_access(void *dev, struct io_access *a)
{
    struct vsifive_test *t = dev;

    if ((a->size != 2 && a->size != 4) || a->offset % a->size != 0) {
        return IO_BAD;
    }
    if (!a->write) {
        a->value = 0;
    } else if (a->offset == 0) {
        finish(t->vdev.vm, a);
    }
    return IO_DONE;
}

static void test_reset(struct vdev *dev)
{
    (void)dev;
}

static void test_destroy(struct vdev *dev)
{
    struct vsifive_test *t = container_of(dev, struct vsifive_test, vdev);

    (void)!io_bus_remove(&dev->vm->mmio, t->base);
    list_remove(&dev->node);
    pool_free(t, sizeof(*t));
}

static const struct vdev_ops vdev_ops = {
    .model = "sifive-test",
    .state_version = 1,
    .reset = test_reset,
    .destroy = test_destroy,
};

enum status vsifive_test_create(struct vm *vm, uint64_t base, struct vdev **out)
{
    struct vsifive_test *t = pool_alloc(sizeof(*t));
    struct io_region region = {.base = base, .size = REG_SIZE, .access = test_access, .name = "test"};
    enum status st;

    if (!t) {
        return E_NOMEM;
    }
    t->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "test"};
    t->base = base;
    region.dev = t;
    st = io_bus_add(&vm->mmio, &region, NULL);
    if (st != OK) {
        pool_free(t, sizeof(*t));
        return st;
    }
    list_push_back(&vm->devices, &t->vdev.node);
    *out = &t->vdev;
    return OK;
}
