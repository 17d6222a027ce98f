// SPDX-License-Identifier: Apache-2.0
//
// What a PC's boot loader hands over, PVH and Multiboot2: good hand-overs, and counts, lengths and addresses that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/dev/pc_boot.h"
#include "tests/unit/kernel/dev/acpi_bench.h"

static uint8_t *info; // start_info, or Multiboot2's information
static uint32_t info_size;

static void scan(enum status wanted)
{
    assert_int_equal(pc_boot_scan(&bench_bi), wanted);
}

static void expect_ram(unsigned i, uint64_t base, uint64_t size)
{
    assert_in_range(bench_bi.ram.count, i + 1, BOOT_RANGE_MAX);
    assert_int_equal(bench_bi.ram.r[i].base.v, base);
    assert_int_equal(bench_bi.ram.r[i].size, size);
}

// ---- PVH ----

static uint8_t *map_entry(uint8_t *p, uint64_t base, uint64_t size, uint32_t type)
{
    bench_put(p, base, 8);
    bench_put(p + 8, size, 8);
    bench_put(p + 16, type, 4);
    return p + 24;
}

// RAM 0-640K, 1M-256M and something reserved.
static uint8_t *pvh(void)
{
    uint8_t *map = bench_alloc(3 * 24), *p = map;

    p = map_entry(p, 0, 0xA0000, 1);
    p = map_entry(p, 0xF0000, 0x10000, 2);
    p = map_entry(p, MIB(1), MIB(255), 1);
    info = bench_alloc(56);
    bench_put(info, 0x336EC578, 4);
    bench_put(info + 4, 1, 4);
    bench_put(info + 32, 0x12340, 8);
    bench_put(info + 40, bench_pa(map), 8);
    bench_put(info + 48, 3, 4);
    bench_bi.protocol = BOOT_PVH;
    bench_bi.params = hpa(bench_pa(info));
    return map;
}

static void test_pvh(void **state)
{
    uint8_t *text = bench_alloc(256), *module = bench_alloc(32);

    (void)state;
    (void)pvh();
    strcpy((char *)text, "log=debug");
    bench_put(info + 24, bench_pa(text), 8);
    bench_put(module, MIB(32), 8);
    bench_put(module + 8, MIB(3), 8);
    bench_put(info + 12, 1, 4);
    bench_put(info + 16, bench_pa(module), 8);
    scan(OK);
    assert_int_equal(bench_bi.ram.count, 2);
    expect_ram(0, 0, 0xA0000);
    expect_ram(1, MIB(1), MIB(255));
    assert_string_equal(bench_bi.cmdline, "log=debug");
    assert_int_equal(bench_bi.initrd.base.v, MIB(32));
    assert_int_equal(bench_bi.initrd.size, MIB(3));
    assert_int_equal(bench_bi.acpi_rsdp.v, 0x12340);
    assert_int_equal(bench_bi.reserved.count, 2);
    assert_int_equal(bench_bi.reserved.r[0].size, MIB(1));
}

static void test_pvh_is_something_else(void **state)
{
    (void)state;
    (void)pvh();
    bench_put(info + 4, 0, 4); // version 0 has no memory map
    scan(E_CORRUPT);
    bench_put(info + 4, 1, 4);
    info[0] ^= 1;
    scan(E_CORRUPT);
    bench_bi.params = hpa(0);
    scan(E_NOENT);
    bench_bi.params = hpa(UINT64_MAX - 3);
    scan(E_CORRUPT);
    bench_bi.params = hpa(HOST_RAM_BASE + MIB(128) - 8);
    scan(E_CORRUPT);
}

static void test_pvh_counts(void **state)
{
    static const uint32_t counts[] = {0, 257, INT32_MAX, UINT32_MAX};
    uint8_t *map;

    (void)state;
    map = pvh();
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        bench_put(info + 48, counts[i], 4);
        scan(E_CORRUPT); // no memory
        assert_int_equal(bench_bi.ram.count, 0);
    }
    bench_put(info + 48, 3, 4);
    bench_put(info + 40, UINT64_MAX - 24, 8);
    scan(E_CORRUPT);
    bench_put(info + 40, 0, 8);
    scan(E_CORRUPT);
    bench_put(info + 40, bench_pa(map), 8);
    bench_put(info + 12, UINT32_MAX, 4); // modules
    bench_put(info + 16, UINT64_MAX - 8, 8);
    bench_put(info + 24, UINT64_MAX, 8); // command line
    scan(OK);
    assert_int_equal(bench_bi.initrd.size, 0);
    assert_string_equal(bench_bi.cmdline, "");
}

