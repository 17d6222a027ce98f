// SPDX-License-Identifier: Apache-2.0
//
// The disk in memory: content, copy on write, bounds.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/backend/blk_ram.h"

#define IMAGE_SIZE (KIB(200) + 100) // not whole chunks, not whole sectors
#define SECTORS 400u

struct fixture {
    struct blk_backend *be;
    uint8_t *image, *original;
    uint8_t buf[KIB(256)];
    unsigned done;
    enum status result;
};

static void on_done(struct block_request *req, enum status result)
{
    struct fixture *f = req->ctx;

    f->done++;
    f->result = result;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->image = malloc(IMAGE_SIZE);
    f->original = malloc(IMAGE_SIZE);
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        f->image[i] = (uint8_t)(i * 7 + i / 512);
    }
    memcpy(f->original, f->image, IMAGE_SIZE);
    assert_int_equal(blk_ram_create("a-name-that-is-longer-than-20", f->image, IMAGE_SIZE, false, &f->be),
                     OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_memory_equal(f->image, f->original, IMAGE_SIZE); // the image itself is never written
    f->be->ops->destroy(f->be);
    free(f->image);
    free(f->original);
    free(f);
    return 0;
}

static enum status transfer(struct fixture *f, enum block_op op, uint64_t sector, void *va, uint32_t size)
{
    struct block_request req = {.op = op, .sector = sector, .done = on_done, .ctx = f, .segment_count = 1};
    unsigned before = f->done;

    req.segments[0] = (struct block_segment){.va = va, .size = size};
    enum status st = f->be->ops->submit(f->be, &req);

    if (st != OK) {
        return st;
    }
    assert_int_equal(f->done, before); // not from inside submit
    f->be->ops->run(f->be);
    assert_int_equal(f->done, before + 1);
    return f->result;
}

static void test_reads_the_image(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(f->be->sector_count, SECTORS);
    assert_true(f->be->can_flush);
    assert_memory_equal(f->be->serial, "a-name-that-is-longe", 20);
    assert_int_equal(transfer(f, BLOCK_READ, 0, f->buf, SECTORS * 512), OK);
    assert_memory_equal(f->buf, f->image, SECTORS * 512);
    assert_int_equal(transfer(f, BLOCK_READ, SECTORS - 1, f->buf, 512), OK);
    assert_memory_equal(f->buf, f->image + (SECTORS - 1) * 512, 512);
}

static void test_writes_are_kept_apart_from_the_image(void **state)
{
    struct fixture *f = *state;
    static uint8_t data[KIB(80)];

    memset(data, 0xa5, sizeof(data));
    assert_int_equal(transfer(f, BLOCK_WRITE, 100, data, sizeof(data)), OK); // over a chunk boundary
    assert_int_equal(transfer(f, BLOCK_READ, 0, f->buf, SECTORS * 512), OK);
    assert_memory_equal(f->buf, f->image, 100 * 512);
    assert_memory_equal(f->buf + 100 * 512, data, sizeof(data));
    assert_memory_equal(f->buf + 260 * 512, f->image + 260 * 512, (SECTORS - 260) * 512);
    // The last chunk, which the image does not fill.
    assert_int_equal(transfer(f, BLOCK_WRITE, SECTORS - 1, data, 512), OK);
    assert_int_equal(transfer(f, BLOCK_READ, SECTORS - 2, f->buf, 1024), OK);
    assert_memory_equal(f->buf, f->image + (SECTORS - 2) * 512, 512);
    assert_memory_equal(f->buf + 512, data, 512);
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(transfer(f, BLOCK_READ, SECTORS, f->buf, 512), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_READ, SECTORS - 1, f->buf, 1024), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_WRITE, UINT64_MAX, f->buf, 512), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_READ, UINT64_MAX / 512, f->buf, 1024), E_RANGE);
    assert_int_equal(transfer(f, BLOCK_READ, 0, f->buf, 100), E_INVAL);
    struct block_request empty = {.op = BLOCK_READ, .done = on_done, .ctx = f};

    assert_int_equal(f->be->ops->submit(f->be, &empty), E_INVAL);
    empty.segment_count = BLOCK_SEGMENTS_MAX + 1;
    assert_int_equal(f->be->ops->submit(f->be, &empty), E_INVAL);
    empty = (struct block_request){.op = BLOCK_FLUSH, .done = on_done, .ctx = f};
    assert_int_equal(f->be->ops->submit(f->be, &empty), OK);
    f->be->ops->run(f->be);
    assert_int_equal(f->result, OK);
}

static void test_read_only(void **state)
{
    struct fixture *f = *state;
    struct blk_backend *rw = f->be;

    assert_int_equal(blk_ram_create("ro", f->image, IMAGE_SIZE, true, &f->be), OK);
    assert_int_equal(transfer(f, BLOCK_WRITE, 0, f->buf, 512), E_PERM);
    assert_int_equal(transfer(f, BLOCK_READ, 0, f->buf, 512), OK);
    f->be->ops->destroy(f->be);
    f->be = rw;
}

static void test_empty_disk(void **state)
{
    struct fixture *f = *state;
    struct blk_backend *rw = f->be;
    static const uint8_t zeros[4096];

    assert_int_equal(blk_ram_create("none", NULL, 511, false, &f->be), E_INVAL);
    assert_int_equal(blk_ram_create("empty", NULL, MIB(64), false, &f->be), OK);
    memset(f->buf, 0xff, 4096);
    assert_int_equal(transfer(f, BLOCK_READ, MIB(64) / 512 - 8, f->buf, 4096), OK);
    assert_memory_equal(f->buf, zeros, 4096);
    assert_int_equal(transfer(f, BLOCK_WRITE, 1000, f->image, 512), OK);
    assert_int_equal(transfer(f, BLOCK_READ, 999, f->buf, 1536), OK);
    assert_memory_equal(f->buf, zeros, 512);
    assert_memory_equal(f->buf + 512, f->image, 512);
    assert_memory_equal(f->buf + 1024, zeros, 512);
    f->be->ops->destroy(f->be);
    f->be = rw;
}

static void test_random_against_a_model(void **state)
{
    struct fixture *f = *state;
    static uint8_t model[SECTORS * 512], data[64 * 512];
    uint32_t seed = 1;

    memcpy(model, f->image, sizeof(model));
    for (unsigned i = 0; i < 2000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint32_t count = seed >> 26;
        uint32_t sector = (seed >> 8) % (SECTORS - 64);

        if (count == 0) {
            continue;
        }
        if (seed & 0x40) {
            memset(data, (int)i, sizeof(data));
            memcpy(model + sector * 512, data, count * 512);
            assert_int_equal(transfer(f, BLOCK_WRITE, sector, data, count * 512), OK);
        } else {
            assert_int_equal(transfer(f, BLOCK_READ, sector, f->buf, count * 512), OK);
            assert_memory_equal(f->buf, model + sector * 512, count * 512);
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_reads_the_image), T(test_writes_are_kept_apart_from_the_image),
        T(test_bounds),          T(test_read_only),
        T(test_empty_disk),      T(test_random_against_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
