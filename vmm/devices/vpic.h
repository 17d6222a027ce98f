// SPDX-License-Identifier: Apache-2.0
//
// A PC's two 8259A interrupt controllers for guests (data sheet 231468), as far as a guest needs them that uses the APICs: they
// can be found, initialised and masked, and never have an interrupt.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"

#define VPIC_PORT_FIRST 0x20u
#define VPIC_PORT_SECOND 0xA0u
#define VPIC_PORT_TRIGGER 0x4D0u // edge or level, of both

// Creates both at their ports in vm->pio and links the device into vm->devices. Worker thread or boot. E_NOMEM, E_EXISTS when a
// port is taken.
enum status vpic_create(struct vm *vm, struct vdev **out);
