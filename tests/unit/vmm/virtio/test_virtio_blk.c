// SPDX-License-Identifier: Apache-2.0
//
// virtio-blk as a driver sees it, over a disk in memory and over a fake back end whose completions the test
// holds back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/backend/blk_ram.h"
#include "vmm/virtio/virtio_blk.h"

#define QSIZE 32
#define RING_BASE (RAM_BASE + KIB(4))
#define TABLE (RAM_BASE + KIB(16))
#define HEADERS (RAM_BASE + KIB(32)) // 16 bytes for each request
#define STATUSES (RAM_BASE + KIB(40))
#define DATA (RAM_BASE + KIB(64))
#define DISK_SECTORS 512u

#define F_WRITE VIRTQ_DESC_F_WRITE
#define F_NEXT VIRTQ_DESC_F_NEXT

// A back end that keeps what it is given.
struct fake_disk {
    struct blk_backend be;
    struct block_request *held[64];
    unsigned count, submits;
    enum status refuse;
};

struct fixture {
    struct test_guest *g;
    struct test_ring ring;
    struct virtio_device *dev;
    struct blk_backend *ram;
    struct fake_disk fake;
    uint8_t image[DISK_SECTORS * SECTOR_SIZE];
};

static enum status fake_submit(struct blk_backend *be, struct block_request *req)
{
    struct fake_disk *d = container_of(be, struct fake_disk, be);

    if (d->refuse != OK) {
        return d->refuse;
    }
    d->submits++;
    d->held[d->count++] = req;
    return OK;
}

static const struct blk_backend_ops fake_ops = {.submit = fake_submit};

static void process(struct fixture *f)
{
    virtio_process(f->dev);
}

// Completes the held request `i` with `result`.
static void fake_complete(struct fixture *f, unsigned i, enum status result)
{
    struct block_request *req = f->fake.held[i];

    f->fake.held[i] = f->fake.held[--f->fake.count];
    req->done(req, result);
    process(f);
}

static void start(struct fixture *f, struct blk_backend *be, uint64_t features)
{
    assert_int_equal(virtio_blk_create(&f->g->vm, "vda", be, &f->dev), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, guest_place(), f->dev), OK);
    guest_negotiate(f->g, features);
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    guest_queue_setup(f->g, 0, &f->ring);
    guest_driver_ok(f->g);
    process(f);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->g = guest_create();
    for (unsigned i = 0; i < sizeof(f->image); i++) {
        f->image[i] = (uint8_t)(i / SECTOR_SIZE + i);
    }
    f->fake.be = (struct blk_backend){.ops = &fake_ops, .sector_count = DISK_SECTORS, .can_flush = true};
    return f;
}

static int setup_ram(void **state)
{
    struct fixture *f = fixture_new();

    assert_int_equal(blk_ram_create("test-disk", f->image, sizeof(f->image), false, &f->ram), OK);
    start(f, f->ram, VIRTIO_FEATURES_COMMON);
    *state = f;
    return 0;
}

static int setup_fake(void **state)
{
    struct fixture *f = fixture_new();

    start(f, &f->fake.be, VIRTIO_FEATURES_COMMON);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    while (f->fake.count > 0) {
        fake_complete(f, 0, OK);
    }
    f->dev->vdev.ops->destroy(&f->dev->vdev);
    if (f->ram) {
        f->ram->ops->destroy(f->ram);
    }
    guest_destroy(f->g);
    free(f);
    return 0;
}

static uint64_t header_write(struct fixture *f, unsigned slot, uint32_t type, uint64_t sector)
{
    struct virtio_blk_req_hdr h = {.type = type, .sector = sector};

    memcpy(guest_at(f->g, HEADERS + 16 * slot), &h, sizeof(h));
    *guest_at(f->g, STATUSES + slot) = 0xee;
    return HEADERS + 16 * slot;
}

