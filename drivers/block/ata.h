// SPDX-License-Identifier: Apache-2.0
//
// ATA disks by programmed I/O ("ATA/ATAPI-6", T13/1410D: registers in chapter 7, commands in 8, protocols in 9): the command
// layer, which knows a channel only by its registers. Nothing here interrupts: the device is looked at. Not locked: one caller
// at a time for the two drives of a channel; worker threads, and the boot CPU while it probes.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define ATA_SECTOR_SIZE 512u
#define ATA_COMMAND_SECTORS 256u // the most that one command moves

// The command block's registers by their offset; then the control block's one.
enum ata_register {
    ATA_DATA,
    ATA_ERROR, // FEATURES when written
    ATA_COUNT,
    ATA_LBA_LOW,
    ATA_LBA_MID,
    ATA_LBA_HIGH,
    ATA_DEVICE,
    ATA_STATUS,    // COMMAND when written
    ATA_ALT_STATUS // DEVICE CONTROL when written
};

struct ata_io {
    uint8_t (*read)(void *ctx, enum ata_register reg);
    void (*write)(void *ctx, enum ata_register reg, uint8_t v);
    void (*data_in)(void *ctx, void *buf, size_t size); // a multiple of four bytes
    void (*data_out)(void *ctx, const void *buf, size_t size);
};

struct ata_channel {
    const struct ata_io *io;
    void *ctx;
    unsigned resets; // so far
};

struct ata_drive {
    struct ata_channel *channel;
    uint8_t unit; // 0 or 1
    uint64_t sector_count;
    bool lba48;
    bool can_flush, can_flush_ext;
    uint8_t multiple;      // sectors for each turn of READ MULTIPLE; 0: those commands are not used
    unsigned multiple_set; // channel->resets + 1 when it was
    bool dead;             // does not answer: not asked any more
    char model[41];
};

// Whether a drive may be there at all: registers that hold what was written.
bool ata_channel_present(struct ata_channel *ch);

// Identifies the drive. E_NOENT: nothing answers; E_UNSUPPORTED: not a disk (ATAPI), or one of another sector size or without
// LBA; E_TIMEOUT; E_IO.
enum status ata_identify(struct ata_channel *ch, uint8_t unit, struct ata_drive *drive);

// Moves `count` sectors (at most ATA_COMMAND_SECTORS) from or to `buf`. A drive that does not answer is reset and asked once
// more, and is then dead. E_RANGE: beyond its end; E_IO: the drive reports an error, or is dead.
enum status ata_read(struct ata_drive *drive, uint64_t sector, void *buf, uint32_t count);
enum status ata_write(struct ata_drive *drive, uint64_t sector, const void *buf, uint32_t count);

// What was written is on the medium. OK at once for a drive without write cache.
enum status ata_flush(struct ata_drive *drive);
