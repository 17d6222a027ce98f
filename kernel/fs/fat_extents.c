// SPDX-License-Identifier: Apache-2.0
//
// From a file's cluster chain to extents (FAT specification 1.03, section 4), and reading through them.
//
// The walk is our own and not FatFs' cluster link map, which never ends on a cyclic chain: ours takes exactly
// the number of clusters that the file's size asks for and then wants the end mark. A chain with a repeated
// cluster has no end mark, so all clusters of an accepted file are distinct, and inside the volume.
#include "kernel/fs/fat.h"

#include <string.h>

#include "arch/mmu.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"

#define WINDOW_SECTORS 64u
#define WINDOW_SIZE (WINDOW_SECTORS * SECTOR_SIZE)
#define FAT32_ENTRY_MASK 0x0fffffffu
#define EXTENTS_FIRST 8u

// A piece of the FAT in memory.
struct fat_window {
    const FATFS *fs;
    struct block_device *dev;
    uint8_t *bytes;
    uint64_t sector; // of the FAT, where the window begins
    uint64_t count;  // sectors in it, 0 at first
};

struct extent_list {
    struct fs_extent *at;
    unsigned count, capacity;
};

static enum status window_byte(struct fat_window *w, uint64_t offset, uint8_t *out)
{
    uint64_t sector = offset / SECTOR_SIZE;

    if (sector >= w->fs->fsize) {
        return E_CORRUPT;
    }
    if (!range_contains(w->sector, w->count, sector, 1)) {
        w->sector = align_down(sector, WINDOW_SECTORS);
        w->count = min_u64(WINDOW_SECTORS, w->fs->fsize - w->sector);

        enum status s = block_read(w->dev, w->fs->fatbase + w->sector, w->bytes, (uint32_t)w->count);

        if (s != OK) {
            w->count = 0;
            return s == E_RANGE ? E_CORRUPT : s;
        }
    }
    *out = w->bytes[offset - w->sector * SECTOR_SIZE];
    return OK;
}

static enum status window_read(struct fat_window *w, uint64_t offset, unsigned size, uint32_t *out)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = 0;
        enum status s = window_byte(w, offset + i, &byte);

        if (s != OK) {
            return s;
        }
        value |= (uint32_t)byte << 8 * i;
    }
    *out = value;
    return OK;
}

// The FAT entry of a cluster: its successor, or something at or above n_fatent at the end.
static enum status next_cluster(struct fat_window *w, uint32_t cluster, uint32_t *next)
{
    enum status s;

    switch (w->fs->fs_type) {
    case FS_FAT12:
        s = window_read(w, cluster + cluster / 2, 2, next);
        *next = cluster & 1 ? *next >> 4 : *next & 0xfff;
        return s;
    case FS_FAT16:
        return window_read(w, (uint64_t)cluster * 2, 2, next);
    default:
        s = window_read(w, (uint64_t)cluster * 4, 4, next);
        *next &= FAT32_ENTRY_MASK;
        return s;
    }
}

static bool is_data_cluster(const FATFS *fs, uint32_t cluster)
{
    return cluster >= 2 && cluster < fs->n_fatent;
}

static enum status extents_grow(struct extent_list *list)
{
    unsigned wanted = list->capacity ? 2 * list->capacity : EXTENTS_FIRST;
    struct fs_extent *bigger = pool_alloc_array(wanted, sizeof(*bigger));

    if (!bigger) {
        return E_NOMEM;
    }
    if (list->at) {
        memcpy(bigger, list->at, list->count * sizeof(*bigger));
        pool_free_array(list->at, list->capacity, sizeof(*bigger));
    }
    list->at = bigger;
    list->capacity = wanted;
    return OK;
}

static enum status extents_add(struct extent_list *list, const struct fs_extent *e)
{
    struct fs_extent *last = list->count ? &list->at[list->count - 1] : NULL;

    if (last && last->disk_sector + last->count == e->disk_sector) {
        last->count += e->count;
        return OK;
    }
    if (list->count == list->capacity) {
        enum status s = extents_grow(list);

        if (s != OK) {
            return s;
        }
    }
    list->at[list->count++] = *e;
    return OK;
}

// Follows the chain from `cluster` for `sectors` sectors.
static enum status walk(struct fat_window *w, uint32_t cluster, uint64_t sectors, struct extent_list *list)
{
    const FATFS *fs = w->fs;

    for (uint64_t done = 0; done < sectors;) {
        struct fs_extent e = {.file_sector = done, .count = min_u64(fs->csize, sectors - done)};

        if (!is_data_cluster(fs, cluster)) {
            return E_CORRUPT;
        }
        e.disk_sector = fs->database + (uint64_t)(cluster - 2) * fs->csize;
        if (!range_contains(0, w->dev->sector_count, e.disk_sector, e.count)) {
            return E_CORRUPT;
        }

        enum status s = extents_add(list, &e);

        if (s == OK) {
            s = next_cluster(w, cluster, &cluster);
        }
        if (s != OK) {
            return s;
        }
        done += e.count;
    }
    return sectors == 0 || cluster >= fs->n_fatent ? OK : E_CORRUPT;
}

