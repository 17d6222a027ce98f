// SPDX-License-Identifier: Apache-2.0
//
// What the firmware of a PC would have left for the guest: ACPI tables (ACPI 6.5), an MP table (Intel MultiProcessor
// Specification 1.4) and the memory map, all made from the ownership plan, so that they cannot disagree with what is mapped.
// Pure: works on the caller's buffers alone. Any thread.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/config/plan.h"

// Where the loader puts them: the tables begin with the RSDP, whose place guests search for on 16-byte boundaries from
// 0xE0000 on; the MP floating pointer is the first thing in the last KiB of low memory.
#define PC_TABLES_BASE 0xE0000u
#define PC_TABLES_CAPACITY KIB(16)
#define PC_MP_POINTER 0x9FC00u
#define PC_MP_POINTER_SIZE 16u

// What a BIOS leaves in its data area: where small kernels look for the MP pointer, and how much low memory there is.
#define PC_BDA 0x400u
#define PC_BDA_SIZE 21u
#define PC_BDA_EBDA 0x0Eu     // its segment
#define PC_BDA_BASE_KIB 0x13u // KiB of memory below it

// Between these: extended BIOS data, video, tables; not RAM to the guest.
#define PC_LOW_RAM_END PC_MP_POINTER
#define PC_HIGH_RAM 0x100000u

// Fixed hardware that the FADT and the HPET table name; the devices are made to answer there.
#define PC_SCI 9u
#define PC_PM1A_EVENT 0x600u // status and enable, 2 bytes each
#define PC_PM1A_CONTROL 0x604u
#define PC_PM_TIMER 0x608u // 24 bits count
#define PC_RESET_PORT 0xCF9u
#define PC_RESET_VALUE 6u
#define PC_S5_TYPE 0u // SLP_TYP that turns off
#define PC_HPET_ID \
    0x8086A201u         // low half of the HPET's capabilities: 3 comparators, 64 bits, legacy replacement
#define PC_TIMER_GSI 2u // IRQ 0 of the ISA bus

struct pc_tables_input {
    const struct vm_plan *plan;
    unsigned cpus; // at most 255: APIC IDs 0 to cpus - 1
    uint64_t base; // where the tables will lie, below 4 GiB and a multiple of 64
};

struct pc_tables {
    size_t size;                            // bytes of the caller's buffer
    uint64_t rsdp;                          // guest physical address
    uint8_t mp_pointer[PC_MP_POINTER_SIZE]; // belongs at PC_MP_POINTER
};

// Writes all tables to `buf`, which is to be copied to in->base. E_NOMEM: `capacity` is too small. E_INVAL: the input cannot
// be expressed (no APICs in the plan, too many CPUs, a device interrupt that an ISA bus does not have).
enum status pc_tables_build(const struct pc_tables_input *in, void *buf, size_t capacity,
                            struct pc_tables *out);

// Types of the BIOS's E820h call, which PVH and Linux's boot protocol took over (ACPI 6.5, 15.4).
#define PC_MEMORY_RAM 1u
#define PC_MEMORY_RESERVED 2u
#define PC_MEMORY_MAX (3 * PLAN_REGION_MAX)

struct pc_memory {
    uint64_t base, size;
    uint32_t type;
};

// The memory map, sorted. Returns how many entries there are.
unsigned pc_memory_map(const struct vm_plan *plan, struct pc_memory out[PC_MEMORY_MAX]);
