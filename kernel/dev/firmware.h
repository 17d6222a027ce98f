// SPDX-License-Identifier: Apache-2.0
//
// What the boot loader and the firmware say of the machine, whichever way they say it: a device tree, or a PC's memory map
// and ACPI tables.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

// Fills the second block of *bi but for `power`. Boot CPU, before page_init(). Says in the log what is wrong. E_NOENT: the
// loader left nothing; E_CORRUPT: it is damaged or tells of no memory.
enum status firmware_scan_memory(struct boot_info *bi);

// Adds the hardware to the list of hw_desc.h, announces the CPUs other than the boot CPU, and fills bi->power. Boot CPU, once,
// after page_init() and cpu_init_boot(). E_NOENT, E_NOMEM; damaged parts are reported and left out.
enum status firmware_scan_hardware(struct boot_info *bi);
