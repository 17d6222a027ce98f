// SPDX-License-Identifier: Apache-2.0
//
// What a PC's boot loader hands over: PVH's start_info (QEMU -kernel) or Multiboot2's information structure (GRUB).
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

// As firmware_scan_memory(), for bi->protocol and bi->params.
enum status pc_boot_scan(struct boot_info *bi);
