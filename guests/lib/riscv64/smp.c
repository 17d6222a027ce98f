// SPDX-License-Identifier: Apache-2.0
//
// Further harts of a riscv64 guest: the SBI HSM extension (SBI 2.0, chapter 9).
#include "guests/lib/riscv64/cpu.h"

#define SBI_HSM 0x48534D
#define SBI_ALREADY_AVAILABLE (-6)
#define RETENTIVE 0u

enum {
    HSM_START,
    HSM_STOP,
    HSM_STATUS,
    HSM_SUSPEND
};

void secondary_start(void);

enum cpu_answer cpu_start(uint64_t id, const struct cpu_start *start)
{
    __asm__ volatile("fence" : : : "memory");
    switch (sbi_call(SBI_HSM, HSM_START, id, (uintptr_t)secondary_start, (uintptr_t)start, 0).error) {
    case 0:
        return CPU_STARTED;
    case SBI_ALREADY_AVAILABLE:
        return CPU_ALREADY_ON;
    default:
        return CPU_REFUSED;
    }
}

enum cpu_state cpu_state(uint64_t id)
{
    static const enum cpu_state states[] = {CPU_ON, CPU_OFF, CPU_STARTING, CPU_STARTING, // stopping
                                            CPU_ON /* suspended */};
    struct sbi_ret r = sbi_call(SBI_HSM, HSM_STATUS, id, 0, 0, 0);

    return r.error == 0 && r.value < sizeof(states) / sizeof(states[0]) ? states[r.value] : CPU_UNKNOWN;
}

void cpu_stop(void)
{
    for (;;) {
        sbi_call(SBI_HSM, HSM_STOP, 0, 0, 0, 0);
    }
}

bool cpu_suspend(void)
{
    return sbi_call(SBI_HSM, HSM_SUSPEND, RETENTIVE, 0, 0, 0).error == 0;
}
