// SPDX-License-Identifier: Apache-2.0
//
// Kernel images: what they are, how much guest RAM they want and where, and how they get there.
//
// An image is hostile input: every offset and size in it is checked against the file before use. Probing reads headers
// only and decides everything; loading then copies. Both work on the neutral source and sink below, so they run on the
// host as well. A format is one row of a table (image.c). Worker threads.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

// Why an image was refused, for a person: complete sentence without the file's name.
struct load_error {
    char text[200];
};
// Fills `error` and returns `status`, so that `return load_fail(...)` reads well.
__attribute__((format(printf, 3, 4))) enum status load_fail(struct load_error *error, enum status status,
                                                            const char *fmt, ...);

// A file, wherever it lies.
struct image_source {
    const char *name; // for messages
    uint64_t size;    // bytes; 0: there is no such file
    // Reads exactly [off, off + len); the caller keeps that inside `size`.
    enum status (*read)(void *ctx, uint64_t off, void *buf, uint64_t len);
    void *ctx;
    const uint8_t *memory; // the whole file where it lies in memory, else NULL
};

// Reads with the bounds check. E_RANGE when the file is too short.
enum status image_read(const struct image_source *src, uint64_t off, void *buf, uint64_t len);

// Where the bytes go: guest RAM by guest physical address.
struct image_sink {
    enum status (*write)(void *ctx, uint64_t gpa, const void *buf, uint64_t len);
    enum status (*zero)(void *ctx, uint64_t gpa, uint64_t len);
    void *ctx;
    uint8_t *bounce; // scratch for copies, at least 512 bytes
    uint64_t bounce_size;
};

// Copies [off, off + len) of the file to `gpa`, through the bounce buffer where it does not lie in memory.
enum status image_copy(const struct image_source *src, uint64_t off, uint64_t len, uint64_t gpa,
                       const struct image_sink *sink);

// What the configuration says about the image.
struct image_options {
    const char *arch; // "aarch64"
    bool has_load, has_entry;
    uint64_t load, entry;
};

#define IMAGE_SEGMENT_MAX 16

// image.mode on x86_64 (arch/x86_64/virt/entry_modes.h); elsewhere it is 0.
#define IMAGE_MODE_LINUX64 0 // rsi = zero page
#define IMAGE_MODE_FLAT32 1  // rbx = start_info, or multiboot information
#define IMAGE_MODE_REAL 2    // at a multiple of 16 below 1 MiB

#define IMAGE_SETUP_MAX 0x9F

struct image_segment {
    uint64_t file_off, file_size; // file_size <= mem_size, the rest is zeroed
    uint64_t gpa, mem_size;
};

struct image_format;

// The outcome of probing.
struct image {
    const struct image_format *format;
    bool fixed;        // `base` is the guest physical address; otherwise the layout sets it
    bool firmware_fdt; // expects the device tree at the RAM base rather than by Linux's rules
    uint8_t mode;      // struct vcpu_entry.mode
    bool multiboot;    // rbx = multiboot information instead of start_info
    uint64_t base;
    uint64_t align;         // not fixed: base is a multiple of `align` ...
    uint64_t offset;        // ... plus this
    uint64_t span;          // bytes of RAM from base on, zeroed parts included
    uint64_t entry;         // relative to base
    unsigned segment_count; // ELF
    struct image_segment segments[IMAGE_SEGMENT_MAX];
    // bzImage: the highest address of an initrd's last byte (0: no word of it), and the setup header for the zero page
    uint64_t initrd_max;
    uint8_t setup[IMAGE_SETUP_MAX];
    size_t setup_size;
};

struct image_format {
    const char *name; // "arm64 Image"
    const char *arch; // NULL: any
    // E_NOENT: not of this format, look further. Any other error: of this format, but broken; explained.
    enum status (*probe)(const struct image_source *src, const struct image_options *opt, struct image *out,
                         struct load_error *error);
    // Copies to img->base, which is set and lies in RAM for all of img->span.
    enum status (*load)(const struct image *img, const struct image_source *src,
                        const struct image_sink *sink, struct load_error *error);
};

// Finds the format. E_UNSUPPORTED for what is recognised but cannot run here (foreign architecture, other compression).
enum status image_probe(const struct image_source *src, const struct image_options *opt, struct image *out,
                        struct load_error *error);
enum status image_load(const struct image *img, const struct image_source *src, const struct image_sink *sink,
                       struct load_error *error);

// The `load` of formats whose image is its segments.
enum status image_load_segments(const struct image *img, const struct image_source *src,
                                const struct image_sink *sink, struct load_error *error);

// Little-endian fields of a header buffer.
static inline uint16_t image_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t image_le32(const uint8_t *p)
{
    return image_le16(p) | (uint32_t)image_le16(p + 2) << 16;
}

static inline uint64_t image_le64(const uint8_t *p)
{
    return image_le32(p) | (uint64_t)image_le32(p + 4) << 32;
}

// The rows of image.c's table.
extern const struct image_format image_format_arm64;
extern const struct image_format image_format_riscv64;
extern const struct image_format image_format_bzimage;
extern const struct image_format image_format_elf64;
extern const struct image_format image_format_multiboot;
extern const struct image_format image_format_raw;
