// SPDX-License-Identifier: Apache-2.0
//
// Fills struct boot_info from the device tree: model, command line, console, memory, what of it is reserved,
// initrd.
//
// The blob comes from a boot loader and is not trusted: its structure is checked once and completely, the
// readers of fdt_read.h check every length. Follows the Devicetree Specification 0.4, chapters 3 (nodes) and
// 5 (format).
#include "kernel/dev/fdt_boot.h"

#include <inttypes.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/dev/boot_ranges.h"
#include "kernel/dev/fdt_check.h"
#include "kernel/dev/fdt_read.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"

static enum status check_blob(const struct boot_info *bi, const void *blob, uint64_t room)
{
    if ((uintptr_t)blob % 8 != 0) {
        log_err("device tree at 0x%" PRIx64 ": not aligned to 8 bytes", bi->fdt.v);
        return E_CORRUPT;
    }
    if (room < sizeof(struct fdt_header) || fdt_magic(blob) != FDT_MAGIC) {
        log_err("device tree at 0x%" PRIx64 ": no device tree there (wrong magic number)", bi->fdt.v);
        return E_CORRUPT;
    }
    if (fdt_totalsize(blob) > room) {
        log_err("device tree at 0x%" PRIx64 ": says it is %" PRIu32 " bytes long, at most %" PRIu64
                " are accepted",
                bi->fdt.v, fdt_totalsize(blob), room);
        return E_CORRUPT;
    }

    const char *mistake = fdt_check(blob, room);

    if (mistake) {
        log_err("device tree at 0x%" PRIx64 ": damaged (%s)", bi->fdt.v, mistake);
        return E_CORRUPT;
    }
    return OK;
}

static void copy_text(char *to, const char *from)
{
    size_t n = from ? strnlen(from, BOOT_TEXT_MAX - 1) : 0;

    if (n) {
        memcpy(to, from, n);
    }
    to[n] = '\0';
}

static void read_texts(struct boot_info *bi, const void *fdt, int chosen)
{
    const char *model = fdt_read_string(fdt, 0, "model");
    const char *console = chosen < 0 ? NULL : fdt_read_string(fdt, chosen, "stdout-path");

    if (!console && chosen >= 0) {
        console = fdt_read_string(fdt, chosen, "linux,stdout-path");
    }
    copy_text(bi->model, model ? model : fdt_read_string(fdt, 0, "compatible"));
    copy_text(bi->stdout_path, console);
    copy_text(bi->cmdline, chosen < 0 ? NULL : fdt_read_string(fdt, chosen, "bootargs"));
}

static void read_initrd(struct boot_info *bi, const void *fdt, int chosen)
{
    uint64_t start = 0;
    uint64_t end = 0;

    bi->initrd = (struct boot_range){0};
    if (chosen < 0 || !fdt_read_u64(fdt, chosen, "linux,initrd-start", &start) ||
        !fdt_read_u64(fdt, chosen, "linux,initrd-end", &end)) {
        return;
    }
    if (end <= start || !boot_ranges_contain(&bi->ram, start, end - start)) {
        log_warn("device tree: initrd 0x%" PRIx64 "-0x%" PRIx64 " is not in memory; ignored", start, end);
        return;
    }
    bi->initrd = (struct boot_range){.base = hpa(start), .size = end - start};
}

// Adds the "reg" of `node`, a child of a bus with these cells, to a set. `add` decides what a full set means.
static void add_reg(const void *fdt, int bus, int node, struct boot_ranges *set,
                    enum status (*add)(struct boot_ranges *, uint64_t, uint64_t))
{
    unsigned ac = 0;
    unsigned sc = 0;
    unsigned cells = 0;
    const fdt32_t *reg = fdt_read_array(fdt, node, "reg", &cells);
    const char *name = fdt_read_name(fdt, node);

