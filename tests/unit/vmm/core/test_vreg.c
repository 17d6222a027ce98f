// SPDX-License-Identifier: Apache-2.0
//
// Register tables: checks at creation, the index, widths, alignment, partial access (hostile case H11).
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/core/vreg.h"

struct dev {
    struct vreg_access last;
    unsigned reads, writes;
    uint64_t regs[8];
};

static uint64_t reg_read(void *arg, const struct vreg_access *a)
{
    struct dev *d = arg;

    d->last = *a;
    d->reads++;
    return vreg_part(d->regs[a->index], a);
}

static void reg_write(void *arg, const struct vreg_access *a)
{
    struct dev *d = arg;

    d->last = *a;
    d->writes++;
    d->regs[a->index] = vreg_merge(d->regs[a->index], a);
}

#define W32 VREG_W32
#define WALL (VREG_W8 | VREG_W16 | VREG_W32)

static enum io_result rd(struct vreg_map *m, struct dev *d, uint64_t off, uint8_t size, uint64_t *v)
{
    struct io_access a = {.offset = off, .size = size, .value = 0xdead, .vcpu = 5};
    enum io_result r = vreg_map_access(m, d, &a);

    *v = a.value;
    return r;
}

static enum io_result wr(struct vreg_map *m, struct dev *d, uint64_t off, uint8_t size, uint64_t v)
{
    struct io_access a = {.offset = off, .size = size, .write = true, .value = v};

    return vreg_map_access(m, d, &a);
}

static void malformed_tables(void **state)
{
    struct vreg_map m = {0};
    static const struct {
        struct vreg row;
        enum status st;
    } t[] = {
        {{.offset = 0, .count = 1, .size = 4, .widths = W32}, OK},
        {{.offset = 0, .count = 0, .size = 4, .widths = W32}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 3, .widths = VREG_W8}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 0, .widths = VREG_W8}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 16, .widths = VREG_W8}, E_INVAL},
        {{.offset = 2, .count = 1, .size = 4, .widths = W32}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 4, .widths = 0}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 4, .widths = VREG_W64}, E_INVAL},
        {{.offset = 0, .count = 1, .size = 8, .widths = VREG_W64 | VREG_W32}, OK},
        {{.offset = 0, .count = 1, .size = 8, .widths = 16}, E_INVAL},
        {{.offset = 0, .count = 65, .size = 4, .widths = W32}, E_RANGE},
        {{.offset = 0, .count = 64, .size = 4, .widths = W32}, OK},
        {{.offset = 0x100, .count = 1, .size = 4, .widths = W32}, E_RANGE},
        {{.offset = 0xfffffffc, .count = 1, .size = 4, .widths = W32}, E_RANGE},
        {{.offset = 0, .count = UINT32_MAX, .size = 8, .widths = W32}, E_RANGE},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(vreg_map_create(&m, &t[i].row, 1, 0x100), t[i].st);
        if (t[i].st == OK) {
            vreg_map_destroy(&m);
        }
    }
    const struct vreg twice[] = {{.offset = 0, .count = 4, .size = 4, .widths = W32},
                                 {.offset = 12, .count = 1, .size = 4, .widths = W32}};

    assert_int_equal(vreg_map_create(&m, twice, 2, 0x100), E_EXISTS);
    assert_int_equal(vreg_map_create(&m, twice, 1, 0), E_INVAL);
    static struct vreg many[256];

    for (unsigned i = 0; i < 256; i++) {
        many[i] = (struct vreg){.offset = 4 * i, .count = 1, .size = 4, .widths = W32, .reset = i};
    }
    assert_int_equal(vreg_map_create(&m, many, 256, 0x400), E_INVAL);
    assert_int_equal(vreg_map_create(&m, many, 255, 0x400), OK);
    uint64_t v;

    assert_int_equal(rd(&m, NULL, 254 * 4, 4, &v), IO_DONE);
    assert_int_equal(v, 254);
    vreg_map_destroy(&m);
}

