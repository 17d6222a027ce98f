// SPDX-License-Identifier: Apache-2.0
//
// The x86_64 board's own parts: local APICs and I/O APIC, 16550 at I/O ports, PIT, HPET.
#include "vmm/devices/v16550.h"
#include "vmm/devices/vhpet.h"
#include "vmm/devices/vpit.h"
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

static enum status create_others(struct vm *vm)
{
    const struct irq_line pit_line = {.chip = vm->irqchip, .line = VPIT_GSI};
    struct vdev *pit, *hpet;
    enum status s = vpit_create(vm, &pit_line, &pit);

    return s == OK ? vhpet_create(vm, pit, &hpet) : s;
}

const struct board_parts board_parts_x86_64 = {
    .arch = "x86_64",
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
    .create_others = create_others,
};
