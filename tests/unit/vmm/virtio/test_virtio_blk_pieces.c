// SPDX-License-Identifier: Apache-2.0
//
// virtio-blk and data that the driver cuts as it likes: only the total must be whole sectors (Virtual I/O Device 1.2,
// 5.2.6 and 2.7.4.1). Over a disk in memory, which answers at once, and over one that answers later.
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
#define HEADER (RAM_BASE + KIB(32))
#define STATUS_BYTE (RAM_BASE + KIB(40))
#define DATA (RAM_BASE + KIB(64))
#define DISK_SECTORS 64u
#define GAP 24u // between the pieces; fill bytes there must survive
#define FILL 0xa5
#define PIECES_MAX 100u

struct late_disk {
    struct blk_backend be;
    struct block_request *held;
    uint8_t *image;
};

struct fixture {
    struct test_guest *g;
    struct test_ring ring;
    struct virtio_device *dev;
    struct blk_backend *ram;
    struct late_disk late;
    uint8_t image[DISK_SECTORS * SECTOR_SIZE];
    uint8_t data[DISK_SECTORS * SECTOR_SIZE];
    uint64_t at[PIECES_MAX];
};

static enum status late_submit(struct blk_backend *be, struct block_request *req)
{
    struct late_disk *d = container_of(be, struct late_disk, be);

    assert_null(d->held);
    for (unsigned i = 0; i < req->segment_count; i++) {
        assert_int_equal(req->segments[i].size % SECTOR_SIZE, 0);
    }
    d->held = req;
    return OK;
}

static const struct blk_backend_ops late_ops = {.submit = late_submit};

static void late_answer(struct late_disk *d)
{
    struct block_request *req = d->held;
    uint8_t *at = d->image + req->sector * SECTOR_SIZE;

    d->held = NULL;
    for (unsigned i = 0; i < req->segment_count; i++) {
        const struct block_segment *s = &req->segments[i];

        memcpy(req->op == BLOCK_READ ? s->va : at, req->op == BLOCK_READ ? at : s->va, s->size);
        at += s->size;
    }
    req->done(req, OK);
}

static void start(struct fixture *f, struct blk_backend *be)
{
    assert_int_equal(virtio_blk_create(&f->g->vm, "vda", be, &f->dev), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, guest_place(), f->dev), OK);
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    guest_queue_setup(f->g, 0, &f->ring);
    guest_driver_ok(f->g);
    virtio_process(f->dev);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->g = guest_create();
    for (unsigned i = 0; i < sizeof(f->image); i++) {
        f->image[i] = (uint8_t)(i * 7 + i / SECTOR_SIZE);
    }
    return f;
}

static int setup_ram(void **state)
{
    struct fixture *f = fixture_new();

    assert_int_equal(blk_ram_create("ram", f->image, sizeof(f->image), false, &f->ram), OK);
    start(f, f->ram);
    *state = f;
    return 0;
}

static int setup_late(void **state)
{
    struct fixture *f = fixture_new();

    f->late = (struct late_disk){.be = {.ops = &late_ops, .sector_count = DISK_SECTORS}, .image = f->image};
    start(f, &f->late.be);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    f->dev->vdev.ops->destroy(&f->dev->vdev);
    if (f->ram) {
        f->ram->ops->destroy(f->ram);
    }
    guest_destroy(f->g);
    free(f);
    return 0;
}