// A request of three descriptors from 3 * slot on, offered but not kicked.
static void offer(struct fixture *f, unsigned slot, uint32_t type, uint64_t sector, uint64_t data,
                  uint32_t len)
{
    uint16_t d = (uint16_t)(3 * slot);
    uint16_t dir = type == VIRTIO_BLK_T_OUT ? 0 : F_WRITE;

    ring_desc(&f->ring, d, header_write(f, slot, type, sector), 16, F_NEXT, len ? d + 1 : d + 2);
    ring_desc(&f->ring, d + 1u, data, len, dir | F_NEXT, d + 2);
    ring_desc(&f->ring, d + 2u, STATUSES + slot, 1, F_WRITE, 0);
    ring_offer(&f->ring, d);
}

static void kick(struct fixture *f)
{
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    process(f);
}

// The next used element must be `slot`'s; returns its status byte.
static uint8_t reap(struct fixture *f, unsigned slot, uint32_t len)
{
    struct virtq_used_elem e;

    assert_true(ring_take(&f->ring, &e));
    assert_int_equal(e.id, 3 * slot);
    assert_int_equal(e.len, len);
    return *guest_at(f->g, STATUSES + slot);
}

static bool needs_reset(struct fixture *f)
{
    return (guest_read(f->g, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DEVICE_NEEDS_RESET) != 0;
}

// ---- what a driver does -------------------------------------------------------------------------

static void test_configuration(void **state)
{
    struct fixture *f = *state;
    uint64_t v;

    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_BLOCK);
    assert_int_equal(guest_access(f->g, VIRTIO_MMIO_CONFIG, 8, false, &v), IO_DONE);
    assert_int_equal(v, DISK_SECTORS);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_CONFIG + 12), VIRTIO_BLK_QUEUE_SIZE - 2);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_CONFIG + 20), 512);
    guest_write(f->g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    uint32_t features = guest_read(f->g, VIRTIO_MMIO_DEVICE_FEATURES);

    assert_true(features & (1u << VIRTIO_BLK_F_FLUSH));
    assert_true(features & (1u << VIRTIO_BLK_F_SEG_MAX));
    assert_false(features & (1u << VIRTIO_BLK_F_RO));
    assert_false(features & (1u << VIRTIO_BLK_F_DISCARD));
}

static void test_read(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 7, DATA, 4096);
    kick(f);
    assert_int_equal(reap(f, 0, 4097), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA), f->image + 7 * 512, 4096);
    assert_true(f->g->level);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
    guest_write(f->g, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    assert_false(f->g->level);
}

static void test_write_then_read(void **state)
{
    struct fixture *f = *state;

    memset(guest_at(f->g, DATA), 0x5a, 1024);
    offer(f, 0, VIRTIO_BLK_T_OUT, 511, DATA, 512);
    offer(f, 1, VIRTIO_BLK_T_IN, 510, DATA + 4096, 1024);
    offer(f, 2, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    kick(f);
    assert_int_equal(reap(f, 0, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(reap(f, 1, 1025), VIRTIO_BLK_S_OK);
    assert_int_equal(reap(f, 2, 1), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA + 4096), f->image + 510 * 512, 512);
    assert_memory_equal(guest_at(f->g, DATA + 4096 + 512), guest_at(f->g, DATA), 512);
    assert_int_equal(f->g->raised, 1); // one interrupt for all three
}

static void test_data_over_a_seam_of_host_memory(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 0, RAM_SEAM - 4096, 8192);
    kick(f);
    assert_int_equal(reap(f, 0, 8193), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, RAM_SEAM - 4096), f->image, 4096);
    assert_memory_equal(guest_at(f->g, RAM_SEAM), f->image + 4096, 4096);
}

