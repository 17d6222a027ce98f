// SPDX-License-Identifier: Apache-2.0
//
// The MMIO transport of virtio, version 2: see virtio_mmio.h. The register map is Table 4.1 of Virtual I/O
// Device 1.2.
//
// Reads take no lock: each register is one aligned word. Writes go through virtio.h, which locks.
#include "vmm/virtio/virtio_mmio.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/core/vreg.h"

#define MAP_SIZE 0x200u
#define VENDOR_ID 0x47444f4cu // "LODG"

struct virtio_mmio {
    struct virtio_device *dev;
    struct irq_line line;
    uint64_t base;
    bool level; // what the line was last set to; under the device's lock
    struct vreg_map map;
};

static uint32_t word(const uint32_t *p)
{
    return *(const volatile uint32_t *)p;
}

static void set_word(struct virtio_device *dev, uint32_t *p, uint64_t v)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    *p = (uint32_t)v;
    spin_unlock_irqrestore(&dev->lock, irq);
}

// ---- device and features ------------------------------------------------------------------------

static uint64_t read_device_id(void *dev, const struct vreg_access *a)
{
    (void)a;
    return ((struct virtio_mmio *)dev)->dev->ops->device_id;
}

static uint64_t read_device_features(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    (void)a;
    return virtio_get_device_features(d, word(&d->state.device_features_sel));
}

static void write_device_features_sel(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    set_word(d, &d->state.device_features_sel, a->value);
}

static void write_driver_features(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    virtio_set_driver_features(d, word(&d->state.driver_features_sel), (uint32_t)a->value);
}

static void write_driver_features_sel(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    set_word(d, &d->state.driver_features_sel, a->value);
}

// ---- queues -------------------------------------------------------------------------------------

// The selected queue for reads; NULL when there is no such queue.
static const struct virtqueue *selected(const struct virtio_device *d)
{
    uint32_t sel = word(&d->state.queue_sel);

    return sel < d->ops->queue_count ? &d->queues[sel] : NULL;
}

static void write_queue_sel(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    set_word(d, &d->state.queue_sel, a->value);
}

static uint64_t read_queue_num_max(void *dev, const struct vreg_access *a)
{
    const struct virtqueue *vq = selected(((struct virtio_mmio *)dev)->dev);

    (void)a;
    return vq ? vq->size_max : 0;
}

static uint64_t read_queue_ready(void *dev, const struct vreg_access *a)
{
    const struct virtqueue *vq = selected(((struct virtio_mmio *)dev)->dev);

    (void)a;
    return vq ? vq->s->ready : 0;
}

static void write_queue_ready(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;

    virtio_queue_set_ready(d, word(&d->state.queue_sel), (a->value & 1) != 0);
}

static void write_queue_num(void *dev, const struct vreg_access *a)
{
    struct virtio_device *d = ((struct virtio_mmio *)dev)->dev;
    irq_state_t irq = spin_lock_irqsave(&d->lock);
    struct virtqueue *vq = virtio_queue_for_setup(d, d->state.queue_sel);

    if (vq) {
        vq->s->size = (uint32_t)a->value;
    }
    spin_unlock_irqrestore(&d->lock, irq);
}

// One half of a 64-bit ring address; index 0 is the low word.
static void write_address(struct virtio_device *d, size_t member, const struct vreg_access *a)
{
    irq_state_t irq = spin_lock_irqsave(&d->lock);
    struct virtqueue *vq = virtio_queue_for_setup(d, d->state.queue_sel);

    if (vq) {
        uint64_t *field = (uint64_t *)(void *)((char *)vq->s + member);
        unsigned shift = 32 * a->index;

        *field = (*field & ~MASK64(shift, 32)) | ((a->value & UINT32_MAX) << shift);
    }
    spin_unlock_irqrestore(&d->lock, irq);
}

static void write_queue_desc(void *dev, const struct vreg_access *a)
{
    write_address(((struct virtio_mmio *)dev)->dev, offsetof(struct virtqueue_state, desc), a);
}

static void write_queue_driver(void *dev, const struct vreg_access *a)
{
    write_address(((struct virtio_mmio *)dev)->dev, offsetof(struct virtqueue_state, driver), a);
}