// Offers a request of data pieces of these lengths, from `base` on, and kicks.
static void offer(struct fixture *f, uint32_t type, uint64_t base, const uint32_t *len, unsigned n)
{
    struct virtio_blk_req_hdr h = {.type = type, .sector = 5};
    uint16_t dir = type == VIRTIO_BLK_T_IN ? VIRTQ_DESC_F_WRITE : 0;

    memcpy(guest_at(f->g, HEADER), &h, sizeof(h));
    *guest_at(f->g, STATUS_BYTE) = 0xee;
    desc_write(f->g, TABLE, 0, (struct virtq_desc){HEADER, 16, VIRTQ_DESC_F_NEXT, 1});
    for (unsigned i = 0; i < n; i++) {
        f->at[i] = base;
        base += len[i] + GAP;
        desc_write(f->g, TABLE, (uint16_t)(i + 1),
                   (struct virtq_desc){f->at[i], len[i], dir | VIRTQ_DESC_F_NEXT, (uint16_t)(i + 2)});
    }
    desc_write(f->g, TABLE, (uint16_t)(n + 1), (struct virtq_desc){STATUS_BYTE, 1, VIRTQ_DESC_F_WRITE, 0});
    ring_desc(&f->ring, 0, TABLE, (n + 2) * 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

// Lets the device come to its end; returns the status byte.
static uint8_t finish(struct fixture *f, uint32_t written)
{
    struct virtq_used_elem e;

    virtio_process(f->dev);
    while (f->late.held) {
        late_answer(&f->late);
        virtio_process(f->dev);
    }
    assert_true(ring_take(&f->ring, &e));
    assert_int_equal(e.len, written);
    return *guest_at(f->g, STATUS_BYTE);
}

static void read_cut(struct fixture *f, uint64_t base, const uint32_t *len, unsigned n)
{
    uint32_t total = 0;

    memset(guest_at(f->g, DATA), FILL, KIB(128));
    for (unsigned i = 0; i < n; i++) {
        total += len[i];
    }
    offer(f, VIRTIO_BLK_T_IN, base, len, n);
    assert_int_equal(finish(f, total + 1), VIRTIO_BLK_S_OK);
    const uint8_t *want = f->image + 5 * SECTOR_SIZE;

    for (unsigned i = 0; i < n; i++) {
        assert_memory_equal(guest_at(f->g, f->at[i]), want, len[i]);
        want += len[i];
        for (unsigned k = 0; k < GAP; k++) {
            assert_int_equal(*guest_at(f->g, f->at[i] + len[i] + k), FILL);
        }
    }
}

static void write_cut(struct fixture *f, uint64_t base, const uint32_t *len, unsigned n)
{
    uint32_t total = 0;

    memset(guest_at(f->g, DATA), FILL, KIB(128));
    for (unsigned i = 0, at = 0; i < n; i++) {
        for (uint32_t k = 0; k < len[i]; k++, at++) {
            f->data[at] = (uint8_t)(at * 13 + 1);
            *guest_at(f->g, base + at + i * GAP) = f->data[at];
        }
        total += len[i];
    }
    offer(f, VIRTIO_BLK_T_OUT, base, len, n);
    assert_int_equal(finish(f, 1), VIRTIO_BLK_S_OK);
    offer(f, VIRTIO_BLK_T_IN, DATA + KIB(128), &total, 1);
    assert_int_equal(finish(f, total + 1), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, DATA + KIB(128)), f->data, total);
    memcpy(f->image + 5 * SECTOR_SIZE, f->data,
           total); // the disk in memory keeps its own copy of what was written
}

#define CUT(...)                                                                 \
    {                                                                            \
        sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), (const uint32_t[]) \
        {                                                                        \
            __VA_ARGS__                                                          \
        }                                                                        \
    }

static const struct {
    unsigned n;
    const uint32_t *len;
} cuts[] = {
    CUT(1, 511),        CUT(511, 1),       CUT(100, 412, 512),         CUT(512, 100, 412),
    CUT(513, 1023),     CUT(1023, 1, 512), CUT(700, 200, 124, 3, 509), CUT(4096 + 100, 4096 - 100, 4096),
    CUT(171, 171, 170),
};

static void test_any_cut(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
        for (unsigned off = 0; off < 3; off++) { // also at odd addresses
            read_cut(f, DATA + off, cuts[i].len, cuts[i].n);
            write_cut(f, DATA + off, cuts[i].len, cuts[i].n);
        }
    }
}