    if (!reg) {
        return;
    }
    if (!fdt_read_bus_cells(fdt, bus, &ac, &sc) || ac + sc == 0 || cells % (ac + sc) != 0) {
        log_warn("device tree: %s: reg has a wrong length; ignored", name);
        return;
    }
    for (unsigned i = 0; i + ac + sc <= cells; i += ac + sc) {
        uint64_t base = 0;
        uint64_t size = 0;
        enum status s = E_RANGE;

        if (fdt_read_cells(reg + i, ac, &base) && fdt_read_cells(reg + i + ac, sc, &size)) {
            s = add(set, base, size);
        }
        if (s != OK) {
            log_warn("device tree: %s: range 0x%" PRIx64 " size 0x%" PRIx64 " not used: %s", name, base, size,
                     status_name(s));
        }
    }
}

static bool is_memory_node(const void *fdt, int node)
{
    const char *type = fdt_read_string(fdt, node, "device_type");
    const char *name = fdt_read_name(fdt, node);

    if (type) {
        return strcmp(type, "memory") == 0;
    }
    return name && strncmp(name, "memory", 6) == 0 && (name[6] == '\0' || name[6] == '@');
}

static void read_memory(struct boot_info *bi, const void *fdt)
{
    int depth = 0;

    for (int node = fdt_read_next_node(fdt, 0, &depth); node >= 0 && depth > 0;
         node = fdt_read_next_node(fdt, node, &depth)) {
        if (depth == 1 && is_memory_node(fdt, node) && fdt_read_enabled(fdt, node)) {
            add_reg(fdt, 0, node, &bi->ram, boot_ranges_add);
        }
    }
}

static void reserve(struct boot_info *bi, uint64_t base, uint64_t size, const char *what)
{
    if (boot_ranges_cover(&bi->reserved, base, size) != OK) {
        log_warn("device tree: %s 0x%" PRIx64 " size 0x%" PRIx64 " makes no sense; ignored", what, base,
                 size);
    }
}

static void read_reserved(struct boot_info *bi, const void *fdt)
{
    int count = fdt_num_mem_rsv(fdt);

    for (int i = 0; i < count; i++) {
        uint64_t base = 0;
        uint64_t size = 0;

        if (fdt_get_mem_rsv(fdt, i, &base, &size) == 0) {
            reserve(bi, base, size, "memory reservation");
        }
    }

    // With or without no-map: all that matters here is that nobody allocates it.
    int resv = fdt_read_child(fdt, 0, "reserved-memory");
    int depth = 0;

    if (resv >= 0) {
        for (int node = fdt_read_next_node(fdt, resv, &depth); node >= 0 && depth > 0;
             node = fdt_read_next_node(fdt, node, &depth)) {
            if (depth == 1 && fdt_read_enabled(fdt, node)) {
                add_reg(fdt, resv, node, &bi->reserved, boot_ranges_cover);
            }
        }
    }
    reserve(bi, bi->fdt.v, fdt_totalsize(fdt), "device tree blob");
    reserve(bi, bi->initrd.base.v, bi->initrd.size, "initrd");
}

enum status fdt_boot_parse(struct boot_info *bi, const void *blob, uint64_t room)
{
    enum status s = check_blob(bi, blob, room);

    if (s != OK) {
        return s;
    }

    int chosen = fdt_read_child(blob, 0, "chosen");

    fdt_read_forget();
    bi->fdt_va = blob;
    bi->ram.count = 0;
    bi->reserved.count = 0;
    read_texts(bi, blob, chosen);
    read_memory(bi, blob);
    if (bi->ram.count == 0) {
        log_err("device tree at 0x%" PRIx64 ": describes no memory (no usable /memory node)", bi->fdt.v);
        bi->fdt_va = NULL;
        return E_CORRUPT;
    }
    read_initrd(bi, blob, chosen);
    read_reserved(bi, blob);
    return OK;
}

enum status fdt_boot_scan(struct boot_info *bi)
{
    bi->fdt_va = NULL;
    if (bi->fdt.v == 0) {
        log_err("the boot loader handed over no device tree (address 0)");
        return E_NOENT;
    }

    const void *blob = arch_phys_to_virt(bi->fdt);
    uint32_t magic = 0;

    // Whatever the register held, reading there must not be the end.
    if ((uintptr_t)blob % sizeof(magic) == 0 && !arch_probe_read(blob, &magic)) {
        log_err("device tree at 0x%" PRIx64 ": no memory there", bi->fdt.v);
        return E_CORRUPT;
    }
    return fdt_boot_parse(bi, blob, FDT_SIZE_MAX);
}