static const struct vreg table[] = {
    {.offset = 0x00, .count = 1, .size = 4, .widths = WALL, .reset = 0x44332211, .name = "CONST"},
    {.offset = 0x10,
     .count = 4,
     .size = 4,
     .widths = W32,
     .read = reg_read,
     .write = reg_write,
     .name = "ARRAY"},
    {.offset = 0x20,
     .count = 2,
     .size = 8,
     .widths = VREG_W32 | VREG_W64,
     .read = reg_read,
     .write = reg_write,
     .name = "WIDE"},
    {.offset = 0x30,
     .count = 1,
     .size = 4,
     .widths = WALL,
     .read = reg_read,
     .write = reg_write,
     .name = "BYTES"},
    {.offset = 0x34, .count = 1, .size = 4, .widths = W32, .write = reg_write, .name = "WO"},
};

static struct vreg_map map;
static struct dev dev;

static int setup(void **state)
{
    (void)state;
    memset(&dev, 0, sizeof(dev));
    assert_int_equal(vreg_map_create(&map, table, sizeof(table) / sizeof(table[0]), 0x1000), OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vreg_map_destroy(&map);
    return 0;
}

static void constants(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(rd(&map, &dev, 0, 4, &v), IO_DONE);
    assert_int_equal(v, 0x44332211);
    assert_int_equal(rd(&map, &dev, 2, 1, &v), IO_DONE);
    assert_int_equal(v, 0x33);
    assert_int_equal(rd(&map, &dev, 2, 2, &v), IO_DONE);
    assert_int_equal(v, 0x4433);
    assert_int_equal(wr(&map, &dev, 0, 4, 0), IO_DONE); // ignored
    assert_int_equal(rd(&map, &dev, 0, 4, &v), IO_DONE);
    assert_int_equal(v, 0x44332211);
    assert_int_equal(rd(&map, &dev, 0x34, 4, &v), IO_DONE); // write-only reads its reset value
    assert_int_equal(v, 0);
}

static void index_byte_and_vcpu(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(wr(&map, &dev, 0x1c, 4, 0xffffffff12345678), IO_DONE);
    assert_int_equal(dev.last.index, 3);
    assert_int_equal(dev.last.value, 0x12345678); // masked to the width
    assert_int_equal(rd(&map, &dev, 0x1c, 4, &v), IO_DONE);
    assert_int_equal(v, 0x12345678);
    assert_int_equal(dev.last.vcpu, 5);
    assert_int_equal(wr(&map, &dev, 0x28, 8, 0x1122334455667788), IO_DONE);
    assert_int_equal(dev.last.index, 1);
    assert_int_equal(rd(&map, &dev, 0x2c, 4, &v), IO_DONE);
    assert_int_equal(dev.last.byte, 4);
    assert_int_equal(v, 0x11223344);
    assert_int_equal(wr(&map, &dev, 0x2c, 4, 0xaabbccdd), IO_DONE);
    assert_int_equal(rd(&map, &dev, 0x28, 8, &v), IO_DONE);
    assert_int_equal(v, 0xaabbccdd55667788);
}

static void partial_writes_merge(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(wr(&map, &dev, 0x30, 4, 0x11223344), IO_DONE);
    assert_int_equal(wr(&map, &dev, 0x31, 1, 0xfffff9aa), IO_DONE);
    assert_int_equal(wr(&map, &dev, 0x32, 2, 0xbbcc), IO_DONE);
    assert_int_equal(rd(&map, &dev, 0x30, 4, &v), IO_DONE);
    assert_int_equal(v, 0xbbccaa44);
    assert_int_equal(rd(&map, &dev, 0x33, 1, &v), IO_DONE);
    assert_int_equal(v, 0xbb);
}

static void refused_widths_and_alignment(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(rd(&map, &dev, 0x10, 1, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x10, 2, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x10, 8, &v), IO_BAD); // two registers at once
    assert_int_equal(rd(&map, &dev, 0x12, 4, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x31, 2, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x24, 8, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x30, 3, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x30, 0, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x30, 16, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, 0x1000, 4, &v), IO_BAD);
    assert_int_equal(rd(&map, &dev, UINT64_MAX - 3, 4, &v), IO_BAD);
    assert_int_equal(wr(&map, &dev, 0x10, 8, 1), IO_BAD);
    assert_int_equal(dev.reads + dev.writes, 0);
}

static void reserved_space_is_raz_wi_and_counted(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(rd(&map, &dev, 0x04, 4, &v), IO_DONE);
    assert_int_equal(v, 0);
    assert_int_equal(rd(&map, &dev, 0xfff, 1, &v), IO_DONE);
    assert_int_equal(v, 0);
    assert_int_equal(wr(&map, &dev, 0x40, 8, 1), IO_DONE);
    assert_int_equal(rd(&map, &dev, 0x41, 4, &v), IO_BAD); // alignment holds there too
    assert_int_equal(map.reserved_accesses, 3);
}

// Every offset and width: done exactly when the row allows the width and the access is aligned.
static void sweep(void **state)
{
    (void)state;
    for (unsigned off = 0; off < 0x60; off++) {
        for (unsigned size = 0; size <= 32; size++) {
            bool natural = (size == 1 || size == 2 || size == 4 || size == 8) && off % size == 0;
            bool allowed = true;
            uint64_t v;

            for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
                if (off >= table[i].offset && off < table[i].offset + table[i].count * table[i].size) {
                    allowed = (table[i].widths & size) != 0;
                }
            }
            if (natural) {
                assert_int_equal(rd(&map, &dev, off, (uint8_t)size, &v), allowed ? IO_DONE : IO_BAD);
                assert_int_equal(wr(&map, &dev, off, (uint8_t)size, v), allowed ? IO_DONE : IO_BAD);
            } else if (size < 16) {
                assert_int_equal(rd(&map, &dev, off, (uint8_t)size, &v), IO_BAD);
            }
        }
    }
}

