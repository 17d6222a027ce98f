// SPDX-License-Identifier: Apache-2.0
//
// The static tables of ACPI 6.5: CPUs, interrupt controllers, timers, power. No AML is executed: all that is read of the DSDT
// is the two numbers of \_S5.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

#define ACPI_IOAPICS_MAX 8u
#define ACPI_ISA_IRQS 16u

// An input of the interrupt controllers, as the MADT tells of the 16 interrupts of the ISA bus.
struct acpi_isa_irq {
    uint32_t gsi;
    bool level, active_low;
};

struct acpi_irqs {
    hpa_t lapic;
    unsigned ioapic_count;
    struct {
        hpa_t base;
        uint32_t gsi_base;
    } ioapics[ACPI_IOAPICS_MAX];
    struct acpi_isa_irq isa[ACPI_ISA_IRQS];
};

// As firmware_scan_hardware().
enum status acpi_scan(struct boot_info *bi);

// What the MADT says; valid after acpi_scan().
const struct acpi_irqs *acpi_irqs(void);
