// SPDX-License-Identifier: Apache-2.0
//
// The time-stamp counter as the clock, and the local APIC's timer (or the TSC deadline where the CPU has it) as the alarm.
// Their rates are measured against the 8254's channel 2 (Intel 8254 data sheet; port 61h gates it), on a machine without one
// against what ACPI names: what CPUID says of them is wrong on too many machines, and on emulators.
//
// Nobody waits for a long measurement: a short one at the beginning says enough to boot with, and its first sample together
// with one at the end of the boot gives the rate that guests are told.
#include "arch/time.h"

#include <stdatomic.h>

#include <asm/cpu.h>

#include "arch/cpu.h"
#include "arch/x86_64/cpu/cpu_local.h"
#include "arch/x86_64/cpu/reference.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_MODE0_CHANNEL2 0xB0 // both bytes, interrupt on terminal count, binary
#define PIT_LATCH_CHANNEL2 0x80
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_SPEAKER 0x02
#define WINDOW_FIRST 600u  // of the 8254's ticks: half a millisecond
#define WINDOW_LEAST 1200u // for the rate that counts
#define WINDOW_MOST 600000 // half a second: by then the 16-bit count has passed zero nine times
#define DOUBT 64           // the first measurement is not wrong by more than a 64th
#define POLLS_MAX 10000u   // for each tick: a machine without an 8254 reads all ones
#define ATTEMPTS 5u
#define DEFAULT_HZ 1000000000u

#define CPUID1_ECX_DEADLINE BIT64(24)
#define LVT_DEADLINE 0x40000u

// See struct clock_rates.
static _Atomic uint64_t tsc_hz = DEFAULT_HZ;
static uint64_t apic_mult;
static bool by_deadline;

struct sample {
    uint64_t tsc;
    uint32_t apic;
    uint16_t pit;
    uint64_t slack; // TSC ticks that taking it took
};

struct rates {
    struct clock_rates clock;
    uint64_t slack; // how far off they may be
    struct sample start;
};

static struct sample origin; // what the boot is measured from
static bool has_pit;
static uint8_t port_b_before;

uint64_t arch_time_now(void)
{
    uint32_t low, high;

    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

uint64_t arch_time_hz(void)
{
    return atomic_load_explicit(&tsc_hz, memory_order_relaxed);
}

static struct sample take(void)
{
    uint64_t before = arch_time_now();
    struct sample s;

    port_out8(PIT_COMMAND, PIT_LATCH_CHANNEL2);
    s.tsc = arch_time_now();
    s.apic = lapic_read(LAPIC_TIMER_CURRENT);
    s.slack = s.tsc - before;
    s.pit = port_in8(PIT_CHANNEL2);
    s.pit = (uint16_t)(s.pit | port_in8(PIT_CHANNEL2) << 8);
    return s;
}

// The first sample after the 8254 has counted at least `ticks` since `from`.
static bool wait_for(const struct sample *from, uint16_t ticks, struct sample *out)
{
    for (uint32_t n = 0; n < ticks * POLLS_MAX; n++) {
        *out = take();
        if ((uint16_t)(from->pit - out->pit) >= ticks) {
            return true;
        }
    }
    return false;
}

// From one change of the 8254's count to another.
static bool measure(uint16_t window, struct rates *out)
{
    struct sample before = take(), end;

    if (!wait_for(&before, 1, &out->start) || !wait_for(&out->start, window, &end)) {
        return false;
    }
    uint64_t ticks = (uint16_t)(out->start.pit - end.pit), tsc = end.tsc - out->start.tsc;
    if (tsc == 0) {
        return false;
    }
    out->clock.tsc_hz = tsc * PIT_HZ / ticks;
    out->clock.apic_mult = ((uint64_t)(out->start.apic - end.apic) << 32) / tsc;
    out->slack = out->start.slack + end.slack;
    return out->clock.tsc_hz != 0;
}

static bool calibrate(uint16_t window, struct rates *best)
{
    struct rates r;

    best->slack = UINT64_MAX;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (!measure(window, &r)) {
            break;
        }
        if (r.slack < best->slack) {
            *best = r;
        }
        if (r.slack < r.clock.tsc_hz / PIT_HZ) { // shorter than one tick: nobody interrupted us
            break;
        }
    }
    return best->slack != UINT64_MAX;
}

