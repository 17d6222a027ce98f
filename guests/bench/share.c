// SPDX-License-Identifier: Apache-2.0
//
// Two guests on one core: one sleeps and is woken by its timer, the other computes. Both note the machine's counter,
// which is the same for all, around every switch; the driver puts the two lists together.
//
// Guests are started one after the other. So that both note the same switches, and no other guest is still starting
// beside them, they agree on the moments when the measurement begins and ends.
#include "guests/bench/bench.h"

#define TURNS 500u
#define PERIOD_US 400u
#define BEGIN_US 400000u // since reset; 64 guests are up by then
#define GAP_NS 200u      // a longer pause between two looks at the counter was not the loop's

static uint64_t before[TURNS], after[TURNS];

static uint64_t clock_from_us(uint64_t us)
{
    return clock_hz() / 1000 * us / 1000;
}

static void print_list(const char *name, const uint64_t *v, unsigned n)
{
    for (unsigned i = 0; i < n; i += 8) {
        print("bench-list %s", name);
        for (unsigned k = i; k < n && k < i + 8; k++) {
            print(" %lu", v[k]);
        }
        print("\n");
    }
}

// Notes when it goes to sleep and when it goes on. Interrupts stay masked: a pending one ends the sleep all the same.
void role_yield(void)
{
    uint64_t period = clock_from_us(PERIOD_US), begin = clock_from_us(BEGIN_US);
    unsigned n = 0;

    alarm_setup();
    for (unsigned i = 0; n < TURNS; i++) {
        alarm_set(period + i % 16);
        alarm_sleep(&before[n], &after[n]);
        n += before[n] >= begin;
    }
    print_list("sleep", before, n);
    print_list("awake", after, n);
}

// Computes, and notes where it was not running. The sleeper's last turns and its printing come behind the end, so that
// there is always a pause that ends the list.
void role_spin(void)
{
    uint64_t begin = clock_from_us(BEGIN_US), end = begin + clock_from_us(PERIOD_US) * (TURNS - 1);
    uint64_t gap = clock_hz() / 1000000 * GAP_NS / 1000, last, now;
    unsigned n = 0;

    do {
        compute_until_gap(gap, &last, &now);
        before[n] = last;
        after[n] = now;
        n += now >= begin;
    } while (n < TURNS && now < end);
    print_list("lost", before, n);
    print_list("back", after, n);
}
