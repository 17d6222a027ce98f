// SPDX-License-Identifier: Apache-2.0
//
// System registers, device registers and the trap frame of aarch64 guests.
#pragma once

#include "guests/lib/guest.h"

#define read_sysreg(name)                             \
    ({                                                \
        uint64_t v_;                                  \
        __asm__ volatile("mrs %0, " name : "=r"(v_)); \
        v_;                                           \
    })
#define write_sysreg(name, value) __asm__ volatile("msr " name ", %0" : : "r"((uint64_t)(value)))

// Laid out by start.S.
struct trap_frame {
    uint64_t x[31];
    uint64_t elr;
    uint64_t spsr;
    uint64_t pad;
};
_Static_assert(sizeof(struct trap_frame) == 272, "start.S");

// Kept out of the compiler's choice of addressing form, so that every access is a plain one.
static inline uint32_t mmio_read32(uint64_t addr)
{
    uint32_t v;

    __asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write32(uint64_t addr, uint32_t v)
{
    __asm__ volatile("str %w0, [%1]" : : "r"(v), "r"(addr) : "memory");
}

static inline uint64_t mmio_read64(uint64_t addr)
{
    uint64_t v;

    __asm__ volatile("ldr %0, [%1]" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write64(uint64_t addr, uint64_t v)
{
    __asm__ volatile("str %0, [%1]" : : "r"(v), "r"(addr) : "memory");
}

static inline void mmio_write8(uint64_t addr, uint8_t v)
{
    __asm__ volatile("strb %w0, [%1]" : : "r"(v), "r"(addr) : "memory");
}

// gic.c
uint32_t gic_acknowledge(void);
void gic_end(uint32_t intid);

// Called by start.S.
void guest_start(const void *fdt);
void guest_trap(struct trap_frame *frame, unsigned slot);

// uart.c: fetches what the UART received into the ring that get_char() reads.
void uart_setup(void);
void uart_drain(void);
