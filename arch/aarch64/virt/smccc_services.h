// SPDX-License-Identifier: Apache-2.0
//
// Firmware services beside PSCI: random numbers (Arm DEN0098) and stolen time (Arm DEN0057).
#pragma once

#include "arch/aarch64/virt/exit.h"

// Whether a function number is one of theirs, here and now.
bool smccc_service_known(uint32_t function);
// Carries out a known one: results go to x0-x3. The guest goes on.
void smccc_service(struct guest_frame *f, uint32_t function);
