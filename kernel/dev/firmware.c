// SPDX-License-Identifier: Apache-2.0
//
// See firmware.h: one way for each protocol.
#include "kernel/dev/firmware.h"

#include "kernel/dev/acpi.h"
#include "kernel/dev/fdt_boot.h"
#include "kernel/dev/fdt_enum.h"
#include "kernel/dev/pc_boot.h"

// Only x86_64 is booted by a PC's protocols: other images go without that code.
static bool is_pc(const struct boot_info *bi)
{
    return BOARD_BUILT("x86_64") && bi->protocol != BOOT_FDT;
}

enum status firmware_scan_memory(struct boot_info *bi)
{
    return is_pc(bi) ? pc_boot_scan(bi) : fdt_boot_scan(bi);
}

enum status firmware_scan_hardware(struct boot_info *bi)
{
    return is_pc(bi) ? acpi_scan(bi) : fdt_enum_scan(bi);
}
