// SPDX-License-Identifier: Apache-2.0
//
// The time CSR, and the supervisor timer: stimecmp (Sstc) where it works, else the firmware's (SBI TIME).
#include "arch/time.h"

#include <asm/csr.h>
#include <asm/isa.h>
#include <asm/sbi.h>

bool arch_time_init(const struct boot_info *bi)
{
    (void)bi;
    return true;
}

uint64_t arch_time_now(void)
{
    return csr_read(time);
}

uint64_t arch_time_hz(void)
{
    return isa_timebase();
}

void arch_timer_set(uint64_t deadline)
{
    if (isa_has(ISA_SSTC)) {
        csr_write(stimecmp, deadline);
    } else {
        sbi_call(SBI_EXT_TIME, 0, deadline, 0, 0);
    }
}

void arch_timer_stop(void)
{
    arch_timer_set(UINT64_MAX);
}

unsigned arch_timer_irq(void)
{
    return IRQ_STI;
}
