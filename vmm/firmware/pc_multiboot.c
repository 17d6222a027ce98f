// SPDX-License-Identifier: Apache-2.0
//
// See pc_multiboot.h. The structure, then the module, the loader's name and the memory map.
#include "vmm/firmware/pc_multiboot.h"

#include <string.h>

#include "vmm/firmware/pc_tables.h"

#define LOADER "Lodge"

#define HAS_MEMORY 0x001u
#define HAS_CMDLINE 0x004u
#define HAS_MODULES 0x008u
#define HAS_MAP 0x040u
#define HAS_LOADER 0x200u

struct info {
    uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
    uint32_t module_count, modules;
    uint32_t symbols[4];
    uint32_t map_size, map;
    uint32_t drives_size, drives, config_table, loader, apm_table;
    uint32_t video[6];
};
_Static_assert(sizeof(struct info) == 96);

struct module {
    uint32_t start, end, text, reserved;
};

struct map_entry {
    uint32_t size; // of what follows
    uint64_t base, length;
    uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct map_entry) == 24);

#define MODULE_OFFSET sizeof(struct info)
#define LOADER_OFFSET (MODULE_OFFSET + sizeof(struct module))
#define MAP_OFFSET (LOADER_OFFSET + sizeof(LOADER) + 2)
_Static_assert(MAP_OFFSET % 4 == 0);
_Static_assert(MAP_OFFSET + PC_MEMORY_MAX * sizeof(struct map_entry) <= PC_MULTIBOOT_CAPACITY);

// KiB of RAM that begins at `base`.
static uint32_t kib_at(const struct pc_memory *map, unsigned count, uint64_t base)
{
    for (unsigned i = 0; i < count; i++) {
        if (map[i].base == base && map[i].type == PC_MEMORY_RAM) {
            return (uint32_t)min_u64(map[i].size >> 10, UINT32_MAX);
        }
    }
    return 0;
}

size_t pc_multiboot_build(const struct pc_multiboot_input *in, uint8_t buf[PC_MULTIBOOT_CAPACITY])
{
    const struct module initrd = {.start = in->initrd_base, .end = in->initrd_base + in->initrd_size};
    struct pc_memory map[PC_MEMORY_MAX];
    unsigned count = pc_memory_map(in->plan, map);
    const struct info info = {
        .flags = HAS_MEMORY | HAS_MAP | HAS_LOADER | (in->cmdline ? HAS_CMDLINE : 0) | HAS_MODULES,
        .mem_lower = kib_at(map, count, 0),
        .mem_upper = kib_at(map, count, PC_HIGH_RAM),
        .cmdline = in->cmdline,
        .module_count = in->initrd_size != 0,
        .modules = in->initrd_size ? PC_MULTIBOOT + MODULE_OFFSET : 0,
        .map_size = count * sizeof(struct map_entry),
        .map = PC_MULTIBOOT + MAP_OFFSET,
        .loader = PC_MULTIBOOT + LOADER_OFFSET,
    };

    memset(buf, 0, MAP_OFFSET);
    memcpy(buf, &info, sizeof(info));
    memcpy(buf + MODULE_OFFSET, &initrd, sizeof(initrd));
    memcpy(buf + LOADER_OFFSET, LOADER, sizeof(LOADER));
    for (unsigned i = 0; i < count; i++) {
        const struct map_entry e = {sizeof(e) - 4, map[i].base, map[i].size, map[i].type};

        memcpy(buf + MAP_OFFSET + i * sizeof(e), &e, sizeof(e));
    }
    return MAP_OFFSET + count * sizeof(struct map_entry);
}
