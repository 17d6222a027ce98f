// SPDX-License-Identifier: Apache-2.0
//
// virtio over PCI, driver side ("VIRTIO Version 1.2", 4.1 transport). The device's structures are found by capabilities, which
// are not trusted: each structure must lie in its base address register and be as long as what is used of it.
#include "drivers/virtio/virtio_pci.h"

#include "arch/mmu.h"
#include "drivers/pci/pci.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

// 4.1.4.3: struct virtio_pci_common_cfg.
enum common_cfg {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_MSIX_VECTOR = 16,
    DEVICE_STATUS = 20,
    CONFIG_GENERATION = 21,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_MSIX_VECTOR = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFF = 30,
    QUEUE_DESC = 32,
    QUEUE_DRIVER = 40,
    QUEUE_DEVICE = 48,
    COMMON_SIZE = 56
};

#define NO_VECTOR 0xFFFFu
#define MODERN_END 0x1080u

// 4.1.4: struct virtio_pci_cap.
#define CAP_TYPE 3u
#define CAP_BAR 4u
#define CAP_OFFSET 8u
#define CAP_LENGTH 12u
#define CAP_SIZE 16u
#define CAP_NOTIFY_MULTIPLIER 16u
#define CAP_NOTIFY_SIZE 20u

// ---- the registers ----------------------------------------

static uint32_t pci_status(const struct virtio_dev *dev)
{
    return mmio_read8(dev->regs, DEVICE_STATUS);
}

static void pci_set_status(struct virtio_dev *dev, uint32_t status)
{
    mmio_write8(dev->regs, DEVICE_STATUS, (uint8_t)status);
}

static uint32_t pci_device_features(struct virtio_dev *dev, unsigned word)
{
    mmio_write32(dev->regs, DEVICE_FEATURE_SELECT, word);
    return mmio_read32(dev->regs, DEVICE_FEATURE);
}

static void pci_driver_features(struct virtio_dev *dev, unsigned word, uint32_t bits)
{
    mmio_write32(dev->regs, DRIVER_FEATURE_SELECT, word);
    mmio_write32(dev->regs, DRIVER_FEATURE, bits);
}

static uint32_t pci_queue_select(struct virtio_dev *dev, unsigned queue)
{
    uint32_t size;

    mmio_write16(dev->regs, QUEUE_SELECT, (uint16_t)queue);
    size = mmio_read16(dev->regs, QUEUE_SIZE);
    return size > VIRTQ_SIZE_MAX || mmio_read16(dev->regs, QUEUE_ENABLE) != 0 ? 0 : size;
}

static void write_address(struct virtio_dev *dev, size_t reg, const void *va)
{
    uint64_t pa = arch_virt_to_phys(va).v;

    mmio_write32(dev->regs, reg, (uint32_t)pa);
    mmio_write32(dev->regs, reg + 4, (uint32_t)(pa >> 32));
}

// 4.1.4.4: where queue `queue`, the selected one, is notified.
static enum status find_doorbell(struct virtio_dev *dev, unsigned queue)
{
    uint64_t off = (uint64_t)mmio_read16(dev->regs, QUEUE_NOTIFY_OFF) * dev->notify_multiplier;

    if (off > dev->notify_size - sizeof(uint16_t) || off % sizeof(uint16_t) != 0) {
        log_err("%s: queue %u is notified outside of its place", dev->name, queue);
        return E_CORRUPT;
    }
    dev->doorbells[queue] = dev->notify + off;
    return OK;
}

static enum status pci_queue_start(struct virtio_dev *dev, unsigned queue, const struct vring *vr)
{
    enum status s = find_doorbell(dev, queue);

    if (s != OK) {
        return s;
    }
    if (dev->irq != VIRTIO_NO_IRQ) {
        mmio_write16(dev->regs, CONFIG_MSIX_VECTOR, NO_VECTOR);
        mmio_write16(dev->regs, QUEUE_MSIX_VECTOR, 0);
        if (mmio_read16(dev->regs, QUEUE_MSIX_VECTOR) != 0) {
            dev->irq = VIRTIO_NO_IRQ; // 4.1.5.1.2.2: it has no resources for it
        }
    }
    mmio_write16(dev->regs, QUEUE_SIZE, vr->size);
    write_address(dev, QUEUE_DESC, vr->desc);
    write_address(dev, QUEUE_DRIVER, vr->avail);
    write_address(dev, QUEUE_DEVICE, vr->used);
    mmio_write16(dev->regs, QUEUE_ENABLE, 1);
    return OK;
}

static void pci_notify(struct virtio_dev *dev, unsigned queue)
{
    mmio_write16(dev->doorbells[queue], 0, (uint16_t)queue);
}

// 4.1.4.5: the register of INTx, which is read for the sake of a polled device's state. MSI-X knows none.
static void pci_irq_ack(struct virtio_dev *dev)
{
    if (dev->irq == VIRTIO_NO_IRQ) {
        (void)mmio_read8(dev->isr, 0);
    }
}

