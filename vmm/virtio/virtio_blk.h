// SPDX-License-Identifier: Apache-2.0
//
// The virtio block device (Virtual I/O Device 1.2, section 5.2) in front of a block back end.
//
// Read, write, flush, get-id; up to VIRTIO_BLK_REQUESTS requests under way at once. Data is never copied
// here: segments of a block_request point into guest memory. A request with more pieces than one
// block_request holds goes in several, one after the other.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/core/vm.h"
#include "vmm/virtio/virtio.h"

#define VIRTIO_BLK_QUEUE_SIZE 128
#define VIRTIO_BLK_REQUESTS 32

// A disk of be->sector_count sectors. `name` and `be` must stay alive, and stay the caller's: destroy the
// device first. Not reachable for the guest until a transport takes it (virtio_mmio_create()). E_NOMEM. Boot
// or worker thread.
enum status virtio_blk_create(struct vm *vm, const char *name, struct blk_backend *be,
                              struct virtio_device **out);
