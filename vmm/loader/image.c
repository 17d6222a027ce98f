// SPDX-License-Identifier: Apache-2.0
//
// The table of image formats and what they share: bounded reads, copies, and telling a foreign file from a raw guest.
#include "vmm/loader/image.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/lib/range.h"
#include "vmm/loader/rv_entry.h"

// Where no virtual board is a PC, a format of PCs alone is left out of the image.
#define OF_PC(format) (BOARD_BUILT("x86_64") ? &(format) : &image_format_raw)

static const struct image_format *const formats[] = {
    &image_format_arm64, &image_format_riscv64,         &image_format_bzimage,
    &image_format_elf64, OF_PC(image_format_multiboot),
    &image_format_raw, // last: takes what nobody claims
};

// What an architecture's kernels tell by their first instructions.
static const struct {
    const char *arch;
    enum status (*check)(const struct image_source *src, uint64_t off, struct load_error *error);
} entry_checks[] = {{"riscv64", rv_entry_check}};

enum status load_fail(struct load_error *error, enum status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    return status;
}

enum status image_read(const struct image_source *src, uint64_t off, void *buf, uint64_t len)
{
    if (!range_contains(0, src->size, off, len)) {
        return E_RANGE;
    }
    return len ? src->read(src->ctx, off, buf, len) : OK;
}

enum status image_copy(const struct image_source *src, uint64_t off, uint64_t len, uint64_t gpa,
                       const struct image_sink *sink)
{
    if (src->memory && range_contains(0, src->size, off, len)) {
        return sink->write(sink->ctx, gpa, src->memory + off, len);
    }
    while (len) {
        uint64_t n = min_u64(len, sink->bounce_size);
        enum status st = image_read(src, off, sink->bounce, n);

        if (st == OK) {
            st = sink->write(sink->ctx, gpa, sink->bounce, n);
        }
        if (st != OK) {
            return st;
        }
        off += n;
        gpa += n;
        len -= n;
    }
    return OK;
}

// Where the entry point lies in the file; false when it is none of its bytes.
static bool entry_offset(const struct image *img, uint64_t file_size, uint64_t *off)
{
    *off = img->entry;
    for (unsigned i = 0; i < img->segment_count; i++) {
        const struct image_segment *s = &img->segments[i];

        if (range_contains(s->gpa, s->file_size, img->base + img->entry, 1)) {
            *off = s->file_off + (img->base + img->entry - s->gpa);
            return true;
        }
    }
    return img->segment_count == 0 && img->entry < file_size;
}

static enum status check_entry(const struct image_source *src, const char *arch, const struct image *img,
                               struct load_error *error)
{
    uint64_t off;

    for (unsigned i = 0; i < ARRAY_SIZE(entry_checks); i++) {
        if (strcmp(arch, entry_checks[i].arch) == 0 && entry_offset(img, src->size, &off)) {
            return entry_checks[i].check(src, off, error);
        }
    }
    return OK;
}

enum status image_probe(const struct image_source *src, const struct image_options *opt, struct image *out,
                        struct load_error *error)
{
    if (src->size == 0) {
        return load_fail(error, E_CORRUPT, "is empty");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct image_format *f = formats[i];
        enum status st;

        *out = (struct image){.format = f};
        st = f->probe(src, opt, out, error);
        if (st != E_NOENT && st != E_IO && f->arch && strcmp(f->arch, opt->arch) != 0) {
            return load_fail(error, E_UNSUPPORTED, "is a kernel for %s, the guest is %s", f->arch, opt->arch);
        }
        if (st != E_NOENT) {
            return st == OK ? check_entry(src, opt->arch, out, error) : st;
        }
    }
    return load_fail(error, E_UNSUPPORTED, "is of no known format");
}

enum status image_load_segments(const struct image *img, const struct image_source *src,
                                const struct image_sink *sink, struct load_error *error)
{
    for (unsigned i = 0; i < img->segment_count; i++) {
        const struct image_segment *s = &img->segments[i];
        enum status st = image_copy(src, s->file_off, s->file_size, s->gpa, sink);

        if (st == OK && s->mem_size > s->file_size) {
            st = sink->zero(sink->ctx, s->gpa + s->file_size, s->mem_size - s->file_size);
        }
        if (st != OK) {
            return load_fail(error, st, "cannot be loaded: %s", status_name(st));
        }
    }
    return OK;
}

enum status image_load(const struct image *img, const struct image_source *src, const struct image_sink *sink,
                       struct load_error *error)
{
    return img->format->load(img, src, sink, error);
}
