// SPDX-License-Identifier: Apache-2.0
//
// The first page table, in two formats: what is mapped, how large, what is left out, and an empty pool.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernel/lib/early_map.h"

#define TABLES 24

static _Alignas(4096) uint8_t pool[TABLES * 4096];

// The shapes of aarch64 (a page differs from a block) and riscv64 (addresses are shifted, a table has no permission).
static const struct early_format formats[] = {
    {.leaf = {[EARLY_R] = 0x81, [EARLY_RX] = 0x181, [EARLY_RW] = 0x1, [EARLY_DEVICE] = 0x5},
     .page = 3,
     .valid = 1,
     .table = 3,
     .table_mask = 3,
     .write_set = 0x80,
     .pa_mask = MASK64(12, 36),
     .levels = 4},
    {.leaf = {[EARLY_R] = 0x3, [EARLY_RX] = 0xB, [EARLY_RW] = 0x7},
     .valid = 1,
     .table = 1,
     .table_mask = 0xF,
     .write_clear = 4,
     .pa_mask = MASK64(10, 44),
     .pa_shift = 2,
     .levels = 3},
};

struct seen {
    uint64_t pa, size, bits; // size 0: not mapped
};

static struct seen look(const struct early_map *m, uint64_t va)
{
    const struct early_format *f = &m->format;
    uint64_t table = m->root;

    for (unsigned shift = 12 + 9 * (f->levels - 1);; shift -= 9) {
        uint64_t e = ((const uint64_t *)(uintptr_t)table)[(va >> shift) & 511];

        if (!(e & f->valid)) {
            return (struct seen){0};
        }
        uint64_t pa = (e & f->pa_mask) << f->pa_shift;
        if (shift == 12 || (e & f->table_mask) != f->table) {
            return (struct seen){pa + (va & (BIT64(shift) - 1)), BIT64(shift), e & ~f->pa_mask};
        }
        table = pa;
    }
}

static void start(struct early_map *m, const struct early_format *f, unsigned tables)
{
    assert_true(early_map_init(m, f, (uintptr_t)pool, (uintptr_t)pool + tables * 4096));
}

static void test_sizes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct early_format *f = &formats[i];
        struct early_map m;
        start(&m, f, TABLES);
        assert_true(early_map(&m, 0x40000000 - 0x1000, 0x80000000 - 0x1000, 0x40000000 + 0x201000, EARLY_RW));
        struct seen page = look(&m, 0x3FFFF123), giga = look(&m, 0x40000000), mega = look(&m, 0x80000000);
        assert_int_equal(page.size, 0x1000);
        assert_int_equal(page.pa, 0x7FFFF123);
        assert_int_equal(page.bits, f->leaf[EARLY_RW] | f->page);
        assert_int_equal(giga.size, 0x40000000);
        assert_int_equal(giga.pa, 0x80000000);
        assert_int_equal(giga.bits, f->leaf[EARLY_RW]);
        assert_int_equal(mega.size, 0x200000);
        assert_int_equal(mega.pa, 0xC0000000);
        assert_int_equal(look(&m, 0x80200000).size, 0);
        assert_int_equal(look(&m, 0x3FFFE000).size, 0);
    }
}

static void test_first_mapping_stays(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct early_map m;
        start(&m, &formats[i], TABLES);
        assert_true(early_map(&m, 0x201000, 0x201000, 0x1000, EARLY_RX));
        assert_true(early_map(&m, 0x400000, 0x400000, 0x200000, EARLY_R));
        assert_true(early_map(&m, 0x200000, 0x200000, 0x600000, EARLY_RW));
        assert_int_equal(look(&m, 0x201000).bits, formats[i].leaf[EARLY_RX] | formats[i].page);
        assert_int_equal(look(&m, 0x202000).bits, formats[i].leaf[EARLY_RW] | formats[i].page);
        assert_int_equal(look(&m, 0x5FF000).bits, formats[i].leaf[EARLY_R]);
        assert_int_equal(look(&m, 0x600000).bits, formats[i].leaf[EARLY_RW]);
    }
}

// RAM around a hole: every page on both sides, none inside, however they lie.
static void test_around(void **state)
{
    static const struct early_range holes[] = {{0x400000, 0x523000},
                                               {0x100000, 0x300000},
                                               {0x700000, 0x900000},
                                               {0x100000, 0x900000},
                                               {0x10000, 0x20000}};

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(holes); i++) {
        struct early_range hole = holes[i / 2], ram = {0x200000, 0x800000};
        struct early_map m;
        start(&m, &formats[i % 2], TABLES);
        assert_true(early_map_around(&m, 0x40000000, ram, hole));
        for (uint64_t pa = 0; pa < 0xA00000; pa += 0x1000) {
            bool in = pa >= ram.start && pa < ram.end && !(pa >= hole.start && pa < hole.end);
            struct seen s = look(&m, pa + 0x40000000);
            assert_int_equal(s.size != 0, in);
            assert_true(!in || s.pa == pa);
        }
    }
}

static void test_protect(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct early_format *f = &formats[i];
        struct early_map m;
        start(&m, f, TABLES);
        assert_true(early_map(&m, 0x1000, 0x5000, 0x3000, EARLY_RW));
        early_map_protect(&m, 0x2000, 0x1000);
        assert_int_equal(look(&m, 0x1000).bits, f->leaf[EARLY_RW] | f->page);
        assert_int_equal(look(&m, 0x2000).bits, f->leaf[EARLY_R] | f->page);
        assert_int_equal(look(&m, 0x2000).pa, 0x6000);
        assert_int_equal(look(&m, 0x3000).bits, f->leaf[EARLY_RW] | f->page);
    }
}

static void test_empty_pool(void **state)
{
    struct early_map m;

    (void)state;
    assert_false(early_map_init(&m, &formats[0], (uintptr_t)pool, (uintptr_t)pool));
    start(&m, &formats[0], 2);
    assert_false(early_map(&m, 0x1000, 0x1000, 0x1000, EARLY_R));
    start(&m, &formats[0], 4);
    assert_true(early_map(&m, 0x1000, 0x1000, 0x1000, EARLY_R));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_first_mapping_stays),
        cmocka_unit_test(test_around),     cmocka_unit_test(test_protect),
        cmocka_unit_test(test_empty_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