static void write_queue_device(void *dev, const struct vreg_access *a)
{
    write_address(((struct virtio_mmio *)dev)->dev, offsetof(struct virtqueue_state, device), a);
}

static void write_queue_notify(void *dev, const struct vreg_access *a)
{
    virtio_queue_notify(((struct virtio_mmio *)dev)->dev, (uint32_t)a->value);
}

// ---- interrupts, status, configuration ----------------------------------------------------------

static uint64_t read_interrupt_status(void *dev, const struct vreg_access *a)
{
    (void)a;
    return word(&((struct virtio_mmio *)dev)->dev->state.interrupt_status);
}

static void write_interrupt_ack(void *dev, const struct vreg_access *a)
{
    virtio_interrupt_ack(((struct virtio_mmio *)dev)->dev, (uint32_t)a->value);
}

static uint64_t read_status(void *dev, const struct vreg_access *a)
{
    (void)a;
    return virtio_get_status(((struct virtio_mmio *)dev)->dev);
}

static void write_status(void *dev, const struct vreg_access *a)
{
    virtio_set_status(((struct virtio_mmio *)dev)->dev, (uint32_t)a->value);
}

static uint64_t read_config_generation(void *dev, const struct vreg_access *a)
{
    (void)a;
    return word(&((struct virtio_mmio *)dev)->dev->state.config_generation);
}

static uint64_t read_config(void *dev, const struct vreg_access *a)
{
    uint64_t value = 0;

    virtio_config_read(((struct virtio_mmio *)dev)->dev, a->index * 8 + a->byte, &value, a->size);
    return value;
}

static void write_config(void *dev, const struct vreg_access *a)
{
    uint64_t value = a->value;

    virtio_config_write(((struct virtio_mmio *)dev)->dev, a->index * 8 + a->byte, &value, a->size);
}

#define REG32(off, n, ...)                                                        \
    {                                                                             \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, __VA_ARGS__ \
    }

// Write-only registers read as zero. QueueReset is not offered (VIRTIO_F_RING_RESET): RAZ/WI.
static const struct vreg registers[] = {
    REG32(VIRTIO_MMIO_MAGIC_VALUE, 1, .reset = VIRTIO_MMIO_MAGIC, .name = "MagicValue"),
    REG32(VIRTIO_MMIO_VERSION, 1, .reset = VIRTIO_MMIO_VERSION_2, .name = "Version"),
    REG32(VIRTIO_MMIO_DEVICE_ID, 1, .read = read_device_id, .name = "DeviceID"),
    REG32(VIRTIO_MMIO_VENDOR_ID, 1, .reset = VENDOR_ID, .name = "VendorID"),
    REG32(VIRTIO_MMIO_DEVICE_FEATURES, 1, .read = read_device_features, .name = "DeviceFeatures"),
    REG32(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1, .write = write_device_features_sel,
          .name = "DeviceFeaturesSel"),
    REG32(VIRTIO_MMIO_DRIVER_FEATURES, 1, .write = write_driver_features, .name = "DriverFeatures"),
    REG32(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1, .write = write_driver_features_sel,
          .name = "DriverFeaturesSel"),
    REG32(VIRTIO_MMIO_QUEUE_SEL, 1, .write = write_queue_sel, .name = "QueueSel"),
    REG32(VIRTIO_MMIO_QUEUE_NUM_MAX, 1, .read = read_queue_num_max, .name = "QueueSizeMax"),
    REG32(VIRTIO_MMIO_QUEUE_NUM, 1, .write = write_queue_num, .name = "QueueSize"),
    REG32(VIRTIO_MMIO_QUEUE_READY, 1, .read = read_queue_ready, .write = write_queue_ready,
          .name = "QueueReady"),
    REG32(VIRTIO_MMIO_QUEUE_NOTIFY, 1, .write = write_queue_notify, .name = "QueueNotify"),
    REG32(VIRTIO_MMIO_INTERRUPT_STATUS, 1, .read = read_interrupt_status, .name = "InterruptStatus"),
    REG32(VIRTIO_MMIO_INTERRUPT_ACK, 1, .write = write_interrupt_ack, .name = "InterruptACK"),
    REG32(VIRTIO_MMIO_STATUS, 1, .read = read_status, .write = write_status, .name = "Status"),
    REG32(VIRTIO_MMIO_QUEUE_DESC_LOW, 2, .write = write_queue_desc, .name = "QueueDesc"),
    REG32(VIRTIO_MMIO_QUEUE_DRIVER_LOW, 2, .write = write_queue_driver, .name = "QueueDriver"),
    REG32(VIRTIO_MMIO_QUEUE_DEVICE_LOW, 2, .write = write_queue_device, .name = "QueueDevice"),
    REG32(VIRTIO_MMIO_SHM_SEL, 1, .name = "SHMSel"),
    // 4.2.2.1: a region that does not exist has the length and base -1.
    REG32(VIRTIO_MMIO_SHM_LEN_LOW, 4, .reset = UINT32_MAX, .name = "SHMLen, SHMBase"),
    REG32(VIRTIO_MMIO_QUEUE_RESET, 1, .name = "QueueReset"),
    REG32(VIRTIO_MMIO_CONFIG_GENERATION, 1, .read = read_config_generation, .name = "ConfigGeneration"),
    {.offset = VIRTIO_MMIO_CONFIG,
     .count = (MAP_SIZE - VIRTIO_MMIO_CONFIG) / 8,
     .size = 8,
     .widths = VREG_W8 | VREG_W16 | VREG_W32 | VREG_W64,
     .read = read_config,
     .write = write_config,
     .name = "Config"},
};

