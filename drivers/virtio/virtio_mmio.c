// SPDX-License-Identifier: Apache-2.0
//
// virtio over MMIO, driver side ("VIRTIO Version 1.2", 3.1 initialisation and 4.2 transport).
#include "drivers/virtio/virtio_mmio.h"

#include <inttypes.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/timer.h"

#define RESET_POLL_US 100000u
#define CONFIG_TRIES 8
#define CONFIG_READ_MAX 64
#define VIRTIO_MMIO_VERSION_LEGACY 1u

static uint32_t reg_read(const struct virtio_dev *dev, size_t reg)
{
    return mmio_read32(dev->regs, reg);
}

static void reg_write(struct virtio_dev *dev, size_t reg, uint32_t value)
{
    mmio_write32(dev->regs, reg, value);
}

static void add_status(struct virtio_dev *dev, uint32_t bits)
{
    reg_write(dev, VIRTIO_MMIO_STATUS, reg_read(dev, VIRTIO_MMIO_STATUS) | bits);
}

static enum status reset_and_wait(struct virtio_dev *dev)
{
    reg_write(dev, VIRTIO_MMIO_STATUS, 0);
    for (unsigned us = 0; reg_read(dev, VIRTIO_MMIO_STATUS) != 0; us++) {
        if (us == RESET_POLL_US) {
            log_err("%s: the virtio device does not finish its reset", dev->name);
            return E_TIMEOUT;
        }
        time_delay_us(1);
    }
    return OK;
}

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
    if (hw->reg_count < 1 || hw->regs[0].size <= VIRTIO_MMIO_CONFIG || hw->irq_count < 1) {
        return E_UNSUPPORTED;
    }
    *dev = (struct virtio_dev){.name = hw->name, .irq = hw->irqs[0].irq, .irq_level = hw->irqs[0].level};
    dev->regs = mmio_map(hw->regs[0].base, hw->regs[0].size);
    if (!dev->regs) {
        return E_NOMEM;
    }

    enum status s = check_version(dev, device_id);

    if (s == OK) {
        s = reset_and_wait(dev);
    }
    if (s == OK) {
        add_status(dev, VIRTIO_STATUS_ACKNOWLEDGE);
        add_status(dev, VIRTIO_STATUS_DRIVER);
    }
    return s;
}

enum status virtio_negotiate(struct virtio_dev *dev, uint64_t wanted)
{
    uint64_t offered = 0;

    for (uint32_t i = 0; i < 2; i++) {
        reg_write(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
        offered |= (uint64_t)reg_read(dev, VIRTIO_MMIO_DEVICE_FEATURES) << 32 * i;
    }
    dev->features = offered & (wanted | BIT64(VIRTIO_F_VERSION_1));
    for (uint32_t i = 0; i < 2; i++) {
        reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        reg_write(dev, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(dev->features >> 32 * i));
    }
    add_status(dev, VIRTIO_STATUS_FEATURES_OK);
    if (!virtio_has(dev, VIRTIO_F_VERSION_1) ||
        !(reg_read(dev, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FEATURES_OK)) {
        log_err("%s: no agreement on virtio features (offered 0x%" PRIx64 ")", dev->name, offered);
        return E_UNSUPPORTED;
    }
    return OK;
}

bool virtio_has(const struct virtio_dev *dev, unsigned feature)
{
    return (dev->features >> feature & 1) != 0;
}

static void write_address(struct virtio_dev *dev, size_t reg_low, const void *va)
{
    uint64_t pa = arch_virt_to_phys(va).v;

    reg_write(dev, reg_low, (uint32_t)pa);
    reg_write(dev, reg_low + 4, (uint32_t)(pa >> 32));
}

static unsigned page_order(size_t bytes)
{
    unsigned order = 0;

    while (PAGE_SIZE << order < bytes) {
        order++;
    }
    return order;
}

enum status virtio_queue_create(struct virtio_dev *dev, unsigned index, uint16_t max_size, struct vring *vr)
{
    reg_write(dev, VIRTIO_MMIO_QUEUE_SEL, index);

    uint32_t size = reg_read(dev, VIRTIO_MMIO_QUEUE_NUM_MAX);

    if (size == 0 || reg_read(dev, VIRTIO_MMIO_QUEUE_READY) != 0) {
        return E_NOENT;
    }
    size = size < max_size ? size : max_size;
    while (!is_power_of_two(size)) {
        size &= size - 1;
    }

    unsigned order = page_order(vring_bytes((uint16_t)size));
    void *mem = page_alloc_zeroed(order);
    struct vring_slot *slots = pool_alloc_array(size, sizeof(*slots));

    if (!mem || !slots) {
        if (mem) {
            page_free(mem, order);
        }
        if (slots) {
            pool_free_array(slots, size, sizeof(*slots));
        }
        return E_NOMEM;
    }
    vring_init(vr, (uint16_t)size, mem, slots);
    reg_write(dev, VIRTIO_MMIO_QUEUE_NUM, size);
    write_address(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, vr->desc);
    write_address(dev, VIRTIO_MMIO_QUEUE_DRIVER_LOW, vr->avail);
    write_address(dev, VIRTIO_MMIO_QUEUE_DEVICE_LOW, vr->used);
    reg_write(dev, VIRTIO_MMIO_QUEUE_READY, 1);
    return OK;
}

void virtio_start(struct virtio_dev *dev)
{
    add_status(dev, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_give_up(struct virtio_dev *dev)
{
    add_status(dev, VIRTIO_STATUS_FAILED);
}

void virtio_dev_reset(struct virtio_dev *dev)
{
    dev->failed = true;
    reg_write(dev, VIRTIO_MMIO_STATUS, 0);
}

void virtio_notify(struct virtio_dev *dev, unsigned queue)
{
    reg_write(dev, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

uint32_t virtio_irq_ack(struct virtio_dev *dev)
{
    uint32_t bits = reg_read(dev, VIRTIO_MMIO_INTERRUPT_STATUS);

    reg_write(dev, VIRTIO_MMIO_INTERRUPT_ACK, bits);
    return bits;
}

// 4.2.2.2: fields of four bytes and less are read with their own width, longer ones in words.
enum status virtio_dev_config_read(struct virtio_dev *dev, size_t off, void *buf, size_t len)
{
    uint32_t words[CONFIG_READ_MAX / sizeof(uint32_t)];
    size_t count = (len + 3) / sizeof(uint32_t);

    if (len > CONFIG_READ_MAX) {
        return E_RANGE;
    }
    for (unsigned try = 0; try < CONFIG_TRIES; try++) {
        uint32_t generation = reg_read(dev, VIRTIO_MMIO_CONFIG_GENERATION);

        for (size_t i = 0; i < count; i++) {
            words[i] = reg_read(dev, VIRTIO_MMIO_CONFIG + off + 4 * i);
        }
        if (reg_read(dev, VIRTIO_MMIO_CONFIG_GENERATION) == generation) {
            memcpy(buf, words, len);
            return OK;
        }
    }
    return E_TIMEOUT;
}
