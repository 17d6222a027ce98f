// SPDX-License-Identifier: Apache-2.0
//
// Builds FAT12/16/32 images in memory, cluster chains chosen by the test, and a block device that serves them
// at once and counts. Layout after the FAT specification 1.03. For tests; include after <cmocka.h>.
#pragma once

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/dev/block.h"

struct image {
    unsigned char *bytes;
    uint64_t size;
    unsigned fat_bits;                                   // 12, 16, 32
    uint32_t part;                                       // first sector of the volume
    uint32_t csize;                                      // sectors in a cluster
    uint32_t fat, fat_sectors, root, root_sectors, data; // sectors, of the volume
    uint32_t clusters;
    unsigned root_entries; // used
};

static inline void put16(unsigned char *p, uint32_t v)
{
    p[0] = (unsigned char)(v & 0xff);
    p[1] = (unsigned char)(v >> 8 & 0xff);
}

static inline void put32(unsigned char *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

static inline unsigned char *sector_at(struct image *im, uint64_t sector)
{
    return im->bytes + (im->part + sector) * SECTOR_SIZE;
}

static inline unsigned char *cluster_at(struct image *im, uint32_t cluster)
{
    return sector_at(im, im->data + (uint64_t)(cluster - 2) * im->csize);
}

static inline void fat_set(struct image *im, uint32_t cluster, uint32_t next)
{
    for (uint32_t copy = 0; copy < 2; copy++) {
        unsigned char *fat = sector_at(im, im->fat + copy * im->fat_sectors);

        if (im->fat_bits == 32) {
            put32(fat + (size_t)cluster * 4, next & 0x0fffffff);
        } else if (im->fat_bits == 16) {
            put16(fat + (size_t)cluster * 2, next & 0xffff);
        } else {
            unsigned char *p = fat + cluster + cluster / 2;
            uint32_t old = p[0] | (uint32_t)p[1] << 8;

            put16(p, cluster & 1 ? (old & 0xf) | (next & 0xfff) << 4 : (old & 0xf000) | (next & 0xfff));
        }
    }
}

static inline void boot_sector(struct image *im, uint32_t sectors)
{
    unsigned char *b = sector_at(im, 0);

    memcpy(b, "\xeb\x58\x90MSWIN4.1", 11);
    put16(b + 11, SECTOR_SIZE);
    b[13] = (unsigned char)im->csize;
    put16(b + 14, im->fat);
    b[16] = 2;
    put16(b + 17, im->root_sectors * 16);
    put16(b + 19, sectors < 0x10000 ? sectors : 0);
    b[21] = 0xf8;
    put16(b + 22, im->fat_bits == 32 ? 0 : im->fat_sectors);
    put32(b + 32, sectors < 0x10000 ? 0 : sectors);
    if (im->fat_bits == 32) {
        put32(b + 36, im->fat_sectors);
        put32(b + 44, 2);
        put16(b + 48, 1);
        memcpy(b + 82, "FAT32   ", 8);
        b[66] = 0x29;
    } else {
        b[38] = 0x29;
        memcpy(b + 54, im->fat_bits == 16 ? "FAT16   " : "FAT12   ", 8);
    }
    b[510] = 0x55;
    b[511] = 0xaa;
}

// A volume of `clusters` clusters of `csize` sectors, at sector `part` of the disk (with an MBR when that is
// not 0).
static inline void image_create(struct image *im, unsigned fat_bits, uint32_t clusters, uint32_t csize,
                                uint32_t part)
{
    *im = (struct image){.fat_bits = fat_bits, .part = part, .csize = csize, .clusters = clusters};
    im->fat = fat_bits == 32 ? 32 : 1;
    im->fat_sectors = ((clusters + 2) * fat_bits / 8 + 1 + SECTOR_SIZE) / SECTOR_SIZE;
    im->root = im->fat + 2 * im->fat_sectors;
    im->root_sectors = fat_bits == 32 ? 0 : 4;
    im->data = im->root + im->root_sectors;

    uint32_t sectors = im->data + clusters * csize;

    im->size = (uint64_t)(part + sectors) * SECTOR_SIZE;
    im->bytes =
        mmap(NULL, im->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(im->bytes, MAP_FAILED);
    boot_sector(im, sectors);
    if (part) {
        im->bytes[446 + 4] = fat_bits == 32 ? 0x0c : 0x06;
        put32(im->bytes + 446 + 8, part);
        put32(im->bytes + 446 + 12, sectors);
        im->bytes[510] = 0x55;
        im->bytes[511] = 0xaa;
    }
    fat_set(im, 0, 0x0ffffff8);
    fat_set(im, 1, 0x0fffffff);
    if (fat_bits == 32) {
        fat_set(im, 2, 0x0fffffff);
    }
}

static inline void image_destroy(struct image *im)
{
    munmap(im->bytes, im->size);
}

// A directory entry in the root for an 11-character name.
static inline void image_entry(struct image *im, const char *name11, uint32_t cluster, uint32_t size)
{
    unsigned char *e =
        (im->fat_bits == 32 ? cluster_at(im, 2) : sector_at(im, im->root)) + (size_t)im->root_entries * 32;

    memcpy(e, name11, 11);
    e[11] = 0x20;
    put16(e + 20, cluster >> 16);
    put16(e + 26, cluster & 0xffff);
    put32(e + 28, size);
    im->root_entries++;
}

// Links `count` clusters from `from` on; then `next` (0: the end mark).
static inline void image_chain(struct image *im, uint32_t from, uint32_t count, uint32_t next)
{
    for (uint32_t i = 0; i + 1 < count; i++) {
        fat_set(im, from + i, from + i + 1);
    }
    fat_set(im, from + count - 1, next ? next : 0x0fffffff);
}

// ---- a disk ----------------------------------------

static struct image *disk_image;
static uint64_t disk_requests;
static uint64_t disk_budget = UINT64_MAX; // requests after which the disk fails

static inline enum status disk_submit(struct block_device *dev, struct block_request *req)
{
    enum status s = block_check(dev, req);

    if (s != OK) {
        return s;
    }
    disk_requests++;

    bool works = disk_requests <= disk_budget;
    unsigned char *at = disk_image->bytes + req->sector * SECTOR_SIZE;

    for (unsigned i = 0; works && req->op == BLOCK_READ && i < req->segment_count; i++) {
        memcpy(req->segments[i].va, at, req->segments[i].size);
        at += req->segments[i].size;
    }
    req->done(req, works ? OK : E_IO);
    return OK;
}

static struct block_device disk = {.name = "test-disk",
                                   .read_only = true,
                                   .segment_max = BLOCK_SEGMENTS_MAX,
                                   .submit = disk_submit};

// Puts the image into the drive; registers the drive the first time.
static inline void disk_insert(struct image *im)
{
    disk_image = im;
    disk.sector_count = im->size / SECTOR_SIZE;
    disk_requests = 0;
    disk_budget = UINT64_MAX;
    if (block_count() == 0) {
        assert_int_equal(block_register(&disk), OK);
    }
}
