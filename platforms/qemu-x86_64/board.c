// SPDX-License-Identifier: Apache-2.0
//
// A PC under QEMU: everything is found by ACPI; the early console is COM1.
#include "arch/boot.h"

const struct board_early board_early = {.name = "qemu-x86_64"};
