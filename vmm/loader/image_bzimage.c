// SPDX-License-Identifier: Apache-2.0
//
// Linux's bzImage for x86 (Documentation/arch/x86/boot.rst), entered by the 64-bit boot protocol: real-mode code is left out, the
// rest goes to the address it prefers, and the setup header into the guest's zero page (vmm/firmware/pc_linux.h).
//
// What the header says is checked against the file, and its size gives a truncated kernel away.
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/firmware/pc_linux.h"
#include "vmm/loader/image.h"

enum { // offsets in the file
    HDR_SETUP_SECTORS = 0x1F1,
    HDR_SYSSIZE = 0x1F4,
    HDR_BOOT_FLAG = 0x1FE,
    HDR_LENGTH = 0x201, // of what follows 0x202
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_LOADFLAGS = 0x211,
    HDR_INITRD_MAX = 0x22C,
    HDR_ALIGNMENT = 0x230,
    HDR_RELOCATABLE = 0x234,
    HDR_XLOADFLAGS = 0x236,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
    HDR_END = 0x268 // of the oldest header that is taken
};
#define BOOT_FLAG 0xAA55
#define VERSION_MIN 0x20C // xloadflags
#define LOADED_HIGH 1u
#define XLF_KERNEL_64 1u
#define ENTRY_64 0x200u
#define SECTOR 512u
#define SETUP_SECTORS_OLD 4u // what 0 means
#define PARAGRAPH 16u
#define LOW_END MIB(1)
#define ALIGNMENT_MAX GIB(1)

static uint64_t setup_bytes(const uint8_t *head)
{
    uint64_t sectors = head[HDR_SETUP_SECTORS] ? head[HDR_SETUP_SECTORS] : SETUP_SECTORS_OLD;

    return (sectors + 1) * SECTOR;
}

// Can it be entered in 64-bit mode?
static enum status check_kind(const uint8_t *head, struct load_error *error)
{
    uint16_t version = image_le16(head + HDR_VERSION);

    if (version < VERSION_MIN) {
        return load_fail(
            error, E_UNSUPPORTED,
            "is a Linux kernel of boot protocol %u.%02u, too old for a start in 64-bit mode (2.12)",
            version >> 8, version & 0xFFu);
    }
    if (!(head[HDR_LOADFLAGS] & LOADED_HIGH)) {
        return load_fail(error, E_UNSUPPORTED, "is a zImage, which runs below 1 MiB: a bzImage is wanted");
    }
    if (!(image_le16(head + HDR_XLOADFLAGS) & XLF_KERNEL_64)) {
        return load_fail(error, E_UNSUPPORTED, "is a 32-bit Linux kernel, the guest is x86_64");
    }
    return OK;
}

// The code behind the setup sectors, and how much of it there is.
static enum status check_size(const struct image_source *src, const uint8_t *head, struct image *out,
                              struct load_error *error)
{
    struct image_segment *code = &out->segments[0];
    uint64_t wanted = (uint64_t)image_le32(head + HDR_SYSSIZE) * PARAGRAPH;

    code->file_off = setup_bytes(head);
    if (wanted <= ENTRY_64 || !range_contains(0, src->size, code->file_off, wanted - (PARAGRAPH - 1))) {
        return load_fail(error, E_CORRUPT, "is truncated: %llu bytes, its header speaks of %llu",
                         (unsigned long long)src->size, (unsigned long long)(code->file_off + wanted));
    }
    code->file_size = min_u64(wanted, src->size - code->file_off);
    out->span = max_u64(image_le32(head + HDR_INIT_SIZE), code->file_size);
    return OK;
}

static enum status place(const uint8_t *head, const struct image_options *opt, struct image *out,
                         struct load_error *error)
{
    uint64_t align = image_le32(head + HDR_ALIGNMENT), preferred = image_le64(head + HDR_PREF_ADDRESS);
    bool relocatable = head[HDR_RELOCATABLE] != 0;

    if (align < PAGE_SIZE || align > ALIGNMENT_MAX || (align & (align - 1)) != 0 || preferred < LOW_END ||
        preferred >= GIB(4)) {
        return load_fail(error, E_CORRUPT, "is damaged: preferred address 0x%llx, alignment 0x%llx",
                         (unsigned long long)preferred, (unsigned long long)align);
    }
    if (opt->has_entry) {
        return load_fail(error, E_CONFIG,
                         "is a bzImage, which has its own entry: boot.entry is for raw images");
    }
    if (opt->has_load && opt->load != preferred && (!relocatable || !is_aligned(opt->load, align))) {
        return load_fail(error, E_CONFIG, "cannot be loaded at 0x%llx: %s 0x%llx",
                         (unsigned long long)opt->load, relocatable ? "its alignment is" : "it runs only at",
                         (unsigned long long)(relocatable ? align : preferred));
    }
    out->fixed = opt->has_load || !relocatable;
    out->base = opt->has_load ? opt->load : preferred;
    out->align = align;
    out->offset = align_up(preferred, align);
    out->entry = ENTRY_64;
    return OK;
}

static void keep_setup(const uint8_t *head, struct image *out)
{
    size_t size = (size_t)(HDR_MAGIC + head[HDR_LENGTH]) - PC_SETUP_OFFSET;

    _Static_assert(sizeof(out->setup) == PC_SETUP_MAX);
    out->setup_size = size < sizeof(out->setup) ? size : sizeof(out->setup);
    memcpy(out->setup, head + PC_SETUP_OFFSET, out->setup_size);
}

static enum status bzimage_probe(const struct image_source *src, const struct image_options *opt,
                                 struct image *out, struct load_error *error)
{
    uint8_t head[PC_SETUP_OFFSET + PC_SETUP_MAX] = {0};
    enum status st;

    if (strcmp(opt->arch, "x86_64") != 0 || src->size < HDR_END) {
        return E_NOENT;
    }
    st = image_read(src, 0, head, min_u64(sizeof(head), src->size));
    if (st != OK) {
        return load_fail(error, st, "cannot be read: %s", status_name(st));
    }
    if (memcmp(head + HDR_MAGIC, "HdrS", 4) != 0 || image_le16(head + HDR_BOOT_FLAG) != BOOT_FLAG) {
        return E_NOENT;
    }
    st = check_kind(head, error);
    if (st == OK && HDR_MAGIC + head[HDR_LENGTH] < HDR_END) {
        st = load_fail(error, E_CORRUPT, "is damaged: its setup header has only %u bytes", head[HDR_LENGTH]);
    }
    if (st == OK) {
        st = check_size(src, head, out, error);
    }
    if (st == OK) {
        st = place(head, opt, out, error);
    }
    out->mode = IMAGE_MODE_LINUX64;
    out->initrd_max = image_le32(head + HDR_INITRD_MAX);
    keep_setup(head, out);
    return st;
}

static enum status bzimage_load(const struct image *img, const struct image_source *src,
                                const struct image_sink *sink, struct load_error *error)
{
    const struct image_segment *code = &img->segments[0];
    enum status st = image_copy(src, code->file_off, code->file_size, img->base, sink);

    return st == OK ? OK : load_fail(error, st, "cannot be loaded: %s", status_name(st));
}

const struct image_format image_format_bzimage = {
    .name = "bzImage",
    .arch = "x86_64",
    .probe = bzimage_probe,
    .load = bzimage_load,
};
