// SPDX-License-Identifier: Apache-2.0
//
// Multiboot kernels (specification 0.6.96, chapter 3): a header somewhere in the first 8 KiB. Either it says itself what of the
// file goes where, or the file is ELF32. They are entered in 32-bit protected mode.
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/loader/image.h"

#define SEARCH_MAX KIB(8)
#define SEARCH_STEP 512u
#define MAGIC 0x1BADB002u
#define FLAG_ADDRESSES BIT64(16)
#define FLAGS_MANDATORY 0xFFFFu // the loader must understand those
#define FLAGS_KNOWN 0x7u        // aligned modules, memory, video mode (there is no screen to set)

// Words of the header.
enum {
    MB_FLAGS = 4,
    MB_CHECKSUM = 8,
    MB_MINIMUM = 12,
    MB_HEADER_ADDR = 12,
    MB_LOAD_ADDR = 16,
    MB_LOAD_END = 20,
    MB_BSS_END = 24,
    MB_ENTRY = 28,
    MB_SIZE = 32
};

enum {
    EH_TYPE = 16,
    EH_MACHINE = 18,
    EH_ENTRY = 24,
    EH_PHOFF = 28,
    EH_PHENTSIZE = 42,
    EH_PHNUM = 44,
    EH_SIZE = 52
};
enum {
    PH_TYPE = 0,
    PH_OFFSET = 4,
    PH_VADDR = 8,
    PH_PADDR = 12,
    PH_FILESZ = 16,
    PH_MEMSZ = 20,
    PH_SIZE = 32
};
#define IDENT \
    "\x7f"    \
    "ELF\x01\x01\x01" // 32-bit, little-endian, version 1
#define IDENT_SIZE 7
#define EM_386 3
#define ET_EXEC 2
#define PT_LOAD 1
#define PHDR_MAX 64

struct header {
    uint64_t at; // in the file
    uint8_t words[MB_SIZE];
};

static uint32_t word(const struct header *h, unsigned offset)
{
    return image_le32(h->words + offset);
}

static bool is_header(const uint8_t *words)
{
    return image_le32(words) == MAGIC &&
           image_le32(words) + image_le32(words + MB_FLAGS) + image_le32(words + MB_CHECKSUM) == 0;
}

// A disk may be behind the source: it is read a sector and the header that ends beyond it at a time.
static bool find_header(const struct image_source *src, struct header *h)
{
    uint64_t end = min_u64(src->size, SEARCH_MAX);
    uint8_t block[SEARCH_STEP + MB_MINIMUM - 4];

    for (uint64_t at = 0; at + MB_MINIMUM <= end; at += SEARCH_STEP) {
        size_t size = (size_t)min_u64(end - at, sizeof(block));

        if (image_read(src, at, block, size) != OK) {
            return false;
        }
        for (size_t i = 0; i + MB_MINIMUM <= size; i += 4) {
            if (is_header(block + i)) {
                h->at = at + i;
                memcpy(h->words, block + i, MB_MINIMUM);
                return true;
            }
        }
    }
    return false;
}

// ---- addresses in the header ----------------------------------------

static enum status by_header(const struct image_source *src, struct header *h, struct image *out,
                             uint64_t *entry, struct load_error *error)
{
    struct image_segment *seg = &out->segments[0];
    uint64_t header, load, load_end, bss_end;

    if (image_read(src, h->at, h->words, MB_SIZE) != OK) {
        return load_fail(error, E_CORRUPT, "is truncated: its multiboot header is cut off");
    }
    header = word(h, MB_HEADER_ADDR);
    load = word(h, MB_LOAD_ADDR);
    load_end = word(h, MB_LOAD_END);
    bss_end = word(h, MB_BSS_END);
    if (load > header || header - load > h->at) {
        return load_fail(error, E_CORRUPT,
                         "is damaged: its multiboot header at 0x%llx begins before the file",
                         (unsigned long long)header);
    }
    seg->gpa = load;
    seg->file_off = h->at - (header - load);
    seg->file_size = load_end ? load_end - load : src->size - seg->file_off;
    seg->mem_size = bss_end ? bss_end - load : seg->file_size;
    if ((load_end && load_end <= load) || seg->file_size > seg->mem_size || (bss_end && bss_end <= load)) {
        return load_fail(error, E_CORRUPT,
                         "is damaged: the addresses in its multiboot header are not in order");
    }
    if (!range_contains(0, src->size, seg->file_off, seg->file_size)) {
        return load_fail(error, E_CORRUPT, "is truncated: %llu bytes of at least %llu",
                         (unsigned long long)src->size, (unsigned long long)(seg->file_off + seg->file_size));
    }
    out->segment_count = 1;
    *entry = word(h, MB_ENTRY);
    return OK;
}