static void test_pvh_ranges(void **state)
{
    uint8_t *map, *module = bench_alloc(32);

    (void)state;
    map = pvh();
    (void)map_entry(map, UINT64_MAX - 0xFFF, 0x2000, 1); // wraps
    (void)map_entry(map + 24, MIB(512), 0, 1);           // nothing
    bench_put(module, UINT64_MAX - 1, 8);
    bench_put(module + 8, UINT64_MAX, 8);
    bench_put(info + 12, 1, 4);
    bench_put(info + 16, bench_pa(module), 8);
    scan(OK);
    assert_int_equal(bench_bi.ram.count, 1);
    expect_ram(0, MIB(1), MIB(255));
    assert_int_equal(bench_bi.initrd.size, 0);
}

static void test_pvh_long_cmdline(void **state)
{
    uint8_t *text = bench_alloc(4096);

    (void)state;
    (void)pvh();
    memset(text, 'a', 4096);
    bench_put(info + 24, bench_pa(text), 8);
    memset(bench_bi.cmdline, 'z', sizeof(bench_bi.cmdline));
    scan(OK);
    assert_int_equal(strlen(bench_bi.cmdline), BOOT_TEXT_MAX - 1);
}

// More ranges than the set holds: some are not used, none is invented.
static void test_pvh_many_ranges(void **state)
{
    uint8_t *map = bench_alloc(256 * 24), *p = map;

    (void)state;
    (void)pvh();
    for (unsigned i = 0; i < 256; i++) {
        p = map_entry(p, MIB(2) * i, MIB(1), 1);
    }
    bench_put(info + 40, bench_pa(map), 8);
    bench_put(info + 48, 256, 4);
    scan(OK);
    assert_int_equal(bench_bi.ram.count, BOOT_RANGE_MAX);
    for (unsigned i = 0; i < bench_bi.ram.count; i++) {
        assert_int_equal(bench_bi.ram.r[i].size, MIB(1));
    }
}

// ---- Multiboot2 ----

static void mb2_begin(void)
{
    info = bench_alloc(4096);
    info_size = 8;
    bench_bi.protocol = BOOT_MULTIBOOT2;
    bench_bi.params = hpa(bench_pa(info));
}

static uint8_t *tag(uint32_t type, uint32_t size)
{
    uint8_t *p = info + info_size;

    bench_put(p, type, 4);
    bench_put(p + 4, size, 4);
    info_size = (info_size + size + 7) & ~7u;
    return p;
}

static uint8_t *tag_map(void)
{
    uint8_t *p = tag(6, 16 + 2 * 24);

    bench_put(p + 8, 24, 4);
    (void)map_entry(map_entry(p + 16, 0, 0xA0000, 1), MIB(1), MIB(63), 1);
    return p;
}

static void mb2_end(void)
{
    (void)tag(0, 8);
    bench_put(info, info_size, 4);
}

static void test_mb2(void **state)
{
    uint8_t *p;

    (void)state;
    mb2_begin();
    strcpy((char *)tag(1, 8 + 6) + 8, "quiet");
    p = tag(3, 17);
    bench_put(p + 8, MIB(8), 4);
    bench_put(p + 12, MIB(9), 4);
    (void)tag_map();
    p = tag(15, 8 + 36);
    (void)tag(14, 8 + 20);
    mb2_end();
    scan(OK);
    expect_ram(0, 0, 0xA0000);
    expect_ram(1, MIB(1), MIB(63));
    assert_string_equal(bench_bi.cmdline, "quiet");
    assert_int_equal(bench_bi.initrd.base.v, MIB(8));
    assert_int_equal(bench_bi.initrd.size, MIB(1));
    assert_int_equal(bench_bi.acpi_rsdp.v, bench_pa(p + 8)); // the new one
}

