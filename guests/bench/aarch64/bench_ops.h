// SPDX-License-Identifier: Apache-2.0
//
// Loops around one operation, and what the assembler half of bench provides.
#pragma once

#include "guests/bench/bench.h"
#include "guests/lib/aarch64/cpu.h"

#define MARK_BEGIN 0x4c01
#define MARK_END 0x4c02
#define MARK_SERIES 0x4c03
#define MARK(n) __asm__ volatile("movz xzr, %0" : : "i"(n))

#define COUNT_HANDLER_OWN 4u // vectors_count
#define TIMER_HANDLER_OWN 6u // vectors_timer
#define SLED_STEPS 16u

extern const char vectors[], vectors_count[], vectors_timer[], vectors_sled[], sled_end[], second_entry[];

#define SCRATCH                                                                                           \
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", \
        "x16", "x17", "memory", "cc"

// Defines a function that runs `body` `n` times and returns the ticks; %[a] and %[b] are its arguments.
#define BATCH_FUNCTION(name, body)                                              \
    static uint64_t name(uint64_t n, uint64_t a, uint64_t b)                    \
    {                                                                           \
        uint64_t t0, t1;                                                        \
                                                                                \
        MARK(MARK_BEGIN);                                                       \
                                                                                \
        __asm__ volatile("isb\n\tmrs %[t0], cntvct_el0\n"                       \
                         "1:\n\t" body "\n\tsubs %[n], %[n], #1\n\tb.ne 1b\n\t" \
                         "mrs %[t1], cntvct_el0"                                \
                         : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n)         \
                         : [a] "r"(a), [b] "r"(b)                               \
                         : SCRATCH);                                            \
        MARK(MARK_END);                                                         \
        return t1 - t0;                                                         \
    }

#define SGI_OF(intid, cpu) ((uint64_t)(intid) << 24 | UINT64_C(1) << (cpu))
#define SGI_INTID 1u
#define TIMER_INTID 27u

void measure_gicv2(void);

static inline void vectors_use(const char *table)
{
    write_sysreg("vbar_el1", (uintptr_t)table);
    __asm__ volatile("isb");
}
