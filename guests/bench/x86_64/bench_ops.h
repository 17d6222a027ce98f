// SPDX-License-Identifier: Apache-2.0
//
// Loops around one operation, and what the assembler half of bench provides.
//
// The counter is the TSC: under -icount QEMU makes it the number of instructions executed by the whole machine, less what a
// guest's own began with: guests of one machine have no clock in common.
#pragma once

#include "guests/bench/bench.h"
#include "guests/lib/x86_64/cpu.h"

#define MARK_BEGIN 0x61
#define MARK_END 0x62
#define MARK_SERIES 0x63
#define MARK_SLEEP 0x65
#define MARK_BYTES(n) ".byte 0x0F, 0x1F, 0x40, " n "\n\t" // nopl n(%rax)
#define MARK(n) __asm__ volatile(MARK_BYTES("%c0") : : "i"(n))

#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC 0x800u
#define APIC_SELF_IPI 0x3Fu
#define ICR_FIXED 0x4000u
#define VECTOR_BENCH 0x3Au
#define LVT_TSC_DEADLINE 0x40000u

// vectors.S: says in r13 when it was entered, ends the interrupt, counts in r14. Uses rax, rcx, rdx.
extern const char vectors_stamp[];

#define SCRATCH "r8", "r9", "r10", "r11", "r13", "r14", "memory", "cc"
// The counter in `to`: three instructions behind the one that reads it.
#define READ_COUNTER(to) "rdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %%rax\n\tmov %%rax, " to "\n\t"
#define READ_OWN 4u
#define SEND_OWN 7u // of READ_COUNTER, and the three moves before a WRMSR that sends

// Defines a function that runs `body` `n` times and returns the instructions: `a` is in rsi and ecx, `b` in rdi; rax, rbx and
// rdx are free.
#define BATCH_FUNCTION(name, body)                                                               \
    static uint64_t name(uint64_t n, uint64_t a, uint64_t b)                                     \
    {                                                                                            \
        uint64_t t0, t1, c = a;                                                                  \
                                                                                                 \
        MARK(MARK_BEGIN);                                                                        \
        __asm__ volatile(READ_COUNTER("%[t0]") "1:\n\t" body "\n\tdec %[n]\n\tjnz 1b\n\t"        \
                                               "rdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %%rax"      \
                         : [t0] "=&r"(t0), "=&a"(t1), [n] "+&r"(n), "+&S"(a), "+&D"(b), "+&c"(c) \
                         :                                                                       \
                         : "rbx", "rdx", SCRATCH);                                               \
        MARK(MARK_END);                                                                          \
        return t1 - t0 - READ_OWN;                                                               \
    }

// Where VECTOR_BENCH goes from now on.
void vector_use(const char *handler);
