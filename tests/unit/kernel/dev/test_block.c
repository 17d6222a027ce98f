// SPDX-License-Identifier: Apache-2.0
//
// The block device registry, the shared checks, the synchronous forms and the RAM disk.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/dev/block.h"

static enum status no_submit(struct block_device *dev, struct block_request *req)
{
    (void)dev;
    (void)req;
    return E_IO;
}

static void requests_are_checked(void **state)
{
    struct block_device dev = {.sector_count = 100, .segment_max = 2};
    struct block_request req = {.op = BLOCK_READ, .sector = 98, .segment_count = 2};

    (void)state;
    req.segments[0].size = SECTOR_SIZE;
    req.segments[1].size = SECTOR_SIZE;
    assert_int_equal(block_check(&dev, &req), OK);
    req.sector = 99;
    assert_int_equal(block_check(&dev, &req), E_RANGE);
    req.sector = UINT64_MAX;
    assert_int_equal(block_check(&dev, &req), E_RANGE);
    req.sector = 0;
    req.segments[1].size = SECTOR_SIZE + 1;
    assert_int_equal(block_check(&dev, &req), E_INVAL);
    req.segments[1].size = 0;
    assert_int_equal(block_check(&dev, &req), E_INVAL);
    req.segment_count = 3;
    assert_int_equal(block_check(&dev, &req), E_INVAL);
    req.segment_count = 0;
    assert_int_equal(block_check(&dev, &req), E_INVAL);
    req.op = BLOCK_FLUSH;
    assert_int_equal(block_check(&dev, &req), E_UNSUPPORTED);
    dev.can_flush = true;
    assert_int_equal(block_check(&dev, &req), OK);
    dev.read_only = true;
    req.op = BLOCK_WRITE;
    assert_int_equal(block_check(&dev, &req), E_PERM);
}

static void devices_are_registered_by_name(void **state)
{
    static struct block_device devs[20];
    static char names[20][4];
    unsigned before = block_count();

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(devs); i++) {
        names[i][0] = 'r';
        names[i][1] = (char)('a' + i);
        devs[i] = (struct block_device){.name = names[i], .segment_max = 1, .submit = no_submit};
        assert_int_equal(block_register(&devs[i]), OK);
    }
    assert_int_equal(block_count(), before + ARRAY_SIZE(devs));
    assert_ptr_equal(block_get(before + 13), &devs[13]);
    assert_null(block_get(block_count()));
    assert_int_equal(block_register(&devs[3]), E_EXISTS);
    devs[0].segment_max = 0;
    assert_int_equal(block_register(&devs[0]), E_INVAL);
}

static struct block_device *find(const char *name)
{
    for (unsigned i = 0; i < block_count(); i++) {
        if (strcmp(block_get(i)->name, name) == 0) {
            return block_get(i);
        }
    }
    return NULL;
}

static void ram_disk_reads_and_writes(void **state)
{
    static char medium[8 * SECTOR_SIZE + 100];
    char buf[2 * SECTOR_SIZE];

    (void)state;
    assert_int_equal(block_ram_create("ram0", medium, sizeof(medium), false), OK);

    struct block_device *dev = find("ram0");

    assert_non_null(dev);
    assert_int_equal(dev->sector_count, 8);
    memset(buf, 0x11, sizeof(buf));
    assert_int_equal(block_write(dev, 6, buf, 2), OK);
    assert_int_equal(medium[6 * SECTOR_SIZE - 1], 0);
    assert_int_equal(medium[6 * SECTOR_SIZE], 0x11);
    assert_int_equal(medium[8 * SECTOR_SIZE - 1], 0x11);
    assert_int_equal(medium[8 * SECTOR_SIZE], 0);
    memset(buf, 0, sizeof(buf));
    assert_int_equal(block_read(dev, 6, buf, 1), OK);
    assert_int_equal(buf[0], 0x11);
    assert_int_equal(buf[SECTOR_SIZE], 0);
    assert_int_equal(block_read(dev, 7, buf, 2), E_RANGE);
    assert_int_equal(block_flush(dev), OK);
    assert_int_equal(block_ram_create("ram0", medium, sizeof(medium), false), E_EXISTS);
    assert_int_equal(block_ram_create("ram1", medium, sizeof(medium), true), OK);
    assert_int_equal(block_write(find("ram1"), 0, buf, 1), E_PERM);
}

struct chain {
    struct block_request req;
    struct block_device *dev;
    unsigned left;
    bool inside; // submit() is running
    char buf[SECTOR_SIZE];
};

// Submits itself again: a thousand times must not need a thousand stack frames, nor run inside submit().
static void again(struct block_request *req, enum status result)
{
    struct chain *c = req->ctx;

    assert_int_equal(result, OK);
    assert_false(c->inside);
    if (c->left-- > 1) {
        c->inside = true;
        assert_int_equal(c->dev->submit(c->dev, req), OK);
        c->inside = false;
    }
}

static bool chain_done(void *ctx)
{
    return ((struct chain *)ctx)->left == 0;
}

static void completions_may_submit(void **state)
{
    static struct chain c;

    (void)state;
    c = (struct chain){.dev = find("ram0"), .left = 1000};
    c.req = (struct block_request){.op = BLOCK_READ,
                                   .segments = {{.va = c.buf, .size = SECTOR_SIZE}},
                                   .segment_count = 1,
                                   .done = again,
                                   .ctx = &c};
    assert_int_equal(c.dev->submit(c.dev, &c.req), OK);
    assert_true(host_run_until(chain_done, &c, HOST_HZ));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_checked),
        cmocka_unit_test(devices_are_registered_by_name),
        cmocka_unit_test(ram_disk_reads_and_writes),
        cmocka_unit_test(completions_may_submit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
