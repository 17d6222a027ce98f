// SPDX-License-Identifier: Apache-2.0
//
// Linux's Image for arm64 (Documentation/arch/arm64/booting.rst, "Call the kernel image") and for riscv64
// (Documentation/arch/riscv/boot-image-header.rst): one header but for the magic number.
//
// The header does not give the file's length, only the memory wanted with .bss. An Image with an EFI stub is a PE file
// as well, and its section table does: that is how a truncated kernel is found before it runs.
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/loader/image.h"

enum {
    HDR_TEXT_OFFSET = 8,
    HDR_IMAGE_SIZE = 16,
    HDR_MAGIC = 56,
    HDR_PE_OFFSET = 60,
    HDR_SIZE = 64,
};
#define MAGIC_ARM64 "ARM\x64"
#define MAGIC_RISCV64 "RSC\x05"
#define IMAGE_ALIGN MIB(2)
#define OLD_TEXT_OFFSET KIB(512) // of kernels whose header has no image_size (before 3.17)
#define TEXT_OFFSET_MAX MIB(64)
enum {
    PE_SECTION_COUNT = 6,
    PE_OPTIONAL_SIZE = 20,
    PE_HEADER_SIZE = 24,
    PE_SECTION_SIZE = 40
};
enum {
    PE_RAW_SIZE = 16,
    PE_RAW_OFFSET = 20,
    PE_SECTION_MAX = 16
};

static enum status check_section(const struct image_source *src, uint64_t at, struct load_error *error)
{
    uint8_t section[PE_SECTION_SIZE];
    enum status st = image_read(src, at, section, sizeof(section));
    uint64_t raw_end;

    if (st != OK) {
        return load_fail(error, E_CORRUPT, "is truncated: its section table is cut off");
    }
    raw_end = (uint64_t)image_le32(section + PE_RAW_OFFSET) + image_le32(section + PE_RAW_SIZE);
    if (raw_end > src->size) {
        return load_fail(error, E_CORRUPT, "is truncated: %llu bytes of at least %llu",
                         (unsigned long long)src->size, (unsigned long long)raw_end);
    }
    return OK;
}

static enum status check_pe(const struct image_source *src, uint64_t pe, struct load_error *error)
{
    uint8_t head[PE_HEADER_SIZE];
    enum status st = image_read(src, pe, head, sizeof(head));
    uint64_t sections;

    if (st != OK || memcmp(head, "PE\0\0", 4) != 0) {
        return load_fail(error, E_CORRUPT, "is damaged: it claims an EFI header where there is none");
    }
    sections = pe + PE_HEADER_SIZE + image_le16(head + PE_OPTIONAL_SIZE);
    for (unsigned i = 0; i < image_le16(head + PE_SECTION_COUNT) && i < PE_SECTION_MAX; i++) {
        st = check_section(src, sections + (uint64_t)i * PE_SECTION_SIZE, error);
        if (st != OK) {
            return st;
        }
    }
    return OK;
}

static enum status linux_probe(const struct image_source *src, const struct image_options *opt,
                               struct image *out, struct load_error *error)
{
    uint8_t head[HDR_SIZE];
    uint64_t text_offset, image_size;
    enum status st;

    if (src->size < HDR_SIZE) {
        return E_NOENT;
    }
    st = image_read(src, 0, head, sizeof(head));
    if (st != OK) {
        return load_fail(error, st, "cannot be read: %s", status_name(st));
    }
    if (memcmp(head + HDR_MAGIC, out->format == &image_format_arm64 ? MAGIC_ARM64 : MAGIC_RISCV64, 4) != 0) {
        return E_NOENT;
    }
    text_offset = image_le64(head + HDR_TEXT_OFFSET);
    image_size = image_le64(head + HDR_IMAGE_SIZE);
    if (image_size == 0) {
        text_offset = OLD_TEXT_OFFSET;
        image_size = src->size > UINT64_MAX / 2 ? src->size : 2 * src->size;
    }
    if (text_offset > TEXT_OFFSET_MAX) {
        return load_fail(error, E_CORRUPT, "is damaged: text_offset 0x%llx", (unsigned long long)text_offset);
    }
    if (memcmp(head, "MZ", 2) == 0) {
        st = check_pe(src, image_le32(head + HDR_PE_OFFSET), error);
        if (st != OK) {
            return st;
        }
    }
    out->fixed = opt->has_load;
    out->base = opt->load;
    out->align = IMAGE_ALIGN;
    out->offset = text_offset;
    out->span = max_u64(image_size, src->size);
    return OK;
}

static enum status linux_load(const struct image *img, const struct image_source *src,
                              const struct image_sink *sink, struct load_error *error)
{
    enum status st = image_copy(src, 0, src->size, img->base, sink);

    return st == OK ? OK : load_fail(error, st, "cannot be loaded: %s", status_name(st));
}

const struct image_format image_format_arm64 = {
    .name = "arm64 Image",
    .arch = "aarch64",
    .probe = linux_probe,
    .load = linux_load,
};

const struct image_format image_format_riscv64 = {
    .name = "riscv64 Image",
    .arch = "riscv64",
    .probe = linux_probe,
    .load = linux_load,
};
