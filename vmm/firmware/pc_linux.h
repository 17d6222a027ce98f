// SPDX-License-Identifier: Apache-2.0
//
// What Linux finds when it is entered in 64-bit mode (Documentation/arch/x86/boot.rst, zero-page.rst): the zero page, and page
// tables that map the first 4 GiB one to one. Pure. Any thread.
#pragma once

#include "kernel/lib/types.h"
#include "vmm/config/plan.h"

// Guest physical addresses. The page tables begin where vCPUs that start in 64-bit mode expect them.
#define PC_ZERO_PAGE 0x7000u
#define PC_SETUP_DATA 0x8000u
#define PC_PAGE_TABLES 0x9000u
#define PC_PAGE_TABLE_COUNT 6u // pages: one of each upper level, four of 2 MiB blocks

#define PC_SETUP_OFFSET 0x1F1u // of the setup header, in the file and in the zero page
#define PC_SETUP_MAX 0x9Fu     // bytes of it at most: what follows in the zero page is something else

struct pc_linux_input {
    const struct vm_plan *plan;
    const uint8_t *setup; // the file's setup header
    size_t setup_size;    // at most PC_SETUP_MAX
    uint64_t cmdline, rsdp;
    uint64_t initrd_base, initrd_size; // below 4 GiB; size 0: none
    bool has_setup_data;               // at PC_SETUP_DATA
};

#define PC_SEED_SIZE 32u
#define PC_SETUP_DATA_SIZE (16u + PC_SEED_SIZE)

// Fills `page`, which goes to PC_ZERO_PAGE.
void pc_linux_zero_page(const struct pc_linux_input *in, uint8_t page[PAGE_SIZE]);

// Fills `buf`, which goes to PC_SETUP_DATA: random numbers for the kernel's generator.
void pc_linux_setup_data(const uint8_t seed[PC_SEED_SIZE], uint8_t buf[PC_SETUP_DATA_SIZE]);

// Fills page `index` of the tables, which goes to PC_PAGE_TABLES + index * PAGE_SIZE.
void pc_linux_page_table(unsigned index, uint8_t page[PAGE_SIZE]);
