// SPDX-License-Identifier: Apache-2.0
//
// See isa.h. "riscv,isa" is "rv64", single letters, then multi-letter names set apart by underscores (RISC-V
// Unprivileged ISA, chapter "ISA Extension Naming Conventions"); "riscv,isa-extensions" is a list of names.
#include <asm/isa.h>

#include <libfdt.h>
#include <string.h>

#include <asm/csr.h>

#include "arch/riscv64/cpu/cpu_local.h"

#define DEFAULT_TIMEBASE 10000000 // QEMU's; a tree without the property breaks the binding

static const char *const names[ISA_COUNT] = {
    [ISA_D] = "d",
    [ISA_F] = "f",
    [ISA_V] = "v",
    [ISA_H] = "h",
    [ISA_SSTC] = "sstc",
    [ISA_SMAIA] = "smaia",
    [ISA_SMSTATEEN] = "smstateen",
    [ISA_SSSTATEEN] = "ssstateen",
    [ISA_SSAIA] = "ssaia",
    [ISA_SVINVAL] = "svinval",
    [ISA_SVNAPOT] = "svnapot",
    [ISA_SVPBMT] = "svpbmt",
    [ISA_ZBA] = "zba",
    [ISA_ZBB] = "zbb",
    [ISA_ZBC] = "zbc",
    [ISA_ZBS] = "zbs",
    [ISA_ZICBOM] = "zicbom",
    [ISA_ZICBOP] = "zicbop",
    [ISA_ZICBOZ] = "zicboz",
    [ISA_ZIHINTPAUSE] = "zihintpause",
};

uint64_t isa_present;
static uint64_t timebase = DEFAULT_TIMEBASE, cbom_block, cboz_block;

static uint64_t bit_of(const char *name, size_t len)
{
    for (unsigned i = 0; i < ISA_COUNT; i++) {
        if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0) {
            return BIT64(i);
        }
    }
    return 0;
}

static uint64_t parse_list(const char *list, int len)
{
    uint64_t bits = 0;

    for (const char *p = list; p < list + len;) {
        size_t n = strnlen(p, (size_t)(list + len - p));

        bits |= bit_of(p, n);
        p += n + 1;
    }
    return bits;
}

static uint64_t parse_string(const char *isa, size_t len)
{
    const char *end = isa + len;
    const char *p = isa + 4; // "rv64"
    uint64_t bits = 0;

    for (; len > 4 && p < end && *p != '_'; p++) {
        if ((*p == 's' || *p == 'z') && p > isa + 4) {
            break; // a multi-letter name may follow without an underscore
        }
        bits |= *p == 'g' ? BIT64(ISA_F) | BIT64(ISA_D) : bit_of(p, 1);
    }
    while (len > 4 && p < end) {
        p += *p == '_' ? 1 : 0;
        size_t n = 0;
        while (p + n < end && p[n] != '_') {
            n++;
        }
        bits |= bit_of(p, n);
        p += n;
        if (n == 0) {
            p++;
        }
    }
    return bits;
}

static uint32_t cell(const void *fdt, int node, const char *name)
{
    int len = 0;
    const fdt32_t *p = fdt_getprop(fdt, node, name, &len);

    return p && len == 4 ? fdt32_ld(p) : 0;
}

static uint64_t hart_extensions(const void *fdt, int node)
{
    int len = 0;
    const char *p = fdt_getprop(fdt, node, "riscv,isa-extensions", &len);

    if (p && len > 0) {
        return parse_list(p, len);
    }
    p = fdt_getprop(fdt, node, "riscv,isa", &len);
    return p && len > 0 ? parse_string(p, strnlen(p, (size_t)len)) : 0;
}

static void scan_harts(const void *fdt, int cpus)
{
    bool first = true;
    int node;

    fdt_for_each_subnode(node, fdt, cpus)
    {
        int len = 0;
        const char *type = fdt_getprop(fdt, node, "device_type", &len);

        if (!type || len != 4 || memcmp(type, "cpu", 4) != 0) {
            continue;
        }
        uint64_t bits = hart_extensions(fdt, node);
        isa_present = first ? bits : isa_present & bits;
        if (first) {
            cbom_block = cell(fdt, node, "riscv,cbom-block-size");
            cboz_block = cell(fdt, node, "riscv,cboz-block-size");
        }
        first = false;
    }
}

// What is there but kept from us by the firmware does not count.
static void drop_closed(void)
{
    static _Alignas(1024) uint8_t block[1024]; // larger than any block that is accepted

    if (isa_has(ISA_SSTC) && !probe_stimecmp()) {
        isa_present &= ~BIT64(ISA_SSTC);
    }
    if (isa_has(ISA_ZICBOM) && (!is_power_of_two(cbom_block) || !probe_cbo_clean(block))) {
        isa_present &= ~BIT64(ISA_ZICBOM);
    }
    if (isa_has(ISA_ZICBOZ) &&
        (!is_power_of_two(cboz_block) || cboz_block > sizeof(block) || !probe_cbo_zero(block))) {
        isa_present &= ~BIT64(ISA_ZICBOZ);
    }
    cbom_block = isa_has(ISA_ZICBOM) ? cbom_block : 0;
    cboz_block = isa_has(ISA_ZICBOZ) ? cboz_block : 0;
}

void isa_init(const void *fdt)
{
    int cpus = fdt ? fdt_path_offset(fdt, "/cpus") : -1;
    uint32_t hz;

    if (cpus < 0) {
        return;
    }
    scan_harts(fdt, cpus);
    hz = cell(fdt, cpus, "timebase-frequency");
    timebase = hz ? hz : DEFAULT_TIMEBASE;
    drop_closed();
}

const char *isa_name(enum isa_ext ext)
{
    return names[ext];
}

uint64_t isa_timebase(void)
{
    return timebase;
}

uint64_t isa_cbom_block(void)
{
    return cbom_block;
}

uint64_t isa_cboz_block(void)
{
    return cboz_block;
}
