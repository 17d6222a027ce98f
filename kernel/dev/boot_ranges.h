// SPDX-License-Identifier: Apache-2.0
//
// Sets of physical ranges of bounded size, kept sorted and merged (struct boot_ranges). Pure; boot CPU.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

// Adds [base, base + size). Touching and overlapping ranges become one. E_OVERFLOW when it passes 2^64,
// E_RANGE when the set is full.
enum status boot_ranges_add(struct boot_ranges *set, uint64_t base, uint64_t size);

// The same for a set that must cover at least what was added: when it is full, the smallest gap in it is
// given up.
enum status boot_ranges_cover(struct boot_ranges *set, uint64_t base, uint64_t size);

// True when one range of the set contains all of [base, base + size).
bool boot_ranges_contain(const struct boot_ranges *set, uint64_t base, uint64_t size);
