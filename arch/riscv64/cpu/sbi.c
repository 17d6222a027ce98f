// SPDX-License-Identifier: Apache-2.0
//
// Calls to the firmware by ECALL (SBI 2.0, chapter 3). Runs with the MMU off and on.
#include <asm/sbi.h>

#include "arch/boot.h"

static inline struct sbi_ret ecall(uint64_t ext, uint64_t fn, const uint64_t args[5])
{
    register uint64_t a0 asm("a0") = args[0];
    register uint64_t a1 asm("a1") = args[1];
    register uint64_t a2 asm("a2") = args[2];
    register uint64_t a3 asm("a3") = args[3];
    register uint64_t a4 asm("a4") = args[4];
    register uint64_t a6 asm("a6") = fn;
    register uint64_t a7 asm("a7") = ext;

    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
    return (struct sbi_ret){(int64_t)a0, a1};
}

struct sbi_ret sbi_call(uint64_t ext, uint64_t fn, uint64_t a0, uint64_t a1, uint64_t a2)
{
    const uint64_t args[5] = {a0, a1, a2, 0, 0};

    return ecall(ext, fn, args);
}

struct sbi_ret sbi_rfence(uint64_t fn, uint64_t mask, uint64_t base, uint64_t start, uint64_t size,
                          uint64_t id)
{
    const uint64_t args[5] = {mask, base, start, size, id};

    return ecall(SBI_EXT_RFENCE, fn, args);
}

bool sbi_probe(uint64_t ext)
{
    struct sbi_ret r = sbi_call(SBI_EXT_BASE, SBI_BASE_PROBE, ext, 0, 0);

    return r.error == SBI_SUCCESS && r.value != 0;
}

void arch_poweroff(void)
{
    sbi_call(SBI_EXT_SRST, 0, SBI_SRST_SHUTDOWN, 0, 0);
    sbi_call(SBI_LEGACY_SHUTDOWN, 0, 0, 0, 0);
}

void arch_reset(void)
{
    sbi_call(SBI_EXT_SRST, 0, SBI_SRST_COLD_REBOOT, 0, 0);
}