static void test_get_id(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_GET_ID, 0, DATA, 20);
    offer(f, 1, VIRTIO_BLK_T_GET_ID, 0, DATA + 64, 1); // H10: a buffer of one byte
    memset(guest_at(f->g, DATA + 64), 0xcc, 4);
    kick(f);
    assert_int_equal(reap(f, 0, 21), VIRTIO_BLK_S_OK);
    assert_string_equal((char *)guest_at(f->g, DATA), "test-disk");
    assert_int_equal(reap(f, 1, 2), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA + 64), "t\xcc\xcc\xcc", 4);
}

static void test_many_small_pieces(void **state)
{
    struct fixture *f = *state;
    unsigned n = 100; // more than one block request holds: it goes in several

    for (uint16_t i = 0; i < n + 2; i++) {
        struct virtq_desc d = {.addr = DATA + 1024u * i, .len = 512, .flags = F_NEXT | F_WRITE};

        d.next = (uint16_t)(i + 1);
        if (i == 0) {
            d = (struct virtq_desc){header_write(f, 0, VIRTIO_BLK_T_IN, 3), 16, F_NEXT, 1};
        } else if (i == n + 1) {
            d = (struct virtq_desc){STATUSES, 1, F_WRITE, 0};
        }
        desc_write(f->g, TABLE, i, d);
    }
    ring_desc(&f->ring, 0, TABLE, (n + 2) * 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    kick(f);
    assert_int_equal(reap(f, 0, n * 512 + 1), VIRTIO_BLK_S_OK);
    for (unsigned i = 0; i < n; i++) {
        assert_memory_equal(guest_at(f->g, DATA + 1024 * (i + 1)), f->image + (3 + i) * 512, 512);
    }
}

// 2.7.4.1: the device must not care how header, data and status are cut.
static void test_header_split_and_status_in_data(void **state)
{
    struct fixture *f = *state;
    uint64_t h = header_write(f, 0, VIRTIO_BLK_T_IN, 9);

    ring_desc(&f->ring, 0, h, 1, F_NEXT, 1);
    ring_desc(&f->ring, 1, h + 1, 0, F_NEXT, 2);
    ring_desc(&f->ring, 2, h + 1, 15, F_NEXT, 3);
    ring_desc(&f->ring, 3, DATA, 513, F_WRITE, 0);
    ring_offer(&f->ring, 0);
    *guest_at(f->g, DATA + 512) = 0xee;
    kick(f);
    (void)reap(f, 0, 513);
    assert_int_equal(*guest_at(f->g, DATA + 512), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA), f->image + 9 * 512, 512);
}

static void test_header_and_data_in_one_descriptor(void **state)
{
    struct fixture *f = *state;
    struct virtio_blk_req_hdr h = {.type = VIRTIO_BLK_T_OUT, .sector = 4};

    memcpy(guest_at(f->g, DATA), &h, sizeof(h));
    memset(guest_at(f->g, DATA + 16), 0x77, 512);
    ring_desc(&f->ring, 0, DATA, 528, F_NEXT, 1);
    ring_desc(&f->ring, 1, STATUSES, 1, F_WRITE, 0);
    ring_offer(&f->ring, 0);
    offer(f, 1, VIRTIO_BLK_T_IN, 4, DATA + 4096, 512);
    kick(f);
    assert_int_equal(reap(f, 0, 1), VIRTIO_BLK_S_OK);
    assert_int_equal(reap(f, 1, 513), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA + 16), guest_at(f->g, DATA + 4096), 512);
}

static void test_more_requests_than_fit(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 0; round < 200; round++) {
        for (unsigned slot = 0; slot < 10; slot++) {
            offer(f, slot, VIRTIO_BLK_T_IN, (round + slot) % DISK_SECTORS, DATA + 512 * slot, 512);
        }
        kick(f);
        for (unsigned slot = 0; slot < 10; slot++) {
            assert_int_equal(reap(f, slot, 513), VIRTIO_BLK_S_OK);
            assert_memory_equal(guest_at(f->g, DATA + 512 * slot),
                                f->image + (round + slot) % DISK_SECTORS * 512, 512);
        }
    }
}

// ---- what a driver must not do ------------------------------------------------------------------

