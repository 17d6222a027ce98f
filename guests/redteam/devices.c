// SPDX-License-Identifier: Apache-2.0
//
// Attacks through the devices that all boards have: console, virtio.
#include "guests/redteam/redteam.h"

#define FLOOD_LINES 2000u
#define VIRTIO_ROUNDS 5000u

static uint8_t scratch[8192] __attribute__((aligned(4096)));

static volatile uint32_t *reg(uint64_t address)
{
    return (volatile uint32_t *)(uintptr_t)address;
}

static void put_raw(const char *s)
{
    while (*s) {
        put_char(*s++);
    }
}

bool case_console(void)
{
    put_raw("\x1b[2J\x1b[H\x1b]0;owned\x07\x1b[31m\x1bP+q\x1b\\\x1b[6n\x1b[?1049h\x1b"
            "c\r\n");
    put_raw("\r[victim] heartbeat 99999\r\n\x1b[1A[lodge] panic: forged\r\n");
    put_raw("\x01\x01x\x02\x05\x18\x1d\x00\x7f\xff\xc0\xaf\xed\xa0\x80\x9b"
            "2J\r\n");
    for (unsigned i = 0; i < 4096; i++) {
        put_char((char)random_next());
    }
    put_raw("\x1b[?1049l\x1b[0m\r\n");
    for (unsigned i = 0; i < 20000; i++) {
        put_char('x'); // one line without end
    }
    put_raw("\r\n");
    for (unsigned i = 0; i < FLOOD_LINES; i++) {
        print("flood %u\n", i);
    }
    return true;
}

static void hostile_queue(uint64_t slot, uint32_t value)
{
    static const uint32_t registers[] = {
        0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0x50, 0x64, 0x70, 0xfc, 0x100,
    };

    *reg(slot + registers[random_next() % (sizeof(registers) / sizeof(registers[0]))]) = value;
}

// Addresses are this guest's scratch page, nothing or nonsense, so that a device that believes them harms
// only us.
bool case_virtio(void)
{
    const uint32_t values[] = {0,
                               1,
                               2,
                               3,
                               7,
                               11,
                               15,
                               0x80,
                               0x400,
                               0x8000,
                               0x30000000,
                               0xffffffff,
                               0xfffffff0,
                               (uint32_t)(uintptr_t)scratch,
                               (uint32_t)(uintptr_t)scratch + 1};
    unsigned slots = 0;

    for (unsigned i = 0; board.virtio && i < board.virtio_count; i++) {
        uint64_t slot = board.virtio + board.virtio_stride * i;
        if (*reg(slot) != 0x74726976) {
            continue;
        }
        slots++;
        for (unsigned n = 0; n < sizeof(scratch); n++) {
            scratch[n] = (uint8_t)random_next();
        }
        for (unsigned n = 0; n < VIRTIO_ROUNDS; n++) {
            hostile_queue(slot, values[random_next() % (sizeof(values) / sizeof(values[0]))]);
        }
        *reg(slot + 0x70) = 0;
    }
    print("  %u devices\n", slots);
    return true;
}