// ---- place in the VM ----------------------------------------------------------------------------

static enum io_result mmio_access(void *dev, struct io_access *a)
{
    struct virtio_mmio *m = dev;

    return vreg_map_access(&m->map, m, a);
}

static void mmio_interrupt(struct virtio_device *d)
{
    struct virtio_mmio *m = d->transport_data;
    bool level = d->state.interrupt_status != 0;

    if (level != m->level) {
        m->level = level;
        irq_line_set(&m->line, level);
    }
}

static void mmio_destroy(struct virtio_device *d)
{
    struct virtio_mmio *m = d->transport_data;

    if (io_bus_remove(&d->vdev.vm->mmio, m->base) != OK) {
        panic("%s: its registers are not on the bus", d->vdev.name);
    }
    // The virtual machine has stopped: nobody is inside mmio_access().
    vreg_map_destroy(&m->map);
    list_remove(&d->vdev.node);
    d->transport = NULL;
    d->transport_data = NULL;
    pool_free(m, sizeof(*m));
}

static const struct virtio_transport_ops mmio_ops = {.interrupt = mmio_interrupt, .destroy = mmio_destroy};

enum status virtio_mmio_attach(struct vm *vm, const struct plan_device *plan, struct virtio_device *dev)
{
    enum status st;
    const char *clash = NULL;

    if (plan->size < MAP_SIZE || plan->size > UINT32_MAX || dev->transport) {
        return E_INVAL;
    }
    struct virtio_mmio *m = pool_alloc(sizeof(*m));

    if (!m) {
        return E_NOMEM;
    }
    m->dev = dev;
    m->base = plan->base;
    m->line = (struct irq_line){.chip = vm->irqchip, .line = plan->irq};
    st = vreg_map_create(&m->map, registers, ARRAY_SIZE(registers), (uint32_t)plan->size);
    if (st != OK) {
        goto out_free;
    }
    dev->transport = &mmio_ops;
    dev->transport_data = m;
    struct io_region region = {
        .base = plan->base, .size = plan->size, .access = mmio_access, .dev = m, .name = dev->vdev.name};

    st = io_bus_add(&vm->mmio, &region, &clash);
    if (st != OK) {
        goto out_map;
    }
    return OK;
out_map:
    dev->transport = NULL;
    dev->transport_data = NULL;
    vreg_map_destroy(&m->map);
out_free:
    pool_free(m, sizeof(*m));
    return st;
}

enum status virtio_mmio_create(struct vm *vm, const struct plan_device *plan, struct virtio_device *dev)
{
    enum status st = virtio_mmio_attach(vm, plan, dev);

    if (st != OK) {
        return st;
    }
    st = virtio_start_worker(dev);
    if (st != OK) {
        mmio_destroy(dev);
        return st;
    }
    list_push_back(&vm->devices, &dev->vdev.node);
    return OK;
}
