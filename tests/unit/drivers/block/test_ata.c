// SPDX-License-Identifier: Apache-2.0
//
// The ATA command layer against a channel of two drives that is made of plain memory: it takes the commands that
// "ATA/ATAPI-6" describes, answers as slowly as the test wants, and lies on demand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "drivers/block/ata.h"
#include "kernel/time/timer.h"

#define SECTORS 1024u
#define FAR BIT64(28) // a drive of 48 bits shows its medium here, too: sector FAR + n is n

enum mood {
    MOOD_GOOD,
    MOOD_ERROR,  // every transfer fails
    MOOD_SILENT, // BSY for ever, a reset does not help
    MOOD_STUCK,  // BSY until it is reset
    MOOD_MIDWAY, // stops asking for data after the first turn
    MOOD_GREEDY, // still asks for data after the last
};

enum kind {
    KIND_NONE,
    KIND_DISK,
    KIND_PACKET
};

struct fake_drive {
    enum kind kind;
    uint16_t id[256];
    uint8_t multiple; // as set
    unsigned flushes, commands;
};

static struct fake {
    struct fake_drive drive[2];
    enum mood mood;
    uint8_t regs[8], previous[8]; // previous: the upper bytes of 48-bit commands
    uint8_t status, control, error;
    uint64_t busy_until;
    uint64_t latency; // ticks for each turn
    uint8_t medium[SECTORS][ATA_SECTOR_SIZE];
    uint64_t sector;
    uint32_t left, turn; // sectors of the command, and of one turn
    bool writing, identifying;
    unsigned resets;
} hw;

static struct ata_channel channel;

static struct fake_drive *selected(void)
{
    return &hw.drive[hw.regs[ATA_DEVICE] >> 4 & 1];
}

static void busy(void)
{
    hw.busy_until = arch_time_now() + hw.latency;
}

static void next_turn(void)
{
    bool stop = hw.left == 0 || (hw.mood == MOOD_MIDWAY && hw.left != hw.regs[ATA_COUNT]);

    hw.status = 0x40 | (stop && !(hw.mood == MOOD_GREEDY) ? 0 : 0x08);
    busy();
}

static uint64_t address(bool ext)
{
    uint32_t low =
        hw.regs[ATA_LBA_LOW] | (uint32_t)hw.regs[ATA_LBA_MID] << 8 | (uint32_t)hw.regs[ATA_LBA_HIGH] << 16;

    if (!ext) {
        return low | (uint64_t)(hw.regs[ATA_DEVICE] & 0xF) << 24;
    }
    return low | (uint64_t)hw.previous[ATA_LBA_LOW] << 24 | (uint64_t)hw.previous[ATA_LBA_MID] << 32 |
           (uint64_t)hw.previous[ATA_LBA_HIGH] << 40;
}

static void start_transfer(bool ext, bool write, bool multiple)
{
    uint32_t count = hw.regs[ATA_COUNT] | (ext ? (uint32_t)hw.previous[ATA_COUNT] << 8 : 0);

    assert_true(hw.regs[ATA_DEVICE] & 0x40);
    hw.left = count ? count : ext ? 65536 : 256;
    hw.sector = address(ext);
    hw.sector -= ext && hw.sector >= FAR ? FAR : 0;
    hw.writing = write;
    hw.turn = multiple ? selected()->multiple : 1;
    assert_true(hw.turn > 0);
    next_turn();
    if (hw.mood == MOOD_ERROR) {
        hw.status = 0x41;
        hw.error = 0x40; // uncorrectable
    }
}

static void command(uint8_t c)
{
    struct fake_drive *d = selected();

    if (d->kind == KIND_NONE) {
        return;
    }
    d->commands++;
    hw.status = 0x40;
    hw.identifying = c == 0xEC;
    busy();
    if (hw.mood == MOOD_SILENT || hw.mood == MOOD_STUCK) {
        hw.busy_until = UINT64_MAX;
        return;
    }
    switch (c) {
    case 0xEC:
        hw.status = d->kind == KIND_DISK ? 0x48 : 0x41;
        hw.regs[ATA_LBA_MID] = d->kind == KIND_DISK ? 0 : 0x14;
        hw.regs[ATA_LBA_HIGH] = d->kind == KIND_DISK ? 0 : 0xEB;
        break;
    case 0xC6:
        d->multiple = hw.regs[ATA_COUNT];
        hw.status = d->multiple > (uint8_t)d->id[47] ? 0x41 : 0x40;
        break;
    case 0xE7:
    case 0xEA:
        d->flushes++;
        break;
    case 0x20:
    case 0x24:
    case 0x29:
    case 0x30:
    case 0x34:
    case 0x39:
    case 0xC4:
    case 0xC5:
        start_transfer((c & 0xF0) < 0x40 && (c & 4 || c & 8),
                       c == 0x30 || c == 0x34 || c == 0x39 || c == 0xC5, c == 0x29 || c == 0x39 || c >= 0xC0);
        break;
    default:
        fail_msg("command 0x%02x", c);
    }
}

