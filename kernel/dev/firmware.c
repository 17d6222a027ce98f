// SPDX-License-Identifier: Apache-2.0
//
// See firmware.h: one way for each protocol.
#include "kernel/dev/firmware.h"

#include "kernel/dev/acpi.h"
#include "kernel/dev/fdt_boot.h"
#include "kernel/dev/fdt_enum.h"
#include "kernel/dev/pc_boot.h"

enum status firmware_scan_memory(struct boot_info *bi)
{
    return bi->protocol == BOOT_FDT ? fdt_boot_scan(bi) : pc_boot_scan(bi);
}

enum status firmware_scan_hardware(struct boot_info *bi)
{
    return bi->protocol == BOOT_FDT ? fdt_enum_scan(bi) : acpi_scan(bi);
}
