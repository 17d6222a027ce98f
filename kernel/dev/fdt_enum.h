// SPDX-License-Identifier: Apache-2.0
//
// The second reading of the device tree: hardware and CPUs.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

// Adds every enabled node with "compatible" to the hardware list (hw_add), registers and interrupts
// translated to the root's, and announces the CPUs other than the boot CPU (cpu_announce). Boot CPU, once,
// after page_init() and cpu_init_boot(). E_NOENT without a device tree, E_NOMEM; single damaged nodes are
// reported and left out.
enum status fdt_enum_scan(const struct boot_info *bi);

// How PSCI is called on this machine: "smc" or "hvc"; NULL when it has no PSCI. Valid after fdt_enum_scan().
const char *fdt_psci_method(void);
