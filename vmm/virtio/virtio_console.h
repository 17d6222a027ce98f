// SPDX-License-Identifier: Apache-2.0
//
// The virtio console (Virtual I/O Device 1.2, section 5.3): one port, over a character back end.
//
// What the guest sends goes out at once, in the kick's own exit, up to a small budget; the rest, and all
// input, is the worker's. When the back end takes no more, the chain stays in the queue and goes on where it
// stopped at tx_ready().
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/core/vm.h"
#include "vmm/virtio/virtio.h"

#define VIRTIO_CONSOLE_QUEUE_SIZE 64
#define VIRTIO_CONSOLE_RX 0 // receiveq: to the guest
#define VIRTIO_CONSOLE_TX 1 // transmitq: from the guest

// Attaches itself to `be`, which stays the caller's; `name` must stay alive. E_NOMEM. Boot or worker thread.
enum status virtio_console_create(struct vm *vm, const char *name, struct char_backend *be,
                                  struct virtio_device **out);
