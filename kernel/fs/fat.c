// SPDX-License-Identifier: Apache-2.0
//
// Finds and mounts the FAT volume, looks up files and folders. FatFs does the directory work; data are read
// through fat_extents.c, in pieces as large as the file's layout allows.
#include "kernel/fs/fat.h"

#include <stdio.h>
#include <string.h>

#include "kernel/log/log.h"
#include "kernel/mm/pool.h"

#define DRIVE "0:"

// MBR and boot sector (FAT specification 1.03, section 3; the MBR is common usage).
#define BOOT_SIGNATURE_OFFSET 510
#define BOOT_SECTOR_BYTES_OFFSET 11
#define MBR_TYPE_OFFSET(i) (446 + 16 * (i) + 4)
#define MBR_TYPE_GPT 0xee

static FATFS volume; // contains a sector buffer that the disk writes: image memory, so that it can
static bool mounted;

enum status fat_status(FRESULT fr)
{
    static const enum status map[] = {
        [FR_OK] = OK,
        [FR_DISK_ERR] = E_IO,
        [FR_INT_ERR] = E_CORRUPT,
        [FR_NOT_READY] = E_IO,
        [FR_NO_FILE] = E_NOENT,
        [FR_NO_PATH] = E_NOENT,
        [FR_INVALID_NAME] = E_INVAL,
        [FR_DENIED] = E_PERM,
        [FR_EXIST] = E_EXISTS,
        [FR_INVALID_OBJECT] = E_STATE,
        [FR_WRITE_PROTECTED] = E_PERM,
        [FR_INVALID_DRIVE] = E_STATE,
        [FR_NOT_ENABLED] = E_STATE,
        [FR_NO_FILESYSTEM] = E_NOENT,
        [FR_TIMEOUT] = E_TIMEOUT,
        [FR_NOT_ENOUGH_CORE] = E_NOMEM,
    };

    return (unsigned)fr < ARRAY_SIZE(map) && (fr == FR_OK || map[fr] != OK) ? map[fr] : E_CORRUPT;
}

const FATFS *fat_volume(void)
{
    return &volume;
}

// ---- mounting ----------------------------------------

enum contents {
    CONTENTS_OTHER,
    CONTENTS_FAT,
    CONTENTS_GPT,
    CONTENTS_UNREADABLE
};

static bool is_fat_partition(uint8_t type)
{
    static const uint8_t types[] = {0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e};

    return memchr(types, type, sizeof(types)) != NULL;
}

// A jump over them, and how many FATs there are. Other boot code begins with a jump, too.
static bool has_volume_parameters(const uint8_t *sector)
{
    return (sector[0] == 0xeb || sector[0] == 0xe9) && (sector[16] == 1 || sector[16] == 2);
}

// What the first sector claims, to tell a damaged volume from one that was never there.
static enum contents first_sector_claims(struct block_device *dev)
{
    uint8_t *sector = pool_alloc(SECTOR_SIZE);
    enum contents c = CONTENTS_OTHER;

    if (!sector || block_read(dev, 0, sector, 1) != OK) {
        c = CONTENTS_UNREADABLE;
    } else if (sector[BOOT_SIGNATURE_OFFSET] != 0x55 || sector[BOOT_SIGNATURE_OFFSET + 1] != 0xaa) {
        c = CONTENTS_OTHER;
    } else if (has_volume_parameters(sector) || memcmp(sector + 54, "FAT", 3) == 0 ||
               memcmp(sector + 82, "FAT", 3) == 0) {
        c = CONTENTS_FAT;
    } else {
        for (unsigned i = 0; i < 4 && c == CONTENTS_OTHER; i++) {
            uint8_t type = sector[MBR_TYPE_OFFSET(i)];

            c = type == MBR_TYPE_GPT ? CONTENTS_GPT : is_fat_partition(type) ? CONTENTS_FAT : CONTENTS_OTHER;
        }
    }
    if (sector) {
        pool_free(sector, SECTOR_SIZE);
    }
    return c;
}

