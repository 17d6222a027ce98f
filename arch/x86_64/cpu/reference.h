// SPDX-License-Identifier: Apache-2.0
//
// Counters of a known rate that ACPI names: its own timer, the HPET. A clock is measured against them where there is no 8254.
#pragma once

#include "kernel/lib/types.h"

struct boot_info;

struct clock_rates {
    uint64_t tsc_hz;
    uint64_t apic_mult; // local APIC timer ticks for a TSC tick, 32.32 fixed point
};

// Takes 20 ms. The local APIC's timer counts down from its greatest value meanwhile. False: none of them is here, or none counts.
// The boot CPU, interrupts masked, before there are others.
bool reference_measure(const struct boot_info *bi, struct clock_rates *out);
