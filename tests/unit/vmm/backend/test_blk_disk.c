// SPDX-License-Identifier: Apache-2.0
//
// A file's extents as a disk, over a fake block device: it completes at once, later, or fails, as the test
// says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/mm/pool.h"
#include "vmm/backend/blk_disk.h"

#define MEDIUM_SECTORS 4096u

enum fake_mode {
    COMPLETE_INSIDE, // done() from inside submit(), as a medium in memory does
    COMPLETE_LATER   // when the test says
};

struct fake_device {
    struct block_device dev;
    enum fake_mode mode;
    uint8_t *medium;
    struct block_request *held[256];
    unsigned count, submits, flushes, depth, depth_max;
    unsigned fail_at; // the n-th submit fails, from 1
    enum status fail_how;
    bool fail_late; // by done() instead of submit()
};

struct fixture {
    struct fake_device fake;
    struct blk_backend *be;
    uint8_t buf[KIB(256)];
    unsigned done;
    enum status result;
};

static void perform(struct fake_device *d, struct block_request *req)
{
    uint8_t *at = d->medium + req->sector * 512;

    for (unsigned i = 0; i < req->segment_count; i++) {
        const struct block_segment *s = &req->segments[i];

        assert_true((size_t)(at - d->medium) + s->size <= MEDIUM_SECTORS * 512);
        if (req->op == BLOCK_READ) {
            memcpy(s->va, at, s->size);
        } else {
            memcpy(at, s->va, s->size);
        }
        at += s->size;
    }
}

static enum status fake_submit(struct block_device *dev, struct block_request *req)
{
    struct fake_device *d = container_of(dev, struct fake_device, dev);
    enum status result = OK;

    d->submits++;
    d->flushes += req->op == BLOCK_FLUSH;
    assert_int_equal(req->op == BLOCK_FLUSH, req->segment_count == 0);
    assert_true(req->segment_count <= dev->segment_max);
    if (d->submits == d->fail_at) {
        if (!d->fail_late) {
            return d->fail_how;
        }
        result = d->fail_how;
    }
    if (d->mode == COMPLETE_LATER) {
        d->held[d->count++] = req;
        return OK;
    }
    d->depth++;
    d->depth_max = d->depth > d->depth_max ? d->depth : d->depth_max;
    perform(d, req);
    req->done(req, result);
    d->depth--;
    return OK;
}

static void fake_complete(struct fake_device *d, unsigned i, enum status result)
{
    struct block_request *req = d->held[i];

    d->held[i] = d->held[--d->count];
    if (result == OK) {
        perform(d, req);
    }
    req->done(req, result);
}

static void on_done(struct block_request *req, enum status result)
{
    struct fixture *f = req->ctx;

    f->done++;
    f->result = result;
}

// Takes over extents as fs_resolve() returns them.
static enum status create(struct fixture *f, const struct fs_extent *list, unsigned count, uint64_t size)
{
    struct fs_extents e = {.dev = &f->fake.dev, .size = size, .count = count};

    e.extents = pool_alloc_array(count, sizeof(*list));
    memcpy(e.extents, list, count * sizeof(*list));
    enum status st = blk_disk_create_extents("disk.img", &e, false, &f->be);

    if (st != OK) {
        pool_free_array(e.extents, count, sizeof(*list));
        f->be = NULL;
    }
    return st;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->fake.medium = malloc(MEDIUM_SECTORS * 512);
    for (unsigned i = 0; i < MEDIUM_SECTORS * 512; i++) {
        f->fake.medium[i] = (uint8_t)(i / 512 * 3 + i);
    }
    f->fake.dev = (struct block_device){.name = "fake",
                                        .sector_count = MEDIUM_SECTORS,
                                        .can_flush = true,
                                        .segment_max = BLOCK_SEGMENTS_MAX,
                                        .submit = fake_submit};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->be) {
        f->be->ops->destroy(f->be);
    }
    free(f->fake.medium);
    free(f);
    return 0;
}

static const struct fs_extent three[] = {{0, 1000, 8}, {8, 64, 8}, {16, 2000, 100}};

static enum status transfer(struct fixture *f, enum block_op op, uint64_t sector, uint32_t sectors)
{
    struct block_request req = {.op = op, .sector = sector, .done = on_done, .ctx = f, .segment_count = 1};
    unsigned before = f->done;

    req.segments[0] = (struct block_segment){.va = f->buf, .size = sectors * 512};
    enum status st = f->be->ops->submit(f->be, &req);

