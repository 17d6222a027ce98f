// SPDX-License-Identifier: Apache-2.0
//
// ELF64, little-endian, executable or position-independent at its link address (System V ABI, chapter 5). Segments go
// to their physical addresses; an entry point given as a virtual address is carried over to the segment it lies in. On x86_64 the
// entry is that of the PVH note, in 32-bit mode: the ELF header's own expects a boot loader that has set up 64-bit mode.
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/loader/image.h"
#include "vmm/loader/image_pvh.h"

enum {
    EH_TYPE = 16,
    EH_MACHINE = 18,
    EH_ENTRY = 24,
    EH_PHOFF = 32,
    EH_PHENTSIZE = 54,
    EH_PHNUM = 56,
    EH_SIZE = 64
};
enum {
    PH_TYPE = 0,
    PH_OFFSET = 8,
    PH_VADDR = 16,
    PH_PADDR = 24,
    PH_FILESZ = 32,
    PH_MEMSZ = 40,
    PH_SIZE = 56
};
enum {
    ET_EXEC = 2,
    ET_DYN = 3,
    PT_LOAD = 1,
    PT_NOTE = 4
};
#define IDENT \
    "\x7f"    \
    "ELF\x02\x01\x01" // 64-bit, little-endian, version 1
#define IDENT_SIZE 7
#define PHDR_MAX 64

static const struct {
    uint16_t machine;
    const char *arch;
} machines[] = {{183, "aarch64"}, {243, "riscv64"}, {62, "x86_64"}, {40, "32-bit arm"}, {3, "32-bit x86"}};

static const char *machine_arch(uint16_t machine)
{
    for (unsigned i = 0; i < ARRAY_SIZE(machines); i++) {
        if (machines[i].machine == machine) {
            return machines[i].arch;
        }
    }
    return "another architecture";
}

// Checks one program header and appends it; *entry_gpa is set when the entry point lies in it.
static enum status take_segment(const uint8_t *ph, uint64_t file_size, uint64_t entry, struct image *out,
                                struct load_error *error)
{
    struct image_segment seg = {
        .file_off = image_le64(ph + PH_OFFSET),
        .file_size = image_le64(ph + PH_FILESZ),
        .gpa = image_le64(ph + PH_PADDR),
        .mem_size = image_le64(ph + PH_MEMSZ),
    };
    uint64_t vaddr = image_le64(ph + PH_VADDR);

    if (seg.mem_size == 0) {
        return OK;
    }
    if (seg.file_size > seg.mem_size || !range_valid(seg.gpa, seg.mem_size)) {
        return load_fail(
            error, E_CORRUPT, "is damaged: a segment of %llu bytes at 0x%llx with %llu bytes in the file",
            (unsigned long long)seg.mem_size, (unsigned long long)seg.gpa, (unsigned long long)seg.file_size);
    }
    if (!range_contains(0, file_size, seg.file_off, seg.file_size)) {
        return load_fail(error, E_CORRUPT, "is truncated: a segment reaches beyond the end of the file");
    }
    if (out->segment_count == IMAGE_SEGMENT_MAX) {
        return load_fail(error, E_UNSUPPORTED, "has more than %d segments to load", IMAGE_SEGMENT_MAX);
    }
    for (unsigned i = 0; i < out->segment_count; i++) {
        if (range_overlaps(seg.gpa, seg.mem_size, out->segments[i].gpa, out->segments[i].mem_size)) {
            return load_fail(error, E_CORRUPT, "is damaged: two segments overlap at 0x%llx",
                             (unsigned long long)seg.gpa);
        }
    }
    if (out->entry == UINT64_MAX && range_contains(vaddr, seg.mem_size, entry, 1)) {
        out->entry = seg.gpa + (entry - vaddr);
    }
    out->segments[out->segment_count++] = seg;
    return OK;
}

// Sets the entry from the PVH note, a physical address; UINT64_MAX when it lies in no part of the file.
static enum status take_pvh_entry(uint64_t entry, struct image *out, struct load_error *error)
{
    out->mode = IMAGE_MODE_FLAT32;
    out->entry = UINT64_MAX;
    if (entry == UINT64_MAX) {
        return load_fail(error, E_UNSUPPORTED,
                         "is an x86_64 ELF file without a PVH entry note (XEN_ELFNOTE_PHYS32_ENTRY)");
    }
    for (unsigned i = 0; i < out->segment_count; i++) {
        if (range_contains(out->segments[i].gpa, out->segments[i].file_size, entry, 1)) {
            out->entry = entry;
        }
    }
    return OK;
}

