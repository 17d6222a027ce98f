// SPDX-License-Identifier: Apache-2.0
//
// Traps, the local APIC, its timer and the power of an x86_64 guest (Intel SDM vol. 3A, chapters 6 and 11; PVH start_info:
// docs/misc/pvh.pandoc of Xen; ACPI 6.5, 4.8.3).
#include "guests/lib/x86_64/cpu.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MSR_APIC_BASE 0x1Bu
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_ADDRESS (~UINT64_C(0xFFF))
#define MSR_TSC_DEADLINE 0x6E0u
#define MSR_X2APIC 0x800u
#define SVR_ENABLE 0x100u
#define LVT_TSC_DEADLINE 0x40000u
#define CPUID1_ECX_X2APIC BIT(21)
#define CPUID_FREQUENCY 0x40000010u // eax: kHz of the TSC
#define TSC_HZ_UNKNOWN UINT64_C(1000000000)
#define IOAPIC UINT64_C(0xFEC00000)
#define IOAPIC_WINDOW 0x10u
#define IOAPIC_TABLE 0x10u // two words for each input

#define PORT_PM1_CONTROL 0x604u
#define SLEEP_S5 0x2000u // SLP_EN, SLP_TYP 0
#define PORT_RESET 0xCF9u
#define RESET_HARD 6u

#define GATE_PRESENT UINT64_C(0x8E00)
#define EXCEPTIONS 32u
#define PAGE_FAULT 14u

#define INFO_MAGIC 0x336ec578u
#define MEMMAP_RAM 1u

struct start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, cmdline, rsdp, memmap;
    uint32_t memmap_count, reserved;
};

struct memmap_entry {
    uint64_t base, size;
    uint32_t type, reserved;
};

struct gate {
    uint64_t low, high;
};

volatile struct trap_info last_trap;
volatile bool trap_expected;
volatile uint64_t trap_resume;
uint64_t entry_ticks;
static struct gate idt[VECTOR_COUNT];
static volatile uint64_t periods;
static uint64_t period_ticks, deadline, tsc_hz;
static bool x2apic;
static uint64_t apic_base;

// ---- local APIC ----

void apic_write(enum apic_reg reg, uint64_t v)
{
    if (x2apic) {
        wrmsr(MSR_X2APIC + reg, v);
        return;
    }
    if (reg == APIC_ICR) {
        mmio_write32(apic_base + 16 * (APIC_ICR + 1), (uint32_t)(v >> 32) << 24);
    }
    mmio_write32(apic_base + 16 * (uint64_t)reg, (uint32_t)v);
}

uint64_t apic_read(enum apic_reg reg)
{
    return x2apic ? rdmsr(MSR_X2APIC + reg) : mmio_read32(apic_base + 16 * (uint64_t)reg);
}

void apic_enable(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    x2apic = (cpuid(1, 0).ecx & CPUID1_ECX_X2APIC) != 0;
    apic_base = base & APIC_BASE_ADDRESS;
    if (x2apic) {
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_EXTD);
    }
    apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

const char *irq_controller(void)
{
    return x2apic ? "x2APIC" : "xAPIC";
}

void irq_setup(void)
{
    apic_enable();
}

static void ioapic_write(uint32_t index, uint32_t v)
{
    mmio_write32(IOAPIC, index);
    mmio_write32(IOAPIC + IOAPIC_WINDOW, v);
}

// Edge-triggered, to the first CPU.
void irq_enable_line(uint32_t input)
{
    ioapic_write(IOAPIC_TABLE + 2 * input + 1, 0);
    ioapic_write(IOAPIC_TABLE + 2 * input, VECTOR_IRQ + input);
}

void irq_set_mask(bool masked)
{
    if (masked) {
        __asm__ volatile("cli" : : : "memory");
    } else {
        __asm__ volatile("sti\n nop" : : : "memory");
    }
}

void irq_wait(void)
{
    __asm__ volatile("sti\n hlt\n cli" : : : "memory");
}

// ---- timer ----

