// SPDX-License-Identifier: Apache-2.0
//
// Fills struct boot_info from a PC's boot loader: memory map, command line, first module, where ACPI begins. What the loader
// left is not trusted: sizes are checked before anything is read. Follows Xen's docs/misc/pvh.pandoc and
// xen/include/public/arch-x86/hvm/start_info.h, the Multiboot2 specification 2.0 (3.6), and for the search of the RSDP
// ACPI 6.5, 5.2.5.1.
#include "kernel/dev/pc_boot.h"

#include <inttypes.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/dev/boot_ranges.h"
#include "kernel/log/log.h"

#define LOW_MEMORY MIB(1) // real mode's, and the firmware's: left alone
#define MAP_ENTRIES_MAX 256u
#define INFO_MAX KIB(64)
#define E820_RAM 1u

#define PVH_MAGIC 0x336EC578u
#define PVH_SIZE 56u
#define PVH_NR_MODULES 12
#define PVH_MODULES 16
#define PVH_CMDLINE 24
#define PVH_RSDP 32
#define PVH_MEMMAP 40 // since version 1
#define PVH_MEMMAP_ENTRIES 48
#define PVH_ENTRY_SIZE 24u

enum mb2_tag {
    MB2_END = 0,
    MB2_CMDLINE = 1,
    MB2_MODULE = 3,
    MB2_MEMMAP = 6,
    MB2_ACPI_OLD = 14,
    MB2_ACPI_NEW = 15
};

#define RSDP_ALIGN 16u
#define RSDP_AREA 0xE0000u
#define RSDP_AREA_SIZE 0x20000u
#define RSDP_SUM_SIZE 20u // bytes that the first checksum covers

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static void copy_text(char *to, const uint8_t *from, size_t room)
{
    size_t n = strnlen((const char *)from, room < BOOT_TEXT_MAX ? room : BOOT_TEXT_MAX - 1);

    n = n < BOOT_TEXT_MAX ? n : BOOT_TEXT_MAX - 1;
    memcpy(to, from, n);
    to[n] = '\0';
}

static void add_memory(struct boot_info *bi, uint64_t base, uint64_t size, uint32_t type)
{
    if (type == E820_RAM && size && boot_ranges_add(&bi->ram, base, size) != OK) {
        log_warn("memory map: 0x%" PRIx64 " size 0x%" PRIx64 " not used", base, size);
    }
}

// The first module is the disk image; what else is there is kept, too.
static void add_module(struct boot_info *bi, uint64_t base, uint64_t size)
{
    if (!bi->initrd.size) {
        bi->initrd = (struct boot_range){hpa(base), size};
    }
    if (boot_ranges_cover(&bi->reserved, base, size) != OK) {
        log_warn("boot module 0x%" PRIx64 " size 0x%" PRIx64 " makes no sense", base, size);
        bi->initrd = (struct boot_range){0};
    }
}

// ---- PVH ----------------------------------------

static void pvh_memory(struct boot_info *bi, const uint8_t *info)
{
    uint32_t entries = get32(info + PVH_MEMMAP_ENTRIES);
    const uint8_t *map = NULL;

    if (entries && entries <= MAP_ENTRIES_MAX) {
        map = arch_map_firmware(hpa(get64(info + PVH_MEMMAP)), (uint64_t)entries * PVH_ENTRY_SIZE);
    }
    for (uint32_t i = 0; map && i < entries; i++, map += PVH_ENTRY_SIZE) {
        add_memory(bi, get64(map), get64(map + 8), get32(map + 16));
    }
}

static enum status pvh_scan(struct boot_info *bi)
{
    const uint8_t *info = arch_map_firmware(bi->params, PVH_SIZE);

