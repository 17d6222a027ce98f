// SPDX-License-Identifier: Apache-2.0
//
// Segment descriptors, task state and the interrupt descriptor table (Intel SDM vol. 3A, 3.4.5, 6.14, 7.7). One GDT and TSS
// for each CPU; the IDT is the same for all.
#include <stdatomic.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/x86_64/boot/boot.h"
#include "arch/x86_64/cpu/cpu_local.h"

#define GATE_INTERRUPT 0x8E00u // present, ring 0, interrupts masked
#define TSS_AVAILABLE 0x0000890000000000
#define VECTOR_NMI 2
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_MACHINE_CHECK 18
#define PANIC_STACK 8192
#define NMI_STACK 1024 // for mmu/shootdown.c

struct gate {
    uint16_t offset_low, selector, flags, offset_mid;
    uint32_t offset_high, zero;
};

struct [[gnu::packed]] tss {
    uint32_t zero0;
    uint64_t rsp[3];
    uint64_t zero1;
    uint64_t ist[7]; // [0] is IST 1
    uint64_t zero2;
    uint16_t zero3, io_map;
};

struct cpu_desc {
    uint64_t gdt[5]; // null, code, data, TSS (two)
    struct percpu percpu;
    struct tss tss;
    _Alignas(16) uint8_t nmi_stack[NMI_STACK];
};

static struct gate idt[256];
static UNCLEARED struct cpu_desc descs[CPUS_MAX]; // each cleared when its CPU comes
// Nothing but a panic runs here: one serves all CPUs, whoever panics first.
static UNCLEARED _Alignas(16) uint8_t machine_check_stack[PANIC_STACK];
static _Atomic unsigned used, ready; // slots; CPUs start one after the other

struct [[gnu::packed]] table_pointer {
    uint16_t limit;
    uint64_t base;
};

static void fill_idt(void)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t to = (uint64_t)(uintptr_t)vector_stubs + v * 16;
        unsigned ist = v == VECTOR_DOUBLE_FAULT ? 1 : v == VECTOR_NMI ? 2 : v == VECTOR_MACHINE_CHECK ? 3 : 0;

        idt[v] = (struct gate){
            .offset_low = (uint16_t)to,
            .selector = SEL_CODE,
            .flags = (uint16_t)(GATE_INTERRUPT | ist),
            .offset_mid = (uint16_t)(to >> 16),
            .offset_high = (uint32_t)(to >> 32),
        };
    }
}

static void fill_tss(struct cpu_desc *d)
{
    struct tss *t = &d->tss;

    *t = (struct tss){.io_map = sizeof(*t)};
    t->ist[0] = (uint64_t)(uintptr_t)panic_stack_top;
    t->ist[1] = (uint64_t)(uintptr_t)d->nmi_stack + sizeof(d->nmi_stack);
    t->ist[2] = (uint64_t)(uintptr_t)machine_check_stack + sizeof(machine_check_stack);
}

static void fill_gdt(struct cpu_desc *d)
{
    uint64_t base = (uint64_t)(uintptr_t)&d->tss;

    d->gdt[0] = 0;
    d->gdt[SEL_CODE / 8] = GDT_CODE;
    d->gdt[SEL_DATA / 8] = GDT_DATA;
    d->gdt[SEL_TSS / 8] =
        TSS_AVAILABLE | (sizeof(d->tss) - 1) | (base & 0xFFFFFF) << 16 | (base >> 24 & 0xFF) << 56;
    d->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

static void load(const struct cpu_desc *d)
{
    struct table_pointer gdtr = {sizeof(d->gdt) - 1, (uint64_t)(uintptr_t)d->gdt};
    struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    asm volatile("lgdt %0\n\t"
                 "pushq %1\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "lretq\n"
                 "1:\n\t"
                 "mov %2, %%ds\n\tmov %2, %%es\n\tmov %2, %%ss\n\t"
                 "mov %3, %%fs\n\tmov %3, %%gs\n\t"
                 "ltr %w4\n\t"
                 "lidt %5" ::"m"(gdtr),
                 "i"(SEL_CODE), "r"(SEL_DATA), "r"(0), "r"(SEL_TSS), "m"(idtr)
                 : "rax", "memory");
}

void arch_set_this_cpu(struct cpu *cpu)
{
    unsigned slot = atomic_fetch_add(&used, 1);
    struct cpu_desc *d = &descs[slot]; // the core starts each CPU once, and no more than CPUS_MAX

    if (slot == 0) {
        fill_idt();
    }
    memset(d, 0, sizeof(*d));
    fill_tss(d);
    fill_gdt(d);
    load(d);
    d->percpu.cpu = cpu;
    d->percpu.self = &d->percpu;
    d->percpu.apic_id = lapic_own_id();
    wrmsr(MSR_GS_BASE, (uint64_t)(uintptr_t)&d->percpu);
    // Release: whoever sees the CPU counted sees its APIC ID.
    atomic_fetch_add_explicit(&ready, 1, memory_order_release);
}

unsigned percpu_count(void)
{
    return atomic_load_explicit(&ready, memory_order_acquire);
}

struct percpu *percpu_get(unsigned slot)
{
    return &descs[slot].percpu;
}
