// SPDX-License-Identifier: Apache-2.0
//
// metronome: a real-time guest. A 1 ms timer; each second it prints how late the latest tick was taken, in its own
// (virtual) time, and how many ticks were missed altogether. "metronome 7: 1000 ticks, latest 12 us, missed 0".
#include "guests/lib/guest.h"

#define TICKS_PER_SECOND 1000u

void guest_main(void)
{
    uint64_t period = time_hz() / TICKS_PER_SECOND;
    uint64_t start = time_now();
    uint64_t seen = 0, second = 0, latest = 0, missed = 0;

    print("metronome: up, period %lu ticks of a %lu Hz counter\n", period, time_hz());
    timer_start(period);
    for (;;) {
        irq_wait();
        uint64_t n = timer_periods();
        if (n == seen) {
            continue; // something else woke us
        }
        // Tick n was due n periods after the start; the start was read a moment before the timer was set. The first of
        // those that are taken now is the latest.
        uint64_t late = time_now() - (start + (seen + 1) * period);
        missed += n - seen - 1;
        latest = late > latest ? late : latest;
        seen = n;
        if (seen / TICKS_PER_SECOND > second) {
            second = seen / TICKS_PER_SECOND;
            print("metronome %lu: %lu ticks, latest %lu us, missed %lu\n", second, seen,
                  latest * 1000000 / time_hz(), missed);
            latest = 0;
        }
    }
}
