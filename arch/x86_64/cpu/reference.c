// SPDX-License-Identifier: Apache-2.0
//
// See reference.h: ACPI's timer (ACPI 6.5, 4.8.3.3) and the HPET (IA-PC HPET specification 1.0a, 2.3).
#include "arch/x86_64/cpu/reference.h"

#include <asm/cpu.h>

#include "arch/boot.h"
#include "arch/cpu.h"
#include "arch/time.h"
#include "arch/x86_64/boot/boot.h"

#define PM_TIMER_HZ 3579545u
#define PM_TIMER_MASK 0xFFFFFFu // others have 32 bits
#define HPET_PERIOD 0x4         // femtoseconds
#define HPET_PERIOD_MAX 100000000u
#define HPET_PERIOD_MIN 250000u // 4 GHz: no such thing is faster
#define HPET_CONFIG 0x10
#define HPET_ENABLE 1u
#define HPET_COUNTER 0xF0 // the lower half
#define HPET_SIZE 0x400
#define FEMTO UINT64_C(1000000000000000)
#define PER_SECOND 50u // windows: each of 20 ms
#define ATTEMPTS 5u
#define POLLS_MAX 10000000u // a counter that stands still

struct reference {
    uint32_t (*read)(const struct reference *r);
    uint16_t port;
    volatile uint32_t *regs;
    uint32_t hz, mask;
};

static uint32_t read_pm_timer(const struct reference *r)
{
    return arch_port_read(r->port, 4);
}

static uint32_t read_hpet(const struct reference *r)
{
    return r->regs[HPET_COUNTER / 4];
}

struct sample {
    uint64_t tsc, apic, slack;
    uint32_t count;
};

// Of a few the one that took least: an emulator or the firmware may interrupt us.
static struct sample take(const struct reference *r)
{
    struct sample best = {.slack = UINT64_MAX};

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        struct sample s = {.tsc = arch_time_now()};

        s.count = r->read(r);
        s.apic = lapic_read(LAPIC_TIMER_CURRENT);
        s.slack = arch_time_now() - s.tsc;
        best = s.slack < best.slack ? s : best;
    }
    return best;
}

static bool measure(const struct reference *r, struct clock_rates *out)
{
    struct sample begin = take(r), end;
    uint32_t wanted = r->hz / PER_SECOND, passed = 0;

    for (unsigned n = 0; n < POLLS_MAX && passed < wanted; n++) {
        passed = (r->read(r) - begin.count) & r->mask;
    }
    end = take(r);
    passed = (end.count - begin.count) & r->mask;
    if (passed < wanted || begin.apic == end.apic) {
        return false;
    }
    out->tsc_hz = (end.tsc - begin.tsc) * r->hz / passed;
    out->apic_mult = ((begin.apic - end.apic) << 32) / (end.tsc - begin.tsc);
    return out->tsc_hz != 0;
}

static bool by_pm_timer(const struct boot_info *bi, struct clock_rates *out)
{
    struct reference r = {
        .read = read_pm_timer, .port = bi->pm_timer, .hz = PM_TIMER_HZ, .mask = PM_TIMER_MASK};

    return bi->pm_timer && measure(&r, out);
}

// It is left counting or not, as it was found.
static bool by_hpet(const struct boot_info *bi, struct clock_rates *out)
{
    struct reference r = {.read = read_hpet, .mask = UINT32_MAX};
    uint32_t period, config;
    bool ok;

    if (!bi->hpet.v) {
        return false;
    }
    r.regs = boot_map_device(bi->hpet.v, HPET_SIZE);
    period = r.regs[HPET_PERIOD / 4];
    if (period < HPET_PERIOD_MIN || period > HPET_PERIOD_MAX) {
        return false;
    }
    r.hz = (uint32_t)(FEMTO / period);
    config = r.regs[HPET_CONFIG / 4];
    r.regs[HPET_CONFIG / 4] = config | HPET_ENABLE;
    ok = measure(&r, out);
    r.regs[HPET_CONFIG / 4] = config;
    return ok;
}

bool reference_measure(const struct boot_info *bi, struct clock_rates *out)
{
    return by_hpet(bi, out) || by_pm_timer(bi, out);
}
