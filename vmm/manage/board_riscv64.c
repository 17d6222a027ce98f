// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board's own parts: 16550, Goldfish clock, SiFive test device.
#include <string.h>

#include "vmm/devices/v16550.h"
#include "vmm/devices/vgoldfish_rtc.h"
#include "vmm/devices/vsifive_test.h"
#include "vmm/manage/board_parts.h"

#define TEST_DEVICE "test device" // its name in the plan

static enum status create_irqchip(struct vm *vm)
{
    (void)vm; // local interrupts need none
    return OK;
}

static enum status create_uart(struct vm *vm, const struct plan_device *p, struct char_backend *console)
{
    struct vdev *dev;

    return v16550_create(vm, p, console, &dev);
}

static enum status create_rtc(struct vm *vm, const struct plan_device *p)
{
    struct vdev *dev;

    return vgoldfish_rtc_create(vm, p, 0, &dev);
}

static enum status create_others(struct vm *vm)
{
    struct vdev *dev;

    for (unsigned i = 0; i < vm->plan.fixed_count; i++) {
        if (strcmp(vm->plan.fixed[i].name, TEST_DEVICE) == 0) {
            return vsifive_test_create(vm, vm->plan.fixed[i].base, &dev);
        }
    }
    return OK;
}

const struct board_parts board_parts_riscv64 = {
    .arch = "riscv64",
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
    .create_others = create_others,
};
