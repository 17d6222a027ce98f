// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 1: from reset to kernel_main(), and off again.
//
// An architecture enters C with the MMU on, the image mapped with its final permissions, .bss cleared, interrupts
// masked and a small stack, on one CPU only. It fills the first block of `struct boot_info` and calls kernel_main().
// The device-tree or ACPI enumerator of kernel/dev fills the rest: this structure is the machine's only source of
// memory, console and boot modules.
#pragma once

#include "kernel/lib/types.h"

#define BOOT_RANGE_MAX 64
#define BOOT_TEXT_MAX 128

struct boot_range {
    hpa_t base;
    uint64_t size; // bytes
};

struct boot_ranges {
    unsigned count;
    struct boot_range r[BOOT_RANGE_MAX];
};

// How the boot loader hands over; the same numbers in assembler.
enum boot_protocol {
    BOOT_FDT,       // a device tree: boot_info.fdt
    BOOT_PVH,       // Xen's start_info (docs/misc/pvh.pandoc): boot_info.params
    BOOT_MULTIBOOT2 // its information structure: boot_info.params
};

// I/O ports by which ACPI turns the machine off and resets it; 0 where there is none.
struct boot_power {
    uint16_t pm1a_control, pm1b_control;
    uint8_t s5_type_a, s5_type_b; // SLP_TYP of \_S5
    uint16_t smi_command;         // takes acpi_enable, where the firmware still has the registers
    uint8_t acpi_enable;
    uint8_t reset_value;
    uint16_t reset_port;
};

struct boot_info {
    // Filled by arch/<a>/boot.
    enum boot_protocol protocol;
    hpa_t params;            // what the loader left, by protocol; 0 when nothing
    struct boot_range image; // everything the linker placed, with .bss; RAM that belongs to us
    hpa_t fdt;               // where the boot loader left the device tree; 0 when it left none
    uint64_t boot_cpu_hw_id; // MPIDR affinity, hart id or APIC id of the CPU that runs kernel_main()
    uint64_t boot_ticks;     // arch_time_now() as early as it could be read
    uint8_t entropy[32];     // of the CPU's own random generator,
    bool has_entropy;        // where it has one

    // Filled by the enumerator.
    hpa_t acpi_rsdp;             // 0 when there is none
    struct boot_power power;     // by ACPI
    uint16_t pm_timer;           // I/O port of ACPI's timer, 3.579545 MHz; 0 when there is none
    hpa_t hpet;                  // registers of the high precision event timer; 0 when there is none
    const void *fdt_va;          // the checked device tree, mapped; NULL when there is none
    struct boot_ranges ram;      // sorted, not overlapping
    struct boot_ranges reserved; // RAM that must be preserved: memreserve, /reserved-memory, modules, the FDT
    struct boot_range initrd;    // boot module handed over by the loader; size 0 when none
    char model[BOOT_TEXT_MAX];
    char cmdline[BOOT_TEXT_MAX];
    char stdout_path[BOOT_TEXT_MAX];
};

// What code before the device tree needs to know of the board (platforms/<board>/board.c). Addresses are physical, 0 when there is none.
struct board_early {
    const char *name;
    uint64_t uart_base; // early console
    uint64_t gicd_base; // only for boards that enter the image without firmware
    uint64_t gicr_base;
};
extern const struct board_early board_early;

// The composition root (kernel/main.c). Called once, on the boot CPU; does not return.
[[gnu::noreturn]] void kernel_main(struct boot_info *bi);

// Entry of a secondary CPU after its own MMU is on (kernel/cpu/cpu.c). `index` is its dense CPU number. Does not return.
[[gnu::noreturn]] void kernel_secondary_main(unsigned index);

// Writes one character to the early console, which works before any driver and without locks. Any CPU, any context.
void arch_early_putc(char c);

// Turns the machine off or resets it by the firmware's interface (PSCI, SBI SRST, ACPI). Returns only on failure.
void arch_poweroff(void);
void arch_reset(void);
