// SPDX-License-Identifier: Apache-2.0
//
// See pvclock.h.
#include "arch/x86_64/virt/pvclock.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define FRACTION_MAX 34 // NS_PER_SECOND has 30 bits

// As many bits of the fraction as the multiplier has room for.
struct pvclock_time pvclock_of(uint64_t hz)
{
    int fraction = FRACTION_MAX;

    while ((NS_PER_SECOND << fraction) / hz > UINT32_MAX) {
        fraction--;
    }
    return (struct pvclock_time){
        .version = 2,
        .tsc_to_system_mul = (uint32_t)((NS_PER_SECOND << fraction) / hz),
        .tsc_shift = (int8_t)(32 - fraction),
        .flags = PVCLOCK_TSC_STABLE,
    };
}
