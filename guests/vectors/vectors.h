// SPDX-License-Identifier: Apache-2.0
//
// The vector registers of an architecture that has an extension of its own for them.
#pragma once

#include "guests/lib/guest.h"

// Turns them on; how many bytes one has, 0 when there are none.
unsigned vector_setup(void);
// Gives every register, and what else a program sees of them, values made of `seed`; whether they are still the same.
void vector_fill(uint64_t seed);
bool vector_check(uint64_t seed);
