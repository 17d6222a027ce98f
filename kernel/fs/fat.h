// SPDX-License-Identifier: Apache-2.0
//
// What the FAT files share: the one mounted volume, the disk under FatFs, and the translation of errors.
#pragma once

#include "kernel/dev/block.h"
#include "kernel/fs/fs.h"
#include "kernel/lib/status.h"

#include <ff.h>

// The disk that FatFs' drive 0 stands for (kernel/fs/diskio.c); NULL: none. Before mounting only.
void fat_disk_set(struct block_device *dev);
struct block_device *fat_disk(void);

enum status fat_status(FRESULT fr);

// Opens a file for reading its directory entry. E_STATE without a volume, E_INVAL for a path that is not
// absolute.
enum status fat_open(const char *path, FIL *out);

// The mounted volume's own structure: where the FAT and the data lie.
const FATFS *fat_volume(void);
