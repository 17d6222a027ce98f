// SPDX-License-Identifier: Apache-2.0
//
// See vm_board.h. One row for each device model; a model the table does not know cannot be in a plan.
#include "vmm/manage/vm_board.h"

#include <string.h>

#include "vmm/backend/blk_disk.h"
#include "vmm/backend/blk_ram.h"
#include "vmm/config/embed.h"
#include "vmm/core/vcpu.h"
#include "vmm/manage/board_parts.h"
#include "vmm/virtio/virtio_blk.h"
#include "vmm/virtio/virtio_console.h"
#include "vmm/virtio/virtio_mmio.h"

#define FAT_PREFIX "fat:"
#define EMBED_PREFIX "embed:"
#define RAM_PREFIX "ram:"

typedef enum status (*device_create)(struct vm *vm, struct vm_board *board, const struct plan_device *p);

const struct board_parts *board_parts(void)
{
    static const struct board_parts *const all[] = {
        BOARD_BUILT("aarch64") ? &board_parts_aarch64 : NULL,
        BOARD_BUILT("riscv64") ? &board_parts_riscv64 : NULL,
        BOARD_BUILT("x86_64") ? &board_parts_x86_64 : NULL,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        if (all[i] && strcmp(all[i]->arch, LODGE_ARCH) == 0) {
            return all[i];
        }
    }
    panic("no virtual board for " LODGE_ARCH);
}

static enum status create_uart(struct vm *vm, struct vm_board *board, const struct plan_device *p)
{
    return board_parts()->create_uart(vm, p, board->console);
}

static enum status create_rtc(struct vm *vm, struct vm_board *board, const struct plan_device *p)
{
    (void)board;
    return board_parts()->create_rtc(vm, p);
}

static const char *after_prefix(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static enum status create_disk_backend(const struct plan_device *p, const struct device_config *c,
                                       struct blk_backend **out)
{
    const char *path = after_prefix(c->backend, FAT_PREFIX);
    const char *embedded = after_prefix(c->backend, EMBED_PREFIX);
    const char *ram = after_prefix(c->backend, RAM_PREFIX);
    const struct embed_entry *e = embed_find(embedded ? embedded : (ram ? ram : ""));

    if (path) {
        return blk_disk_create(path, c->read_only, out);
    }
    if (embedded || (ram && ram[0])) {
        return e ? blk_ram_create(p->name, e->start, e->size, embedded || c->read_only, out) : E_NOENT;
    }
    return blk_ram_create(p->name, NULL, c->size, c->read_only, out);
}

// Gives a virtio device its transport; without one it is destroyed again.
static enum status plug(struct vm *vm, const struct plan_device *p, struct virtio_device *dev)
{
    enum status s = virtio_mmio_create(vm, p, dev);

    if (s != OK) {
        dev->vdev.ops->destroy(&dev->vdev);
    }
    return s;
}

static enum status create_virtio_blk(struct vm *vm, struct vm_board *board, const struct plan_device *p)
{
    struct virtio_device *dev;
    struct blk_backend *be;
    enum status s = create_disk_backend(p, &vm->config->devices[p->config_index], &be);

    if (s != OK) {
        return s;
    }
    be->owner = vm_name(vm);
    s = virtio_blk_create(vm, p->name, be, &dev);
    if (s == OK) {
        s = plug(vm, p, dev);
    }
    if (s != OK) {
        be->ops->destroy(be);
        return s;
    }
    board->disks[board->disk_count++] = be;
    return OK;
}

static enum status create_virtio_console(struct vm *vm, struct vm_board *board, const struct plan_device *p)
{
    struct virtio_device *dev;
    enum status s;

    if (!board->virtio_console || board->virtio_console->front) {
        return E_BUSY; // one for each guest on the shared console
    }
    s = virtio_console_create(vm, p->name, board->virtio_console, &dev);
    return s == OK ? plug(vm, p, dev) : s;
}

static const device_create creators[MODEL_COUNT] = {
    [MODEL_UART] = create_uart,
    [MODEL_RTC] = create_rtc,
    [MODEL_VIRTIO_CONSOLE] = create_virtio_console,
    [MODEL_VIRTIO_BLK] = create_virtio_blk,
};

static void irqchip_notify(struct vm *vm, unsigned vcpu)
{
    vcpu_request(vm->vcpus[vcpu], VCPU_REQ_IRQ);
}

static bool irqchip_ask(struct vm *vm, unsigned vcpu, void (*fn)(void *ctx), void *ctx)
{
    return vcpu_ask(vm->vcpus[vcpu], fn, ctx);
}

static enum status create_irqchip(struct vm *vm)
{
    enum status s = board_parts()->create_irqchip(vm);

    if (s == OK && vm->irqchip) {
        vm->irqchip->notify = irqchip_notify;
        vm->irqchip->ask = irqchip_ask;
    }
    if (s != OK) {
        log_err("[%s] refused: virtual interrupt controller: %s", vm_name(vm), status_name(s));
    }
    return s;
}

enum status vm_board_create(struct vm *vm, struct vm_board *board)
{
    enum status s = create_irqchip(vm);

    for (unsigned i = 0; i < vm->plan.device_count && s == OK; i++) {
        const struct plan_device *p = &vm->plan.devices[i];

        s = creators[p->model](vm, board, p);
        if (s != OK) {
            const char *backend = p->config_index >= 0 ? vm->config->devices[p->config_index].backend : "";
            log_err("[%s] refused: device %s %s: %s", vm_name(vm), p->name, backend, status_name(s));
        }
    }
    if (s == OK && board_parts()->create_others) {
        s = board_parts()->create_others(vm);
    }
    if (s == OK) {
        s = virtio_mmio_fill_slots(vm);
    }
    if (s != OK) {
        vm_board_destroy(vm, board);
    }
    return s;
}

static void quiesce_devices(struct vm *vm)
{
    list_for_each(it, &vm->devices)
    {
        struct vdev *dev = list_entry(it, struct vdev, node);

        if (dev->ops->quiesce) {
            dev->ops->quiesce(dev);
        }
    }
}

void vm_board_destroy(struct vm *vm, struct vm_board *board)
{
    struct list_node *node;

    quiesce_devices(vm);
    while ((node = list_pop_front(&vm->devices))) {
        struct vdev *dev = list_entry(node, struct vdev, node);

        dev->ops->destroy(dev);
    }
    while (board->disk_count) {
        struct blk_backend *be = board->disks[--board->disk_count];

        be->ops->destroy(be);
    }
    if (vm->irqchip) {
        vm->irqchip->ops->destroy(vm->irqchip);
        vm->irqchip = NULL;
    }
}

void vm_board_reset(struct vm *vm)
{
    quiesce_devices(vm);
    list_for_each(it, &vm->devices)
    {
        struct vdev *dev = list_entry(it, struct vdev, node);

        dev->ops->reset(dev);
    }
    if (vm->irqchip) {
        vm->irqchip->ops->reset(vm->irqchip);
    }
}