static enum status explain(struct block_device *dev, FRESULT fr)
{
    enum contents c = first_sector_claims(dev);

    if (c == CONTENTS_UNREADABLE) {
        log_err("fs: %s: cannot be read", dev->name);
        return E_IO;
    }
    if (c == CONTENTS_GPT) {
        log_err("fs: %s: GPT partition tables are not supported; use an MBR or no partitions", dev->name);
        return E_NOENT;
    }
    if (c == CONTENTS_FAT || fr != FR_NO_FILESYSTEM) {
        log_err("fs: %s: the FAT volume is damaged (FatFs error %d); its files cannot be used", dev->name,
                (int)fr);
        return E_CORRUPT;
    }
    log_info("fs: %s: no FAT volume", dev->name);
    return E_NOENT;
}

static enum status mount_one(struct block_device *dev)
{
    fat_disk_set(dev);

    FRESULT fr = f_mount(&volume, DRIVE, 1);

    if (fr == FR_OK) {
        mounted = true;
        log_info("fs: %s: FAT%d volume, clusters of %u bytes", dev->name,
                 volume.fs_type == FS_FAT12   ? 12
                 : volume.fs_type == FS_FAT16 ? 16
                                              : 32,
                 volume.csize * 512u);
        return OK;
    }
    f_mount(NULL, DRIVE, 0);

    enum status s = explain(dev, fr);

    fat_disk_set(NULL);
    return s;
}

enum status fs_init(void)
{
    enum status worst = E_NOENT;

    if (mounted) {
        mounted = false;
        f_mount(NULL, DRIVE, 0);
    }
    if (block_count() == 0) {
        log_info("fs: no disk, no files");
    }
    for (unsigned i = 0; i < block_count(); i++) {
        enum status s = mount_one(block_get(i));

        if (s == OK) {
            return OK;
        }
        if (s != E_NOENT) {
            worst = s;
        }
    }
    return worst;
}

bool fs_present(void)
{
    return mounted;
}

// ---- files and folders ----------------------------------------

static enum status make_path(const char *path, char out[FS_PATH_MAX + sizeof(DRIVE)])
{
    if (!mounted) {
        return E_STATE;
    }
    if (path[0] != '/' || strnlen(path, FS_PATH_MAX) == FS_PATH_MAX) {
        return E_INVAL;
    }
    strcpy(out, DRIVE);
    strcat(out, path);
    return OK;
}

enum status fat_open(const char *path, FIL *out)
{
    char full[FS_PATH_MAX + sizeof(DRIVE)];
    enum status s = make_path(path, full);

    return s == OK ? fat_status(f_open(out, full, FA_READ)) : s;
}

enum status fs_size(const char *path, uint64_t *size)
{
    FIL file;
    enum status s = fat_open(path, &file);

    if (s == OK) {
        *size = f_size(&file);
        s = fat_status(f_close(&file));
    }
    return s;
}

static bool is_plain_file(const FILINFO *info)
{
    return !(info->fattrib & (AM_DIR | AM_HID | AM_SYS));
}

enum status fs_list(const char *path, bool (*fn)(const char *name, uint64_t size, void *ctx), void *ctx)
{
    char full[FS_PATH_MAX + sizeof(DRIVE)];
    FILINFO info;
    DIR dir;
    enum status s = make_path(path, full);

    if (s == OK) {
        s = fat_status(f_opendir(&dir, full));
    }
    if (s != OK) {
        return s;
    }
    for (;;) {
        s = fat_status(f_readdir(&dir, &info));
        if (s != OK || info.fname[0] == '\0' || (is_plain_file(&info) && !fn(info.fname, info.fsize, ctx))) {
            break;
        }
    }

    enum status closed = fat_status(f_closedir(&dir));

    return s != OK ? s : closed;
}
