// SPDX-License-Identifier: Apache-2.0
//
// See pc_start_info.h. The structure, then the list of modules, then the memory map.
#include "vmm/firmware/pc_start_info.h"

#include <string.h>

#include "vmm/firmware/pc_tables.h"

#define INFO_MAGIC 0x336ec578u
#define INFO_VERSION 1u

struct start_info {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, cmdline, rsdp, memmap;
    uint32_t memmap_count, reserved;
};
_Static_assert(sizeof(struct start_info) == 56);

struct module {
    uint64_t base, size, cmdline, reserved;
};

struct memmap_entry {
    uint64_t base, size;
    uint32_t type, reserved;
};
#define MEMMAP_OFFSET (sizeof(struct start_info) + sizeof(struct module))
_Static_assert(MEMMAP_OFFSET + PC_MEMORY_MAX * sizeof(struct memmap_entry) <= PC_START_INFO_CAPACITY);

size_t pc_start_info_build(const struct pc_start_info_input *in, uint8_t buf[PC_START_INFO_CAPACITY])
{
    const struct module initrd = {.base = in->initrd_base, .size = in->initrd_size};
    struct pc_memory map[PC_MEMORY_MAX];
    unsigned count = pc_memory_map(in->plan, map);
    struct start_info info = {
        .magic = INFO_MAGIC,
        .version = INFO_VERSION,
        .module_count = in->initrd_size != 0,
        .modules = in->initrd_size ? PC_START_INFO + sizeof(info) : 0,
        .cmdline = in->has_cmdline ? PC_CMDLINE : 0,
        .rsdp = in->rsdp,
        .memmap = PC_START_INFO + MEMMAP_OFFSET,
        .memmap_count = count,
    };

    for (unsigned i = 0; i < count; i++) {
        const struct memmap_entry e = {.base = map[i].base, .size = map[i].size, .type = map[i].type};

        memcpy(buf + MEMMAP_OFFSET + i * sizeof(e), &e, sizeof(e));
    }
    memcpy(buf, &info, sizeof(info));
    memcpy(buf + sizeof(info), &initrd, sizeof(initrd));
    return MEMMAP_OFFSET + count * sizeof(struct memmap_entry);
}