// H10
static void test_beyond_the_end(void **state)
{
    struct fixture *f = *state;
    static const uint64_t sectors[] = {DISK_SECTORS, DISK_SECTORS - 1, UINT64_MAX, UINT64_MAX - 1,
                                       UINT64_MAX / 512};

    for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
        offer(f, 0, VIRTIO_BLK_T_IN, sectors[i], DATA, 1024);
        offer(f, 1, VIRTIO_BLK_T_OUT, sectors[i], DATA, 1024);
        kick(f);
        assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
        assert_int_equal(reap(f, 1, 1), VIRTIO_BLK_S_IOERR);
    }
    assert_false(needs_reset(f));
}

static void test_odd_lengths(void **state)
{
    struct fixture *f = *state;
    static const uint32_t lengths[] = {1, 511, 513, 4095};

    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        offer(f, 0, VIRTIO_BLK_T_IN, 0, DATA, lengths[i]);
        kick(f);
        assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
    }
}

static void test_unknown_types(void **state)
{
    struct fixture *f = *state;
    static const uint32_t types[] = {2, 3, 5, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES, UINT32_MAX};

    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        offer(f, 0, types[i], 0, DATA, 512);
        kick(f);
        assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_UNSUPP);
    }
    assert_false(needs_reset(f));
}

// H04
static void test_data_that_is_not_ram(void **state)
{
    struct fixture *f = *state;
    static const uint64_t bad[] = {0, MMIO_BASE, RAM_BASE - 512, RAM_BASE + RAM_SIZE - 512, ROM_BASE};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        offer(f, 0, VIRTIO_BLK_T_IN, 0, bad[i], 1024);
        kick(f);
        assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
    }
    offer(f, 0, VIRTIO_BLK_T_OUT, 0, ROM_BASE, 1024); // reading ROM is fine
    kick(f);
    assert_int_equal(reap(f, 0, 1), VIRTIO_BLK_S_OK);
    assert_false(needs_reset(f));
}

static void assert_broke(struct fixture *f)
{
    struct virtq_used_elem e;

    kick(f);
    assert_true(needs_reset(f));
    assert_true(f->g->level);
    assert_true(guest_read(f->g, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
    assert_false(ring_take(&f->ring, &e));
    offer(f, 5, VIRTIO_BLK_T_IN, 0, DATA, 512);
    kick(f);
    assert_false(ring_take(&f->ring, &e));
    // A reset brings it back.
    guest_write(f->g, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS), 0);
    assert_false(f->g->level);
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    memset(guest_at(f->g, RING_BASE), 0, KIB(4));
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    guest_queue_setup(f->g, 0, &f->ring);
    guest_driver_ok(f->g);
    offer(f, 1, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    assert_int_equal(reap(f, 1, 513), VIRTIO_BLK_S_OK);
}

static void test_no_status_byte(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, header_write(f, 0, VIRTIO_BLK_T_OUT, 0), 16, 0, 0);
    ring_offer(&f->ring, 0);
    assert_broke(f);
}

static void test_short_header(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, header_write(f, 0, VIRTIO_BLK_T_OUT, 0), 15, F_NEXT, 1);
    ring_desc(&f->ring, 1, STATUSES, 1, F_WRITE, 0);
    ring_offer(&f->ring, 0);
    assert_broke(f);
}

static void test_header_outside_memory(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, RAM_BASE + RAM_SIZE - 8, 16, F_NEXT, 1);
    ring_desc(&f->ring, 1, STATUSES, 1, F_WRITE, 0);
    ring_offer(&f->ring, 0);
    assert_broke(f);
}

static void test_status_outside_memory(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 0, DATA, 512);
    ring_desc(&f->ring, 2, ROM_BASE, 1, F_WRITE, 0);
    assert_broke(f);
}

static void test_ring_nonsense(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 16, F_NEXT, 0);
    ring_offer(&f->ring, 0);
    assert_broke(f);
}

