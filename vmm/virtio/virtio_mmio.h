// SPDX-License-Identifier: Apache-2.0
//
// The MMIO transport, version 2 (Virtual I/O Device 1.2, section 4.2): registers on a VM's bus and one
// level-triggered interrupt line in front of a virtio device.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/config/plan.h"
#include "vmm/core/vm.h"
#include "vmm/virtio/virtio.h"

// Gives the device its place in the VM: registers at plan->base on vm->mmio, interrupt plan->irq of
// vm->irqchip (which must exist), a worker thread on the CPU of its first vCPU, its node in vm->devices.
// E_INVAL: the place is smaller than 0x200 bytes; E_EXISTS: the place is taken; E_NOMEM. On failure the
// device stays as it was, still the caller's. Boot or worker thread.
enum status virtio_mmio_create(struct vm *vm, const struct plan_device *plan, struct virtio_device *dev);

// The same without worker thread and without vm->devices: unit tests call virtio_process() themselves.
enum status virtio_mmio_attach(struct vm *vm, const struct plan_device *plan, struct virtio_device *dev);

// Puts "no device here" into the slots of the plan that no device took. After all devices. E_NOMEM. Worker thread.
enum status virtio_mmio_fill_slots(struct vm *vm);
