// SPDX-License-Identifier: Apache-2.0
//
// What the virtual boards of the architectures do not have in common: the interrupt controller and the devices that
// every VM has. One table each; which one applies is the architecture that the image was built for.
#pragma once

#include "vmm/backend/backend.h"
#include "vmm/core/vm.h"

struct board_parts {
    const char *arch;
    // Settles in vm->plan what depends on the machine. E_UNSUPPORTED when the configuration asks for what it lacks, after
    // saying so. NULL: nothing to settle.
    enum status (*resolve_irqchip)(struct vm *vm);
    // Creates vm->irqchip.
    enum status (*create_irqchip)(struct vm *vm);
    enum status (*create_uart)(struct vm *vm, const struct plan_device *p, struct char_backend *console);
    enum status (*create_rtc)(struct vm *vm, const struct plan_device *p);
    // Devices without a row in the plan's device list. NULL: there are none.
    enum status (*create_others)(struct vm *vm);
};

extern const struct board_parts board_parts_aarch64;
extern const struct board_parts board_parts_riscv64;
extern const struct board_parts board_parts_x86_64;

// This image's.
const struct board_parts *board_parts(void);
