// SPDX-License-Identifier: Apache-2.0
//
// The virtio transport over memory-mapped registers, version 2 ("VIRTIO Version 1.2", 4.2).
#pragma once

#include "drivers/virtio/virtio_dev.h"
#include "kernel/dev/hw_desc.h"

// E_UNSUPPORTED: an empty slot, another kind of device, or the legacy interface (said in the log). Leaves the
// device reset, acknowledged and with DRIVER set.
enum status virtio_mmio_open(const struct hw_desc *hw, uint32_t device_id, struct virtio_dev *dev);
