// SPDX-License-Identifier: Apache-2.0
//
// The feature registers that guests see.
#pragma once

#include "kernel/lib/types.h"

// Works out, from the running CPU's registers, what guests are told. Boot CPU, once.
void idregs_init(void);

// The presented value of the ID register (3, 0, c0, crm, op2), crm 1 to 7.
uint64_t idregs_value(unsigned crm, unsigned op2);
