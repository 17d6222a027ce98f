// SPDX-License-Identifier: Apache-2.0
//
// Calls to the firmware by SMC, the only conduit there is from EL2 (Arm DEN0022, 5.1; SMCCC: Arm DEN0028).
#include "arch/aarch64/cpu/psci.h"

#include "arch/boot.h"

#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_CPU_ON_64 0xC4000003u

#define PSCI_SUCCESS 0
#define PSCI_NOT_SUPPORTED (-1)
#define PSCI_ALREADY_ON (-4)
#define PSCI_ON_PENDING (-5)

static int64_t smc(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 asm("x0") = function;
    register uint64_t x1 asm("x1") = a1;
    register uint64_t x2 asm("x2") = a2;
    register uint64_t x3 asm("x3") = a3;

    asm volatile("smc #0"
                 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                 :
                 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                   "memory");
    return (int64_t)x0;
}

enum status psci_cpu_on(uint64_t mpidr, hpa_t entry, hpa_t context)
{
    switch ((int32_t)smc(PSCI_CPU_ON_64, mpidr, entry.v, context.v)) {
    case PSCI_SUCCESS:
        return OK;
    case PSCI_ALREADY_ON:
    case PSCI_ON_PENDING:
        return E_STATE;
    case PSCI_NOT_SUPPORTED:
        return E_UNSUPPORTED;
    default:
        return E_INVAL;
    }
}

void arch_poweroff(void)
{
    smc(PSCI_SYSTEM_OFF, 0, 0, 0);
}

void arch_reset(void)
{
    smc(PSCI_SYSTEM_RESET, 0, 0, 0);
}