static void test_many_crumbs(void **state)
{
    struct fixture *f = *state;
    uint32_t len[PIECES_MAX];

    for (unsigned i = 0; i < 64; i++) {
        len[i] = 8;
    }
    read_cut(f, DATA, len, 64);
    write_cut(f, DATA, len, 64);
    uint32_t total = 0;
    unsigned n = 0;

    while (total <
           40 * SECTOR_SIZE) { // pieces that cross many sectors' ends, and more than one block request holds
        len[n] = (uint32_t)min_u64(304 + n % 5 * 117, 40 * SECTOR_SIZE - total);
        total += len[n++];
    }
    read_cut(f, DATA, len, n);
    write_cut(f, DATA, len, n);
}

static void test_cut_at_a_seam_of_host_memory(void **state)
{
    struct fixture *f = *state;
    static const uint32_t one[] = {1024};
    static const uint32_t two[] = {100, 924};

    memset(guest_at(f->g, RAM_SEAM - 4096), FILL, 8192);
    offer(f, VIRTIO_BLK_T_IN, RAM_SEAM - 100, one, 1);
    assert_int_equal(finish(f, 1025), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, RAM_SEAM - 100), f->image + 5 * SECTOR_SIZE, 100);
    assert_memory_equal(guest_at(f->g, RAM_SEAM), f->image + 5 * SECTOR_SIZE + 100, 924);
    offer(f, VIRTIO_BLK_T_IN, RAM_SEAM - 50, two, 2);
    assert_int_equal(finish(f, 1025), VIRTIO_BLK_S_OK);
    assert_memory_equal(guest_at(f->g, RAM_SEAM - 50), f->image + 5 * SECTOR_SIZE, 50);
}

// H04: a crumb that is not the guest's memory.
static void test_crumb_outside_memory(void **state)
{
    struct fixture *f = *state;
    static const uint32_t len[] = {100, 412};
    uint64_t end = RAM_BASE + RAM_SIZE - 100 - GAP;

    offer(f, VIRTIO_BLK_T_IN, ROM_BASE + 64, len, 2); // not to be written
    assert_int_equal(finish(f, 0), VIRTIO_BLK_S_IOERR);
    offer(f, VIRTIO_BLK_T_OUT, ROM_BASE + 64, len, 2);
    assert_int_equal(finish(f, 1), VIRTIO_BLK_S_OK);
    offer(f, VIRTIO_BLK_T_IN, end, len, 2); // the second one begins behind the end
    assert_int_equal(finish(f, 0), VIRTIO_BLK_S_IOERR);
    offer(f, VIRTIO_BLK_T_OUT, end, len, 2);
    assert_int_equal(finish(f, 1), VIRTIO_BLK_S_IOERR);
}

// H08: the driver that asked is gone when the disk answers.
static void test_reset_while_a_sector_is_under_way(void **state)
{
    struct fixture *f = *state;
    static const uint32_t len[] = {100, 412};

    memset(guest_at(f->g, DATA), FILL, 1024);
    offer(f, VIRTIO_BLK_T_IN, DATA, len, 2);
    virtio_process(f->dev);
    assert_non_null(f->late.held);
    guest_write(f->g, VIRTIO_MMIO_STATUS, 0);
    late_answer(&f->late);
    virtio_process(f->dev);
    assert_int_equal(guest_read(f->g, VIRTIO_MMIO_STATUS), 0);
    for (unsigned i = 0; i < 1024; i++) {
        assert_int_equal(*guest_at(f->g, DATA + i), FILL);
    }
}

#define R(f) cmocka_unit_test_setup_teardown(f, setup_ram, teardown)
#define L(f) cmocka_unit_test_setup_teardown(f, setup_late, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(test_any_cut),
        L(test_any_cut),
        R(test_many_crumbs),
        L(test_many_crumbs),
        R(test_cut_at_a_seam_of_host_memory),
        L(test_cut_at_a_seam_of_host_memory),
        R(test_crumb_outside_memory),
        L(test_crumb_outside_memory),
        L(test_reset_while_a_sector_is_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