    if (st != OK) {
        assert_int_equal(f->done, before);
        return st;
    }
    assert_int_equal(f->done, before + 1);
    return f->result;
}

static void test_extent_boundaries(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    assert_int_equal(f->be->sector_count, 116);
    assert_int_equal(transfer(f, BLOCK_READ, 0, 8), OK);
    assert_int_equal(f->fake.submits, 1);
    assert_memory_equal(f->buf, f->fake.medium + 1000 * 512, 8 * 512);
    assert_int_equal(transfer(f, BLOCK_READ, 7, 10), OK);
    assert_int_equal(f->fake.submits, 4);
    assert_memory_equal(f->buf, f->fake.medium + 1007 * 512, 512);
    assert_memory_equal(f->buf + 512, f->fake.medium + 64 * 512, 8 * 512);
    assert_memory_equal(f->buf + 9 * 512, f->fake.medium + 2000 * 512, 512);
    memset(f->buf, 0xab, 512 * 4);
    assert_int_equal(transfer(f, BLOCK_WRITE, 14, 4), OK);
    assert_memory_equal(f->fake.medium + 70 * 512, f->buf, 2 * 512);
    assert_memory_equal(f->fake.medium + 2000 * 512, f->buf, 2 * 512);
}

static void test_segments_and_extents_cut_each_other(void **state)
{
    struct fixture *f = *state;
    struct block_request req = {.op = BLOCK_READ, .sector = 5, .done = on_done, .ctx = f};
    static const uint32_t sizes[] = {1, 4, 2, 6, 1, 9};
    uint8_t expect[23 * 512];
    uint32_t at = 0;

    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        req.segments[req.segment_count++] =
            (struct block_segment){.va = f->buf + 512 * (at + i), .size = 512 * sizes[i]};
        for (uint32_t s = 0; s < sizes[i]; s++, at++) {
            uint64_t file = 5 + at;
            uint64_t disk = file < 8 ? 1000 + file : file < 16 ? 64 + file - 8 : 2000 + file - 16;

            memcpy(expect + 512 * at, f->fake.medium + disk * 512, 512);
        }
    }
    assert_int_equal(f->be->ops->submit(f->be, &req), OK);
    assert_int_equal(f->done, 1);
    at = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_memory_equal(f->buf + 512 * (at + i), expect + 512 * at, 512 * sizes[i]);
        at += sizes[i];
    }
}

static void test_bounds_and_partial_sector(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, three, 3, 115 * 512 + 511), OK); // the last sector is not whole
    assert_int_equal(f->be->sector_count, 115);
    assert_int_equal(transfer(f, BLOCK_READ, 114, 1), OK);
    assert_int_equal(transfer(f, BLOCK_READ, 114, 2), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_WRITE, 115, 1), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_READ, UINT64_MAX, 1), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_READ, 0, 0), E_INVAL);
}

static void test_bad_extents(void **state)
{
    struct fixture *f = *state;
    static const struct fs_extent gap[] = {{0, 0, 8}, {9, 64, 8}};
    static const struct fs_extent beyond[] = {{0, MEDIUM_SECTORS - 4, 8}};
    static const struct fs_extent wraps[] = {{0, UINT64_MAX, 8}};
    static const struct fs_extent empty[] = {{0, 8, 0}};

    assert_int_equal(create(f, gap, 2, 16 * 512), E_CORRUPT);
    assert_int_equal(create(f, beyond, 1, 8 * 512), E_CORRUPT);
    assert_int_equal(create(f, wraps, 1, 8 * 512), E_CORRUPT);
    assert_int_equal(create(f, empty, 1, 512), E_CORRUPT);
    assert_int_equal(create(f, three, 3, 117 * 512), E_CORRUPT); // the extents are too short
    assert_int_equal(create(f, three, 3, 511), E_INVAL);
}

static void test_flush_reaches_the_disk(void **state)
{
    struct fixture *f = *state;
    struct block_request req = {.op = BLOCK_FLUSH, .done = on_done, .ctx = f};

    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    assert_true(f->be->can_flush);
    assert_int_equal(f->be->ops->submit(f->be, &req), OK);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->fake.flushes, 1);
    assert_int_equal(f->fake.submits, 1);
}

