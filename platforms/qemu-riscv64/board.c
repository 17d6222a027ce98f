// SPDX-License-Identifier: Apache-2.0
//
// QEMU's `virt` machine: the firmware's console serves until the device tree is read.
#include "arch/boot.h"

const struct board_early board_early = {.name = "qemu-riscv64"};
