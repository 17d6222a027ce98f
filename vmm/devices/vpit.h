// SPDX-License-Identifier: Apache-2.0
//
// The PC's interval timer for guests: 8254 (data sheet 231164) with channels 0 and 2, and port 61h.
//
// Channel 0 drives an interrupt; channel 2 is read back through port 61h, as loops that calibrate another clock do. Channel 1
// (memory refresh) is there, wired to nothing. A count takes effect when it is written completely. Channel 0's interrupts come
// no closer than 100 us: a guest that asks for more loses some.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/irq_line.h"
#include "vmm/core/vdev.h"

#define VPIT_HZ 1193182u
#define VPIT_PORT 0x40u
#define VPIT_PORT_SPEAKER 0x61u
#define VPIT_GSI 2u // ISA interrupt 0 at the I/O APIC

// Creates the timer at its ports in vm->pio and links it into vm->devices; `line` is channel 0's output. Worker thread or boot.
// E_NOMEM, E_EXISTS when a port is taken.
enum status vpit_create(struct vm *vm, const struct irq_line *line, struct vdev **out);

// Another timer takes channel 0's interrupt line over (true: the line is low and left alone) or gives it back. Any thread, no
// device's lock held. Part of the saved state; reset gives it back.
void vpit_mute(struct vdev *dev, bool muted);
