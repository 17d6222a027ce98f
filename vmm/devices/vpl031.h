// SPDX-License-Identifier: Apache-2.0
//
// A PrimeCell real-time clock (PL031) for guests: Arm DDI 0224.
//
// Seconds since 1970 are `epoch` (the host's wall clock when the VM was created, 0 when it has none) plus the
// guest's own time, vm_now(). A match raises the interrupt by a kernel timer.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/plan.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm.h"

// Creates the clock at its place in the plan, wires its interrupt to vm->irqchip (NULL: not wired) and links
// the device into vm->devices. Worker thread or boot. E_NOMEM, E_EXISTS when its registers overlap something.
enum status vpl031_create(struct vm *vm, const struct plan_device *p, uint64_t epoch, struct vdev **out);