// The range all segments cover, and the entry relative to it.
static enum status finish(struct image *out, uint64_t entry, struct load_error *error)
{
    uint64_t low = UINT64_MAX, last = 0;

    if (out->segment_count == 0) {
        return load_fail(error, E_CORRUPT, "has no segment to load");
    }
    if (out->entry == UINT64_MAX) {
        return load_fail(error, E_CORRUPT, "is damaged: its entry point 0x%llx lies in no segment",
                         (unsigned long long)entry);
    }
    for (unsigned i = 0; i < out->segment_count; i++) {
        const struct image_segment *s = &out->segments[i];
        low = min_u64(low, s->gpa);
        last = max_u64(last, s->gpa + (s->mem_size - 1));
    }
    if (last - low == UINT64_MAX) {
        return load_fail(error, E_CORRUPT, "is damaged: its segments cover the whole address space");
    }
    out->fixed = true;
    out->firmware_fdt = true;
    out->base = low;
    out->span = last - low + 1;
    out->entry -= low;
    return OK;
}

static enum status check_header(const uint8_t *eh, const struct image_options *opt, struct load_error *error)
{
    uint16_t type = image_le16(eh + EH_TYPE);
    const char *arch = machine_arch(image_le16(eh + EH_MACHINE));

    if (strcmp(arch, opt->arch) != 0) {
        return load_fail(error, E_UNSUPPORTED, "is an ELF file for %s, the guest is %s", arch, opt->arch);
    }
    if (type != ET_EXEC && type != ET_DYN) {
        return load_fail(error, E_UNSUPPORTED, "is an ELF file of type %u, not an executable", type);
    }
    if (image_le16(eh + EH_PHENTSIZE) != PH_SIZE || image_le16(eh + EH_PHNUM) > PHDR_MAX) {
        return load_fail(error, E_CORRUPT, "is damaged: %u program headers of %u bytes",
                         image_le16(eh + EH_PHNUM), image_le16(eh + EH_PHENTSIZE));
    }
    if (opt->has_load || opt->has_entry) {
        return load_fail(error, E_CONFIG,
                         "is an ELF file, which has its own addresses: boot.load and boot.entry are "
                         "for raw images");
    }
    return OK;
}

// Takes all program headers. *pvh is the entry of a PVH note, UINT64_MAX without.
static enum status take_headers(const struct image_source *src, const uint8_t *eh, struct image *out,
                                uint64_t *pvh, struct load_error *error)
{
    uint64_t at = image_le64(eh + EH_PHOFF);
    uint8_t ph[PH_SIZE];
    enum status st = OK;

    for (unsigned i = 0; st == OK && i < image_le16(eh + EH_PHNUM); i++, at += PH_SIZE) {
        if (!range_contains(0, src->size, at, PH_SIZE) || image_read(src, at, ph, sizeof(ph)) != OK) {
            return load_fail(error, E_CORRUPT, "is truncated: its program headers are cut off");
        }
        if (image_le32(ph + PH_TYPE) == PT_LOAD) {
            st = take_segment(ph, src->size, image_le64(eh + EH_ENTRY), out, error);
        }
        if (image_le32(ph + PH_TYPE) == PT_NOTE && *pvh == UINT64_MAX) {
            (void)image_pvh_entry(src, image_le64(ph + PH_OFFSET), image_le64(ph + PH_FILESZ), pvh);
        }
    }
    return st;
}

static enum status elf_probe(const struct image_source *src, const struct image_options *opt,
                             struct image *out, struct load_error *error)
{
    uint8_t eh[EH_SIZE];
    uint64_t entry, pvh = UINT64_MAX;
    enum status st;

    if (src->size < EH_SIZE || image_read(src, 0, eh, sizeof(eh)) != OK ||
        memcmp(eh, IDENT, IDENT_SIZE) != 0) {
        return E_NOENT;
    }
    st = check_header(eh, opt, error);
    if (st != OK) {
        return st;
    }
    entry = image_le64(eh + EH_ENTRY);
    out->entry = UINT64_MAX;
    st = take_headers(src, eh, out, &pvh, error);
    if (st == OK && strcmp(opt->arch, "x86_64") == 0) {
        entry = pvh;
        st = take_pvh_entry(pvh, out, error);
    }
    return st == OK ? finish(out, entry, error) : st;
}

const struct image_format image_format_elf64 = {
    .name = "ELF64",
    .probe = elf_probe,
    .load = image_load_segments,
};