static void test_no_flush_read_only_medium(void **state)
{
    struct fixture *f = *state;
    struct block_request req = {.op = BLOCK_FLUSH, .done = on_done, .ctx = f};

    f->fake.dev.can_flush = false;
    f->fake.dev.read_only = true;
    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    assert_false(f->be->can_flush);
    assert_true(f->be->read_only);
    assert_int_equal(f->be->ops->submit(f->be, &req), E_UNSUPPORTED);
    assert_int_equal(transfer(f, BLOCK_WRITE, 0, 1), E_PERM);
    assert_int_equal(f->fake.submits, 0);
}

static void test_errors_end_the_request_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    for (unsigned late = 0; late < 2; late++) {
        for (unsigned n = 1; n <= 3; n++) {
            f->fake.submits = 0;
            f->fake.fail_at = n;
            f->fake.fail_how = E_IO;
            f->fake.fail_late = late;
            assert_int_equal(transfer(f, BLOCK_READ, 7, 10), E_IO);
            assert_int_equal(f->fake.submits, n); // nothing is submitted after the error
        }
    }
    f->fake.fail_at = 0;
    for (unsigned i = 0; i < 100; i++) { // no piece was lost
        assert_int_equal(transfer(f, BLOCK_READ, 7, 10), OK);
    }
}

// 64 KiB of 128 one-sector extents on a medium that completes inside submit(): a loop, not a recursion.
static void test_fragmented_file_in_memory(void **state)
{
    struct fixture *f = *state;
    static struct fs_extent many[1024];

    for (unsigned i = 0; i < 1024; i++) {
        many[i] = (struct fs_extent){.file_sector = i, .disk_sector = (i * 37u) % 2048, .count = 1};
    }
    assert_int_equal(create(f, many, 1024, 1024 * 512), OK);
    assert_int_equal(transfer(f, BLOCK_READ, 100, 512), OK);
    assert_int_equal(f->fake.submits, 512);
    assert_int_equal(f->fake.depth_max, 1);
    for (unsigned i = 0; i < 512; i++) {
        assert_memory_equal(f->buf + 512 * i, f->fake.medium + many[100 + i].disk_sector * 512, 512);
    }
}

static void test_more_requests_than_pieces(void **state)
{
    struct fixture *f = *state;
    static struct block_request reqs[100];
    unsigned guard = 0;

    f->fake.mode = COMPLETE_LATER;
    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    for (unsigned i = 0; i < 100; i++) {
        reqs[i] = (struct block_request){
            .op = i % 10 == 9 ? BLOCK_FLUSH : BLOCK_READ, .sector = i, .done = on_done, .ctx = f};
        if (reqs[i].op == BLOCK_READ) {
            reqs[i].segment_count = 1;
            reqs[i].segments[0] = (struct block_segment){.va = f->buf + 1024 * i, .size = 1024};
        }
        assert_int_equal(f->be->ops->submit(f->be, &reqs[i]), OK);
    }
    assert_int_equal(f->fake.count, BLK_DISK_PIECES);
    assert_int_equal(f->done, 0);
    while (f->fake.count > 0 && guard++ < 1000) {
        assert_true(f->fake.count <= BLK_DISK_PIECES);
        fake_complete(&f->fake, (guard * 7) % f->fake.count, OK);
    }
    assert_int_equal(f->done, 100);
    assert_int_equal(f->fake.flushes, 10);
    assert_memory_equal(f->buf + 1024 * 50, f->fake.medium + 2034 * 512, 1024);
}

// A device that takes fewer segments than a request may have.
static void test_few_segments(void **state)
{
    struct fixture *f = *state;
    struct block_request req = {.op = BLOCK_READ, .sector = 20, .done = on_done, .ctx = f};

    f->fake.dev.segment_max = 3;
    assert_int_equal(create(f, three, 3, 116 * 512), OK);
    req.segment_count = BLOCK_SEGMENTS_MAX;
    for (unsigned i = 0; i < BLOCK_SEGMENTS_MAX; i++) {
        req.segments[i] =
            (struct block_segment){.va = f->buf + (BLOCK_SEGMENTS_MAX - 1 - i) * 1024, .size = 1024};
    }
    assert_int_equal(f->be->ops->submit(f->be, &req), OK);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->result, OK);
    assert_int_equal(f->fake.submits, (BLOCK_SEGMENTS_MAX + 2) / 3);
    for (unsigned i = 0; i < BLOCK_SEGMENTS_MAX; i++) {
        assert_memory_equal(req.segments[i].va, f->fake.medium + (2004 + 2 * i) * 512, 1024);
    }
}

// A file of 1 GiB over a medium of which the test keeps nothing: the arithmetic is 64-bit.
static enum status big_submit(struct block_device *dev, struct block_request *req)
{
    struct fake_device *d = container_of(dev, struct fake_device, dev);

