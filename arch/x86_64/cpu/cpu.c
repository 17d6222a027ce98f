// SPDX-License-Identifier: Apache-2.0
//
// The CPU contract on x86_64 in ring 0: control registers, starting other CPUs by INIT and SIPI (Intel SDM vol. 3A, 9.4).
#include "arch/cpu.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "arch/x86_64/boot/boot.h"
#include "arch/x86_64/cpu/cpu_local.h"
#include "linker/x86_64.h"

#define FRAMES_MAX 32
#define PAT_LODGE \
    0x0007010600070106 // entries 0 to 3: write-back, write-combining, uncached minus, uncacheable
#define CPUID7_EBX_SMEP BIT64(7)
#define CPUID7_EBX_SMAP BIT64(20)
#define CPUID7_ECX_UMIP BIT64(2)
#define CPUID1_ECX_XSAVE BIT64(26)
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u
#define INIT_WAIT_US 200 // CPUs with 64-bit mode need none
#define SIPI_WAIT_US 200

void arch_cpu_init(void)
{
    struct cpuid features = cpuid_read(0, 0).eax >= 7 ? cpuid_read(7, 0) : (struct cpuid){0};
    uint64_t cr4 = CR4_PAE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    cr4 |= features.ebx & CPUID7_EBX_SMEP ? CR4_SMEP : 0;
    cr4 |= features.ebx & CPUID7_EBX_SMAP ? CR4_SMAP : 0;
    cr4 |= features.ecx & CPUID7_ECX_UMIP ? CR4_UMIP : 0;
    cr4 |= cpuid_read(1, 0).ecx & CPUID1_ECX_XSAVE ? CR4_OSXSAVE : 0;
    creg_write(cr4, cr4);
    creg_write(cr0, CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG);
    wrmsr(MSR_PAT, PAT_LODGE);
    lapic_init_cpu();
    time_init_cpu();
}

static void wait_us(uint64_t us)
{
    uint64_t end = arch_time_now() + us * (arch_time_hz() / 1000000);

    while (arch_time_now() < end) {
        arch_cpu_relax();
    }
}

enum status arch_cpu_start(const struct cpu_start *start)
{
    static struct secondary_boot args[CPUS_MAX]; // one each: a late starter still finds its own

    if (start->index >= ARRAY_SIZE(args) || (!lapic_is_x2apic() && start->hw_id > 0xFE)) {
        return E_RANGE;
    }
    args[start->index] = (struct secondary_boot){
        .cr3 = arch_host_pt_root().v,
        .stack_top = (uint64_t)(uintptr_t)start->stack_top,
        .index = start->index,
    };
    trampoline_set(&args[start->index]);
    lapic_icr((uint32_t)start->hw_id, ICR_INIT);
    wait_us(INIT_WAIT_US);
    // A second one is for CPUs that missed the first; one that runs ignores it.
    for (unsigned i = 0; i < 2; i++) {
        lapic_icr((uint32_t)start->hw_id, ICR_STARTUP | TRAMPOLINE_PA >> PAGE_SHIFT);
        wait_us(SIPI_WAIT_US);
    }
    return OK;
}

bool cpu_is_tcg(void)
{
    struct cpuid r = cpuid_read(0x40000000, 0);
    const uint32_t name[] = {r.ebx, r.ecx, r.edx};

    return memcmp(name, "TCGTCGTCGTCG", sizeof(name)) == 0;
}

void arch_cpu_idle(void)
{
    asm volatile("sti\n\thlt\n\tcli" ::: "memory");
}

void arch_cpu_relax(void)
{
    asm volatile("pause" ::: "memory");
}

void arch_cpu_halt(void)
{
    for (;;) {
        asm volatile("cli\n\thlt" ::: "memory");
    }
}

// The first switch returns into context_start with an aligned stack.
void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    uint64_t *sp = (uint64_t *)stack_top - 1;

    *sp = (uint64_t)(uintptr_t)context_start;
    *ctx = (struct arch_context){
        .rsp = (uint64_t)(uintptr_t)sp,
        .rbx = (uint64_t)(uintptr_t)entry,
        .r12 = (uint64_t)(uintptr_t)arg,
    };
}

// A frame pointer points at its record: previous frame pointer, return address (psABI, 3.2.2).
void arch_backtrace(const void *frame, uintptr_t stack_lo, uintptr_t stack_hi,
                    void (*emit)(uintptr_t pc, void *ctx), void *ctx)
{
    uintptr_t fp = frame ? (uintptr_t)frame : (uintptr_t)__builtin_frame_address(0);

    for (unsigned n = 0; n < FRAMES_MAX; n++) {
        if (fp < stack_lo || fp > stack_hi - 16 || fp % 8) {
            return;
        }
        const uintptr_t *record = (const uintptr_t *)fp;
        if (record[1]) {
            emit(record[1], ctx);
        }
        if (record[0] <= fp) {
            return;
        }
        fp = record[0];
    }
}

// The brand string of CPUID 0x80000002 to 4, without the blanks that pad it.
const char *arch_cpu_describe(void)
{
    static char text[64];
    const char *from = text;

    if (cpuid_read(0x80000000, 0).eax < 0x80000004) {
        return "x86-64";
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct cpuid r = cpuid_read(0x80000002 + i, 0);

        memcpy(text + i * sizeof(r), &r, sizeof(r));
    }
    text[48] = 0;
    while (*from == ' ') {
        from++;
    }
    return from;
}

uint32_t arch_port_read(uint16_t port, unsigned size)
{
    uint32_t v = 0;

    switch (size) {
    case 1:
        return port_in8(port);
    case 2:
        asm volatile("inw %w1, %w0" : "=a"(v) : "Nd"(port) : "memory");
        return v & 0xFFFF;
    default:
        asm volatile("inl %w1, %0" : "=a"(v) : "Nd"(port) : "memory");
        return v;
    }
}

void arch_port_write(uint16_t port, unsigned size, uint32_t v)
{
    switch (size) {
    case 1:
        port_out8(port, (uint8_t)v);
        break;
    case 2:
        asm volatile("outw %w0, %w1" ::"a"(v), "Nd"(port) : "memory");
        break;
    default:
        asm volatile("outl %0, %w1" ::"a"(v), "Nd"(port) : "memory");
        break;
    }
}
