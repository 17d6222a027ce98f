// SPDX-License-Identifier: Apache-2.0
//
// virtio-blk and virtio-console by the MMIO transport (Virtual I/O Device 1.2, 4.2): a request at a time, the guest
// sleeping until its used index has moved.
#include "guests/bench/bench.h"

enum {
    REG_MAGIC = 0x00,
    REG_DEVICE_ID = 0x08,
    REG_DRIVER_FEATURES = 0x20,
    REG_DRIVER_FEATURES_SEL = 0x24,
    REG_QUEUE_SEL = 0x30,
    REG_QUEUE_NUM = 0x38,
    REG_QUEUE_READY = 0x44,
    REG_QUEUE_NOTIFY = 0x50,
    REG_INTERRUPT_STATUS = 0x60,
    REG_INTERRUPT_ACK = 0x64,
    REG_STATUS = 0x70,
    REG_QUEUE_DESC = 0x80,
    REG_QUEUE_DRIVER = 0x90,
    REG_QUEUE_DEVICE = 0xa0
};
#define MAGIC 0x74726976u
#define ID_CONSOLE 3u
#define ID_BLOCK 2u
#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER 2u
#define STATUS_DRIVER_OK 4u
#define STATUS_FEATURES_OK 8u
#define F_VERSION_1_HIGH 1u // bit 32
#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define AVAIL_NO_INTERRUPT 1u
#define QUEUE_SIZE 8u
#define SECTOR_COUNT 8u
#define BLOCK_BYTES 4096u
#define BLOCK_READ 0u
#define REQUESTS 200u
#define CONSOLE_TX 1u
#define OWN 20u // instructions of request() and its caller, but for the kick

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
struct queue {
    struct desc desc[QUEUE_SIZE];
    struct {
        uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
    } avail;
    struct {
        uint16_t flags, idx;
        struct {
            uint32_t id, len;
        } ring[QUEUE_SIZE];
        uint16_t avail_event;
    } used __attribute__((aligned(8)));
} __attribute__((aligned(64)));

static struct queue queue;
static struct {
    uint32_t type, reserved;
    uint64_t sector;
} header;
static char data[BLOCK_BYTES] __attribute__((aligned(64)));
static uint8_t status;

static volatile uint32_t *reg(uint64_t slot, unsigned offset)
{
    return (volatile uint32_t *)(uintptr_t)(slot + offset);
}

static uint64_t find_slot(uint32_t id)
{
    for (unsigned i = 0; i < board.virtio_count; i++) {
        uint64_t slot = board.virtio + i * board.virtio_stride;

        if (*reg(slot, REG_MAGIC) == MAGIC && *reg(slot, REG_DEVICE_ID) == id) {
            return slot;
        }
    }
    return 0;
}

static void set_address(uint64_t slot, unsigned offset, const void *p)
{
    *reg(slot, offset) = (uint32_t)(uintptr_t)p;
    *reg(slot, offset + 4) = (uint32_t)((uintptr_t)p >> 32);
}

static void device_start(uint64_t slot, unsigned which)
{
    queue = (struct queue){0};
    *reg(slot, REG_STATUS) = 0;
    *reg(slot, REG_STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    *reg(slot, REG_DRIVER_FEATURES_SEL) = 0;
    *reg(slot, REG_DRIVER_FEATURES) = 0;
    *reg(slot, REG_DRIVER_FEATURES_SEL) = 1;
    *reg(slot, REG_DRIVER_FEATURES) = F_VERSION_1_HIGH;
    *reg(slot, REG_STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
    *reg(slot, REG_QUEUE_SEL) = which;
    *reg(slot, REG_QUEUE_NUM) = QUEUE_SIZE;
    set_address(slot, REG_QUEUE_DESC, queue.desc);
    set_address(slot, REG_QUEUE_DRIVER, &queue.avail);
    set_address(slot, REG_QUEUE_DEVICE, &queue.used);
    *reg(slot, REG_QUEUE_READY) = 1;
    *reg(slot, REG_STATUS) = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

// Offers the chain that begins at descriptor 0 and waits until it comes back, by interrupt or by looking.
static void request(uint64_t slot, unsigned which, bool interrupt)
{
    volatile uint16_t *used = &queue.used.idx;
    uint16_t want = (uint16_t)(*used + 1);

    queue.avail.ring[queue.avail.idx % QUEUE_SIZE] = 0;
    __atomic_store_n(&queue.avail.idx, (uint16_t)(queue.avail.idx + 1), __ATOMIC_RELEASE);
    *reg(slot, REG_QUEUE_NOTIFY) = which;
    while (*used != want) {
        if (interrupt) {
            __asm__ volatile(STAND_BY);
        }
    }
    if (interrupt) {
        *reg(slot, REG_INTERRUPT_ACK) = *reg(slot, REG_INTERRUPT_STATUS);
    }
}

static void measure_console(uint64_t slot)
{
    device_start(slot, CONSOLE_TX);
    queue.desc[0] = (struct desc){.addr = (uintptr_t)data, .len = 1};
    queue.avail.flags = AVAIL_NO_INTERRUPT;
    data[0] = '.';
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t t0 = clock_now();

        mark_begin();
        for (unsigned k = 0; k < 8; k++) {
            data[0] = k == 7 ? '\n' : '.';
            request(slot, CONSOLE_TX, false);
        }
        mark_end();
        samples_add_batch(clock_now() - t0, 8, OWN);
    }
    samples_report("virtio_console_byte");
}

static void measure_block(uint64_t slot)
{
    device_start(slot, 0);
    header.type = BLOCK_READ;
    queue.desc[0] = (struct desc){.addr = (uintptr_t)&header, .len = 16, .flags = DESC_NEXT, .next = 1};
    queue.desc[1] = (struct desc){
        .addr = (uintptr_t)data, .len = BLOCK_BYTES, .flags = DESC_NEXT | DESC_WRITE, .next = 2};
    queue.desc[2] = (struct desc){.addr = (uintptr_t)&status, .len = 1, .flags = DESC_WRITE};
    queue.avail.flags = AVAIL_NO_INTERRUPT;
    for (unsigned i = 0; i < REQUESTS; i++) {
        uint64_t t0 = clock_now();

        mark_begin();
        for (unsigned k = 0; k < 8; k++) {
            header.sector = (uint64_t)k * SECTOR_COUNT;
            request(slot, 0, false);
        }
        mark_end();
        samples_add_batch(clock_now() - t0, 8, OWN);
    }
    samples_report("virtio_blk_4k");
}

void role_virtio(void)
{
    uint64_t slot = find_slot(ID_CONSOLE);

    if (slot) {
        measure_console(slot);
    }
    slot = find_slot(ID_BLOCK);
    if (slot) {
        measure_block(slot);
    }
}
