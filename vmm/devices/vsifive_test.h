// SPDX-License-Identifier: Apache-2.0
//
// SiFive's test finisher for guests, as QEMU's riscv64 `virt` board has it: one register by which software
// turns the machine off (0x5555), resets it (0x7777) or reports failure (0x3333, a code in the upper half).
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vdev.h"
#include "vmm/core/vm.h"

// Adds the register at `base` (a page) to vm->mmio and links the device into vm->devices. It has no state and
// no node of its own in the generic tables: the device tree of riscv64 knows it from the plan. Worker thread
// or boot. E_NOMEM, E_EXISTS when it overlaps something.
enum status vsifive_test_create(struct vm *vm, uint64_t base, struct vdev **out);