// ---- requests under way -------------------------------------------------------------------------

static void test_completions_out_of_order(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
    offer(f, 1, VIRTIO_BLK_T_OUT, 2, DATA + 512, 512);
    offer(f, 2, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
    kick(f);
    assert_int_equal(f->fake.count, 3);
    assert_int_equal(f->fake.held[0]->op, BLOCK_READ);
    assert_int_equal(f->fake.held[1]->op, BLOCK_WRITE);
    assert_int_equal(f->fake.held[1]->sector, 2);
    assert_ptr_equal(f->fake.held[1]->segments[0].va, guest_at(f->g, DATA + 512)); // no copy
    assert_int_equal(f->fake.held[2]->op, BLOCK_FLUSH);
    fake_complete(f, 1, OK);
    assert_int_equal(reap(f, 1, 1), VIRTIO_BLK_S_OK);
    fake_complete(f, 0, E_IO);
    assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
    fake_complete(f, 0, OK);
    assert_int_equal(reap(f, 2, 1), VIRTIO_BLK_S_OK);
}

static void test_back_end_refuses(void **state)
{
    struct fixture *f = *state;

    f->fake.refuse = E_RANGE;
    offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
    offer(f, 1, VIRTIO_BLK_T_FLUSH, 1, 0, 0);
    kick(f);
    assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
    assert_int_equal(reap(f, 1, 1), VIRTIO_BLK_S_IOERR);
}

// H07: the guest may offer as much as it likes; the device takes only what it has room for.
static void test_flood(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        for (unsigned n = 0; n < QSIZE; n++) {
            offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512); // the same descriptors over and over
        }
        kick(f);
    }
    assert_int_equal(f->fake.count, VIRTIO_BLK_REQUESTS);
    fake_complete(f, 0, OK);
    assert_int_equal(f->fake.count, VIRTIO_BLK_REQUESTS);
    assert_int_equal(reap(f, 0, 513), VIRTIO_BLK_S_OK);
}

// H08
static void test_reset_with_requests_under_way(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
    offer(f, 1, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    assert_int_equal(f->fake.count, 2);
    guest_write(f->g, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS), VIRTIO_STATUS_DEVICE_NEEDS_RESET); // not yet done
    fake_complete(f, 0, OK);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS), VIRTIO_STATUS_DEVICE_NEEDS_RESET);

    // A driver that does not wait sets the device up again: the late completion is dropped.
    memset(guest_at(f->g, RING_BASE), 0, KIB(4));
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    guest_queue_setup(f->g, 0, &f->ring);
    guest_driver_ok(f->g);
    *guest_at(f->g, STATUSES + 1) = 0xee;
    fake_complete(f, 0, OK);
    assert_false(ring_take(&f->ring, &e));
    assert_int_equal(*guest_at(f->g, STATUSES + 1), 0xee);
    assert_false(f->g->level);
    offer(f, 2, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    assert_int_equal(f->fake.count, 1);
    fake_complete(f, 0, OK);
    assert_int_equal(reap(f, 2, 513), VIRTIO_BLK_S_OK);
}

static void test_reset_storm(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 50; i++) {
        memset(guest_at(f->g, RING_BASE), 0, KIB(4));
        guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
        f->ring = ring_at(f->g, RING_BASE, QSIZE);
        guest_queue_setup(f->g, 0, &f->ring);
        guest_driver_ok(f->g);
        offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
        kick(f);
    }
    assert_int_equal(f->fake.count, VIRTIO_BLK_REQUESTS); // resets do not multiply requests
    while (f->fake.count > 0) {
        fake_complete(f, 0, OK);
    }
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DEVICE_NEEDS_RESET, 0);
}

