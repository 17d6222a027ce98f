// SPDX-License-Identifier: Apache-2.0
//
// QEMU's `virt` machine (hw/arm/virt.c's memory map, which its documentation promises to keep).
#include "arch/boot.h"

const struct board_early board_early = {
    .name = "qemu-aarch64",
    .uart_base = 0x09000000,
    .gicd_base = 0x08000000,
    .gicr_base = 0x080A0000,
};
