// SPDX-License-Identifier: Apache-2.0
//
// What FatFs needs from its system: sectors of a block device, and a mutex per volume (FatFs application
// note, "Media Access Interface" and "OS dependent functions").
#include <ff.h>

#include <diskio.h>

#include "kernel/fs/fat.h"
#include "kernel/sched/mutex.h"

static struct block_device *disk;
static struct mutex volume_lock[FF_VOLUMES + 1]; // the last is FatFs' own

void fat_disk_set(struct block_device *dev)
{
    disk = dev;
}

struct block_device *fat_disk(void)
{
    return disk;
}

static DRESULT result_of(enum status s)
{
    if (s == OK) {
        return RES_OK;
    }
    if (s == E_PERM) {
        return RES_WRPRT;
    }
    return s == E_RANGE || s == E_INVAL ? RES_PARERR : RES_ERROR;
}

DSTATUS disk_status(BYTE pdrv)
{
    if (pdrv != 0 || !disk) {
        return STA_NOINIT | STA_NODISK;
    }
    return disk->read_only ? STA_PROTECT : 0;
}

DSTATUS disk_initialize(BYTE pdrv)
{
    return disk_status(pdrv);
}

DRESULT disk_read(BYTE pdrv, BYTE *buff, LBA_t sector, UINT count)
{
    if (disk_status(pdrv) & STA_NOINIT) {
        return RES_NOTRDY;
    }
    return result_of(block_read(disk, sector, buff, count));
}

DRESULT disk_write(BYTE pdrv, const BYTE *buff, LBA_t sector, UINT count)
{
    if (disk_status(pdrv) & STA_NOINIT) {
        return RES_NOTRDY;
    }
    return result_of(block_write(disk, sector, buff, count));
}

DRESULT disk_ioctl(BYTE pdrv, BYTE cmd, void *buff)
{
    if (disk_status(pdrv) & STA_NOINIT) {
        return RES_NOTRDY;
    }
    switch (cmd) {
    case CTRL_SYNC:
        return result_of(block_flush(disk));
    case GET_SECTOR_COUNT:
        *(LBA_t *)buff = (LBA_t)min_u64(disk->sector_count, UINT32_MAX);
        return RES_OK;
    case GET_BLOCK_SIZE:
        *(DWORD *)buff = 1;
        return RES_OK;
    default:
        return RES_PARERR;
    }
}

int ff_mutex_create(int vol)
{
    mutex_init(&volume_lock[vol]);
    return 1;
}

void ff_mutex_delete(int vol)
{
    (void)vol;
}

int ff_mutex_take(int vol)
{
    mutex_lock(&volume_lock[vol]);
    return 1;
}

void ff_mutex_give(int vol)
{
    mutex_unlock(&volume_lock[vol]);
}
