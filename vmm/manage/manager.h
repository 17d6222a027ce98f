// SPDX-License-Identifier: Apache-2.0
//
// The manager: reads the configuration, creates and starts the VMs, and decides what follows when one stops.
//
// One worker thread does all of it, so life-cycle steps never run inside an exit and never overlap.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"
#include "vmm/core/vm.h"

// Interrupts that belong to loaded guests: timers and the controller's maintenance interrupt. Every CPU, interrupts masked.
void manager_init_cpu(void);

// Starts the worker. Boot CPU, once; returns at once.
enum status manager_start(const struct boot_info *bi);

// The VMs in the order of the configuration; NULL past the end. Refused ones have no VM.
struct vm *manager_vm(unsigned i);