static void test_long_request_stops_at_an_error(void **state)
{
    struct fixture *f = *state;

    for (uint16_t i = 0; i < 42; i++) {
        struct virtq_desc d = {DATA + 1024u * i, 512, F_NEXT | F_WRITE, (uint16_t)(i + 1)};

        if (i == 0) {
            d = (struct virtq_desc){header_write(f, 0, VIRTIO_BLK_T_IN, 3), 16, F_NEXT, 1};
        } else if (i == 41) {
            d = (struct virtq_desc){STATUSES, 1, F_WRITE, 0};
        }
        desc_write(f->g, TABLE, i, d);
    }
    ring_desc(&f->ring, 0, TABLE, 42 * 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    kick(f);
    assert_int_equal(f->fake.count, 1);
    assert_int_equal(f->fake.held[0]->segment_count, BLOCK_SEGMENTS_MAX);
    assert_int_equal(f->fake.held[0]->sector, 3);
    fake_complete(f, 0, OK);
    assert_int_equal(f->fake.held[0]->sector, 3 + BLOCK_SEGMENTS_MAX);
    fake_complete(f, 0, E_IO);
    assert_int_equal(f->fake.count, 0);
    assert_int_equal(reap(f, 0, 0), VIRTIO_BLK_S_IOERR);
}

static void test_adjacent_pieces_are_merged(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, header_write(f, 0, VIRTIO_BLK_T_IN, 3), 16, F_NEXT, 1);
    ring_desc(&f->ring, 1, DATA, 512, F_NEXT | F_WRITE, 2);
    ring_desc(&f->ring, 2, DATA + 512, 1024, F_NEXT | F_WRITE, 3);
    ring_desc(&f->ring, 3, STATUSES, 1, F_WRITE, 0);
    ring_offer(&f->ring, 0);
    kick(f);
    assert_int_equal(f->fake.held[0]->segment_count, 1);
    assert_int_equal(f->fake.held[0]->segments[0].size, 1536);
}

// H09: header and descriptors change while the request is under way.
static void test_double_fetch(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    (void)header_write(f, 0, VIRTIO_BLK_T_OUT, UINT64_MAX);
    ring_desc(&f->ring, 1, 0, UINT32_MAX, 0, 9);
    ring_desc(&f->ring, 2, 0, 1, F_WRITE, 0);
    fake_complete(f, 0, OK);
    assert_int_equal(reap(f, 0, 513), VIRTIO_BLK_S_OK);
}

static void test_quiesce_takes_nothing_new(void **state)
{
    struct fixture *f = *state;

    offer(f, 0, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    offer(f, 1, VIRTIO_BLK_T_IN, 1, DATA, 512);
    kick(f);
    assert_int_equal(f->fake.count, 1);
    fake_complete(f, 0, OK); // what is under way still ends as it should
    assert_int_equal(reap(f, 0, 513), VIRTIO_BLK_S_OK);
    assert_int_equal(f->dev->in_flight, 0);
    virtio_resume(f->dev);
    process(f);
    assert_int_equal(f->fake.count, 1);
}

static void test_read_only(void **state)
{
    struct fixture *f = fixture_new();

    *state = f;
    f->fake.be.read_only = true;
    f->fake.be.can_flush = false;
    start(f, &f->fake.be, VIRTIO_FEATURES_COMMON | BIT64(VIRTIO_BLK_F_RO));
    guest_write(f->g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_true(guest_read(f->g, VIRTIO_MMIO_DEVICE_FEATURES) & (1u << VIRTIO_BLK_F_RO));
    assert_false(guest_read(f->g, VIRTIO_MMIO_DEVICE_FEATURES) & (1u << VIRTIO_BLK_F_FLUSH));
    offer(f, 0, VIRTIO_BLK_T_OUT, 1, DATA, 512);
    offer(f, 1, VIRTIO_BLK_T_FLUSH, 1, 0, 0);
    kick(f);
    assert_int_equal(f->fake.submits, 0);
    assert_int_equal(reap(f, 0, 1), VIRTIO_BLK_S_IOERR);
    assert_int_equal(reap(f, 1, 1), VIRTIO_BLK_S_UNSUPP);
}

// ---- save and load ------------------------------------------------------------------------------

static void test_save_load_goes_on(void **state)
{
    struct fixture *f = *state;
    static struct virtio_state saved;

    for (unsigned i = 0; i < 5; i++) {
        offer(f, 0, VIRTIO_BLK_T_IN, i, DATA, 512);
        kick(f);
        assert_int_equal(reap(f, 0, 513), VIRTIO_BLK_S_OK);
    }
    offer(f, 1, VIRTIO_BLK_T_IN, 100, DATA, 512); // offered, not yet taken
    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    assert_int_equal(vdev_save(&f->dev->vdev, &saved, sizeof(saved)), OK);
    f->dev->vdev.ops->reset(&f->dev->vdev);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &saved, sizeof(saved)), OK);
    assert_true(f->g->level); // the interrupt was never acknowledged
    process(f);
    assert_int_equal(reap(f, 1, 513), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA), f->image + 100 * 512, 512);
    offer(f, 2, VIRTIO_BLK_T_IN, 101, DATA, 512);
    kick(f);
    assert_int_equal(reap(f, 2, 513), VIRTIO_BLK_S_OK);
}

