// SPDX-License-Identifier: Apache-2.0
//
// CSRs, device registers, firmware calls and the trap frame of riscv64 guests.
#pragma once

#include "guests/lib/guest.h"

#define read_csr(name)                                 \
    ({                                                 \
        uint64_t v_;                                   \
        __asm__ volatile("csrr %0, " name : "=r"(v_)); \
        v_;                                            \
    })
#define write_csr(name, value) __asm__ volatile("csrw " name ", %0" : : "r"((uint64_t)(value)) : "memory")
#define set_csr(name, value) __asm__ volatile("csrs " name ", %0" : : "r"((uint64_t)(value)) : "memory")
#define clear_csr(name, value) __asm__ volatile("csrc " name ", %0" : : "r"((uint64_t)(value)) : "memory")

// Laid out by start.S.
struct trap_frame {
    uint64_t x[32];
    uint64_t sepc;
    uint64_t sstatus;
};
_Static_assert(sizeof(struct trap_frame) == 272, "start.S");

// Kept out of the compiler's choice of instruction, so that every access is a plain one.
static inline uint32_t mmio_read32(uint64_t addr)
{
    uint32_t v;

    __asm__ volatile("lwu %0, (%1)" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write32(uint64_t addr, uint32_t v)
{
    __asm__ volatile("sw %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

static inline uint64_t mmio_read64(uint64_t addr)
{
    uint64_t v;

    __asm__ volatile("ld %0, (%1)" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write64(uint64_t addr, uint64_t v)
{
    __asm__ volatile("sd %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

static inline uint8_t mmio_read8(uint64_t addr)
{
    uint8_t v;

    __asm__ volatile("lbu %0, (%1)" : "=r"(v) : "r"(addr) : "memory");
    return v;
}

static inline void mmio_write8(uint64_t addr, uint8_t v)
{
    __asm__ volatile("sb %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}

// One firmware call (SBI 2.0, chapter 3).
struct sbi_ret {
    int64_t error;
    uint64_t value;
};
struct sbi_ret sbi_call(uint64_t ext, uint64_t fn, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

extern uint64_t boot_hart;

// Called by start.S.
void guest_start(const void *fdt, uint64_t hart);
void guest_trap(struct trap_frame *frame, uint64_t cause);

// uart.c: fetches what the UART received into the ring that get_char() reads.
void uart_setup(void);
void uart_drain(void);
