// SPDX-License-Identifier: Apache-2.0
//
// A 16550A UART for guests (PC16550D data sheet, chapter 8): eight registers of a byte each, in memory or at
// I/O ports as the plan says.
//
// Bytes leave as soon as the back end takes them; when it takes no more, the transmit FIFO fills and the
// guest waits for THRE: a guest that prints too much waits, nobody else does. Input stays with the back end
// until the receive FIFO has room, so nothing overruns but in loopback. The line is as fast as one likes: a
// divisor is kept, not obeyed, and the receive time-out comes at once. A terminal is always connected (CTS,
// DSR, DCD).
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/config/plan.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm.h"

// Creates the UART at its place in the plan (vm->mmio, or vm->pio when p->port), wires its interrupt to
// vm->irqchip (NULL: not wired), attaches itself to `be` (which stays the caller's; NULL: nothing comes, what
// is sent vanishes) and links the device into vm->devices. Registers repeat nowhere: beyond the eighth byte
// reads give 0. Worker thread or boot. E_NOMEM, E_EXISTS when its registers overlap something.
enum status v16550_create(struct vm *vm, const struct plan_device *p, struct char_backend *be,
                          struct vdev **out);
