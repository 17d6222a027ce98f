// SPDX-License-Identifier: Apache-2.0
//
// Files on the FAT volumes of the machine's block devices (FatFs underneath). Paths are absolute,
// '/'-separated, UTF-8. Worker threads only.
#pragma once

#include "kernel/dev/block.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define FS_PATH_MAX 256

// Mounts the first FAT volume found on the registered block devices (whole device, else its first
// partitions). E_NOENT when there is none, E_CORRUPT when it is damaged; the reason goes to the log. May be
// called again.
enum status fs_init(void);
bool fs_present(void);

// *size in bytes.
enum status fs_size(const char *path, uint64_t *size);

// Reads [off, off + len) into buf; E_PARTIAL when the file ends before. buf is direct-map or image memory,
// not a stack: the disk writes it (struct block_segment).
enum status fs_read(const char *path, uint64_t off, void *buf, uint64_t len);

// Calls fn for each regular file of a folder; stops when fn returns false.
enum status fs_list(const char *path, bool (*fn)(const char *name, uint64_t size, void *ctx), void *ctx);

// Errors of all: E_STATE without a volume, E_NOENT, E_INVAL (path), E_IO, E_CORRUPT (said in the log),
// E_NOMEM.

// Where a file lies: extents in file order, resolved once. Data I/O then goes to the block device directly.
// The file is pinned: its clusters must not be changed by anyone while the extents are in use.
struct fs_extent {
    uint64_t file_sector;
    uint64_t disk_sector;
    uint64_t count;
};

struct fs_extents {
    struct block_device *dev;
    uint64_t size; // bytes of the file
    unsigned count;
    struct fs_extent *extents; // sorted by file_sector
};
enum status fs_resolve(const char *path, struct fs_extents *out);
void fs_extents_free(struct fs_extents *e);
