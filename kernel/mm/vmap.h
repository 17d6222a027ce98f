// SPDX-License-Identifier: Apache-2.0
//
// The hypervisor's own address space beyond the direct map: device registers and guarded stacks.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

// Adopts the boot page table. Once, boot CPU, after page_init().
enum status vmap_init(void);

// Maps device registers; `pa` and `size` need no alignment. NULL when out of space or memory. Never unmapped.
volatile void *mmio_map(hpa_t pa, uint64_t size);

// A stack of STACK_SIZE bytes: the upper half of an aligned slot of twice its size, whose lower half is never mapped. So one
// bit of the stack pointer tells an overflow, which exception entries test. Returns its top (first byte above), NULL when out of memory.
#define STACK_SIZE KIB(16)
void *stack_alloc(void);
void stack_free(void *top);

// Typed register access; each is one instruction of the given width.
static inline uint32_t mmio_read32(const volatile void *base, size_t off)
{
    return *(const volatile uint32_t *)((const volatile char *)base + off);
}

static inline void mmio_write32(volatile void *base, size_t off, uint32_t v)
{
    *(volatile uint32_t *)((volatile char *)base + off) = v;
}

static inline uint64_t mmio_read64(const volatile void *base, size_t off)
{
    return *(const volatile uint64_t *)((const volatile char *)base + off);
}

static inline void mmio_write64(volatile void *base, size_t off, uint64_t v)
{
    *(volatile uint64_t *)((volatile char *)base + off) = v;
}

static inline uint16_t mmio_read16(const volatile void *base, size_t off)
{
    return *(const volatile uint16_t *)((const volatile char *)base + off);
}

static inline void mmio_write16(volatile void *base, size_t off, uint16_t v)
{
    *(volatile uint16_t *)((volatile char *)base + off) = v;
}

static inline uint8_t mmio_read8(const volatile void *base, size_t off)
{
    return *((const volatile uint8_t *)base + off);
}

static inline void mmio_write8(volatile void *base, size_t off, uint8_t v)
{
    *((volatile uint8_t *)base + off) = v;
}
