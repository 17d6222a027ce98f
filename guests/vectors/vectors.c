// SPDX-License-Identifier: Apache-2.0
//
// vectors: keeps values of its own in every vector register while others use the same core, and never sleeps, so that it is
// interrupted anywhere. "vectors: kept 1234" each second is how often it found them; "vectors: lost" is a mistake of the
// hypervisor.
#include "guests/vectors/vectors.h"

#define SPINS 20000u

void guest_main(void)
{
    unsigned bytes = vector_setup();
    uint64_t seen = 0, rounds = 0;

    print("vectors: registers of %u bytes\n", bytes);
    if (bytes == 0) {
        return;
    }
    timer_start(time_hz());
    irq_set_mask(false);
    for (;;) {
        uint64_t seed = time_now() * 0x9E3779B97F4A7C15;

        vector_fill(seed);
        for (unsigned i = 0; i < SPINS; i++) {
            __asm__ volatile("");
        }
        if (!vector_check(seed)) {
            print("vectors: lost, seed 0x%lx\n", seed);
            return;
        }
        rounds++;
        if (timer_periods() > seen) {
            seen = timer_periods();
            print("vectors: kept %lu\n", rounds);
        }
    }
}
