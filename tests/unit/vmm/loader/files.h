// SPDX-License-Identifier: Apache-2.0
//
// Files and guest RAM in memory, and writers of image headers, for the loader's tests.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/loader/image.h"

struct file {
    uint8_t *data;
    uint64_t size;
    uint64_t reads;
    uint64_t fail_after; // reads beyond this many fail with E_IO; 0: never
};

static inline enum status file_read(void *ctx, uint64_t off, void *buf, uint64_t len)
{
    struct file *f = ctx;

    if (off > f->size || len > f->size - off) {
        abort(); // the loader promised to stay inside
    }
    if (f->fail_after && ++f->reads > f->fail_after) {
        return E_IO;
    }
    memcpy(buf, f->data + off, len);
    return OK;
}

static inline struct image_source file_source(struct file *f)
{
    return (struct image_source){.name = "test", .size = f->size, .read = file_read, .ctx = f};
}

// Guest RAM at `base`; writes outside fail as gmem_load() does.
struct ram {
    uint64_t base, size;
    uint8_t *bytes;
};

static inline enum status ram_write(void *ctx, uint64_t gpa, const void *buf, uint64_t len)
{
    struct ram *r = ctx;

    if (gpa < r->base || gpa - r->base > r->size || len > r->size - (gpa - r->base)) {
        return E_RANGE;
    }
    memcpy(r->bytes + (gpa - r->base), buf, len);
    return OK;
}

static inline enum status ram_zero(void *ctx, uint64_t gpa, uint64_t len)
{
    struct ram *r = ctx;

    if (gpa < r->base || gpa - r->base > r->size || len > r->size - (gpa - r->base)) {
        return E_RANGE;
    }
    memset(r->bytes + (gpa - r->base), 0, len);
    return OK;
}

static inline void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)v);
    put16(p + 2, (uint16_t)(v >> 16));
}

static inline void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

// A 64-byte arm64 Image header (Documentation/arch/arm64/booting.rst).
static inline void put_arm64_header(uint8_t *p, uint64_t text_offset, uint64_t image_size)
{
    memset(p, 0, 64);
    put32(p, 0x14000010); // b +0x40
    put64(p + 8, text_offset);
    put64(p + 16, image_size);
    put64(p + 24, 0xa);
    memcpy(p + 56, "ARM\x64", 4);
}

struct elf_segment {
    uint64_t off, vaddr, paddr, filesz, memsz;
};

// An ELF64 header with its program headers right behind it.
static inline void put_elf(uint8_t *p, uint64_t entry, const struct elf_segment *segs, unsigned count)
{
    static const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

    memset(p, 0, 64 + 56ul * count);
    memcpy(p, ident, sizeof(ident));
    put16(p + 16, 2);
    put16(p + 18, 183);
    put32(p + 20, 1);
    put64(p + 24, entry);
    put64(p + 32, 64);
    put16(p + 52, 64);
    put16(p + 54, 56);
    put16(p + 56, (uint16_t)count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *ph = p + 64 + 56ul * i;
        put32(ph, 1);
        put32(ph + 4, 7);
        put64(ph + 8, segs[i].off);
        put64(ph + 16, segs[i].vaddr);
        put64(ph + 24, segs[i].paddr);
        put64(ph + 32, segs[i].filesz);
        put64(ph + 40, segs[i].memsz);
    }
}