static void test_load_refuses_nonsense(void **state)
{
    struct fixture *f = *state;
    static struct virtio_state good, s, now;

    assert_int_equal(vdev_save(&f->dev->vdev, &good, sizeof(good)), OK);
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION + 1, &good, sizeof(good)), E_UNSUPPORTED);
    s = good;
    s.status |= 16;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    s = good;
    s.interrupt_status = 4;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    s = good;
    s.driver_features = UINT64_MAX;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    s = good;
    s.status = VIRTIO_STATUS_DRIVER_OK;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    s = good;
    s.queues[0].size = 3;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    s = good;
    s.queues[0].desc = 0;
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &s, sizeof(s)), E_CORRUPT);
    assert_int_equal(vdev_save(&f->dev->vdev, &now, sizeof(now)), OK);
    assert_memory_equal(&good, &now, sizeof(now));
}

static void test_create_refused_when_place_is_taken(void **state)
{
    struct fixture *f = *state;
    struct virtio_device *second;
    struct plan_device small = *guest_place();

    assert_int_equal(virtio_blk_create(&f->g->vm, "vdb", &f->fake.be, &second), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, guest_place(), second), E_EXISTS);
    small.base += 0x1000;
    small.size = 0x100;
    assert_int_equal(virtio_mmio_attach(&f->g->vm, &small, second), E_INVAL);
    second->vdev.ops->destroy(&second->vdev);
}

#define R(f) cmocka_unit_test_setup_teardown(f, setup_ram, teardown)
#define A(f) cmocka_unit_test_setup_teardown(f, setup_fake, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(test_configuration),
        R(test_read),
        R(test_write_then_read),
        R(test_data_over_a_seam_of_host_memory),
        R(test_get_id),
        R(test_many_small_pieces),
        R(test_header_split_and_status_in_data),
        R(test_header_and_data_in_one_descriptor),
        R(test_more_requests_than_fit),
        R(test_beyond_the_end),
        R(test_odd_lengths),
        R(test_unknown_types),
        R(test_data_that_is_not_ram),
        R(test_no_status_byte),
        R(test_short_header),
        R(test_header_outside_memory),
        R(test_status_outside_memory),
        R(test_ring_nonsense),
        A(test_completions_out_of_order),
        A(test_back_end_refuses),
        A(test_flood),
        A(test_reset_with_requests_under_way),
        A(test_reset_storm),
        A(test_long_request_stops_at_an_error),
        A(test_adjacent_pieces_are_merged),
        A(test_double_fetch),
        A(test_quiesce_takes_nothing_new),
        cmocka_unit_test_teardown(test_read_only, teardown),
        R(test_save_load_goes_on),
        R(test_load_refuses_nonsense),
        R(test_create_refused_when_place_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