void time_init(void)
{
    struct rates r;

    port_b_before = port_in8(PORT_B);
    lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
    lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
    port_out8(PORT_B, (uint8_t)((port_b_before & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    port_out8(PIT_COMMAND, PIT_MODE0_CHANNEL2);
    port_out8(PIT_CHANNEL2, 0xFF);
    port_out8(PIT_CHANNEL2, 0xFF);
    has_pit = calibrate(WINDOW_FIRST, &r) && r.clock.apic_mult != 0;
    if (!has_pit) {
        r = (struct rates){.clock.tsc_hz = DEFAULT_HZ, .clock.apic_mult = (UINT64_C(1) << 32) / 16};
    }
    origin = r.start;
    atomic_store_explicit(&tsc_hz, r.clock.tsc_hz, memory_order_relaxed);
    apic_mult = r.clock.apic_mult;
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    by_deadline = (cpuid_read(1, 0).ecx & CPUID1_ECX_DEADLINE) != 0;
}

bool arch_time_init(const struct boot_info *bi)
{
    struct clock_rates r;
    bool ok;

    if (has_pit) {
        return true;
    }
    lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
    lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
    ok = reference_measure(bi, &r);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    if (ok) {
        atomic_store_explicit(&tsc_hz, r.tsc_hz, memory_order_relaxed);
        apic_mult = r.apic_mult;
    }
    time_init_cpu();
    return ok;
}

// Of a few samples the one that took least.
static struct sample take_well(void)
{
    struct sample best = take();

    for (unsigned i = 1; i < ATTEMPTS; i++) {
        struct sample s = take();

        if (s.slack < best.slack) {
            best = s;
        }
    }
    return best;
}

// The rate from `origin` to now. 0: that is too long ago, or something is wrong.
static uint64_t rate_since_origin(uint64_t first_hz)
{
    struct sample end = take_well();
    uint64_t expected = (end.tsc - origin.tsc) * PIT_HZ / first_hz, ticks, hz;

    if (expected > WINDOW_MOST) {
        return 0;
    }
    if (expected < WINDOW_LEAST && !wait_for(&origin, WINDOW_LEAST, &end)) {
        return 0;
    }
    expected = (end.tsc - origin.tsc) * PIT_HZ / first_hz;
    // The count has 16 bits; how often it has passed zero the first measurement tells.
    ticks = expected + (uint64_t)(int16_t)(uint16_t)((uint16_t)(origin.pit - end.pit) - (uint16_t)expected);
    hz = ticks ? (end.tsc - origin.tsc) * PIT_HZ / ticks : 0;
    return hz > first_hz - first_hz / DOUBT && hz < first_hz + first_hz / DOUBT ? hz : 0;
}

void time_refine(void)
{
    unsigned long irq = arch_irq_save();
    uint64_t hz = has_pit ? rate_since_origin(arch_time_hz()) : 0;
    struct rates r;

    if (has_pit && hz == 0 && calibrate(WINDOW_LEAST, &r)) {
        hz = r.clock.tsc_hz;
    }
    if (hz != 0) {
        atomic_store_explicit(&tsc_hz, hz, memory_order_relaxed);
    }
    port_out8(PORT_B, port_b_before);
    arch_irq_restore(irq);
}

void time_init_cpu(void)
{
    lapic_write(LAPIC_LVT_TIMER, by_deadline ? LVT_DEADLINE | VECTOR_TIMER : VECTOR_TIMER);
    arch_timer_stop();
}

// One tick more than needed rather than one less: it must not come too early.
void arch_timer_set(uint64_t deadline)
{
    if (by_deadline) {
        wrmsr(MSR_TSC_DEADLINE, deadline ? deadline : 1);
        return;
    }
    uint64_t now = arch_time_now();
    uint64_t delta = deadline > now ? deadline - now : 0;
    uint64_t whole = (delta >> 32) * apic_mult;
    uint64_t ticks = whole + ((delta & UINT32_MAX) * apic_mult >> 32) + 1;

    lapic_write(LAPIC_TIMER_INITIAL, ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks);
}

void arch_timer_stop(void)
{
    if (by_deadline) {
        wrmsr(MSR_TSC_DEADLINE, 0);
    } else {
        lapic_write(LAPIC_TIMER_INITIAL, 0);
    }
}

unsigned arch_timer_irq(void)
{
    return IRQ_TIMER;
}