static uint8_t fake_read(void *ctx, enum ata_register reg)
{
    assert_ptr_equal(ctx, &hw);
    if (selected()->kind == KIND_NONE) {
        return 0;
    }
    if (reg == ATA_STATUS || reg == ATA_ALT_STATUS) {
        return arch_time_now() < hw.busy_until ? 0x80 : hw.status;
    }
    return reg == ATA_ERROR ? hw.error : hw.regs[reg];
}

static void fake_write(void *ctx, enum ata_register reg, uint8_t v)
{
    (void)ctx;
    if (reg == ATA_ALT_STATUS) {
        assert_true(v & 2); // no interrupts, ever
        if (hw.control & ~v & 4) {
            hw.resets++;
            hw.status = 0x40;
            hw.busy_until = hw.mood == MOOD_SILENT ? UINT64_MAX : 0;
            hw.mood = hw.mood == MOOD_STUCK ? MOOD_GOOD : hw.mood;
            hw.drive[0].multiple = hw.drive[1].multiple = 0;
        }
        hw.control = v;
    } else if (reg == ATA_STATUS) {
        assert_true(arch_time_now() >= hw.busy_until);
        command(v);
    } else {
        hw.previous[reg] = hw.regs[reg];
        hw.regs[reg] = v;
    }
}

static void *turn_begin(size_t size)
{
    uint32_t count = (uint32_t)size / ATA_SECTOR_SIZE;
    void *at = hw.medium[hw.sector];

    assert_true(arch_time_now() >= hw.busy_until);
    assert_true(hw.status & 0x08);
    assert_int_equal(count, hw.left < hw.turn ? hw.left : hw.turn);
    assert_true(hw.sector + count <= SECTORS);
    hw.sector += count;
    hw.left -= count;
    next_turn();
    return at;
}

static void fake_in(void *ctx, void *buf, size_t size)
{
    (void)ctx;
    if (hw.identifying) {
        assert_int_equal(size, 512);
        memcpy(buf, selected()->id, size);
        hw.status = 0x40;
        return;
    }
    assert_false(hw.writing);
    memcpy(buf, turn_begin(size), size);
}

static void fake_out(void *ctx, const void *buf, size_t size)
{
    (void)ctx;
    assert_true(hw.writing);
    memcpy(turn_begin(size), buf, size);
}

static const struct ata_io fake_io = {
    .read = fake_read,
    .write = fake_write,
    .data_in = fake_in,
    .data_out = fake_out,
};

// A disk of SECTORS sectors with 28 bits of address, 16 sectors a turn and a cache.
static void make_disk(unsigned unit)
{
    struct fake_drive *d = &hw.drive[unit];
    static const char model[] = "QEMU HARDDISK                           ";

    *d = (struct fake_drive){.kind = KIND_DISK};
    d->id[47] = 0x8010;
    d->id[49] = 0x0300;
    d->id[60] = SECTORS;
    d->id[83] = 0x5000;
    for (unsigned i = 0; i < 20; i++) {
        d->id[27 + i] = (uint16_t)((uint8_t)model[2 * i] << 8 | (uint8_t)model[2 * i + 1]);
    }
}

static void make_disk_48(unsigned unit)
{
    make_disk(unit);
    hw.drive[unit].id[83] = 0x7400;
    hw.drive[unit].id[60] = 0xFFFF;
    hw.drive[unit].id[61] = 0x0FFF;
    hw.drive[unit].id[100] = SECTORS;
    hw.drive[unit].id[101] = 0x1000; // FAR + SECTORS
}

static int setup(void **state)
{
    (void)state;
    memset(&hw, 0, sizeof(hw));
    for (unsigned i = 0; i < SECTORS; i++) {
        memset(hw.medium[i], (int)(i * 7), ATA_SECTOR_SIZE);
    }
    hw.status = 0x40;
    hw.latency = time_from_us(3);
    make_disk(0);
    channel = (struct ata_channel){.io = &fake_io, .ctx = &hw};
    return 0;
}

