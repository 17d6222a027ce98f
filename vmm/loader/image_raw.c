// SPDX-License-Identifier: Apache-2.0
//
// Raw images: no header, so the configuration says where they go; without a word from it, 512 KiB (riscv64: 2 MiB) above
// the start of RAM, where QEMU's virt board puts them, on a PC at 1 MiB. Unless the configuration vouches for the file, anything that is recognisably
// something else is refused, so that a wrong file gives a message and not a silent guest.
#include <string.h>

#include "vmm/loader/image.h"
#include "vmm/loader/rv_entry.h"

#define RAW_OFFSET KIB(512)
#define RAW_OFFSET_RISCV64 MIB(2)
#define RAW_OFFSET_X86_64 MIB(1)
#define RAW_ALIGN MIB(2)
#define PEEK_MAX 1024u

struct foreign {
    uint16_t offset;
    uint8_t len;
    char magic[8];
    const char *what;
};

static const struct foreign foreigners[] = {
    {0x202, 4, "HdrS", "a Linux bzImage for x86"},
    {4, 4, "zimg", "an EFI zboot kernel: decompress it first"},
    {0, 2, "MZ", "an EFI program"},
    {0, 4,
     "\x7f"
     "ELF",
     "an ELF file that is damaged or not 64-bit little-endian"},
    {0, 3,
     "\xfd"
     "7z",
     "compressed with xz: decompress it first"},
    {0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd: decompress it first"},
    {0, 4, "\x04\x22\x4d\x18", "compressed with lz4: decompress it first"},
    {0, 4, "\x02\x21\x4c\x18", "compressed with lz4: decompress it first"},
    {0, 3, "BZh", "compressed with bzip2: decompress it first"},
    {0, 2, "\x1f\x8b", "a damaged gzip file"},
    {0, 4, "\x27\x05\x19\x56", "a U-Boot uImage: take the kernel inside"},
    {0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image, not a kernel"},
    {0, 6, "070701", "a cpio archive: an initrd, not a kernel"},
};

// Bits 28 to 25 are 0, 1 or 3 in no A64 instruction (Arm ARM C4.1).
static bool may_be_a64(const uint8_t *head)
{
    uint32_t group = image_le32(head) >> 25 & 0xf;

    return group != 0 && group != 1 && group != 3;
}

static bool may_be_rv64(const uint8_t *head)
{
    return rv_may_begin_with(image_le16(head));
}

// Every sequence of bytes is some program; what empty files and erased memory begin with is none that anybody wrote.
static bool may_be_x86(const uint8_t *head)
{
    return image_le16(head) != 0 && image_le16(head) != UINT16_MAX;
}

// Can a program begin like this?
static const struct {
    const char *arch, *kernel, *instruction;
    bool (*may_be)(const uint8_t *head);
} beginnings[] = {
    {"aarch64", "an arm64", "an A64", may_be_a64},
    {"riscv64", "a riscv64", "a RISC-V", may_be_rv64},
    {"x86_64", "an x86_64", "an x86", may_be_x86},
};

static bool is_plain_text(const uint8_t *p, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        if ((p[i] < ' ' || p[i] > '~') && p[i] != '\n' && p[i] != '\r' && p[i] != '\t') {
            return false;
        }
    }
    return true;
}

static enum status check_foreign(const struct image_source *src, const struct image_options *opt,
                                 struct load_error *error)
{
    uint8_t head[PEEK_MAX];
    uint64_t len = min_u64(sizeof(head), src->size);
    enum status st = image_read(src, 0, head, len);

    if (st != OK) {
        return load_fail(error, st, "cannot be read: %s", status_name(st));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(foreigners); i++) {
        const struct foreign *f = &foreigners[i];
        if ((uint64_t)f->offset + f->len <= len && memcmp(head + f->offset, f->magic, f->len) == 0) {
            return load_fail(error, E_UNSUPPORTED, "is %s", f->what);
        }
    }
    if (is_plain_text(head, len)) {
        return load_fail(error, E_UNSUPPORTED, "is a text file, not a kernel");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(beginnings); i++) {
        if (strcmp(opt->arch, beginnings[i].arch) == 0 && (len < 4 || !beginnings[i].may_be(head))) {
            return load_fail(error, E_UNSUPPORTED,
                             "is not %s kernel: no Image or ELF header, and it does not begin with %s "
                             "instruction; boot.load marks a raw image",
                             beginnings[i].kernel, beginnings[i].instruction);
        }
    }
    return OK;
}

static const struct {
    const char *arch;
    uint64_t offset;
    uint8_t mode;
} places[] = {{"riscv64", RAW_OFFSET_RISCV64, 0}, {"x86_64", RAW_OFFSET_X86_64, IMAGE_MODE_FLAT32}};

static void set_place(const char *arch, struct image *out)
{
    out->offset = RAW_OFFSET;
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        if (strcmp(arch, places[i].arch) == 0) {
            out->offset = places[i].offset;
            out->mode = places[i].mode;
        }
    }
}

// On a PC code below 1 MiB is real-mode code, which is entered at the beginning of a segment.
static enum status check_real_mode(const struct image_options *opt, struct image *out,
                                   struct load_error *error)
{
    if (out->mode != IMAGE_MODE_FLAT32 || !opt->has_load || opt->load >= MIB(1)) {
        return OK;
    }
    out->mode = IMAGE_MODE_REAL;
    if ((out->base + out->entry) % 16 != 0) {
        return load_fail(error, E_CONFIG, "is entered in real mode at 0x%llx, which is no multiple of 16",
                         (unsigned long long)(out->base + out->entry));
    }
    return OK;
}

static enum status raw_probe(const struct image_source *src, const struct image_options *opt,
                             struct image *out, struct load_error *error)
{
    if (!opt->has_load && !opt->has_entry) {
        enum status st = check_foreign(src, opt, error);
        if (st != OK) {
            return st;
        }
    }
    out->fixed = opt->has_load;
    out->firmware_fdt = true;
    out->base = opt->load;
    out->align = RAW_ALIGN;
    set_place(opt->arch, out);
    out->span = src->size;
    if (opt->has_entry) {
        if (!opt->has_load || opt->entry < opt->load || opt->entry - opt->load >= src->size) {
            return load_fail(error, E_CONFIG,
                             "boot.entry 0x%llx lies outside the raw image; boot.load says where it begins",
                             (unsigned long long)opt->entry);
        }
        out->entry = opt->entry - opt->load;
    }
    return check_real_mode(opt, out, error);
}

static enum status raw_load(const struct image *img, const struct image_source *src,
                            const struct image_sink *sink, struct load_error *error)
{
    enum status st = image_copy(src, 0, src->size, img->base, sink);

    return st == OK ? OK : load_fail(error, st, "cannot be loaded: %s", status_name(st));
}

const struct image_format image_format_raw = {
    .name = "raw",
    .probe = raw_probe,
    .load = raw_load,
};
