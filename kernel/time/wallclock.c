// SPDX-License-Identifier: Apache-2.0
//
// The date is the counter plus an offset.
#include "kernel/time/wallclock.h"

#include <inttypes.h>

#include "arch/time.h"
#include "kernel/lib/date.h"
#include "kernel/log/log.h"

#define SECONDS_2000 UINT64_C(946684800)

static uint64_t at_zero; // seconds since 1970 when the counter was 0; 0: unknown

void wallclock_set(const char *name, uint64_t seconds)
{
    struct date d = date_from_seconds(seconds);

    if (at_zero) {
        return;
    }
    if (seconds < SECONDS_2000) {
        log_warn("%s: its date is %u: not believed", name, d.year);
        return;
    }
    at_zero = seconds - arch_time_now() / arch_time_hz();
    log_debug("%s: %u-%02u-%02u %02u:%02u:%02u UTC", name, d.year, d.month, d.day, d.hour, d.minute,
              d.second);
}

uint64_t wallclock_now(void)
{
    return at_zero ? at_zero + arch_time_now() / arch_time_hz() : 0;
}
