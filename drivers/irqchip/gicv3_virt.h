// SPDX-License-Identifier: Apache-2.0
//
// The virtual CPU interface of GICv3 (ICH_* registers), used by the GICv3 driver alone.
#pragma once

#include "kernel/lib/types.h"

// Announces the interface through gic_virt_set(). Boot CPU.
void gicv3_virt_probe(unsigned maintenance_irq);

// Every CPU: list registers and active priorities empty, interface off.
void gicv3_virt_init_cpu(void);
