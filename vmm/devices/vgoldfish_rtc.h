// SPDX-License-Identifier: Apache-2.0
//
// The Goldfish real-time clock for guests, as QEMU's riscv64 `virt` board has it (Android's "Goldfish virtual
// hardware", device `goldfish_rtc`).
//
// Nanoseconds since 1970 are `epoch` (the host's wall clock when the VM was created, 0 when it has none) plus
// the guest's own time, vm_now(), in two halves: reading TIME_LOW keeps the other half for TIME_HIGH. An
// alarm raises the interrupt by a kernel timer.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/plan.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm.h"

// Creates the clock at its place in the plan, wires its interrupt to vm->irqchip (NULL: not wired) and links
// the device into vm->devices. `epoch` is in seconds. Worker thread or boot. E_NOMEM, E_EXISTS when its
// registers overlap something.
enum status vgoldfish_rtc_create(struct vm *vm, const struct plan_device *p, uint64_t epoch,
                                 struct vdev **out);