static struct ata_drive identify(uint8_t unit, enum status wanted)
{
    struct ata_drive drive;

    assert_int_equal(ata_identify(&channel, unit, &drive), wanted);
    return drive;
}

// ---- who is there ----

static void a_disk_says_what_it_is(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    assert_string_equal(drive.model, "QEMU HARDDISK");
    assert_int_equal(drive.sector_count, SECTORS);
    assert_int_equal(drive.multiple, 16);
    assert_true(drive.can_flush);
    assert_false(drive.can_flush_ext);
    assert_false(drive.lba48);
    (void)identify(1, E_NOENT);
    assert_true(ata_channel_present(&channel));
    make_disk_48(1);
    drive = identify(1, OK);
    assert_true(drive.lba48);
    assert_true(drive.can_flush_ext);
    assert_int_equal(drive.sector_count, FAR + SECTORS);
}

static void an_empty_channel(void **state)
{
    (void)state;
    hw.drive[0].kind = KIND_NONE;
    assert_false(ata_channel_present(&channel));
    hw.drive[1].kind = KIND_PACKET;
    assert_true(ata_channel_present(&channel)); // the second drive alone
    (void)identify(0, E_NOENT);
    (void)identify(1, E_UNSUPPORTED); // a CD
}

static void odd_disks_are_left_alone(void **state)
{
    static const struct {
        unsigned word;
        uint16_t value;
    } cases[] = {
        {49, 0},       // cylinders and heads only
        {0, 0x8000},   // no ATA device
        {106, 0x5000}, // sectors of another size
        {60, 0},       // no sectors
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        make_disk(0);
        hw.drive[0].id[cases[i].word] = cases[i].value;
        (void)identify(0, E_UNSUPPORTED);
    }
    make_disk(0);
    hw.drive[0].id[83] = 0xFFFF; // such words mean nothing
    hw.drive[0].id[106] = 0xFFFF;
    assert_false(identify(0, OK).lba48);
    make_disk(0);
    memset(&hw.drive[0].id[27], 0xFF, 40);
    assert_string_equal(identify(0, OK).model, "");
}

static void one_that_never_gets_ready(void **state)
{
    uint64_t begin = arch_time_now();

    (void)state;
    hw.mood = MOOD_SILENT;
    (void)identify(0, E_TIMEOUT);
    assert_true(time_to_us(arch_time_now() - begin) < 10000000);
}

// ---- transfers ----

static uint8_t buf[ATA_COMMAND_SECTORS * ATA_SECTOR_SIZE];

static void read_and_check(struct ata_drive *drive, uint64_t sector, uint32_t count)
{
    memset(buf, 0xEE, sizeof(buf));
    assert_int_equal(ata_read(drive, sector, buf, count), OK);
    assert_memory_equal(buf, hw.medium[sector % SECTORS], count * ATA_SECTOR_SIZE);
    assert_true(count == ATA_COMMAND_SECTORS || buf[count * ATA_SECTOR_SIZE] == 0xEE);
}

static void all_sizes(struct ata_drive *drive)
{
    static const uint32_t counts[] = {1, 15, 16, 17, 255, 256};

    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        read_and_check(drive, 3, counts[i]);
        read_and_check(drive, SECTORS - counts[i], counts[i]);
        memset(buf, 0xE0 + (int)i, sizeof(buf));
        assert_int_equal(ata_write(drive, 100, buf, counts[i]), OK);
        assert_memory_equal(hw.medium[100], buf, counts[i] * ATA_SECTOR_SIZE);
        assert_true(hw.medium[99][0] == (uint8_t)(99 * 7));
        assert_true(counts[i] == 256 || hw.medium[100 + counts[i]][0] != 0xE0 + i);
    }
}

static void data_go_both_ways(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    all_sizes(&drive);
    assert_int_equal(hw.drive[0].multiple, 16);
    hw.drive[0].id[47] = 0x8000; // one sector a turn
    drive = identify(0, OK);
    assert_int_equal(drive.multiple, 0);
    all_sizes(&drive);
    hw.latency = time_from_ms(30); // a slow one
    read_and_check(&drive, 0, 2);
    assert_int_equal(ata_read(&drive, SECTORS, buf, 1), E_RANGE);
    assert_int_equal(ata_read(&drive, SECTORS - 1, buf, 2), E_RANGE);
    assert_int_equal(ata_read(&drive, UINT64_MAX, buf, 2), E_RANGE);
    assert_int_equal(ata_read(&drive, 0, buf, 257), E_RANGE);
    assert_int_equal(ata_read(&drive, 0, buf, 0), E_RANGE);
}

