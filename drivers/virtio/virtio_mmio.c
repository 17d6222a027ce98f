// SPDX-License-Identifier: Apache-2.0
//
// virtio over MMIO, driver side ("VIRTIO Version 1.2", 4.2 transport).
#include "drivers/virtio/virtio_mmio.h"

#include <inttypes.h>

#include "arch/mmu.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

#define VIRTIO_MMIO_VERSION_LEGACY 1u

static uint32_t reg_read(const struct virtio_dev *dev, size_t reg)
{
    return mmio_read32(dev->regs, reg);
}

static void reg_write(struct virtio_dev *dev, size_t reg, uint32_t value)
{
    mmio_write32(dev->regs, reg, value);
}

static uint32_t mmio_status(const struct virtio_dev *dev)
{
    return reg_read(dev, VIRTIO_MMIO_STATUS);
}

static void mmio_set_status(struct virtio_dev *dev, uint32_t status)
{
    reg_write(dev, VIRTIO_MMIO_STATUS, status);
}

static uint32_t mmio_device_features(struct virtio_dev *dev, unsigned word)
{
    reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
    return reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void mmio_driver_features(struct virtio_dev *dev, unsigned word, uint32_t bits)
{
    reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
    reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, bits);
}

static uint32_t mmio_queue_select(struct virtio_dev *dev, unsigned queue)
{
    uint32_t size;

    reg_write(dev, VIRTIO_MMIO_QUEUE_SEL, queue);
    size = reg_read(dev, VIRTIO_MMIO_QUEUE_NUM_MAX);
    return size == 0 || reg_read(dev, VIRTIO_MMIO_QUEUE_READY) != 0 ? 0 : size;
}

static void write_address(struct virtio_dev *dev, size_t reg_low, const void *va)
{
    uint64_t pa = arch_virt_to_phys(va).v;

    reg_write(dev, reg_low, (uint32_t)pa);
    reg_write(dev, reg_low + 4, (uint32_t)(pa >> 32));
}

static enum status mmio_queue_start(struct virtio_dev *dev, unsigned queue, const struct vring *vr)
{
    (void)queue;
    reg_write(dev, VIRTIO_MMIO_QUEUE_NUM, vr->size);
    write_address(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, vr->desc);
    write_address(dev, VIRTIO_MMIO_QUEUE_DRIVER_LOW, vr->avail);
    write_address(dev, VIRTIO_MMIO_QUEUE_DEVICE_LOW, vr->used);
    reg_write(dev, VIRTIO_MMIO_QUEUE_READY, 1);
    return OK;
}

static void mmio_notify(struct virtio_dev *dev, unsigned queue)
{
    reg_write(dev, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void mmio_irq_ack(struct virtio_dev *dev)
{
    reg_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, reg_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS));
}

static uint32_t mmio_generation(const struct virtio_dev *dev)
{
    return reg_read(dev, VIRTIO_MMIO_CONFIG_GENERATION);
}

static uint32_t mmio_config_word(const struct virtio_dev *dev, size_t off)
{
    return reg_read(dev, VIRTIO_MMIO_CONFIG + off);
}

static const struct virtio_transport mmio_transport = {
    .status = mmio_status,
    .set_status = mmio_set_status,
    .device_features = mmio_device_features,
    .driver_features = mmio_driver_features,
    .queue_select = mmio_queue_select,
    .queue_start = mmio_queue_start,
    .notify = mmio_notify,
    .irq_ack = mmio_irq_ack,
    .generation = mmio_generation,
    .config_word = mmio_config_word,
};

static enum status check_version(const struct virtio_dev *dev, uint32_t device_id)
{
    if (reg_read(dev, VIRTIO_MMIO_MAGIC_VALUE) != VIRTIO_MMIO_MAGIC ||
        reg_read(dev, VIRTIO_MMIO_DEVICE_ID) != device_id) {
        return E_UNSUPPORTED;
    }

    uint32_t version = reg_read(dev, VIRTIO_MMIO_VERSION);

    if (version == VIRTIO_MMIO_VERSION_LEGACY) {
        log_err("%s: legacy virtio device is not supported; start QEMU with -global "
                "virtio-mmio.force-legacy=false",
                dev->name);
        return E_UNSUPPORTED;
    }
    if (version != VIRTIO_MMIO_VERSION_2) {
        log_err("%s: unknown virtio-mmio version %" PRIu32, dev->name, version);
        return E_UNSUPPORTED;
    }
    return OK;
}

enum status virtio_mmio_open(const struct hw_desc *hw, uint32_t device_id, struct virtio_dev *dev)
{
    enum status s;

    if (hw->reg_count < 1 || hw->regs[0].size <= VIRTIO_MMIO_CONFIG || hw->irq_count < 1) {
        return E_UNSUPPORTED;
    }
    *dev = (struct virtio_dev){
        .transport = &mmio_transport,
        .name = hw->name,
        .irq = hw->irqs[0].irq,
        .irq_level = hw->irqs[0].level,
        .config_size = hw->regs[0].size - VIRTIO_MMIO_CONFIG,
    };
    dev->regs = mmio_map(hw->regs[0].base, hw->regs[0].size);
    if (!dev->regs) {
        return E_NOMEM;
    }
    s = check_version(dev, device_id);
    return s == OK ? virtio_begin(dev) : s;
}
