// SPDX-License-Identifier: Apache-2.0
//
// virtio block devices behind memory-mapped registers.
#include "drivers/block/virtio_blk.h"
#include "drivers/virtio/virtio_mmio.h"

static enum status virtio_blk_mmio_probe(const struct hw_desc *hw)
{
    struct virtio_dev virtio;
    enum status s = virtio_mmio_open(hw, VIRTIO_ID_BLOCK, &virtio);

    return s == OK ? virtio_blk_attach(&virtio) : s;
}

static const char *const virtio_blk_mmio_ids[] = {"virtio,mmio", NULL};

static const struct driver virtio_blk_mmio_driver = {
    .name = "virtio-blk",
    .class = DRIVER_DEVICE,
    .ids = virtio_blk_mmio_ids,
    .probe = virtio_blk_mmio_probe,
};

DRIVER_DEFINE(virtio_blk_mmio_driver);
