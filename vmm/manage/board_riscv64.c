// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board's own parts: PLIC, 16550, Goldfish clock, SiFive test device.
#include <string.h>

#include "vmm/devices/v16550.h"
#include "vmm/devices/vgoldfish_rtc.h"
#include "vmm/devices/vsifive_test.h"
#include "vmm/irqchip/vplic.h"
#include "vmm/manage/board_parts.h"

// Names in the plan.
#define PLIC "PLIC"
#define TEST_DEVICE "test device"

static const struct plan_fixed *find_fixed(const struct vm *vm, const char *name)
{
    for (unsigned i = 0; i < vm->plan.fixed_count; i++) {
        if (strcmp(vm->plan.fixed[i].name, name) == 0) {
            return &vm->plan.fixed[i];
        }
    }
    return NULL;
}

static enum status create_irqchip(struct vm *vm)
{
    const struct plan_fixed *plic = find_fixed(vm, PLIC);

    return plic ? vplic_create(vm, plic->base, plic->size, &vm->irqchip) : E_UNSUPPORTED;
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
    const struct plan_fixed *test = find_fixed(vm, TEST_DEVICE);
    struct vdev *dev;

    return test ? vsifive_test_create(vm, test->base, &dev) : OK;
}

const struct board_parts board_parts_riscv64 = {
    .arch = "riscv64",
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
    .create_others = create_others,
};
