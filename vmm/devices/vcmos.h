// SPDX-License-Identifier: Apache-2.0
//
// The PC's clock and its battery-backed memory for guests: MC146818 at ports 70h (index) and 71h (data).
//
// The date is `epoch` (the host's wall clock when the VM was created) plus guest time, until the guest sets it. No interrupts and
// no alarm: their registers are memory, register C tells of seconds that have passed. 128 bytes, zero at first but for the
// registers. Years 1970 to 9999, the century in byte 32h.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"

#define VCMOS_PORT 0x70u
#define VCMOS_CENTURY 0x32u

// Creates the device at its ports in vm->pio and links it into vm->devices. `epoch`: seconds since 1970, UTC. Worker thread or
// boot. E_NOMEM, E_EXISTS when a port is taken.
enum status vcmos_create(struct vm *vm, uint64_t epoch, struct vdev **out);
