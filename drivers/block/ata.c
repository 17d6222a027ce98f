// SPDX-License-Identifier: Apache-2.0
//
// See ata.h.
#include "drivers/block/ata.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/lib/range.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define STATUS_ERROR 0x01u
#define STATUS_REQUEST 0x08u // DRQ
#define STATUS_FAULT 0x20u
#define STATUS_BUSY 0x80u
#define STATUS_FLOATING 0xFFu // nobody drives the bus

#define DEVICE_LBA 0x40u
#define DEVICE_UNIT(unit) (0xA0u | (unsigned)(unit) << 4)
#define CONTROL_NO_INTERRUPT 0x02u
#define CONTROL_RESET 0x04u

enum ata_command {
    READ_SECTORS = 0x20,
    READ_SECTORS_EXT = 0x24,
    READ_MULTIPLE_EXT = 0x29,
    WRITE_SECTORS = 0x30,
    WRITE_SECTORS_EXT = 0x34,
    WRITE_MULTIPLE_EXT = 0x39,
    READ_MULTIPLE = 0xC4,
    WRITE_MULTIPLE = 0xC5,
    SET_MULTIPLE_MODE = 0xC6,
    FLUSH_CACHE = 0xE7,
    FLUSH_CACHE_EXT = 0xEA,
    IDENTIFY_DEVICE = 0xEC
};

// 8.15: words of what IDENTIFY DEVICE returns.
enum identify_word {
    ID_GENERAL = 0, // bit 15: not an ATA device
    ID_MODEL = 27,  // 20 words, characters swapped
    ID_MULTIPLE = 47,
    ID_CAPABILITIES = 49, // bit 9: LBA
    ID_SECTORS = 60,
    ID_COMMANDS = 83, // bits 10: 48 bits, 12: FLUSH CACHE, 13: FLUSH CACHE EXT; 15:14 are 01
    ID_SECTORS_EXT = 100,
    ID_SECTOR_SIZE = 106, // bit 12: not 256 words; 15:14 are 01
    ID_WORDS = 256
};

#define LBA28_LIMIT BIT64(28)
#define LBA48_LIMIT BIT64(48)
#define SPIN_US 50u
#define NAP_US 200u
#define SELECT_MS 1000u
#define IDENTIFY_MS 3000u
#define COMMAND_MS 15000u
#define FLUSH_MS 60000u
#define RESET_MS 31000u // 9.1

static uint8_t reg_read(const struct ata_channel *ch, enum ata_register reg)
{
    return ch->io->read(ch->ctx, reg);
}

static void reg_write(struct ata_channel *ch, enum ata_register reg, uint8_t v)
{
    ch->io->write(ch->ctx, reg, v);
}

// 400 ns, which is what the registers need to settle.
static void settle(struct ata_channel *ch)
{
    for (unsigned i = 0; i < 4; i++) {
        (void)reg_read(ch, ATA_ALT_STATUS);
    }
}

// Until BSY is clear; then the status. Looks often at first, then from time to time.
static enum status wait_ready(struct ata_channel *ch, unsigned ms, uint8_t *status)
{
    uint64_t begin = arch_time_now();

    settle(ch);
    for (;;) {
        uint64_t waited = arch_time_now() - begin;

        *status = reg_read(ch, ATA_ALT_STATUS);
        if (!(*status & STATUS_BUSY)) {
            *status = reg_read(ch, ATA_STATUS);
            return OK;
        }
        if (waited > time_from_ms(ms)) {
            return E_TIMEOUT;
        }
        if (waited < time_from_us(SPIN_US)) {
            time_delay_us(1);
        } else {
            thread_sleep(time_from_us(NAP_US));
        }
    }
}

// The data are asked for, or are there.
static enum status wait_request(struct ata_channel *ch, unsigned ms)
{
    uint8_t status;
    enum status s = wait_ready(ch, ms, &status);

    if (s != OK) {
        return s;
    }
    return (status & (STATUS_ERROR | STATUS_FAULT)) || !(status & STATUS_REQUEST) ? E_IO : OK;
}

static enum status wait_done(struct ata_channel *ch, unsigned ms)
{
    uint8_t status;
    enum status s = wait_ready(ch, ms, &status);

    if (s != OK) {
        return s;
    }
    return status & (STATUS_ERROR | STATUS_FAULT | STATUS_REQUEST) ? E_IO : OK;
}

// 9.2: both drives of the channel.
static void reset(struct ata_channel *ch)
{
    uint8_t status;

    reg_write(ch, ATA_ALT_STATUS, CONTROL_RESET | CONTROL_NO_INTERRUPT);
    time_delay_us(10);
    reg_write(ch, ATA_ALT_STATUS, CONTROL_NO_INTERRUPT);
    thread_sleep(time_from_ms(2));
    ch->resets++;
    (void)wait_ready(ch, RESET_MS, &status);
}

// 9.4: the drive must be idle before it gets a command.
static enum status select_drive(struct ata_channel *ch, uint8_t device)
{
    uint8_t status;
    enum status s = wait_ready(ch, SELECT_MS, &status);

