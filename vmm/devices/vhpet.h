// SPDX-License-Identifier: Apache-2.0
//
// A high-precision event timer for guests: IA-PC HPET specification 1.0a, three timers of 64 bits, all of them periodic if asked.
//
// The main counter goes at 100 MHz, derived from vm_now(). Interrupts go to the I/O APIC's inputs 10 and 11, or by legacy
// replacement to 2 and 8 in place of the PIT's and the clock's; no messages (FSB). Each timer's interrupts come no closer than
// 100 us: a guest that asks for more loses some.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"

#define VHPET_HZ 100000000u
#define VHPET_BASE 0xFED00000u
#define VHPET_SIZE 0x400u

// Creates the timer block in vm->mmio, with its interrupts at vm->irqchip (NULL: not wired), and links it into vm->devices. `pit`
// gives its interrupt up to legacy replacement (vmm/devices/vpit.h); NULL: there is none. Worker
// thread or boot. E_NOMEM, E_EXISTS when its registers overlap something.
enum status vhpet_create(struct vm *vm, struct vdev *pit, struct vdev **out);
