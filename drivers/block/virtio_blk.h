// SPDX-License-Identifier: Apache-2.0
//
// The virtio block device, whatever its transport.
#pragma once

#include "drivers/virtio/virtio_dev.h"

// Takes over a device that was just opened, and registers it as block device. On errors it has been given up. Boot CPU.
enum status virtio_blk_attach(const struct virtio_dev *virtio);
