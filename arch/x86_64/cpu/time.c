// SPDX-License-Identifier: Apache-2.0
//
// The time-stamp counter as the clock, and the local APIC's timer (or the TSC deadline where the CPU has it) as the alarm.
// Their rates are measured against the 8254's channel 2 (Intel 8254 data sheet; port 61h gates it): what CPUID says of them
// is wrong on too many machines, and on emulators.
#include "arch/time.h"

#include <asm/cpu.h>

#include "arch/cpu.h"
#include "arch/x86_64/cpu/cpu_local.h"

#define PIT_HZ 1193182u
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND 0x43
#define PIT_MODE0_CHANNEL2 0xB0 // both bytes, interrupt on terminal count, binary
#define PIT_LATCH_CHANNEL2 0x80
#define PORT_B 0x61
#define PORT_B_GATE2 0x01
#define PORT_B_SPEAKER 0x02
#define WINDOW 1200u       // of the 8254's ticks: 1 ms
#define POLLS_MAX 1000000u // a machine without an 8254 reads all ones
#define ATTEMPTS 5u
#define DEFAULT_HZ 1000000000u

#define CPUID1_ECX_DEADLINE BIT64(24)
#define LVT_DEADLINE 0x40000u

static uint64_t tsc_hz = DEFAULT_HZ;
static uint64_t apic_mult; // APIC timer ticks for a TSC tick, 32.32 fixed point
static bool by_deadline;

struct sample {
    uint64_t tsc;
    uint32_t apic;
    uint16_t pit;
    uint64_t slack; // TSC ticks that taking it took
};

uint64_t arch_time_now(void)
{
    uint32_t low, high;

    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

uint64_t arch_time_hz(void)
{
    return tsc_hz;
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
    for (unsigned n = 0; n < POLLS_MAX; n++) {
        *out = take();
        if ((uint16_t)(from->pit - out->pit) >= ticks) {
            return true;
        }
    }
    return false;
}

// One millisecond, from one change of the 8254's count to another. `slack`: how far off the result may be.
static bool measure(uint64_t *tsc, uint64_t *apic, uint64_t *slack)
{
    struct sample before = take();
    struct sample start, end;

    if (!wait_for(&before, 1, &start) || !wait_for(&start, WINDOW, &end)) {
        return false;
    }
    uint64_t ticks = (uint16_t)(start.pit - end.pit);
    *tsc = (end.tsc - start.tsc) * PIT_HZ / ticks;
    *apic = (uint64_t)(start.apic - end.apic) * PIT_HZ / ticks;
    *slack = start.slack + end.slack;
    return *tsc != 0 && *apic != 0;
}

static bool calibrate(uint64_t *best_tsc, uint64_t *best_apic)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        uint64_t tsc, apic, slack;

        if (!measure(&tsc, &apic, &slack)) {
            return best != UINT64_MAX;
        }
        if (slack < best) {
            best = slack;
            *best_tsc = tsc;
            *best_apic = apic;
        }
        if (slack < tsc / PIT_HZ) { // shorter than one tick: nobody interrupted us
            break;
        }
    }
    return true;
}

void time_init(void)
{
    uint64_t apic_hz = 0;
    uint8_t port_b = port_in8(PORT_B);

    lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
    lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
    port_out8(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE2));
    port_out8(PIT_COMMAND, PIT_MODE0_CHANNEL2);
    port_out8(PIT_CHANNEL2, 0xFF);
    port_out8(PIT_CHANNEL2, 0xFF);
    if (!calibrate(&tsc_hz, &apic_hz)) {
        tsc_hz = DEFAULT_HZ;
        apic_hz = DEFAULT_HZ / 16;
    }
    port_out8(PORT_B, port_b);
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    apic_mult = (apic_hz << 32) / tsc_hz;
    by_deadline = (cpuid_read(1, 0).ecx & CPUID1_ECX_DEADLINE) != 0;
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
