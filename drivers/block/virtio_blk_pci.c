// SPDX-License-Identifier: Apache-2.0
//
// virtio block devices on a PCI bus: modern ones, and transitional ones by their modern interface.
#include "drivers/block/virtio_blk.h"
#include "drivers/virtio/virtio_pci.h"

static enum status virtio_blk_pci_probe(const struct hw_desc *hw)
{
    struct virtio_dev virtio;
    enum status s = hw->pci ? virtio_pci_open(hw, VIRTIO_ID_BLOCK, &virtio) : E_UNSUPPORTED;

    return s == OK ? virtio_blk_attach(&virtio) : s;
}

static const char *const virtio_blk_pci_ids[] = {"pci:1af4:1042", "pci:1af4:1001", NULL};

static const struct driver virtio_blk_pci_driver = {
    .name = "virtio-blk-pci",
    .class = DRIVER_DEVICE,
    .ids = virtio_blk_pci_ids,
    .probe = virtio_blk_pci_probe,
};

DRIVER_DEFINE(virtio_blk_pci_driver);