    if (!info || get32(info) != PVH_MAGIC || get32(info + 4) < 1) {
        log_err("boot loader: no PVH start_info of version 1 at 0x%" PRIx64, bi->params.v);
        return E_CORRUPT;
    }
    pvh_memory(bi, info);
    if (get64(info + PVH_CMDLINE)) {
        const uint8_t *text = arch_map_firmware(hpa(get64(info + PVH_CMDLINE)), BOOT_TEXT_MAX);

        copy_text(bi->cmdline, text ? text : (const uint8_t *)"", BOOT_TEXT_MAX);
    }
    if (get32(info + PVH_NR_MODULES)) {
        const uint8_t *m = arch_map_firmware(hpa(get64(info + PVH_MODULES)), 16);

        if (m) {
            add_module(bi, get64(m), get64(m + 8));
        }
    }
    bi->acpi_rsdp = hpa(get64(info + PVH_RSDP));
    return OK;
}

// ---- Multiboot2 ----------------------------------------

static void mb2_memory(struct boot_info *bi, const uint8_t *tag, uint32_t size)
{
    uint32_t entry = size >= 16 ? get32(tag + 8) : 0;

    if (entry < 24) {
        return;
    }
    for (uint32_t off = 16; entry <= size - off; off += entry) {
        add_memory(bi, get64(tag + off), get64(tag + off + 8), get32(tag + off + 16));
    }
}

static void mb2_tag(struct boot_info *bi, const uint8_t *tag, uint32_t size, uint64_t pa)
{
    switch (get32(tag)) {
    case MB2_CMDLINE:
        copy_text(bi->cmdline, tag + 8, size - 8);
        break;
    case MB2_MODULE:
        if (size >= 16 && get32(tag + 12) > get32(tag + 8)) {
            add_module(bi, get32(tag + 8), get32(tag + 12) - get32(tag + 8));
        }
        break;
    case MB2_MEMMAP:
        mb2_memory(bi, tag, size);
        break;
    case MB2_ACPI_OLD:
        bi->acpi_rsdp = bi->acpi_rsdp.v ? bi->acpi_rsdp : hpa(pa + 8);
        break;
    case MB2_ACPI_NEW:
        bi->acpi_rsdp = hpa(pa + 8);
        break;
    default:
        break;
    }
}

static enum status mb2_scan(struct boot_info *bi)
{
    const uint8_t *info = arch_map_firmware(bi->params, 8);
    uint32_t size = info ? get32(info) : 0;

    if (size < 16 || size > INFO_MAX || !(info = arch_map_firmware(bi->params, size))) {
        log_err("boot loader: no Multiboot2 information at 0x%" PRIx64, bi->params.v);
        return E_CORRUPT;
    }
    for (uint32_t off = 8; off + 8 <= size;) {
        uint32_t length = get32(info + off + 4);

        if (get32(info + off) == MB2_END || length < 8 || length > size - off) {
            break;
        }
        mb2_tag(bi, info + off, length, bi->params.v + off);
        off = (uint32_t)align_up((uint64_t)off + length, 8);
    }
    // The copy of the RSDP is in there.
    return boot_ranges_cover(&bi->reserved, bi->params.v, size);
}

// ---- both ----------------------------------------

static bool is_rsdp(const uint8_t *p)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < RSDP_SUM_SIZE; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0 && memcmp(p, "RSD PTR ", 8) == 0;
}

static void search_rsdp(struct boot_info *bi)
{
    const uint8_t *area = arch_map_firmware(hpa(RSDP_AREA), RSDP_AREA_SIZE);

    for (uint32_t off = 0; area && !bi->acpi_rsdp.v && off < RSDP_AREA_SIZE; off += RSDP_ALIGN) {
        if (is_rsdp(area + off)) {
            bi->acpi_rsdp = hpa(RSDP_AREA + off);
        }
    }
}

enum status pc_boot_scan(struct boot_info *bi)
{
    enum status s = E_NOENT;

    bi->ram.count = 0;
    bi->reserved.count = 0;
    bi->initrd = (struct boot_range){0};
    bi->acpi_rsdp = hpa(0);
    if (bi->params.v) {
        s = bi->protocol == BOOT_PVH ? pvh_scan(bi) : mb2_scan(bi);
    }
    if (s != OK) {
        return s;
    }
    search_rsdp(bi);
    if (bi->ram.count == 0) {
        log_err("boot loader: its memory map shows no memory");
        return E_CORRUPT;
    }
    return boot_ranges_cover(&bi->reserved, 0, LOW_MEMORY);
}