    d->held[d->count++] = req;
    return OK;
}

static void test_one_gib_file(void **state)
{
    struct fixture *f = *state;
    static struct fs_extent list[512];
    struct block_request req = {.op = BLOCK_READ, .done = on_done, .ctx = f, .segment_count = 1};

    f->fake.dev.sector_count = UINT64_C(1) << 33;
    f->fake.dev.submit = big_submit;
    for (unsigned i = 0; i < 512; i++) { // 2 MiB each, far apart
        list[i] = (struct fs_extent){i * 4096u, (UINT64_C(1) << 32) + i * UINT64_C(100000), 4096};
    }
    assert_int_equal(create(f, list, 512, GIB(1)), OK);
    assert_int_equal(f->be->sector_count, GIB(1) / 512);
    req.sector = GIB(1) / 512 - 1;
    req.segments[0] = (struct block_segment){.va = f->buf, .size = 512};
    assert_int_equal(f->be->ops->submit(f->be, &req), OK);
    assert_int_equal(f->fake.held[0]->sector, list[511].disk_sector + 4095);
    fake_complete(&f->fake, 0, E_IO);
    req.sector = 300 * 4096 - 4;
    req.segments[0].size = 8 * 512;
    assert_int_equal(f->be->ops->submit(f->be, &req), OK);
    assert_int_equal(f->fake.held[0]->sector, list[299].disk_sector + 4092);
    assert_int_equal(f->fake.held[0]->segments[0].size, 4 * 512);
    fake_complete(&f->fake, 0, E_IO);
    assert_int_equal(f->done, 2);
}

static enum status open_extents(struct fixture *f, struct fs_extent *list, unsigned count, bool read_only,
                                struct blk_backend **out)
{
    struct fs_extents e = {.dev = &f->fake.dev};

    for (unsigned i = 0; i < count; i++) {
        list[i].file_sector = e.size / 512;
        e.size += list[i].count * 512;
    }
    e.count = count;
    e.extents = pool_alloc_array(count, sizeof(*list)); // the disk's when it succeeds
    memcpy(e.extents, list, count * sizeof(*list));
    enum status st = blk_disk_create_extents("x", &e, read_only, out);

    if (st != OK) {
        fs_extents_free(&e);
    }
    return st;
}

// One file by two names is one set of sectors: only readers may share it.
static void test_shared_sectors(void **state)
{
    struct fixture *f = *state;
    struct fs_extent a[] = {{.disk_sector = 3000, .count = 10}, {.disk_sector = 2000, .count = 10}};
    struct fs_extent tail[] = {{.disk_sector = 2500, .count = 4}, {.disk_sector = 2009, .count = 1}};
    struct fs_extent beside[] = {{.disk_sector = 2010, .count = 990}, {.disk_sector = 3010, .count = 5}};
    struct blk_backend *one, *two, *reader;

    assert_int_equal(open_extents(f, a, 2, false, &one), OK);
    assert_int_equal(open_extents(f, a, 2, false, &two), E_BUSY);
    assert_int_equal(open_extents(f, a, 2, true, &two), E_BUSY);
    assert_int_equal(open_extents(f, tail, 2, true, &two), E_BUSY);
    assert_int_equal(open_extents(f, beside, 2, false, &two), OK);
    one->ops->destroy(one);
    assert_int_equal(open_extents(f, a, 2, true, &one), OK);
    assert_int_equal(open_extents(f, a, 2, true, &reader), OK);
    reader->ops->destroy(reader);
    assert_int_equal(open_extents(f, tail, 2, false, &reader), E_BUSY);
    one->ops->destroy(one);
    two->ops->destroy(two);
}

static void test_file_that_is_not_there(void **state)
{
    struct fixture *f = *state;

    assert_int_not_equal(blk_disk_create("/no-such-file.img", false, &f->be), OK);
    f->be = NULL;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_extent_boundaries),
        T(test_segments_and_extents_cut_each_other),
        T(test_bounds_and_partial_sector),
        T(test_bad_extents),
        T(test_flush_reaches_the_disk),
        T(test_no_flush_read_only_medium),
        T(test_errors_end_the_request_once),
        T(test_fragmented_file_in_memory),
        T(test_more_requests_than_pieces),
        T(test_one_gib_file),
        T(test_file_that_is_not_there),
        T(test_few_segments),
        T(test_shared_sectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
