// SPDX-License-Identifier: Apache-2.0
//
// Two guests on one core: one sleeps and is woken by its timer, the other computes. Both note the physical counter,
// which is the same for all, around every switch; the driver puts the two lists together.
#include "guests/bench/aarch64/bench_ops.h"

#define TURNS 500u
#define PERIOD_US 400u
#define GAP_TICKS 12u // a longer pause between two looks at the counter was not the loop's

static uint64_t before[TURNS], after[TURNS];

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
    uint64_t period = time_hz() / 1000 * PERIOD_US / 1000;

    irq_enable_line(TIMER_INTID);
    vectors_use(vectors_timer);
    for (unsigned i = 0; i < TURNS; i++) {
        write_sysreg("cntv_cval_el0", time_now() + period + i % 16);
        write_sysreg("cntv_ctl_el0", 1);
        __asm__ volatile("isb\n\tmrs %0, cntpct_el0\n\twfi\n\tmrs %1, cntpct_el0\n\t"
                         "msr daifclr, #2\n\tisb\n\tmsr daifset, #2"
                         : "=&r"(before[i]), "=&r"(after[i])::SCRATCH, "x20", "x21", "x22");
    }
    vectors_use(vectors);
    print_list("sleep", before, TURNS);
    print_list("awake", after, TURNS);
}

// Computes, and notes where it was not running.
void role_spin(void)
{
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t last, now;

        __asm__ volatile("mrs %1, cntpct_el0\n1:\n\tmov %0, %1\n\tmrs %1, cntpct_el0\n\tsub x9, %1, %0\n\t"
                         "cmp x9, %2\n\tb.lo 1b"
                         : "=&r"(last), "=&r"(now)
                         : "r"((uint64_t)GAP_TICKS)
                         : "x9", "cc");
        before[i] = last;
        after[i] = now;
    }
    print_list("lost", before, TURNS);
    print_list("back", after, TURNS);
}
