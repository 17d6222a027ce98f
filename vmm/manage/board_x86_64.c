// SPDX-License-Identifier: Apache-2.0
//
// The x86_64 board's own parts: local APICs and I/O APIC, 16550 at I/O ports, PIT, HPET, CMOS clock,
// ACPI registers, and what is left of 8259, PCI and keyboard controller.
#include "kernel/time/wallclock.h"
#include "vmm/devices/v16550.h"
#include "vmm/devices/vacpi_pm.h"
#include "vmm/devices/vcmos.h"
#include "vmm/devices/vhpet.h"
#include "vmm/devices/vkbc.h"
#include "vmm/devices/vpci_ports.h"
#include "vmm/devices/vpic.h"
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

static enum status create_rtc(struct vm *vm, const struct plan_device *p)
{
    struct vdev *dev;

    (void)p; // at its own ports
    return vcmos_create(vm, wallclock_now(), &dev);
}

static enum status create_clocks(struct vm *vm)
{
    const struct irq_line pit_line = {.chip = vm->irqchip, .line = VPIT_GSI};
    struct vdev *pit, *hpet;
    enum status s = vpit_create(vm, &pit_line, &pit);

    return s == OK ? vhpet_create(vm, pit, &hpet) : s;
}

static enum status create_power(struct vm *vm)
{
    const struct irq_line sci = {.chip = vm->irqchip, .line = VACPI_PM_SCI};
    struct vdev *dev;

    return vacpi_pm_create(vm, &sci, &dev);
}

static enum status create_others(struct vm *vm)
{
    static enum status (*const plain[])(struct vm * vm, struct vdev * *out) = {vpic_create, vpci_ports_create,
                                                                               vkbc_create};
    enum status s = create_clocks(vm);

    if (s == OK) {
        s = create_power(vm);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(plain) && s == OK; i++) {
        struct vdev *dev;

        s = plain[i](vm, &dev);
    }
    return s;
}

const struct board_parts board_parts_x86_64 = {
    .arch = "x86_64",
    .create_irqchip = create_irqchip,
    .create_uart = create_uart,
    .create_rtc = create_rtc,
    .create_others = create_others,
};
