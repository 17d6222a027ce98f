// SPDX-License-Identifier: Apache-2.0
//
// What is left of a PC's keyboard controller (i8042, ports 60h and 64h) and of system control port A (92h) for guests: the ways
// to reset the machine.
//
// Command FEh at port 64h and bit 0 of port 92h reset the VM. The status at 64h says "ready, and nothing to read", so that those
// who wait before they write a command do not wait for ever; 60h reads as all ones. A20 is open and stays so.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"

#define VKBC_PORT_DATA 0x60u
#define VKBC_PORT_COMMAND 0x64u
#define VKBC_PORT_A 0x92u

// Creates the ports in vm->pio and links the device into vm->devices. Worker thread or boot. E_NOMEM, E_EXISTS when a port is
// taken.
enum status vkbc_create(struct vm *vm, struct vdev **out);
