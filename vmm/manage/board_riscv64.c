// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board's own parts: PLIC or AIA, 16550, Goldfish clock, SiFive test device.
#include "kernel/log/log.h"
#include "kernel/time/wallclock.h"
#include "vmm/devices/v16550.h"
#include "vmm/devices/vgoldfish_rtc.h"
#include "vmm/devices/vsifive_test.h"
#include "vmm/irqchip/vaia.h"
#include "vmm/irqchip/vplic.h"
#include "vmm/manage/board_parts.h"

// Names in the plan.
#define PLIC "PLIC"
#define APLIC "APLIC"
#define IMSIC "IMSIC"
#define TEST_DEVICE "test device"

// An interrupt file's CSRs can be emulated only where they exist: without Ssaia they are illegal, not
// virtual, instructions.
static enum status resolve_irqchip(struct vm *vm)
{
    struct guest_cpu_desc cpu;

    if (vm->config->irqchip != IRQCHIP_AIA) {
        return OK;
    }
    arch_guest_cpu_describe(&cpu);
    if (!cpu.can_aia) {
        log_err("[%s] refused: irqchip = \"aia\" needs the extension Ssaia, which this machine's harts do "
                "not have (under "
                "QEMU: -M virt,aia=aplic-imsic)",
                vm_name(vm));
        return E_UNSUPPORTED;
    }
    return OK;
}

static enum status create_irqchip(struct vm *vm)
{
    const struct plan_fixed *plic = plan_find_fixed(&vm->plan, PLIC);
    const struct plan_fixed *aplic = plan_find_fixed(&vm->plan, APLIC);
    const struct plan_fixed *imsic = plan_find_fixed(&vm->plan, IMSIC);

    if (aplic && imsic) {
        return vaia_create(vm, aplic->base, imsic->base, &vm->irqchip);
    }
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

    return vgoldfish_rtc_create(vm, p, wallclock_now(), &dev);
}

static enum status create_others(struct vm *vm)
{
    const struct plan_fixed *test = plan_find_fixed(&vm->plan, TEST_DEVICE);
    struct vdev *dev;

    return test ? vsifive_test_create(vm, test->base, &dev) : OK;
}

const struct board_parts board_parts_riscv64 = {
    .arch = "riscv64",
    .resolve_irqchip = resolve_irqchip,
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
    .create_others = create_others,
};