static void test_mb2_sizes(void **state)
{
    static const uint32_t sizes[] = {0, 8, 15, KIB(64) + 1, INT32_MAX, UINT32_MAX};

    (void)state;
    mb2_begin();
    (void)tag_map();
    mb2_end();
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        bench_put(info, sizes[i], 4);
        scan(E_CORRUPT);
    }
    bench_put(info, info_size, 4);
    bench_bi.params = hpa(UINT64_MAX - 7);
    scan(E_CORRUPT);
}

static void test_mb2_tag_overruns(void **state)
{
    static const uint32_t lengths[] = {0, 7, 4096, INT32_MAX, UINT32_MAX - 7, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        uint8_t *p;

        (void)bench_setup(NULL);
        mb2_begin();
        (void)tag_map();
        p = tag(1, 16);
        strcpy((char *)p + 8, "gone");
        mb2_end();
        bench_put(p + 4, lengths[i], 4);
        scan(OK);
        assert_int_equal(bench_bi.ram.count, 2); // what comes before counts
        assert_string_equal(bench_bi.cmdline, "");
    }
}

// The map's entry size is the loader's to choose, but neither zero nor so big that it comes round.
static void test_mb2_map_entries(void **state)
{
    static const uint32_t sizes[] = {0, 1, 23, INT32_MAX, UINT32_MAX - 15, UINT32_MAX - 7, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t *p;

        (void)bench_setup(NULL);
        mb2_begin();
        p = tag(6, 16);
        bench_put(p + 8, sizes[i], 4);
        // Behind the tag lies what would be an entry.
        p = tag(99, 40);
        (void)map_entry(p, MIB(2), MIB(2), 1);
        bench_put(p, 99, 4);
        bench_put(p + 4, 40, 4);
        bench_put(p + 16, 1, 4);
        mb2_end();
        scan(E_CORRUPT);
        assert_int_equal(bench_bi.ram.count, 0);
    }
}

static void test_mb2_big_map_entries(void **state)
{
    uint8_t *p;

    (void)state;
    mb2_begin();
    p = tag(6, 16 + 40 + 23); // one whole entry of 40 bytes
    bench_put(p + 8, 40, 4);
    (void)map_entry(p + 16, MIB(1), MIB(7), 1);
    (void)map_entry(p + 56, MIB(16), MIB(7), 1);
    bench_put(p + 4, 16 + 40 + 23, 4);
    mb2_end();
    scan(OK);
    assert_int_equal(bench_bi.ram.count, 1);
    expect_ram(0, MIB(1), MIB(7));
}

static void test_mb2_modules(void **state)
{
    uint8_t *p;

    (void)state;
    mb2_begin();
    (void)tag_map();
    p = tag(3, 16); // ends before it begins
    bench_put(p + 8, MIB(9), 4);
    bench_put(p + 12, MIB(8), 4);
    p = tag(3, 12); // too short
    bench_put(p + 8, MIB(1), 4);
    (void)tag(3, 8);
    mb2_end();
    scan(OK);
    assert_int_equal(bench_bi.initrd.size, 0);
    assert_int_equal(bench_bi.reserved.count, 2); // low memory and the information itself
}

static void test_mb2_text_without_end(void **state)
{
    uint8_t *p;

    (void)state;
    mb2_begin();
    (void)tag_map();
    p = tag(1, 8 + 16);
    memset(p + 8, 'x', 16);
    mb2_end();
    scan(OK);
    assert_string_equal(bench_bi.cmdline, "xxxxxxxxxxxxxxxx");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_pvh, bench_setup),
        cmocka_unit_test_setup(test_pvh_is_something_else, bench_setup),
        cmocka_unit_test_setup(test_pvh_counts, bench_setup),
        cmocka_unit_test_setup(test_pvh_ranges, bench_setup),
        cmocka_unit_test_setup(test_pvh_long_cmdline, bench_setup),
        cmocka_unit_test_setup(test_pvh_many_ranges, bench_setup),
        cmocka_unit_test_setup(test_mb2, bench_setup),
        cmocka_unit_test_setup(test_mb2_sizes, bench_setup),
        cmocka_unit_test_setup(test_mb2_tag_overruns, bench_setup),
        cmocka_unit_test_setup(test_mb2_map_entries, bench_setup),
        cmocka_unit_test_setup(test_mb2_big_map_entries, bench_setup),
        cmocka_unit_test_setup(test_mb2_modules, bench_setup),
        cmocka_unit_test_setup(test_mb2_text_without_end, bench_setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