static void byte_wide_devices(void **state)
{
    struct vreg_map m;
    struct dev d = {.regs = {0x10, 0x20, 0x30}};
    const struct vreg rows[] = {
        {.offset = 0, .count = 1, .size = 1, .widths = VREG_W8, .reset = 0xaa},
        {.offset = 1, .count = 2, .size = 1, .widths = VREG_W8, .read = reg_read},
        {.offset = 4, .count = 1, .size = 2, .widths = VREG_W8 | VREG_W16, .reset = 0x1234},
    };
    uint64_t v;

    (void)state;
    assert_int_equal(vreg_map_create(&m, rows, 3, 7), OK);
    assert_int_equal(rd(&m, &d, 0, 1, &v), IO_DONE);
    assert_int_equal(v, 0xaa);
    assert_int_equal(rd(&m, &d, 2, 1, &v), IO_DONE);
    assert_int_equal(v, 0x20);
    assert_int_equal(rd(&m, &d, 3, 1, &v), IO_DONE);
    assert_int_equal(v, 0);
    assert_int_equal(rd(&m, &d, 4, 2, &v), IO_DONE);
    assert_int_equal(v, 0x1234);
    assert_int_equal(rd(&m, &d, 5, 1, &v), IO_DONE);
    assert_int_equal(v, 0x12);
    assert_int_equal(rd(&m, &d, 0, 2, &v), IO_BAD);
    assert_int_equal(rd(&m, &d, 7, 1, &v), IO_BAD);
    vreg_map_destroy(&m);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_tables),
        T(constants),
        T(index_byte_and_vcpu),
        T(partial_writes_merge),
        T(refused_widths_and_alignment),
        T(reserved_space_is_raz_wi_and_counted),
        T(sweep),
        cmocka_unit_test(byte_wide_devices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