static uint32_t pci_generation(const struct virtio_dev *dev)
{
    return mmio_read8(dev->regs, CONFIG_GENERATION);
}

static uint32_t pci_config_word(const struct virtio_dev *dev, size_t off)
{
    return mmio_read32(dev->config, off);
}

static const struct virtio_transport pci_transport = {
    .status = pci_status,
    .set_status = pci_set_status,
    .device_features = pci_device_features,
    .driver_features = pci_driver_features,
    .queue_select = pci_queue_select,
    .queue_start = pci_queue_start,
    .notify = pci_notify,
    .irq_ack = pci_irq_ack,
    .generation = pci_generation,
    .config_word = pci_config_word,
};

// ---- finding them ----------------------------------------

bool virtio_pci_find(const struct pci_function *fn, enum virtio_pci_type type, struct virtio_pci_part *part)
{
    unsigned size = type == VIRTIO_PCI_CAP_NOTIFY_CFG ? CAP_NOTIFY_SIZE : CAP_SIZE;
    unsigned cap = 0;

    for (unsigned i = 0; i < PCI_CAPABILITIES_MAX; i++) {
        cap = pci_find_capability(fn, PCI_CAP_VENDOR, cap, size);
        if (!cap) {
            return false;
        }
        *part = (struct virtio_pci_part){
            .cap = cap,
            .bar = (uint8_t)pci_read(fn, cap + CAP_BAR, 1),
            .offset = pci_read(fn, cap + CAP_OFFSET, 4),
            .length = pci_read(fn, cap + CAP_LENGTH, 4),
        };
        // Other values of `bar` are reserved for the future; what is marked so is passed over.
        if (pci_read(fn, cap + CAP_TYPE, 1) == (uint32_t)type && part->bar < PCI_BARS) {
            return true;
        }
    }
    return false;
}

// Maps the structure, which must have `least` bytes and may have more; *size: how many are mapped, at most a page.
static volatile void *map_part(const struct pci_function *fn, enum virtio_pci_type type, uint32_t least,
                               size_t *size)
{
    struct virtio_pci_part part;
    volatile void *p;

    if (!virtio_pci_find(fn, type, &part) || part.length < least || part.offset % 4 != 0) {
        log_err("%s: the virtio device has no structure of type %u, or one too short", fn->name,
                (unsigned)type);
        return NULL;
    }
    *size = part.length < PAGE_SIZE ? part.length : PAGE_SIZE;
    p = pci_map(fn, part.bar, part.offset, *size);
    if (!p) {
        log_err("%s: the virtio structure of type %u is outside of base address register %u", fn->name,
                (unsigned)type, part.bar);
    }
    return p;
}

static enum status map_all(const struct pci_function *fn, struct virtio_dev *dev)
{
    struct virtio_pci_part part;
    size_t size = 0;

    if (!virtio_pci_find(fn, VIRTIO_PCI_CAP_COMMON_CFG, &part)) {
        log_err("%s: legacy virtio device is not supported; start QEMU with disable-legacy=on", fn->name);
        return E_UNSUPPORTED;
    }
    dev->regs = map_part(fn, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_SIZE, &size);
    dev->isr = map_part(fn, VIRTIO_PCI_CAP_ISR_CFG, 1, &size);
    dev->notify = map_part(fn, VIRTIO_PCI_CAP_NOTIFY_CFG, sizeof(uint16_t), &size);
    dev->notify_size = (uint32_t)size;
    dev->config = map_part(fn, VIRTIO_PCI_CAP_DEVICE_CFG, 4, &dev->config_size);
    if (!dev->regs || !dev->isr || !dev->notify || !dev->config) {
        return E_CORRUPT;
    }
    (void)virtio_pci_find(fn, VIRTIO_PCI_CAP_NOTIFY_CFG, &part);
    dev->notify_multiplier = pci_read(fn, part.cap + CAP_NOTIFY_MULTIPLIER, 4);
    return OK;
}

// 4.1.2.1.
static bool is_kind(const struct pci_function *fn, uint32_t device_id)
{
    if (fn->vendor != VIRTIO_PCI_VENDOR) {
        return false;
    }
    return fn->device >= VIRTIO_PCI_MODERN && fn->device < MODERN_END
               ? fn->device - VIRTIO_PCI_MODERN == device_id
               : pci_read(fn, PCI_SUBSYSTEM_ID, 2) == device_id;
}

enum status virtio_pci_open(const struct hw_desc *hw, uint32_t device_id, struct virtio_dev *dev)
{
    const struct pci_function *fn = hw->pci;
    struct irq_msi msi;
    enum status s;

    if (!is_kind(fn, device_id)) {
        return E_UNSUPPORTED;
    }
    *dev = (struct virtio_dev){.transport = &pci_transport, .name = hw->name, .irq = VIRTIO_NO_IRQ};
    s = map_all(fn, dev);
    if (s != OK) {
        return s;
    }
    pci_enable(fn, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    s = virtio_begin(dev);
    if (s == OK && pci_msix_enable(fn, &msi) == OK) {
        dev->irq = msi.irq;
    }
    return s;
}
