// SPDX-License-Identifier: Apache-2.0
//
// The x86_64 board's own parts: local APICs and I/O APIC, 16550 at I/O ports.
#include "vmm/devices/v16550.h"
#include "vmm/irqchip/vapic.h"
#include "vmm/manage/board_parts.h"

// Names in the plan.
#define LOCAL_APIC "local APIC"
#define IO_APIC "I/O APIC"

static enum status create_irqchip(struct vm *vm)
{
    const struct plan_fixed *lapic = plan_find_fixed(&vm->plan, LOCAL_APIC);
    const struct plan_fixed *ioapic = plan_find_fixed(&vm->plan, IO_APIC);

    return lapic && ioapic ? vapic_create(vm, lapic->base, ioapic->base, &vm->irqchip) : E_UNSUPPORTED;
}

static enum status create_uart(struct vm *vm, const struct plan_device *p, struct char_backend *console)
{
    struct vdev *dev;

    return v16550_create(vm, p, console, &dev);
}

// The ports of the CMOS clock belong to nobody yet: they read all ones.
static enum status create_rtc(struct vm *vm, const struct plan_device *p)
{
    (void)vm;
    (void)p;
    return OK;
}

const struct board_parts board_parts_x86_64 = {
    .arch = "x86_64",
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
};
