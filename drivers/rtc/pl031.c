// SPDX-License-Identifier: Apache-2.0
//
// PL031 real-time clock (Arm DDI 0224, chapter 3), read once for the date.
#include "kernel/dev/hw_desc.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/wallclock.h"

#define RTCDR 0x000u
#define PL031_SIZE 0x1000u

static enum status pl031_probe(const struct hw_desc *hw)
{
    volatile void *regs;

    if (hw->reg_count < 1 || hw->regs[0].port || hw->regs[0].size < PL031_SIZE) {
        return E_UNSUPPORTED;
    }
    regs = mmio_map(hw->regs[0].base, PL031_SIZE);
    if (!regs) {
        return E_NOMEM;
    }
    wallclock_set(hw->name, mmio_read32(regs, RTCDR));
    return OK;
}

static const char *const pl031_ids[] = {"arm,pl031", NULL};

static const struct driver pl031_driver = {
    .name = "pl031",
    .class = DRIVER_DEVICE,
    .ids = pl031_ids,
    .probe = pl031_probe,
};

DRIVER_DEFINE(pl031_driver);
