// SPDX-License-Identifier: Apache-2.0
//
// A PC's PCI configuration ports for guests that have no PCI (PCI 3.0, 3.2.2.3.2), and the reset control register between them.
//
// CF8h, 32 bits: the address, reads back. CFCh to CFFh: all ones, as from a device that does not exist; writes are lost. CF9h,
// one byte: bit 2 resets the VM. Any other access: all ones.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"

#define VPCI_PORT_ADDRESS 0xCF8u
#define VPCI_PORT_RESET 0xCF9u
#define VPCI_PORT_DATA 0xCFCu

// Creates the ports in vm->pio and links the device into vm->devices. Worker thread or boot. E_NOMEM, E_EXISTS when a port is
// taken.
enum status vpci_ports_create(struct vm *vm, struct vdev **out);
