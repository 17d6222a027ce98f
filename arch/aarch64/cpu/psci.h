// SPDX-License-Identifier: Apache-2.0
//
// PSCI as its caller: the firmware above us (Arm DEN0022).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

enum status psci_cpu_on(uint64_t mpidr, hpa_t entry, hpa_t context);
