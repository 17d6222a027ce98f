// SPDX-License-Identifier: Apache-2.0
//
// The virtio transport over PCI, without the legacy interface ("VIRTIO Version 1.2", 4.1).
#pragma once

#include "drivers/virtio/virtio_dev.h"
#include "kernel/dev/hw_desc.h"

#define VIRTIO_PCI_VENDOR 0x1AF4u
#define VIRTIO_PCI_MODERN 0x1040u // + the kind of device; transitional ones have it as subsystem ID

// 4.1.4: one structure of the device's, as a capability tells of it. `cap` is the capability's own offset.
struct virtio_pci_part {
    unsigned cap;
    uint8_t bar;
    uint32_t offset, length;
};

enum virtio_pci_type {
    VIRTIO_PCI_CAP_COMMON_CFG = 1,
    VIRTIO_PCI_CAP_NOTIFY_CFG = 2,
    VIRTIO_PCI_CAP_ISR_CFG = 3,
    VIRTIO_PCI_CAP_DEVICE_CFG = 4,
};

// The first structure of that type that lies in a base address register (4.1.4.1). False: there is none.
bool virtio_pci_find(const struct pci_function *fn, enum virtio_pci_type type, struct virtio_pci_part *part);

// Opens the PCI function `hw` (hw->pci is not NULL) as a device of that kind. Interrupts come as MSI-X, or the device is
// polled. E_UNSUPPORTED: another kind of device, or the legacy interface only (said in the log); E_CORRUPT: its structures
// make no sense; E_TIMEOUT. Leaves the device reset, acknowledged and with DRIVER set.
enum status virtio_pci_open(const struct hw_desc *hw, uint32_t device_id, struct virtio_dev *dev);
