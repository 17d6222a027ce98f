// SPDX-License-Identifier: Apache-2.0
//
// A PC's firmware in the fake machine's RAM: bytes at physical addresses, and ACPI tables one after the other. For
// tests; include after <cmocka.h>.
#pragma once

#include <string.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/pool.h"

#define BENCH_SIZE KIB(256)

static uint8_t *bench_ram;     // BENCH_SIZE bytes ...
static uint64_t bench_base;    // ... at this physical address
static uint64_t bench_used;    // by tables
static uint64_t bench_root[8]; // what the XSDT lists
static unsigned bench_roots;
static struct boot_info bench_bi;

static inline void bench_put(uint8_t *p, uint64_t v, unsigned bytes)
{
    memcpy(p, &v, bytes); // little-endian like the tables
}

static inline uint64_t bench_pa(const uint8_t *p)
{
    return bench_base + (uint64_t)(p - bench_ram);
}

// Makes the bytes [p, p + size) sum to zero by the one at p + at.
static inline void bench_sum(uint8_t *p, uint32_t size, uint32_t at)
{
    uint8_t sum = 0;

    p[at] = 0;
    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    p[at] = (uint8_t)-sum;
}

// A zeroed piece of RAM.
static inline uint8_t *bench_alloc(uint32_t size)
{
    uint8_t *p = bench_ram + bench_used;

    bench_used = (bench_used + size + 63) & ~UINT64_C(63);
    memset(p, 0, size);
    return p;
}

// A table of `size` bytes, all zero but for the header and its sum: fill it, then bench_sum() again.
static inline uint8_t *bench_table(const char *signature, uint32_t size)
{
    uint8_t *p = bench_alloc(size);

    memcpy(p, signature, 4);
    bench_put(p + 4, size, 4);
    bench_sum(p, size, 9);
    return p;
}

static inline void bench_list(const uint8_t *table)
{
    bench_root[bench_roots++] = bench_pa(table);
}

static inline void bench_rsdp_sums(uint8_t *rsdp)
{
    bench_sum(rsdp, 20, 8);
    bench_sum(rsdp, 36, 32);
}

// RSDP and root table (XSDT, or RSDT with entries of four bytes) of what was listed; bench_bi knows where. Returns the RSDP.
static inline uint8_t *bench_finish(bool old)
{
    unsigned entry = old ? 4 : 8;
    uint32_t size = 36 + bench_roots * entry;
    uint8_t *root = bench_table(old ? "RSDT" : "XSDT", size);
    uint8_t *rsdp = bench_alloc(36);

    for (unsigned i = 0; i < bench_roots; i++) {
        bench_put(root + 36 + i * entry, bench_root[i], entry);
    }
    bench_sum(root, size, 9);
    memcpy(rsdp, "RSD PTR ", 8);
    rsdp[15] = old ? 0 : 2;
    bench_put(rsdp + (old ? 16 : 24), bench_pa(root), entry);
    bench_rsdp_sums(rsdp);
    bench_bi.acpi_rsdp = hpa(bench_pa(rsdp));
    return rsdp;
}

// An empty machine with one CPU, whose APIC ID is 0.
static inline int bench_setup(void **state)
{
    (void)state;
    if (!bench_ram) {
        bench_ram = pool_alloc(BENCH_SIZE);
        bench_base = arch_virt_to_phys(bench_ram).v;
    }
    memset(bench_ram, 0xEE, BENCH_SIZE);
    memset(&bench_bi, 0, sizeof(bench_bi));
    bench_used = 64;
    bench_roots = 0;
    cpu_init_boot(0);
    return 0;
}
