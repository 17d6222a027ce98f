// SPDX-License-Identifier: Apache-2.0
//
// The virtual CPU interface of GICv2 (GICH registers), used by the GICv2 driver alone.
#pragma once

#include "kernel/lib/types.h"

// `gich` is the mapped GICH block. Announces the interface through gic_virt_set(). Boot CPU.
void gicv2_virt_probe(volatile void *gich, unsigned maintenance_irq);

// Where the CPU interface for guests lies. Boot CPU.
void gicv2_virt_gicv(hpa_t gicv, uint64_t size);

// Every CPU: list registers and active priorities empty, interface off. Nothing without gicv2_virt_probe().
void gicv2_virt_init_cpu(void);

// A list register in GICv3's layout and in GICv2's. Pure. Fields that GICv2 does not have are lost: priority
// bits below the upper five, interrupt numbers beyond ten bits.
uint32_t gicv2_lr_from_v3(uint64_t lr);
uint64_t gicv2_lr_to_v3(uint32_t gich);
