// SPDX-License-Identifier: Apache-2.0
//
// MC146818, a PC's real-time clock, read once for the date. Its date is taken for UTC.
#include "arch/cpu.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/lib/date.h"
#include "kernel/time/wallclock.h"

#define REG_SECOND 0x00u
#define REG_MINUTE 0x02u
#define REG_HOUR 0x04u
#define REG_DAY 0x07u
#define REG_MONTH 0x08u
#define REG_YEAR 0x09u
#define REG_A 0x0au
#define REG_B 0x0bu
#define A_UPDATING 0x80u
#define B_BINARY 0x04u
#define B_24_HOURS 0x02u
#define HOUR_PM 0x80u

#define YEAR_BASE 2000u  // the century's register has no fixed place
#define TRIES_MAX 10000u // an update takes 2 ms; where there is no clock all bits are ones

static uint8_t cmos_read(uint16_t port, unsigned reg)
{
    arch_port_write(port, 1, reg);
    return (uint8_t)arch_port_read((uint16_t)(port + 1), 1);
}

static uint8_t decode(unsigned format, unsigned v)
{
    return (uint8_t)(format & B_BINARY ? v : (v & 15) + (v >> 4) * 10);
}

static struct date read_once(uint16_t port)
{
    unsigned format = cmos_read(port, REG_B);
    unsigned hour = cmos_read(port, REG_HOUR);
    struct date d = {.second = decode(format, cmos_read(port, REG_SECOND)),
                     .minute = decode(format, cmos_read(port, REG_MINUTE)),
                     .hour = decode(format, hour & ~HOUR_PM),
                     .day = decode(format, cmos_read(port, REG_DAY)),
                     .month = decode(format, cmos_read(port, REG_MONTH)),
                     .year = (uint16_t)(YEAR_BASE + decode(format, cmos_read(port, REG_YEAR)))};

    if (!(format & B_24_HOURS)) {
        d.hour = (uint8_t)(d.hour % 12 + (hour & HOUR_PM ? 12 : 0));
    }
    return d;
}

// Two readings that agree: no update came between.
static enum status mc146818_probe(const struct hw_desc *hw)
{
    uint16_t port = (uint16_t)hw->regs[0].base.v;
    uint64_t last = 0;

    if (hw->reg_count < 1 || !hw->regs[0].port || hw->regs[0].size < 2) {
        return E_UNSUPPORTED;
    }
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        struct date d;

        if (cmos_read(port, REG_A) & A_UPDATING) {
            continue;
        }
        d = read_once(port);
        if (date_to_seconds(&d) == last) {
            wallclock_set(hw->name, last);
            return OK;
        }
        last = date_to_seconds(&d);
    }
    return E_UNSUPPORTED;
}

static const char *const mc146818_ids[] = {"PNP0B00", NULL};

static const struct driver mc146818_driver = {
    .name = "mc146818",
    .class = DRIVER_DEVICE,
    .ids = mc146818_ids,
    .probe = mc146818_probe,
};

DRIVER_DEFINE(mc146818_driver);
