// SPDX-License-Identifier: Apache-2.0
//
// The local APIC (Intel SDM vol. 3A, chapter 11): in x2APIC mode where the CPU has it, else through its page of registers.
// What the interrupt controller's driver and the timer need; the vectors are those of asm/cpu.h.
#include <asm/cpu.h>

#include "arch/cpu.h"
#include "arch/x86_64/boot/boot.h"
#include "arch/x86_64/cpu/cpu_local.h"
#include "linker/x86_64.h"

#define CPUID1_ECX_X2APIC BIT64(21)
#define APIC_BASE_EXTD BIT64(10)
#define APIC_BASE_EN BIT64(11)
#define APIC_BASE_PA MASK64(12, 40)
#define SVR_ENABLE 0x100u
#define ICR_HIGH 0x310
#define ICR_BUSY 0x1000u
#define DIVIDE_BY_2 0x0u
#define LVT_MAX_SHIFT 16

volatile uint32_t *lapic_page;

void lapic_map(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    bool has_x2apic = (cpuid_read(1, 0).ecx & CPUID1_ECX_X2APIC) != 0;

    if (!has_x2apic && !(base & APIC_BASE_EXTD)) {
        lapic_page = boot_map_device(base & APIC_BASE_PA, PAGE_SIZE);
    }
}

bool lapic_is_x2apic(void)
{
    return lapic_page == NULL;
}

void lapic_icr(uint32_t apic_id, uint32_t low)
{
    if (!lapic_page) {
        asm volatile("mfence\n\tlfence" ::: "memory"); // a WRMSR to the x2APIC orders nothing (SDM 11.12.3)
        wrmsr(MSR_X2APIC + LAPIC_ICR / 16, (uint64_t)apic_id << 32 | low);
        return;
    }
    unsigned long irq = arch_irq_save(); // the two halves belong together
    while (lapic_page[LAPIC_ICR / 4] & ICR_BUSY) {
        arch_cpu_relax();
    }
    lapic_page[ICR_HIGH / 4] = apic_id << 24;
    lapic_page[LAPIC_ICR / 4] = low;
    arch_irq_restore(irq);
}

// CPUID knows it before the APIC is set up.
uint32_t lapic_own_id(void)
{
    if (cpuid_read(0, 0).eax >= 0xB && cpuid_read(0xB, 0).ebx) {
        return cpuid_read(0xB, 0).edx;
    }
    return cpuid_read(1, 0).ebx >> 24;
}

void lapic_init_cpu(void)
{
    static const uint16_t lvts[] = {LAPIC_LVT_TIMER, LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,
                                    LAPIC_LVT_ERROR, LAPIC_LVT_PERF,  LAPIC_LVT_THERMAL};
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_EN;
    unsigned count;

    wrmsr(MSR_APIC_BASE, lapic_page ? base : base | APIC_BASE_EXTD);
    count = (lapic_read(LAPIC_VERSION) >> LVT_MAX_SHIFT & 0xFF) + 1;
    for (unsigned i = 0; i < ARRAY_SIZE(lvts) && i < count; i++) {
        lapic_write(lvts[i], LAPIC_LVT_MASKED);
    }
    lapic_write(LAPIC_TPR, 0);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_2);
    lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}
