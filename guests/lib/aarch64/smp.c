// SPDX-License-Identifier: Apache-2.0
//
// Further CPUs of an aarch64 guest: PSCI (Arm DEN 0022, 5.1).
#include "guests/lib/aarch64/cpu.h"

#define PSCI_CPU_SUSPEND 0xc4000001u
#define PSCI_CPU_OFF 0x84000002u
#define PSCI_CPU_ON 0xc4000003u
#define PSCI_AFFINITY_INFO 0xc4000004u
#define PSCI_ALREADY_ON (-4)
#define PSCI_ON_PENDING (-5)
#define STANDBY 0u // power_state: state kept

void secondary_start(void);

enum cpu_answer cpu_start(uint64_t id, const struct cpu_start *start)
{
    __asm__ volatile("dsb sy" : : : "memory");
    switch ((int32_t)firmware_call(PSCI_CPU_ON, id, (uintptr_t)secondary_start, (uintptr_t)start)) {
    case 0:
        return CPU_STARTED;
    case PSCI_ALREADY_ON:
        return CPU_ALREADY_ON;
    case PSCI_ON_PENDING:
        return CPU_ON_PENDING;
    default:
        return CPU_REFUSED;
    }
}

enum cpu_state cpu_state(uint64_t id)
{
    uint64_t state = firmware_call(PSCI_AFFINITY_INFO, id, 0, 0);

    return state <= CPU_STARTING ? (enum cpu_state)state : CPU_UNKNOWN;
}

void cpu_stop(void)
{
    for (;;) {
        firmware_call(PSCI_CPU_OFF, 0, 0, 0);
    }
}

bool cpu_suspend(void)
{
    return firmware_call(PSCI_CPU_SUSPEND, STANDBY, 0, 0) == 0;
}
