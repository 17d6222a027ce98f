// SPDX-License-Identifier: Apache-2.0
//
// What a PC's firmware and boot loader leave: ACPI tables, PVH's start_info, Multiboot2's information. The first byte says which,
// the rest lies in the machine's memory, where small pointers of start_info point as well.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/dev/acpi.h"
#include "kernel/dev/pc_boot.h"
#include "kernel/lib/range.h"
#include "kernel/mm/pool.h"

#define AREA KIB(64)
#define HEADER 36u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *area;
static struct boot_info bi;

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void checksum(uint8_t *p, size_t size, size_t at)
{
    uint8_t sum = 0;

    p[at] = 0;
    for (size_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    p[at] = (uint8_t)-sum;
}

// A table with the right sum for each piece of the input: signature chosen by its first byte, length by its second.
static void build_tables(const uint8_t *data, size_t size)
{
    static const char signatures[][5] = {"FACP", "APIC", "HPET", "DSDT"};
    uint64_t base = arch_virt_to_phys(area).v;
    uint8_t *xsdt = area + 64, *next = area + 1024;
    uint32_t count = 0;

    while (size > 2 && count < 16) {
        size_t n = data[1] * 4u < size - 2 ? data[1] * 4u : size - 2;
        uint32_t length = HEADER + (uint32_t)n;
        uint64_t pa = base + (uint64_t)(next - area);

        memcpy(next, signatures[data[0] & 3], 4);
        memcpy(next + 4, &length, 4);
        memcpy(next + HEADER, data + 2, n);
        if ((data[0] & 3) == 0 && n > 8) { // the FADT's pointer to a DSDT: the table before
            memcpy(next + 40, &(uint32_t){(uint32_t)(pa - 2048)}, 4);
        }
        checksum(next, length, 9);
        memcpy(xsdt + HEADER + 8 * count++, &pa, 8);
        next += 2048;
        data += 2 + n;
        size -= 2 + n;
    }
    memcpy(xsdt + 4, &(uint32_t){HEADER + 8 * count}, 4);
    checksum(xsdt, HEADER + 8 * count, 9);
    memcpy(area, "RSD PTR ", 8);
    area[15] = 2;
    memcpy(area + 24, &(uint64_t){base + 64}, 8);
    checksum(area, 20, 8);
    checksum(area, 36, 32);
    bi.acpi_rsdp = hpa(base);
}

static void build_start_info(void)
{
    static const unsigned pointers[] = {16, 24, 40}; // modules, command line, memory map

    memcpy(area, &(uint32_t){0x336EC578}, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++) {
        uint64_t v;

        memcpy(&v, area + pointers[i], 8);
        v += v < AREA ? arch_virt_to_phys(area).v : 0;
        memcpy(area + pointers[i], &v, 8);
    }
}

static void check_ranges(const struct boot_ranges *set)
{
    require(set->count <= BOOT_RANGE_MAX);
    for (unsigned i = 0; i < set->count; i++) {
        require(range_valid(set->r[i].base.v, set->r[i].size));
        require(i == 0 || set->r[i - 1].base.v + set->r[i - 1].size < set->r[i].base.v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!area) {
        area = pool_alloc(AREA);
        require(area != NULL);
    }
    if (size < 2 || size > AREA / 2) {
        return 0;
    }
    memset(area, 0, AREA);
    memset(&bi, 0, sizeof(bi));
    cpu_init_boot(0);
    bi.params = arch_virt_to_phys(area);
    if (data[0] & 1) {
        build_tables(data + 1, size - 1);
        (void)!acpi_scan(&bi);
        require(acpi_irqs()->ioapic_count <= ACPI_IOAPICS_MAX);
        require(cpu_count() >= 1 && cpu_count() <= CPU_MAX);
        return 0;
    }
    memcpy(area, data + 1, size - 1);
    bi.protocol = data[0] & 2 ? BOOT_PVH : BOOT_MULTIBOOT2;
    if (bi.protocol == BOOT_PVH) {
        build_start_info();
    }
    if (pc_boot_scan(&bi) == OK) {
        require(bi.ram.count > 0);
    }
    check_ranges(&bi.ram);
    check_ranges(&bi.reserved);
    require(memchr(bi.cmdline, 0, sizeof(bi.cmdline)) != NULL);
    return 0;
}
