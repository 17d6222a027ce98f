// SPDX-License-Identifier: Apache-2.0
//
// A PrimeCell UART (PL011) for guests: Arm DDI 0183, revision r1p4 (identification as QEMU's `virt` board
// shows it, with FIFOs 16 deep).
//
// Bytes leave as soon as the back end takes them; when it takes no more, the transmit FIFO fills and the
// guest sees TXFF: a guest that prints too much waits, nobody else does. Input stays with the back end until
// the receive FIFO has room, so nothing overruns. Where images in the wild lean on QEMU's leniency we follow
// it: data moves whether or not UARTCR enables the UART, the receive interrupt comes with the first byte, and
// FIFO contents outlive a change of FEN.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/config/plan.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm.h"

// Creates the UART at its place in the plan, wires its interrupt to vm->irqchip (which may be NULL: not
// wired), attaches itself to `be` (which stays the caller's) and links the device into vm->devices. Worker
// thread or boot. E_NOMEM, E_EXISTS when its registers overlap something.
enum status vpl011_create(struct vm *vm, const struct plan_device *p, struct char_backend *be,
                          struct vdev **out);
