// SPDX-License-Identifier: Apache-2.0
//
// Ports, MSRs, CPUID, device registers, the local APIC and the trap frame of x86_64 guests.
#pragma once

#include "guests/lib/guest.h"

// Interrupt vectors; start.S has stubs for VECTOR_COUNT of them.
#define VECTOR_IRQ 0x20u // input n of the I/O APIC has VECTOR_IRQ + n
#define VECTOR_TIMER 0x38u
#define VECTOR_SPURIOUS 0x3Fu
#define VECTOR_COUNT 0x40u

// Local APIC registers by their x2APIC numbers: offset / 16.
enum apic_reg {
    APIC_ID = 0x02,
    APIC_EOI = 0x0B,
    APIC_SVR = 0x0F,
    APIC_ICR = 0x30,
    APIC_LVT_TIMER = 0x32
};

// Laid out by start.S.
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 176, "start.S");

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

// Whose virtualisation this is: Intel's hypercall is VMCALL, AMD's is VMMCALL, and each is undefined at the other's.
static inline bool cpu_is_intel(void)
{
    return cpuid(0, 0).ebx == 0x756E6547; // "Genu"
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void out8(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

// Kept out of the compiler's choice of instruction, so that every access is a plain one.
static inline uint32_t mmio_read32(uint64_t addr)
{
    uint32_t v;

    __asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write32(uint64_t addr, uint32_t v)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

// cpu.c
void apic_write(enum apic_reg reg, uint64_t v);
uint64_t apic_read(enum apic_reg reg);
// Switches this CPU's local APIC on, as x2APIC where there is one.
void apic_enable(void);

// Called by start.S.
void guest_start(const void *start_info);
void guest_trap(struct trap_frame *frame);
extern void *const trap_stubs[VECTOR_COUNT];
// Loads IDTR with the table that guest_start() has filled.
void traps_load(void);

// smp.c: what a further CPU runs first, called by start.S.
void ap_main(const struct cpu_start *start);

// uart.c: fetches what the UART received into the ring that get_char() reads.
void uart_setup(void);
void uart_drain(void);