    if (s != OK) {
        return s;
    }
    reg_write(ch, ATA_DEVICE, device);
    s = wait_ready(ch, SELECT_MS, &status);
    return s == OK && (status & STATUS_REQUEST) ? E_TIMEOUT : s; // it waits for somebody else: a reset is due
}

static enum status simple_command(struct ata_drive *drive, enum ata_command command, uint8_t count,
                                  unsigned ms)
{
    struct ata_channel *ch = drive->channel;
    enum status s = select_drive(ch, (uint8_t)(DEVICE_UNIT(drive->unit) | DEVICE_LBA));

    if (s != OK) {
        return s;
    }
    reg_write(ch, ATA_COUNT, count);
    reg_write(ch, ATA_STATUS, (uint8_t)command);
    return wait_done(ch, ms);
}

// ---- transfers ----------------------------------------

// One command for sectors of a drive.
struct transfer {
    bool write;
    uint64_t sector;
    void *buf;
    uint32_t count;
};

static bool needs_48_bits(const struct transfer *t)
{
    return t->sector + t->count > LBA28_LIMIT;
}

// With 48 bits each register takes the upper byte first (6.20).
static void write_address(struct ata_channel *ch, uint64_t lba, uint32_t count)
{
    reg_write(ch, ATA_COUNT, (uint8_t)count);
    reg_write(ch, ATA_LBA_LOW, (uint8_t)lba);
    reg_write(ch, ATA_LBA_MID, (uint8_t)(lba >> 8));
    reg_write(ch, ATA_LBA_HIGH, (uint8_t)(lba >> 16));
}

static enum status begin(struct ata_drive *drive, const struct transfer *t)
{
    // By: 48 bits, several sectors a turn, write.
    static const uint8_t commands[2][2][2] = {
        {{READ_SECTORS, WRITE_SECTORS}, {READ_MULTIPLE, WRITE_MULTIPLE}},
        {{READ_SECTORS_EXT, WRITE_SECTORS_EXT}, {READ_MULTIPLE_EXT, WRITE_MULTIPLE_EXT}},
    };
    struct ata_channel *ch = drive->channel;
    bool ext = needs_48_bits(t);
    uint8_t device = (uint8_t)(DEVICE_UNIT(drive->unit) | DEVICE_LBA | (ext ? 0 : t->sector >> 24 & 0xF));
    enum status s = select_drive(ch, device);

    if (s != OK) {
        return s;
    }
    if (ext) {
        write_address(ch, t->sector >> 24, t->count >> 8);
    }
    write_address(ch, t->sector, t->count);
    reg_write(ch, ATA_STATUS, commands[ext][drive->multiple != 0][t->write]);
    return OK;
}

static enum status move(struct ata_drive *drive, const struct transfer *t)
{
    struct ata_channel *ch = drive->channel;
    uint32_t turn = drive->multiple ? drive->multiple : 1;
    char *at = t->buf;
    enum status s = begin(drive, t);

    for (uint32_t left = t->count; s == OK && left;) {
        uint32_t now = left < turn ? left : turn;

        s = wait_request(ch, COMMAND_MS);
        if (s == OK && t->write) {
            ch->io->data_out(ch->ctx, at, now * ATA_SECTOR_SIZE);
        } else if (s == OK) {
            ch->io->data_in(ch->ctx, at, now * ATA_SECTOR_SIZE);
        }
        at += now * ATA_SECTOR_SIZE;
        left -= now;
    }
    return s == OK ? wait_done(ch, COMMAND_MS) : s;
}

// A reset makes drives forget it. One that refuses works without.
static enum status restore_multiple(struct ata_drive *drive)
{
    enum status s;

    if (drive->multiple == 0 || drive->multiple_set == drive->channel->resets + 1) {
        return OK;
    }
    s = simple_command(drive, SET_MULTIPLE_MODE, drive->multiple, SELECT_MS);
    drive->multiple_set = drive->channel->resets + 1;
    if (s == E_IO) {
        drive->multiple = 0;
        s = OK;
    }
    return s;
}

static enum status try_transfer(struct ata_drive *drive, const void *what)
{
    enum status s = restore_multiple(drive);

    return s == OK ? move(drive, what) : s;
}

static enum status try_flush(struct ata_drive *drive, const void *what)
{
    (void)what;
    return simple_command(drive, drive->can_flush_ext ? FLUSH_CACHE_EXT : FLUSH_CACHE, 0, FLUSH_MS);
}

// The one place where drives are given a second chance.
static enum status insist(struct ata_drive *drive,
                          enum status (*attempt)(struct ata_drive *drive, const void *what), const void *what)
{
    for (unsigned i = 0; i < 2 && !drive->dead; i++) {
        enum status s = attempt(drive, what);

        if (s != E_TIMEOUT) {
            return s;
        }
        reset(drive->channel);
    }
    drive->dead = true;
    return E_IO;
}

static enum status transfer(struct ata_drive *drive, const struct transfer *t)
{
    if (t->count == 0 || t->count > ATA_COMMAND_SECTORS ||
        !range_contains(0, drive->sector_count, t->sector, t->count)) {
        return E_RANGE;
    }
    return insist(drive, try_transfer, t);
}

