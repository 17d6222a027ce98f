// SPDX-License-Identifier: Apache-2.0
//
// Roles, statistics, output.
#include "guests/bench/bench.h"

#define BLOCK_SIZE (2u << 20)

struct samples samples;

uint64_t tick_cost(void)
{
    return UINT64_C(100000000000) / clock_hz();
}

void samples_start(void)
{
    samples.count = 0;
}

void samples_add(uint64_t hundredths)
{
    if (samples.count < SAMPLES) {
        samples.value[samples.count++] = hundredths;
    }
}

void samples_add_batch(uint64_t ticks, unsigned n, unsigned own)
{
    uint64_t total = ticks * tick_cost();
    uint64_t off = (uint64_t)n * own * 100;

    samples_add(total > off ? (total - off) / n : 0);
}

static void sort(uint64_t *v, unsigned n)
{
    for (unsigned gap = n / 2; gap; gap /= 2) {
        for (unsigned i = gap; i < n; i++) {
            uint64_t x = v[i];
            unsigned j = i;

            for (; j >= gap && v[j - gap] > x; j -= gap) {
                v[j] = v[j - gap];
            }
            v[j] = x;
        }
    }
}

static void put_hundredths(uint64_t v)
{
    print(" %lu.%02lu", v / 100, v % 100);
}

void samples_report(const char *name)
{
    unsigned n = samples.count;

    mark_series();
    if (n) {
        sort(samples.value, n);
        print("bench %s", name);
        put_hundredths(samples.value[n / 2]);
        put_hundredths(samples.value[0]);
        put_hundredths(samples.value[n - 1]);
        print("\n");
    }
    samples_start();
}

void report_value(const char *name, uint64_t value)
{
    print("bench %s %lu\n", name, value);
}

void measure(const char *name, batch_function f, uint64_t a, uint64_t b, unsigned own)
{
    f(BATCH, a, b);
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add_batch(f(BATCH, a, b), BATCH, LOOP_OWN + own);
    }
    samples_report(name);
}

void measure_first_touch(batch_function touch)
{
    uint64_t first = (board.ram_base + board.ram_size / 2 + BLOCK_SIZE - 1) & ~(uint64_t)(BLOCK_SIZE - 1);
    uint64_t end = (board.ram_base + board.ram_size) & ~(uint64_t)(BLOCK_SIZE - 1);
    unsigned n = (unsigned)((end - first) / BLOCK_SIZE);

    if (first < end && n > 1) {
        samples_add_batch(touch(n - 1, first, BLOCK_SIZE), n - 1, LOOP_OWN + 1);
        samples_report("first_touch_2m");
    }
}

// Half a turn is a message from one vCPU to the other's handler. On two cores that is a cross-CPU interrupt, on one it
// contains a switch. What sleeps executes nothing, so the one clock of all emulated CPUs counts the path alone.
void role_pair(void)
{
    if (!pair_begin()) {
        print("bench: no second CPU\n");
        return;
    }
    pair_turns(BATCH);
    for (unsigned i = 0; i < SAMPLES / 10; i++) {
        samples_add_batch(pair_turns(BATCH), 2 * BATCH, pair_own);
    }
    pair_end();
    samples_report("pair_sgi");
}

// First thing of all: how far the machine was when this guest's first instruction ran.
static void role_boot(void)
{
    report_value("entry_instructions", entry_ticks * tick_cost() / 100);
}

// Sleeps for ever: one of many.
static void role_idle(void)
{
    irq_set_mask(true);
    for (;;) {
        __asm__ volatile(STAND_BY);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} roles[] = {
    {"idle", role_idle},
    {"boot", role_boot},
    {"calls", role_calls},
    {"exits", role_exits},
    {"interrupts", role_interrupts},
    {"pair", role_pair},
    {"yield", role_yield},
    {"spin", role_spin},
    {"virtio", role_virtio},
};

static bool asked_for(const char *name)
{
    for (const char *at = board.bootargs; *at; at++) {
        if (text_starts(at, name)) {
            return true;
        }
    }
    return false;
}

void guest_main(void)
{
    for (unsigned i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (asked_for(roles[i].name)) {
            roles[i].run();
        }
    }
    print("bench done\n");
    power_off();
}
