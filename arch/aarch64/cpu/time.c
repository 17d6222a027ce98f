// SPDX-License-Identifier: Apache-2.0
//
// The generic timer: the physical count, and the EL2 physical timer for the hypervisor itself (Arm DDI 0487, D11).
#include "arch/time.h"

#include <asm/sysreg.h>

#define EL2_TIMER_PPI 26 // as in every server base architecture (BSA, 3.7)

bool arch_time_init(const struct boot_info *bi)
{
    (void)bi;
    return true;
}

uint64_t arch_time_now(void)
{
    isb(); // the counter may be read early otherwise
    return sysreg_read(cntpct_el0);
}

uint64_t arch_time_hz(void)
{
    return sysreg_read(cntfrq_el0);
}

void arch_timer_set(uint64_t deadline)
{
    sysreg_write(cnthp_cval_el2, deadline);
    sysreg_write(cnthp_ctl_el2, CNT_CTL_ENABLE);
    isb();
}

void arch_timer_stop(void)
{
    sysreg_write(cnthp_ctl_el2, 0);
    isb();
}

unsigned arch_timer_irq(void)
{
    return EL2_TIMER_PPI;
}
