// SPDX-License-Identifier: Apache-2.0
//
// The first reading of a device tree: what a good one gives, and that no damaged one does harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/dev/boot_ranges.h"
#include "kernel/dev/fdt_boot.h"
#include "tests/unit/kernel/dev/fdt_builder.h"

// A machine with two RAM banks (given out of order, touching a third), reserved memory and an initrd.
static void build_machine(void)
{
    begin_tree(2, 2, 0x41000000);
    text("model", "testing,machine");
    node("memory@80000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x80000000, 0, 0x10000000, 0, 0x40000000, 0, 0x10000000);
    end();
    node("memory@50000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x50000000, 0, 0x10000000);
    end();
    node("memory@90000000");
    text("device_type", "memory");
    text("status", "disabled");
    CELLS("reg", 0, 0x90000000, 0, 0x10000000);
    end();
    node("reserved-memory");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    assert_int_equal(fdt_property(blob, "ranges", NULL, 0), 0);
    node("secure@42000000");
    CELLS("reg", 0x42000000, 0x2000);
    assert_int_equal(fdt_property(blob, "no-map", NULL, 0), 0);
    end();
    node("pool");
    CELLS("size", 0x1000);
    end();
    end();
    node("chosen");
    text("bootargs", "hello world");
    text("stdout-path", "/uart@9000000:115200");
    CELLS("linux,initrd-start", 0x44000000);
    CELLS("linux,initrd-end", 0, 0x44100000);
    end();
    end_tree();
}

static void expect_range(const struct boot_ranges *set, unsigned i, uint64_t base, uint64_t size)
{
    assert_true(i < set->count);
    assert_int_equal(set->r[i].base.v, base);
    assert_int_equal(set->r[i].size, size);
}

static void good_tree_is_read(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    build_machine();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_ptr_equal(bi.fdt_va, blob);
    assert_string_equal(bi.model, "testing,machine");
    assert_string_equal(bi.cmdline, "hello world");
    assert_string_equal(bi.stdout_path, "/uart@9000000:115200");
    assert_int_equal(bi.ram.count, 2);
    expect_range(&bi.ram, 0, 0x40000000, 0x20000000);
    expect_range(&bi.ram, 1, 0x80000000, 0x10000000);
    assert_int_equal(bi.initrd.base.v, 0x44000000);
    assert_int_equal(bi.initrd.size, 0x100000);
    assert_int_equal(bi.reserved.count, 4);
    expect_range(&bi.reserved, 0, 0x41000000, 0x1000);
    expect_range(&bi.reserved, 1, 0x42000000, 0x2000);
    expect_range(&bi.reserved, 2, 0x44000000, 0x100000);
    expect_range(&bi.reserved, 3, 0x48000000, fdt_totalsize(blob));
}

static void initrd_outside_memory_is_ignored(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    begin_tree(1, 1, 0);
    node("memory@40000000");
    text("device_type", "memory");
    CELLS("reg", 0x40000000, 0x10000000);
    end();
    node("chosen");
    CELLS("linux,initrd-start", 0x4ffff000);
    CELLS("linux,initrd-end", 0x50000001);
    end();
    end_tree();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_int_equal(bi.initrd.size, 0);
    assert_string_equal(bi.cmdline, "");
}

static void no_memory_is_refused(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    begin_tree(2, 2, 0);
    node("memory@40000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x40000000, 0x10000000); // one cell short
    end();
    end_tree();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), E_CORRUPT);
    assert_null(bi.fdt_va);
}

static void overflowing_range_is_left_out(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    begin_tree(2, 2, 0);
    node("memory@40000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x40000000, 0, 0x10000000, 0xffffffff, 0xfffff000, 0, 0x2000);
    end();
    end_tree();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_int_equal(bi.ram.count, 1);
}

// An exact-size heap copy lets the sanitizer see every read beyond the blob.
static enum status parse_copy(const unsigned char *bytes, size_t size)
{
    struct boot_info bi = {.fdt = {0x48000000}};
    unsigned char *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);

    enum status s = fdt_boot_parse(&bi, copy, size);

    free(copy);
    return s;
}

static void truncated_trees_are_refused(void **state)
{
    (void)state;
    build_machine();
    for (size_t n = 0; n < fdt_totalsize(blob); n++) {
        assert_int_equal(parse_copy(blob, n), E_CORRUPT);
    }
    assert_int_equal(parse_copy(blob, fdt_totalsize(blob)), OK);
}

static void misaligned_and_foreign_blobs_are_refused(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    build_machine();
    assert_int_equal(fdt_boot_parse(&bi, blob + 4, BLOB_SIZE - 4), E_CORRUPT);
    memset(blob, 0x5a, 64);
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), E_CORRUPT);
}

static void flipped_bits_do_no_harm(void **state)
{
    static unsigned char bad[BLOB_SIZE];
    unsigned accepted = 0;

    (void)state;
    build_machine();

    size_t size = fdt_totalsize(blob);

    for (size_t bit = 0; bit < size * 8; bit++) {
        memcpy(bad, blob, size);
        bad[bit / 8] ^= (unsigned char)(1u << bit % 8);

        enum status s = parse_copy(bad, size);

        assert_true(s == OK || s == E_CORRUPT);
        accepted += s == OK;
    }
    assert_true(accepted > 0 && accepted < size * 8);
}

static void ranges_merge_and_fill_up(void **state)
{
    struct boot_ranges set = {0};

    (void)state;
    assert_int_equal(boot_ranges_add(&set, UINT64_MAX - 0xfff, 0x1000), OK);
    assert_int_equal(boot_ranges_add(&set, UINT64_MAX - 0xfff, 0x1001), E_OVERFLOW);
    assert_int_equal(boot_ranges_add(&set, UINT64_MAX - 0x1fff, 0x1000), OK);
    assert_int_equal(set.count, 1);
    for (uint64_t i = 1; i < BOOT_RANGE_MAX; i++) {
        assert_int_equal(boot_ranges_add(&set, i * 0x10000, 0x1000), OK);
    }
    assert_int_equal(set.count, BOOT_RANGE_MAX);
    assert_int_equal(boot_ranges_add(&set, 0x5000000, 0x1000), E_RANGE);
    assert_int_equal(boot_ranges_add(&set, 0x10000, 0x2000), OK); // grows one that is there
    assert_int_equal(boot_ranges_cover(&set, 0x5000000, 0x1000), OK);
    assert_true(boot_ranges_contain(&set, 0x5000000, 0x1000));
    for (uint64_t i = 1; i < BOOT_RANGE_MAX; i++) {
        assert_true(boot_ranges_contain(&set, i * 0x10000, 0x1000));
    }
    assert_int_equal(boot_ranges_add(&set, 0, UINT64_MAX), OK);
    assert_int_equal(set.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tree_is_read),
        cmocka_unit_test(initrd_outside_memory_is_ignored),
        cmocka_unit_test(no_memory_is_refused),
        cmocka_unit_test(overflowing_range_is_left_out),
        cmocka_unit_test(truncated_trees_are_refused),
        cmocka_unit_test(misaligned_and_foreign_blobs_are_refused),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(ranges_merge_and_fill_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
