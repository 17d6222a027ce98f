// SPDX-License-Identifier: Apache-2.0
//
// bench: how many instructions an operation takes, seen from inside a guest.
//
// Under `-icount shift=0,sleep=off` each instruction that QEMU executes moves the virtual clock by one nanosecond, so the
// guest's own counter counts instructions, the hypervisor's included, in steps of 1e9 / clock_hz().
// Operations are measured in batches, which gives fractions of a step; the loop around them is taken off. Values are
// kept in hundredths of an instruction.
#pragma once

#include "guests/lib/guest.h"

#define SAMPLES 1000u // of each operation, as far as it is not said otherwise
#define BATCH 64u

struct samples {
    unsigned count;
    uint64_t value[SAMPLES]; // hundredths
};
extern struct samples samples;

// Instructions of one counter tick, in hundredths.
uint64_t tick_cost(void);

// For the emulator's plugin (tools/bench_plugin), by instructions without effect.
void mark_begin(void);
void mark_end(void);
void mark_series(void);

void samples_start(void);
void samples_add(uint64_t hundredths);
// Adds a batch: `ticks` of the counter for `n` operations, of which `own` instructions each are not the operation's.
void samples_add_batch(uint64_t ticks, unsigned n, unsigned own);
// Prints "bench NAME MEDIAN MIN MAX" and starts anew.
void samples_report(const char *name);
void report_value(const char *name, uint64_t value);

// ---- batches: an operation `n` times in a loop, the ticks that took ----

typedef uint64_t (*batch_function)(uint64_t n, uint64_t a, uint64_t b);
#define LOOP_OWN 2u // instructions of the loop itself: count down, branch

// A thousand batches of `f`; `own`: instructions around the operation that are not part of it, beside the loop.
void measure(const char *name, batch_function f, uint64_t a, uint64_t b, unsigned own);
// Blocks of 2 MiB that nobody has touched since this guest was made. touch(n, first, step): own = 1.
void measure_first_touch(batch_function touch);

// ---- what the architecture's part provides ----

// The counter that all guests of the machine share, and its rate while an instruction takes a nanosecond.
uint64_t clock_now(void);
uint64_t clock_hz(void);

// A timer interrupt `ticks` of the counter from now; called with interrupts masked.
void alarm_setup(void);
void alarm_set(uint64_t ticks);
// Sleeps until the alarm has come and takes it; the counter right before and right behind the sleep.
void alarm_sleep(uint64_t *before, uint64_t *after);
// Computes until two looks at the counter, *last and *now, are `gap` ticks or more apart.
void compute_until_gap(uint64_t gap, uint64_t *last, uint64_t *now);

// Two vCPUs that send each other an interrupt in turn and sleep in between: begins with false when there is no second
// one. A batch of `n` turns has 2n messages, of which pair_own instructions each are not the operation's.
bool pair_begin(void);
uint64_t pair_turns(uint64_t n);
void pair_end(void);
extern const unsigned pair_own;

// Roles; `bootargs` says which one a guest plays.
void role_pair(void);
void role_yield(void);
void role_spin(void);
void role_virtio(void);
// These are the architecture's own lists of operations.
void role_calls(void);
void role_exits(void);
void role_interrupts(void);
