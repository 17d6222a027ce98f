// SPDX-License-Identifier: Apache-2.0
//
// Loops around one operation, and what the assembler half of bench provides.
//
// The counter is `cycle`: under -icount QEMU makes it the number of instructions executed by the whole machine, exactly
// and the same for every guest, while `time` moves by one in a hundred.
#pragma once

#include "guests/bench/bench.h"
#include "guests/lib/riscv64/cpu.h"

#define MARK_BEGIN 0x4c1
#define MARK_END 0x4c2
#define MARK_SERIES 0x4c3
#define MARK(n) __asm__ volatile("slti zero, zero, %0" : : "i"(n)) // a custom hint

#define IPI_HANDLER_OWN 3u // vectors_ipi
#define SSTATUS_SIE 2u
#define SIE_SSI 2u
#define SIE_STI 32u
#define STIMECMP "0x14d"

#define SBI_BASE 0x10u
#define SBI_TIME 0x54494D45u
#define SBI_IPI 0x735049u
#define SBI_RFENCE 0x52464E43u
#define SBI_HSM 0x48534Du
#define RFENCE_SFENCE_VMA 1u

extern const char vectors_ipi[], vectors_timer[], second_entry[];

#define SCRATCH "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "memory"

// Defines a function that runs `body` `n` times and returns the instructions: `a` is in a7 and `b` in a6, where a
// firmware call has its extension and function; a2 and a3 are 0; t0-t6, a0 and a1 are free.
#define BATCH_FUNCTION(name, body)                                                                     \
    static uint64_t name(uint64_t n, uint64_t a, uint64_t b)                                           \
    {                                                                                                  \
        register uint64_t r2 __asm__("a2") = 0;                                                        \
        register uint64_t r3 __asm__("a3") = 0;                                                        \
        register uint64_t r6 __asm__("a6") = b;                                                        \
        register uint64_t r7 __asm__("a7") = a;                                                        \
        uint64_t t0, t1;                                                                               \
                                                                                                       \
        MARK(MARK_BEGIN);                                                                              \
        __asm__ volatile("csrr %[t0], cycle\n"                                                         \
                         "1:\n\t" body "\n\taddi %[n], %[n], -1\n\tbnez %[n], 1b\n\tcsrr %[t1], cycle" \
                         : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n), "+&r"(r7)                     \
                         : "r"(r2), "r"(r3), "r"(r6)                                                   \
                         : SCRATCH);                                                                   \
        MARK(MARK_END);                                                                                \
        return t1 - t0 - 1;                                                                            \
    }

// Where this guest's traps go from now on; what was there before.
static inline uint64_t vectors_use(uint64_t table)
{
    uint64_t old = read_csr("stvec");

    write_csr("stvec", table);
    return old;
}

// Whether `stimecmp` is there for this guest. It is where the host has Sstc.
bool has_stimecmp(void);
