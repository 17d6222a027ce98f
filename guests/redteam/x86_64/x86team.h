// SPDX-License-Identifier: Apache-2.0
//
// Between the files of x86_64's redteam: instructions that may end in an exception, interrupt gates of its own.
#pragma once

#include "guests/lib/x86_64/cpu.h"
#include "guests/redteam/redteam.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// Around an instruction in assembler text: an exception ends it, and last_trap tells. The case expects traps.
#define TRY "lea 99f(%%rip), %%r11\n\tmov %%r11, trap_resume(%%rip)\n\t"
#define TRIED "\n99:\n\t"
#define TRY_CLOBBERS "r11", "memory", "cc"

#define NO_TRAP (-1)
#define VECTOR_DB 1
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14

#define HPET UINT64_C(0xFED00000)
#define IOAPIC_BASE UINT64_C(0xFEC00000)
#define LAPIC_BASE UINT64_C(0xFEE00000)
#define NOWHERE UINT64_C(0xD0000000)

// The vector of the exception that the last try ended in, or NO_TRAP.
static inline int trap_vector(void)
{
    return last_trap.taken ? (int)(last_trap.syndrome & 0xFF) : NO_TRAP;
}

// False, with a line, when it was another.
bool expect_trap(const char *what, int vector);

bool try_rdmsr(uint32_t msr, uint64_t *out);
bool try_wrmsr(uint32_t msr, uint64_t v);

static inline uint32_t in32(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t in16(uint16_t port)
{
    uint16_t v;

    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void out32(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

// entry.S
#define VECTOR_COUNTING 0x3Eu
#define VECTOR_USER_END 0x3Du
#define STORM_END 5000u
void count_interrupt(
    void); // counts, ends the interrupt at the x2APIC; after STORM_END of them it switches the HPET off
void count_debug(void); // counts #DB, clears TF
void user_end(void);
void user_run(const void *code);
extern const char user_out[];
extern volatile uint64_t interrupt_count, debug_count;

struct user_code {
    const char *name;
    const void *code;
    int64_t vector; // what it must end in
};
extern const struct user_code user_codes[];
extern const uint64_t user_code_count;

// Makes `handler` the one of `vector`; `user`: programs may call it.
void gate_set(unsigned vector, void (*handler)(void), bool user);
