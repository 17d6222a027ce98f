// SPDX-License-Identifier: Apache-2.0
//
// The date, as a real-time clock told it once at boot.
#pragma once

#include "kernel/lib/types.h"

// A driver has read its clock: seconds since 1970, UTC. The first one counts; one that says a year before 2000
// has lost its battery and is not believed. Boot CPU.
void wallclock_set(const char *name, uint64_t seconds);

// Seconds since 1970, UTC; 0 when no clock was found. Any context.
uint64_t wallclock_now(void);