enum status ata_read(struct ata_drive *drive, uint64_t sector, void *buf, uint32_t count)
{
    return transfer(drive, &(struct transfer){.sector = sector, .buf = buf, .count = count});
}

enum status ata_write(struct ata_drive *drive, uint64_t sector, const void *buf, uint32_t count)
{
    // A transfer is for both directions; a write does not change it.
    union {
        const void *in;
        void *out;
    } va = {.in = buf};

    return transfer(drive,
                    &(struct transfer){.write = true, .sector = sector, .buf = va.out, .count = count});
}

enum status ata_flush(struct ata_drive *drive)
{
    return drive->can_flush ? insist(drive, try_flush, NULL) : OK;
}

// ---- who is there ----------------------------------------

bool ata_channel_present(struct ata_channel *ch)
{
    for (uint8_t unit = 0; unit < 2; unit++) {
        reg_write(ch, ATA_DEVICE, (uint8_t)DEVICE_UNIT(unit));
        settle(ch);
        reg_write(ch, ATA_COUNT, 0x55);
        reg_write(ch, ATA_LBA_LOW, 0xAA);
        if (reg_read(ch, ATA_COUNT) == 0x55 && reg_read(ch, ATA_LBA_LOW) == 0xAA) {
            reg_write(ch, ATA_ALT_STATUS, CONTROL_NO_INTERRUPT);
            return true;
        }
    }
    return false;
}

static bool has_bit(const uint16_t *id, enum identify_word word, unsigned bit)
{
    return (id[word] >> bit & 1) != 0;
}

// Some words are valid only when their upper bits say so.
static bool is_valid(const uint16_t *id, enum identify_word word)
{
    return id[word] >> 14 == 1;
}

static void read_model(struct ata_drive *drive, const uint16_t *id)
{
    size_t end = 0;

    for (size_t i = 0; i + 1 < sizeof(drive->model); i++) {
        char c = (char)(id[ID_MODEL + i / 2] >> (i % 2 ? 0 : 8));

        drive->model[i] = c >= ' ' && c <= '~' ? c : ' ';
        end = drive->model[i] != ' ' ? i + 1 : end;
    }
    drive->model[end] = '\0';
}

static enum status read_identity(struct ata_drive *drive, const uint16_t *id)
{
    uint8_t multiple = (uint8_t)id[ID_MULTIPLE];

    if (has_bit(id, ID_GENERAL, 15) || !has_bit(id, ID_CAPABILITIES, 9) ||
        (is_valid(id, ID_SECTOR_SIZE) && has_bit(id, ID_SECTOR_SIZE, 12))) {
        return E_UNSUPPORTED;
    }
    drive->lba48 = is_valid(id, ID_COMMANDS) && has_bit(id, ID_COMMANDS, 10);
    drive->can_flush_ext = drive->lba48 && has_bit(id, ID_COMMANDS, 13);
    drive->can_flush = drive->can_flush_ext || (is_valid(id, ID_COMMANDS) && has_bit(id, ID_COMMANDS, 12));
    drive->sector_count = min_u64(id[ID_SECTORS] | (uint64_t)id[ID_SECTORS + 1] << 16, LBA28_LIMIT);
    if (drive->lba48) {
        uint64_t n = 0;

        memcpy(&n, &id[ID_SECTORS_EXT], sizeof(n));
        drive->sector_count = n ? min_u64(n, LBA48_LIMIT) : drive->sector_count;
    }
    drive->multiple = is_power_of_two(multiple) ? multiple : 0;
    read_model(drive, id);
    return drive->sector_count ? OK : E_UNSUPPORTED;
}

enum status ata_identify(struct ata_channel *ch, uint8_t unit, struct ata_drive *drive)
{
    uint16_t id[ID_WORDS];
    uint8_t status;
    enum status s;

    *drive = (struct ata_drive){.channel = ch, .unit = unit};
    reg_write(ch, ATA_DEVICE, (uint8_t)DEVICE_UNIT(unit));
    s = wait_ready(ch, IDENTIFY_MS, &status);
    if (s != OK || status == 0) {
        return status == 0 || status == STATUS_FLOATING ? E_NOENT : s;
    }
    write_address(ch, 0, 0);
    reg_write(ch, ATA_STATUS, IDENTIFY_DEVICE);
    settle(ch);
    if (reg_read(ch, ATA_ALT_STATUS) == 0) {
        return E_NOENT;
    }
    s = wait_request(ch, IDENTIFY_MS);
    if (s != OK) {
        // 9.12: packet devices put their signature there and give up; so do SATA's.
        bool other = reg_read(ch, ATA_LBA_MID) != 0 || reg_read(ch, ATA_LBA_HIGH) != 0;

        return s == E_IO ? other ? E_UNSUPPORTED : E_NOENT : s;
    }
    ch->io->data_in(ch->ctx, id, sizeof(id));
    s = wait_done(ch, IDENTIFY_MS);
    return s == OK ? read_identity(drive, id) : s;
}
