// SPDX-License-Identifier: Apache-2.0
//
// Two vCPUs that send each other interrupts: not measured on this architecture yet.
#include "guests/bench/x86_64/bench_ops.h"

const unsigned pair_own;

bool pair_begin(void)
{
    return false;
}

uint64_t pair_turns(uint64_t n)
{
    (void)n;
    return 0;
}

void pair_end(void)
{
}