static void more_than_28_bits(void **state)
{
    struct ata_drive drive;

    (void)state;
    make_disk_48(0);
    drive = identify(0, OK);
    read_and_check(&drive, FAR + 5, 20);
    read_and_check(&drive, FAR + SECTORS - 256, 256);
    memset(buf, 0x5A, sizeof(buf));
    assert_int_equal(ata_write(&drive, FAR + 64, buf, 256), OK);
    assert_memory_equal(hw.medium[64], buf, sizeof(buf));
    read_and_check(&drive, 5, 1); // by the old commands again
}

static void a_turn_size_that_is_refused_is_done_without(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    hw.drive[0].id[47] = 0x8008; // it takes less than it said
    read_and_check(&drive, 0, 40);
    assert_int_equal(drive.multiple, 0);
}

static void two_drives_do_not_mix(void **state)
{
    struct ata_drive first, second;

    (void)state;
    make_disk(1);
    hw.drive[1].id[47] = 0x8004;
    first = identify(0, OK);
    second = identify(1, OK);
    read_and_check(&first, 0, 40);
    read_and_check(&second, 7, 40);
    assert_int_equal(ata_flush(&second), OK);
    assert_int_equal(hw.drive[0].flushes, 0);
    assert_int_equal(hw.drive[1].flushes, 1);
    assert_int_equal(hw.drive[0].multiple, 16);
    assert_int_equal(hw.drive[1].multiple, 4);
    first.can_flush = false;
    assert_int_equal(ata_flush(&first), OK);
    assert_int_equal(hw.drive[0].flushes, 0);
}

// ---- failures ----

static void errors_are_reported_once(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    read_and_check(&drive, 0, 1);
    hw.mood = MOOD_ERROR;
    assert_int_equal(ata_read(&drive, 0, buf, 8), E_IO);
    assert_int_equal(ata_write(&drive, 0, buf, 8), E_IO);
    hw.mood = MOOD_MIDWAY;
    assert_int_equal(ata_read(&drive, 0, buf, 32), E_IO);
    assert_int_equal(hw.resets, 0);
    assert_false(drive.dead);
    hw.mood = MOOD_GOOD;
    read_and_check(&drive, 0, 32);
}

static void one_that_wants_more_is_reset(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    read_and_check(&drive, 0, 1);
    hw.mood = MOOD_GREEDY;
    assert_int_equal(ata_write(&drive, 0, buf, 1), E_IO);
    hw.mood = MOOD_GOOD;
    read_and_check(&drive, 0, 32); // finds it asking, resets it
    assert_int_equal(hw.resets, 1);
}

static void a_stuck_drive_is_reset_and_goes_on(void **state)
{
    struct ata_drive drive = identify(0, OK);

    (void)state;
    read_and_check(&drive, 0, 32);
    hw.mood = MOOD_STUCK;
    read_and_check(&drive, 64, 32);
    assert_int_equal(hw.resets, 1);
    assert_int_equal(hw.drive[0].multiple, 16); // set anew
    assert_false(drive.dead);
}

static void a_silent_drive_is_given_up(void **state)
{
    struct ata_drive drive = identify(0, OK);
    unsigned before;

    (void)state;
    hw.mood = MOOD_SILENT;
    assert_int_equal(ata_read(&drive, 0, buf, 1), E_IO);
    assert_int_equal(hw.resets, 2);
    assert_true(drive.dead);
    before = hw.drive[0].commands;
    assert_int_equal(ata_read(&drive, 0, buf, 1), E_IO);
    assert_int_equal(ata_flush(&drive), E_IO);
    assert_int_equal(hw.drive[0].commands, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_disk_says_what_it_is, setup),
        cmocka_unit_test_setup(an_empty_channel, setup),
        cmocka_unit_test_setup(odd_disks_are_left_alone, setup),
        cmocka_unit_test_setup(one_that_never_gets_ready, setup),
        cmocka_unit_test_setup(data_go_both_ways, setup),
        cmocka_unit_test_setup(more_than_28_bits, setup),
        cmocka_unit_test_setup(a_turn_size_that_is_refused_is_done_without, setup),
        cmocka_unit_test_setup(two_drives_do_not_mix, setup),
        cmocka_unit_test_setup(errors_are_reported_once, setup),
        cmocka_unit_test_setup(one_that_wants_more_is_reset, setup),
        cmocka_unit_test_setup(a_stuck_drive_is_reset_and_goes_on, setup),
        cmocka_unit_test_setup(a_silent_drive_is_given_up, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
