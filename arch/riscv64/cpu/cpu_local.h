// SPDX-License-Identifier: Apache-2.0
//
// What the assembler of arch/riscv64/cpu offers its neighbours.
#pragma once

#include "kernel/lib/types.h"

extern const char trap_vector[];
void context_start(void);

// One load or store of 32 bits; false when it faulted.
bool probe_access(volatile uint32_t *va, uint32_t *value, bool write);
// Can this hart use stimecmp? False when reading it traps.
bool probe_stimecmp(void);
// Does the firmware let us clean and zero cache blocks? The block around `va` is zeroed.
bool probe_cbo_clean(const void *va);
bool probe_cbo_zero(void *va);
// Bytes of a vector register of this hart; false when it has none.
bool probe_vlenb(uint64_t *out);