uint64_t time_now(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence\n rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

uint64_t time_hz(void)
{
    return tsc_hz;
}

static void find_frequency(void)
{
    uint32_t khz = cpuid(0x40000000, 0).eax >= CPUID_FREQUENCY ? cpuid(CPUID_FREQUENCY, 0).eax : 0;

    tsc_hz = khz ? UINT64_C(1000) * khz : TSC_HZ_UNKNOWN;
}

static void timer_program(void)
{
    wrmsr(MSR_TSC_DEADLINE, deadline);
}

void timer_start(uint64_t ticks)
{
    period_ticks = ticks;
    deadline = time_now() + ticks;
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
    timer_program();
}

uint64_t timer_periods(void)
{
    return periods;
}

// The deadline moves by whole periods from the last one, so that the rate does not drift.
static void timer_interrupt(void)
{
    while (deadline <= time_now()) {
        deadline += period_ticks;
        periods = periods + 1;
    }
    timer_program();
}

// ---- traps ----

static void take_interrupt(uint64_t vector)
{
    if (vector == VECTOR_SPURIOUS) {
        return;
    }
    if (vector == VECTOR_TIMER) {
        timer_interrupt();
    } else if (vector == VECTOR_IRQ + board.uart_irq) {
        uart_drain();
    }
    apic_write(APIC_EOI, 0);
}

static uint64_t fault_address(void)
{
    uint64_t v;

    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

// An instruction's length is not worth a decoder here: an expected exception goes on at trap_resume.
void guest_trap(struct trap_frame *frame)
{
    if (frame->vector >= EXCEPTIONS) {
        take_interrupt(frame->vector);
        return;
    }
    last_trap.taken = true;
    last_trap.syndrome = frame->vector | frame->error << 32;
    last_trap.address = frame->vector == PAGE_FAULT ? fault_address() : 0;
    last_trap.pc = frame->rip;
    if (trap_expected && trap_resume) {
        frame->rip = trap_resume;
        return;
    }
    print("\nexception: vector %lu error 0x%lx address 0x%lx rip 0x%lx rflags 0x%lx\n", frame->vector,
          frame->error, last_trap.address, frame->rip, frame->rflags);
    print("the guest stops itself\n");
    power_off();
}

void traps_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
}

static void traps_setup(void)
{
    for (unsigned i = 0; i < VECTOR_COUNT; i++) {
        uint64_t to = (uint64_t)(uintptr_t)trap_stubs[i];

        idt[i].low = (to & 0xFFFF) | UINT64_C(8) << 16 | GATE_PRESENT << 32 | (to >> 16 & 0xFFFF) << 48;
        idt[i].high = to >> 32;
    }
    traps_load();
}

// ---- power ----

// There is no firmware to call.
uint64_t firmware_call(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    static int intel = -1;
    uint64_t r;

    if (intel < 0) {
        intel = cpu_is_intel();
    }
    if (intel) {
        __asm__ volatile("vmcall" : "=a"(r) : "a"(function), "b"(a1), "c"(a2), "d"(a3) : "memory");
        return r;
    }
    __asm__ volatile("vmmcall" : "=a"(r) : "a"(function), "b"(a1), "c"(a2), "d"(a3) : "memory");
    return r;
}

static void stop_for_ever(void)
{
    for (;;) {
        __asm__ volatile("cli\n hlt");
    }
}

void power_off(void)
{
    out16(PORT_PM1_CONTROL, SLEEP_S5);
    stop_for_ever();
    __builtin_unreachable();
}

void power_reset(void)
{
    out8(PORT_RESET, RESET_HARD);
    stop_for_ever();
    __builtin_unreachable();
}

// ---- start ----

static const void *pointer_to(uint64_t address)
{
    return (const void *)(uintptr_t)address;
}

// RAM is what surrounds the image: from 0 on as a PC has it.
static void take_memory(const struct start_info *info)
{
    const struct memmap_entry *map = pointer_to(info->memmap);
    uint64_t here = (uint64_t)(uintptr_t)&board;

    for (uint32_t i = 0; i < info->memmap_count; i++) {
        if (map[i].type == MEMMAP_RAM && here >= map[i].base && here - map[i].base < map[i].size) {
            board.ram_size = map[i].base + map[i].size;
        }
    }
}

static void board_from_start_info(const struct start_info *info)
{
    if (!info || info->magic != INFO_MAGIC) {
        return;
    }
    board.rsdp = info->rsdp;
    if (info->cmdline) {
        text_copy(board.bootargs, sizeof(board.bootargs), pointer_to(info->cmdline));
    }
    if (info->version >= 1 && info->memmap) {
        take_memory(info);
    }
}

void guest_start(const void *start_info)
{
    board = (struct board){.uart = 0x3F8,
                           .uart_irq = 4,
                           .rtc = 0x70,
                           .virtio = 0xFEB00000,
                           .virtio_stride = 0x200,
                           .virtio_count = 8};
    board_from_start_info(start_info);
    traps_setup();
    find_frequency();
    uart_setup();
    irq_setup();
    irq_enable_line(board.uart_irq);
    guest_main();
    power_off();
}
