// SPDX-License-Identifier: Apache-2.0
//
// Random seeds for guests, drawn from the seed that the boot loader gave to us (/chosen/rng-seed).
#pragma once

#include "arch/boot.h"
#include "kernel/lib/types.h"

// Also gives the stack protector its value, so no caller of it may return: kernel_main() only, before other CPUs run.
void seed_init(const struct boot_info *bi);

// Fills `buf`; no two calls give the same, and none tells anything about another. Manager thread.
void seed_make(uint8_t *buf, size_t size);
