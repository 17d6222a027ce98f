// SPDX-License-Identifier: Apache-2.0
//
// Goldfish RTC, read once for the date.
#include "kernel/dev/hw_desc.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/wallclock.h"

#define TIME_LOW 0x00u // reading it latches TIME_HIGH
#define TIME_HIGH 0x04u
#define GOLDFISH_SIZE 0x1000u
#define NS_PER_SECOND UINT64_C(1000000000)

static enum status goldfish_rtc_probe(const struct hw_desc *hw)
{
    volatile void *regs;

    if (hw->reg_count < 1 || hw->regs[0].port || hw->regs[0].size < GOLDFISH_SIZE) {
        return E_UNSUPPORTED;
    }
    regs = mmio_map(hw->regs[0].base, GOLDFISH_SIZE);
    if (!regs) {
        return E_NOMEM;
    }
    uint64_t ns = mmio_read32(regs, TIME_LOW);

    ns |= (uint64_t)mmio_read32(regs, TIME_HIGH) << 32;
    wallclock_set(hw->name, ns / NS_PER_SECOND);
    return OK;
}

static const char *const goldfish_rtc_ids[] = {"google,goldfish-rtc", NULL};

static const struct driver goldfish_rtc_driver = {
    .name = "goldfish_rtc",
    .class = DRIVER_DEVICE,
    .ids = goldfish_rtc_ids,
    .probe = goldfish_rtc_probe,
};

DRIVER_DEFINE(goldfish_rtc_driver);
