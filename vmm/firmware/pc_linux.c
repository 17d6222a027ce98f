// SPDX-License-Identifier: Apache-2.0
//
// See pc_linux.h.
#include "vmm/firmware/pc_linux.h"

#include <string.h>

#include "vmm/firmware/pc_tables.h"

enum zero_page { // offsets
    ZP_RSDP = 0x70,
    ZP_E820_COUNT = 0x1E8,
    ZP_LOADER_TYPE = 0x210,
    ZP_RAMDISK_BASE = 0x218,
    ZP_RAMDISK_SIZE = 0x21C,
    ZP_CMDLINE = 0x228,
    ZP_SETUP_DATA = 0x250,
    ZP_E820 = 0x2D0
};
#define LOADER_UNKNOWN 0xFF
#define SETUP_RNG_SEED 9u
#define E820_ENTRY_SIZE 20u
#define E820_MAX 128u
_Static_assert(PC_MEMORY_MAX <= E820_MAX);

#define PTE_TABLE 3u    // present, writable
#define PTE_BLOCK 0x83u // and a block
#define PTES_PER_PAGE 512u
#define FIRST_PD 2u

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> 8 * i);
    }
}

void pc_linux_zero_page(const struct pc_linux_input *in, uint8_t page[PAGE_SIZE])
{
    struct pc_memory map[PC_MEMORY_MAX];
    unsigned count = pc_memory_map(in->plan, map);

    memset(page, 0, PAGE_SIZE);
    memcpy(page + PC_SETUP_OFFSET, in->setup, in->setup_size);
    page[ZP_LOADER_TYPE] = LOADER_UNKNOWN;
    put(page + ZP_RSDP, in->rsdp, 8);
    put(page + ZP_CMDLINE, in->cmdline, 4);
    put(page + ZP_SETUP_DATA, in->has_setup_data ? PC_SETUP_DATA : 0, 8);
    put(page + ZP_RAMDISK_BASE, in->initrd_size ? in->initrd_base : 0, 4);
    put(page + ZP_RAMDISK_SIZE, in->initrd_size, 4);
    page[ZP_E820_COUNT] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *e = page + ZP_E820 + (size_t)i * E820_ENTRY_SIZE;

        put(e, map[i].base, 8);
        put(e + 8, map[i].size, 8);
        put(e + 16, map[i].type, 4);
    }
}

// One element of the list: next, type, length (boot.rst, setup_data).
void pc_linux_setup_data(const uint8_t seed[PC_SEED_SIZE], uint8_t buf[PC_SETUP_DATA_SIZE])
{
    put(buf, 0, 8);
    put(buf + 8, SETUP_RNG_SEED, 4);
    put(buf + 12, PC_SEED_SIZE, 4);
    memcpy(buf + 16, seed, PC_SEED_SIZE);
}

// Page 0 is the PML4, page 1 the page directory pointers, then the page directories (Intel SDM vol. 3A, 4.5).
void pc_linux_page_table(unsigned index, uint8_t page[PAGE_SIZE])
{
    memset(page, 0, PAGE_SIZE);
    if (index == 0) {
        put(page, (PC_PAGE_TABLES + PAGE_SIZE) | PTE_TABLE, 8);
        return;
    }
    if (index < FIRST_PD) {
        for (unsigned i = 0; i < PC_PAGE_TABLE_COUNT - FIRST_PD; i++) {
            put(page + (size_t)i * 8, (PC_PAGE_TABLES + (FIRST_PD + i) * PAGE_SIZE) | PTE_TABLE, 8);
        }
        return;
    }
    for (unsigned i = 0; i < PTES_PER_PAGE; i++) {
        uint64_t block = (uint64_t)(index - FIRST_PD) * PTES_PER_PAGE + i;

        put(page + (size_t)i * 8, block * BLOCK_SIZE | PTE_BLOCK, 8);
    }
}
