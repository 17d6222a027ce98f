// SPDX-License-Identifier: Apache-2.0
//
// A file on the host's FAT disk as a guest's disk.
//
// The file is resolved to extents once; from then on each request is plain block I/O on the disk, cut where
// it crosses from one extent into another, and a flush is the disk's flush. The file system is never written
// through this path: the file keeps its size and place, so the FAT stays consistent whatever happens to a
// write.
#pragma once

#include "kernel/fs/fs.h"
#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"

// How many pieces of requests go to the disk at once; further requests wait in a queue.
#define BLK_DISK_PIECES 32

// The file `path` of the mounted volume. What does not fill the last sector is left out. The disk is
// read-only when asked for, or when the medium is. E_BUSY: another disk shares sectors with it, under whatever name, and
// one of the two is writable. E_NOENT, E_CORRUPT (the extents contradict the size or the
// medium), E_INVAL (less than a sector), E_NOMEM. Worker thread.
enum status blk_disk_create(const char *path, bool read_only, struct blk_backend **out);

// The same over extents that the caller resolved (partitions, tests). Takes them over when it succeeds.
enum status blk_disk_create_extents(const char *name, const struct fs_extents *extents, bool read_only,
                                    struct blk_backend **out);
