// SPDX-License-Identifier: Apache-2.0
//
// Random bytes, drawn from the seed that the boot loader gave to us (/chosen/rng-seed) and from the CPU's generator.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/types.h"

// Also gives the stack protector its value, so no caller of it may return: kernel_main() only, before other CPUs run.
void random_init(const struct boot_info *bi);

// Fills `buf`; no two calls give the same, and none tells anything about another. Any context.
void random_bytes(void *buf, size_t size);

// Whether the loader or the CPU gave enough to make them unpredictable to an outsider.
bool random_seeded(void);
