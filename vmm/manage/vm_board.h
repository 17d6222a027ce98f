// SPDX-License-Identifier: Apache-2.0
//
// The virtual board of one VM: its interrupt controller and devices, made from the ownership plan.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/core/vm.h"

// What stays with a VM's devices: back ends that were made for them.
struct vm_board {
    struct char_backend *console;
    struct char_backend *virtio_console; // NULL: the plan has none
    unsigned disk_count;
    struct blk_backend *disks[CONFIG_DEVICE_MAX];
};

// Creates everything in vm->plan. `console` is attached to the UART. On failure the log says which device and why, and
// nothing is left. Worker thread.
enum status vm_board_create(struct vm *vm, struct vm_board *board);
// Stops back-end work under way, then frees all. No vCPU runs.
void vm_board_destroy(struct vm *vm, struct vm_board *board);

// Back to power-on. No vCPU runs.
void vm_board_reset(struct vm *vm);