// ---- ELF32 ----------------------------------------

static enum status take_segment(const uint8_t *ph, const struct image_source *src, struct image *out,
                                struct load_error *error)
{
    struct image_segment seg = {
        .file_off = image_le32(ph + PH_OFFSET),
        .file_size = image_le32(ph + PH_FILESZ),
        .gpa = image_le32(ph + PH_PADDR),
        .mem_size = image_le32(ph + PH_MEMSZ),
    };

    if (seg.mem_size == 0) {
        return OK;
    }
    if (seg.file_size > seg.mem_size) {
        return load_fail(error, E_CORRUPT,
                         "is damaged: a segment at 0x%llx is longer in the file than in memory",
                         (unsigned long long)seg.gpa);
    }
    if (!range_contains(0, src->size, seg.file_off, seg.file_size)) {
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
    out->segments[out->segment_count++] = seg;
    return OK;
}

static enum status by_elf32(const struct image_source *src, struct image *out, uint64_t *entry,
                            struct load_error *error)
{
    uint8_t eh[EH_SIZE], ph[PH_SIZE];
    uint64_t at;

    if (image_read(src, 0, eh, sizeof(eh)) != OK || memcmp(eh, IDENT, IDENT_SIZE) != 0 ||
        image_le16(eh + EH_MACHINE) != EM_386 || image_le16(eh + EH_TYPE) != ET_EXEC) {
        return load_fail(error, E_UNSUPPORTED,
                         "is a multiboot kernel without load addresses, and not an ELF file for 32-bit x86");
    }
    if (image_le16(eh + EH_PHENTSIZE) != PH_SIZE || image_le16(eh + EH_PHNUM) > PHDR_MAX) {
        return load_fail(error, E_CORRUPT, "is damaged: %u program headers of %u bytes",
                         image_le16(eh + EH_PHNUM), image_le16(eh + EH_PHENTSIZE));
    }
    at = image_le32(eh + EH_PHOFF);
    for (unsigned i = 0; i < image_le16(eh + EH_PHNUM); i++, at += PH_SIZE) {
        enum status st = OK;

        if (image_read(src, at, ph, sizeof(ph)) != OK) {
            return load_fail(error, E_CORRUPT, "is truncated: its program headers are cut off");
        }
        if (image_le32(ph + PH_TYPE) == PT_LOAD) {
            st = take_segment(ph, src, out, error);
        }
        if (st != OK) {
            return st;
        }
    }
    *entry = image_le32(eh + EH_ENTRY);
    return OK;
}

// ---- both ----------------------------------------

// The range that all segments cover, and the entry relative to it.
static enum status finish(struct image *out, uint64_t entry, struct load_error *error)
{
    uint64_t low = UINT64_MAX, end = 0;
    bool inside = false;

    for (unsigned i = 0; i < out->segment_count; i++) {
        const struct image_segment *s = &out->segments[i];

        low = min_u64(low, s->gpa);
        end = max_u64(end, s->gpa + s->mem_size);
        inside = inside || range_contains(s->gpa, s->mem_size, entry, 1);
    }
    if (!inside) {
        return load_fail(error, E_CORRUPT, "is damaged: its entry point 0x%llx lies in no segment",
                         (unsigned long long)entry);
    }
    out->fixed = true;
    out->mode = IMAGE_MODE_FLAT32;
    out->multiboot = true;
    out->base = low;
    out->span = end - low;
    out->entry = entry - low;
    return OK;
}

static enum status multiboot_probe(const struct image_source *src, const struct image_options *opt,
                                   struct image *out, struct load_error *error)
{
    struct header h;
    uint64_t entry = 0;
    enum status st;

    if (!find_header(src, &h)) {
        return E_NOENT;
    }
    if (word(&h, MB_FLAGS) & FLAGS_MANDATORY & ~FLAGS_KNOWN) {
        return load_fail(error, E_UNSUPPORTED,
                         "is a multiboot kernel that asks for what is unknown: flags 0x%x",
                         word(&h, MB_FLAGS));
    }
    if (opt->has_load || opt->has_entry) {
        return load_fail(error, E_CONFIG,
                         "is a multiboot kernel, which has its own addresses: boot.load and boot.entry are "
                         "for raw images");
    }
    st = word(&h, MB_FLAGS) & FLAG_ADDRESSES ? by_header(src, &h, out, &entry, error)
                                             : by_elf32(src, out, &entry, error);
    return st == OK ? finish(out, entry, error) : st;
}

const struct image_format image_format_multiboot = {
    .name = "multiboot",
    .arch = "x86_64",
    .probe = multiboot_probe,
    .load = image_load_segments,
};