static enum status resolve(const FIL *file, struct extent_list *list)
{
    struct fat_window w = {.fs = fat_volume(), .dev = fat_disk(), .bytes = pool_alloc(WINDOW_SIZE)};

    if (!w.bytes) {
        return E_NOMEM;
    }

    uint64_t sectors = ((uint64_t)f_size(file) + SECTOR_SIZE - 1) / SECTOR_SIZE;
    enum status s = walk(&w, file->obj.sclust, sectors, list);

    pool_free(w.bytes, WINDOW_SIZE);
    return s;
}

// The list in an array of its exact length, which is what fs_extents_free() gives back.
static enum status trim(const struct extent_list *list, struct fs_extents *out)
{
    if (list->count) {
        out->extents = pool_alloc_array(list->count, sizeof(out->extents[0]));
        if (!out->extents) {
            return E_NOMEM;
        }
        memcpy(out->extents, list->at, list->count * sizeof(out->extents[0]));
    }
    out->count = list->count;
    return OK;
}

enum status fs_resolve(const char *path, struct fs_extents *out)
{
    FIL file;
    struct extent_list list = {0};
    enum status s = fat_open(path, &file);

    *out = (struct fs_extents){.dev = fat_disk()};
    if (s != OK) {
        return s;
    }
    out->size = f_size(&file);
    s = resolve(&file, &list);
    if (s == OK) {
        s = trim(&list, out);
    } else if (s == E_CORRUPT) {
        log_err("fs: %s: its cluster chain is damaged; check the FAT volume", path);
    }
    if (list.at) {
        pool_free_array(list.at, list.capacity, sizeof(list.at[0]));
    }

    enum status closed = fat_status(f_close(&file));

    if (s == OK && closed != OK) {
        fs_extents_free(out);
        s = closed;
    }
    return s;
}

void fs_extents_free(struct fs_extents *e)
{
    if (e->extents) {
        pool_free_array(e->extents, e->count, sizeof(e->extents[0]));
    }
    e->extents = NULL;
    e->count = 0;
}

// ---- reading ----------------------------------------

// Part of one sector, by way of a buffer.
static enum status read_partial(struct block_device *dev, uint64_t sector, uint32_t skip, void *buf,
                                uint32_t len)
{
    uint8_t *bounce = pool_alloc(SECTOR_SIZE);

    if (!bounce) {
        return E_NOMEM;
    }

    enum status s = block_read(dev, sector, bounce, 1);

    if (s == OK) {
        memcpy(buf, bounce + skip, len);
    }
    pool_free(bounce, SECTOR_SIZE);
    return s;
}

// Callers may read to their stack, which no device can reach (block.h).
static bool on_a_stack(const void *va)
{
    return (uintptr_t)va - arch_vmap_base() < arch_vmap_size();
}

// As much of [off, off + len) as lies in one extent and can be done in one go; *done says how much that was.
static enum status read_piece(const struct fs_extents *f, const struct fs_extent *e, uint64_t off,
                              struct block_segment to, uint32_t *done)
{
    uint64_t in_extent = off - e->file_sector * SECTOR_SIZE;
    uint64_t sector = e->disk_sector + in_extent / SECTOR_SIZE;
    uint32_t skip = (uint32_t)(in_extent % SECTOR_SIZE);
    uint64_t left = min_u64(e->count * SECTOR_SIZE - in_extent, to.size);

    if (skip || left < SECTOR_SIZE || on_a_stack(to.va)) {
        *done = (uint32_t)min_u64(left, SECTOR_SIZE - skip);
        return read_partial(f->dev, sector, skip, to.va, *done);
    }
    *done = (uint32_t)align_down(left, SECTOR_SIZE);
    return block_read(f->dev, sector, to.va, *done / SECTOR_SIZE);
}

static enum status read_extents(const struct fs_extents *f, uint64_t off, char *to, uint64_t len)
{
    for (unsigned i = 0; i < f->count && len;) {
        const struct fs_extent *e = &f->extents[i];

        if (off >= (e->file_sector + e->count) * SECTOR_SIZE) {
            i++;
            continue;
        }

        uint32_t done = 0;
        struct block_segment seg = {.va = to, .size = (uint32_t)min_u64(len, MIB(1024))};
        enum status s = read_piece(f, e, off, seg, &done);

        if (s != OK) {
            return s;
        }
        off += done;
        to += done;
        len -= done;
    }
    return OK;
}

enum status fs_read(const char *path, uint64_t off, void *buf, uint64_t len)
{
    struct fs_extents f;
    enum status s = fs_resolve(path, &f);

    if (s != OK) {
        return s;
    }

    uint64_t there = off < f.size ? min_u64(len, f.size - off) : 0;

    s = read_extents(&f, off, buf, there);
    fs_extents_free(&f);
    return s == OK && there < len ? E_PARTIAL : s;
}
