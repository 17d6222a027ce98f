// SPDX-License-Identifier: Apache-2.0
//
// crowd: a guest for tests of SMP and of the scheduler, one part chosen by bootargs:
//   race      three CPUs start a fourth at the same moment, again and again: one must succeed
//   suspend   a CPU stands by until its timer, again and again, another one for ever
//   share     all its CPUs count how often they get round a loop in each second of their own (virtual) time
#include "guests/lib/guest.h"

#define RACERS 3u
#define TARGET 3u
#define ROUNDS 40u
#define STANDBYS 100u
#define CPUS_MAX 8u
#define STACK_SIZE 4096u
#define LOOPS 1000u

static char stacks[CPUS_MAX][STACK_SIZE] __attribute__((aligned(16)));
static struct cpu_start starts[CPUS_MAX];

static void run_on(unsigned cpu, void (*entry)(void *arg), void *arg)
{
    starts[cpu] = (struct cpu_start){stacks[cpu] + STACK_SIZE, entry, arg};
    if (cpu_start(cpu, &starts[cpu]) != CPU_STARTED) {
        print("crowd: CPU %u does not start: FAIL\n", cpu);
    }
}

static void barrier(void)
{
    __sync_synchronize();
}

// ---- race ------------------------------------------------------------------------------------------------------------

static volatile unsigned round_now, called[RACERS];
static volatile enum cpu_answer answers[RACERS];
static struct cpu_start offers[RACERS]; // what each racer starts the target with
static volatile unsigned runs, seen_arg;

static bool all_called(void)
{
    return called[0] == round_now && called[1] == round_now && called[2] == round_now;
}

// Stays on until everybody has called, so that no second call may succeed.
static void target_main(void *arg)
{
    seen_arg = (unsigned)(uintptr_t)arg;
    while (!all_called()) {
    }
    runs = runs + 1;
    barrier();
    cpu_stop();
}

static void race(unsigned self)
{
    answers[self] = cpu_start(TARGET, &offers[self]);
    barrier();
    called[self] = round_now;
    barrier();
}

static void racer_main(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;

    for (;;) {
        while (called[self] == round_now) {
        }
        race(self);
    }
}

struct tally {
    unsigned already, pending;
};

// What the three were told, and who the target runs for.
static bool judge(struct tally *t)
{
    unsigned won = 0, winner = 0;

    for (unsigned i = 0; i < RACERS; i++) {
        if (answers[i] == CPU_STARTED) {
            won++;
            winner = i;
        }
        t->already += answers[i] == CPU_ALREADY_ON;
        t->pending += answers[i] == CPU_ON_PENDING;
    }
    return won == 1 && runs == round_now && seen_arg == winner;
}

static void run_race(void)
{
    struct tally t = {0};
    bool ok =
        cpu_state(TARGET) == CPU_OFF && cpu_state(0) == CPU_ON && cpu_state(CPUS_MAX + 55) == CPU_UNKNOWN;

    for (unsigned i = 0; i < RACERS; i++) {
        offers[i] = (struct cpu_start){stacks[TARGET] + STACK_SIZE, target_main, (void *)(uintptr_t)i};
    }
    run_on(1, racer_main, (void *)1);
    run_on(2, racer_main, (void *)2);
    while (round_now < ROUNDS && ok) {
        round_now = round_now + 1;
        barrier();
        race(0);
        while (!all_called() || cpu_state(TARGET) != CPU_OFF) {
        }
        ok = judge(&t);
    }
    ok = ok && t.already + t.pending == ROUNDS * (RACERS - 1);
    print("crowd race: %u rounds, %u already on, %u pending: %s\n", round_now, t.already, t.pending,
          ok ? "PASS" : "FAIL");
}

// ---- suspend ---------------------------------------------------------------------------------------------------------

static volatile bool sleeps;

static void sleeper_main(void *arg)
{
    (void)arg;
    for (;;) {
        sleeps = true;
        cpu_suspend(); // nothing is enabled that could wake it
    }
}

static void run_suspend(void)
{
    unsigned refused = 0;

    run_on(1, sleeper_main, NULL);
    while (!sleeps) {
    }
    timer_start(time_hz() / 1000);
    while (timer_periods() < STANDBYS) {
        refused += !cpu_suspend();
        irq_set_mask(false);
        irq_set_mask(true);
    }
    print("crowd suspend: %lu ticks, %u refused, CPU 1 is %s: %s\n", timer_periods(), refused,
          cpu_state(1) == CPU_ON ? "on" : "off", refused == 0 && cpu_state(1) == CPU_ON ? "PASS" : "FAIL");
}

// ---- share -----------------------------------------------------------------------------------------------------------

static volatile uint64_t turns[CPUS_MAX];

static void turn(volatile uint64_t *count)
{
    for (unsigned i = 0; i < LOOPS; i++) {
        __asm__ volatile("");
    }
    *count = *count + 1;
}

static void share_main(void *arg)
{
    for (;;) {
        turn(&turns[(uintptr_t)arg]);
    }
}

static unsigned start_others(void)
{
    unsigned n = 1;

    while (n < CPUS_MAX && cpu_state(n) == CPU_OFF) {
        run_on(n, share_main, (void *)(uintptr_t)n);
        n++;
    }
    return n;
}

static void run_share(void)
{
    uint64_t start = time_now(), before[CPUS_MAX] = {0};
    unsigned cpus = start_others();

    for (unsigned second = 1;; second++) {
        while (time_now() - start < second * time_hz()) {
            turn(&turns[0]);
        }
        print("crowd share %u:", second);
        for (unsigned i = 0; i < cpus; i++) {
            uint64_t now = turns[i];

            print(" %lu", now - before[i]);
            before[i] = now;
        }
        print(".\n"); // a whole line ends so
    }
}

// ---- choice ----------------------------------------------------------------------------------------------------------

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {
    {"race", run_race},
    {"suspend", run_suspend},
    {"share", run_share},
};

void guest_main(void)
{
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (text_starts(board.bootargs, parts[i].name)) {
            parts[i].run();
        }
    }
    for (;;) {
        irq_wait();
    }
}
