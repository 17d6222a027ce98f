// SPDX-License-Identifier: Apache-2.0
//
// From the cause of an interrupt to its handler's first instruction. The end of an interrupt is an exit of its own, so each
// one is measured alone.
#include "guests/bench/x86_64/bench_ops.h"

#define LEAD 20000u

static uint64_t self_ipi(void)
{
    register uint64_t taken __asm__("r13") = 0;
    uint64_t sent;

    MARK(MARK_BEGIN);
    __asm__ volatile("sti\n\t" READ_COUNTER("%[sent]") "mov %[msr], %%ecx\n\tmov %[vector], %%eax\n\t"
                                                       "xor %%edx, %%edx\n\twrmsr\n\tnop\n\tcli"
                     : [sent] "=&r"(sent), "+r"(taken)
                     : [msr] "i"(MSR_X2APIC + APIC_SELF_IPI), [vector] "i"(VECTOR_BENCH)
                     : "rax", "rcx", "rdx", "r14", "memory", "cc");
    MARK(MARK_END);
    return taken ? taken - sent - SEND_OWN : 0;
}

// How long after its deadline a timer's handler begins.
static uint64_t deadline(bool asleep)
{
    register uint64_t taken __asm__("r13") = 0;
    register uint64_t count __asm__("r14") = 0;
    uint64_t at = time_now() + LEAD;

    wrmsr(MSR_TSC_DEADLINE, at);
    MARK(MARK_BEGIN);
    if (asleep) {
        __asm__ volatile("sti\n\thlt\n\tcli"
                         : "+r"(taken), "+r"(count)
                         :
                         : "rax", "rcx", "rdx", "memory", "cc");
    } else {
        __asm__ volatile("sti\n1:\n\ttest %1, %1\n\tjz 1b\n\tcli"
                         : "+r"(taken), "+r"(count)
                         :
                         : "rax", "rcx", "rdx", "memory", "cc");
    }
    MARK(MARK_END);
    return taken - at;
}

static void measure_deadline(const char *name, bool asleep)
{
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add(deadline(asleep) * 100);
    }
    samples_report(name);
}

void role_interrupts(void)
{
    alarm_setup();
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add(self_ipi() * 100);
    }
    samples_report("self_ipi");
    measure_deadline("timer_busy", false);
    measure_deadline("timer_hlt", true);
}
