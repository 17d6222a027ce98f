// SPDX-License-Identifier: Apache-2.0
//
// See pc_start_info.h. The structure, then the list of modules, then the memory map.
#include "vmm/firmware/pc_start_info.h"

#include <string.h>

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
enum {
    MEMMAP_RAM = 1,
    MEMMAP_RESERVED = 2
};

#define MEMMAP_OFFSET (sizeof(struct start_info) + sizeof(struct module))
#define MEMMAP_MAX ((PC_START_INFO_CAPACITY - MEMMAP_OFFSET) / sizeof(struct memmap_entry))

struct map {
    uint8_t *at;
    uint32_t count;
};

static bool add(struct map *m, uint64_t base, uint64_t end, uint32_t type)
{
    const struct memmap_entry e = {.base = base, .size = end - base, .type = type};

    if (base >= end) {
        return true;
    }
    if (m->count == MEMMAP_MAX) {
        return false;
    }
    memcpy(m->at + m->count++ * sizeof(e), &e, sizeof(e));
    return true;
}

// RAM below 1 MiB has a hole for what a PC has there.
static bool add_ram(struct map *m, uint64_t base, uint64_t end)
{
    return add(m, base, min_u64(end, PC_LOW_RAM_END), MEMMAP_RAM) &&
           add(m, max_u64(base, PC_LOW_RAM_END), min_u64(end, PC_HIGH_RAM), MEMMAP_RESERVED) &&
           add(m, max_u64(base, PC_HIGH_RAM), end, MEMMAP_RAM);
}

enum status pc_start_info_build(const struct pc_start_info_input *in, uint8_t buf[PC_START_INFO_CAPACITY],
                                size_t *size)
{
    const struct module initrd = {.base = in->initrd_base, .size = in->initrd_size};
    struct map map = {.at = buf + MEMMAP_OFFSET};
    struct start_info info = {
        .magic = INFO_MAGIC,
        .version = INFO_VERSION,
        .module_count = in->initrd_size != 0,
        .modules = in->initrd_size ? PC_START_INFO + sizeof(info) : 0,
        .cmdline = in->has_cmdline ? PC_CMDLINE : 0,
        .rsdp = in->rsdp,
        .memmap = PC_START_INFO + MEMMAP_OFFSET,
    };

    for (unsigned i = 0; i < in->plan->region_count; i++) {
        const struct plan_region *r = &in->plan->regions[i];

        if (r->kind == REGION_RAM && !add_ram(&map, r->base, r->base + r->size)) {
            return E_NOMEM;
        }
    }
    info.memmap_count = map.count;
    memcpy(buf, &info, sizeof(info));
    memcpy(buf + sizeof(info), &initrd, sizeof(initrd));
    *size = MEMMAP_OFFSET + map.count * sizeof(struct memmap_entry);
    return OK;
}
