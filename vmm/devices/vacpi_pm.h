// SPDX-License-Identifier: Apache-2.0
//
// ACPI fixed hardware for guests (ACPI 6.4, 4.8.3): PM1a event and control registers, PM timer, soft-off.
//
// Always in ACPI mode: SCI_EN reads as 1, there is no SMI command port. The only sleeping state is S5, so every write of SLP_EN
// powers the VM off, whatever the type. The timer has 24 bits; it raises the SCI where its highest bit changes, if asked.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/irq_line.h"
#include "vmm/core/vdev.h"

#define VACPI_PM_EVENT 0x600u // 4 bytes: status, enable
#define VACPI_PM_CONTROL 0x604u
#define VACPI_PM_TIMER 0x608u // 4 bytes
#define VACPI_PM_TIMER_HZ 3579545u
#define VACPI_PM_SCI 9u // level-triggered, active high

// Creates the registers at their ports in vm->pio and links the device into vm->devices; `line` is the SCI. Worker thread or boot.
// E_NOMEM, E_EXISTS when a port is taken.
enum status vacpi_pm_create(struct vm *vm, const struct irq_line *line, struct vdev **out);
