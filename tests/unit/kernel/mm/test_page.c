// SPDX-License-Identifier: Apache-2.0
//
// The page allocator: alignment, exhaustion, fragmentation and merging, reserved ranges, a random run against a model,
// double frees.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/boot.h"
#include "arch/host/host.h"
#include "arch/mmu.h"
#include "kernel/lib/range.h"
#include "kernel/mm/page.h"

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    return 0;
}

static struct page_stats stats(void)
{
    struct page_stats s;

    page_stats_get(&s);
    return s;
}

static void test_alignment_and_zero(void **state)
{
    (void)state;
    for (unsigned order = 0; order <= 12; order++) {
        char *p = page_alloc(order);

        assert_non_null(p);
        assert_true(is_aligned(arch_virt_to_phys(p).v, PAGE_SIZE << order));
        memset(p, 0xA5, PAGE_SIZE << order);
        page_free(p, order);
        p = page_alloc_zeroed(order);
        assert_int_equal(p[0], 0);
        assert_memory_equal(p, p + 1, (PAGE_SIZE << order) - 1);
        page_free(p, order);
    }
    assert_null(page_alloc(19));
    assert_null(page_alloc(18));
}

static void test_exhaustion_gives_everything(void **state)
{
    struct page_stats before = stats();
    void *list = NULL;
    uint64_t n = 0;
    void *p;

    (void)state;
    while ((p = page_alloc(0)) != NULL) {
        *(void **)p = list;
        list = p;
        n++;
    }
    assert_int_equal(n * PAGE_SIZE, before.free);
    assert_int_equal(stats().free, 0);
    assert_int_equal(stats().largest_free, 0);
    while (list != NULL) {
        p = list;
        list = *(void **)p;
        page_free(p, 0);
    }
    // All merged again.
    assert_int_equal(stats().free, before.free);
    assert_int_equal(stats().largest_free, before.largest_free);
}

static void test_fragmentation(void **state)
{
    static void *pages[20000];
    unsigned n = 0;

    (void)state;
    while ((pages[n] = page_alloc(0)) != NULL) {
        n++;
    }
    // Every second page free: half of memory, but not two in a row.
    for (unsigned i = 0; i < n; i++) {
        if ((arch_virt_to_phys(pages[i]).v / PAGE_SIZE) % 2 == 0) {
            page_free(pages[i], 0);
            pages[i] = NULL;
        }
    }
    assert_int_equal(stats().largest_free, PAGE_SIZE);
    assert_null(page_alloc(1));
    for (unsigned i = 0; i < n; i++) {
        if (pages[i] != NULL) {
            page_free(pages[i], 0);
        }
    }
    assert_non_null(page_alloc(12));
}

static void test_range_gives_the_tail_back(void **state)
{
    struct page_stats before = stats();
    hpa_t a, b;

    (void)state;
    assert_int_equal(page_alloc_range(MIB(9) + KIB(12), MIB(2), &a), OK);
    assert_true(is_aligned(a.v, MIB(2)));
    assert_int_equal(stats().free, before.free - MIB(9) - KIB(12));
    assert_int_equal(page_alloc_range(KIB(12), KIB(4), &b), OK);
    assert_false(range_overlaps(a.v, MIB(9) + KIB(12), b.v, KIB(12)));
    memset(arch_phys_to_virt(a), 1, MIB(9) + KIB(12));
    page_free_range(b, KIB(12));
    // In two odd pieces.
    page_free_range(hpa(a.v + MIB(3)), MIB(6) + KIB(12));
    page_free_range(a, MIB(3));
    assert_int_equal(stats().free, before.free);
    assert_int_equal(stats().largest_free, before.largest_free);
    assert_int_equal(page_alloc_range(0, KIB(4), &a), E_INVAL);
    assert_int_equal(page_alloc_range(100, KIB(4), &a), E_INVAL);
    assert_int_equal(page_alloc_range(KIB(4), KIB(5), &a), E_INVAL);
    assert_int_equal(page_alloc_range(GIB(2), KIB(4), &a), E_NOMEM);
    assert_int_equal(page_alloc_range(UINT64_MAX - 4095, KIB(4), &a), E_NOMEM);
}

static void init_with(const struct boot_range *reserved, unsigned count, const struct boot_range *ram,
                      unsigned ram_count)
{
    static struct boot_info bi;

    memset(&bi, 0, sizeof(bi));
    memcpy(bi.ram.r, ram, ram_count * sizeof(*ram));
    bi.ram.count = ram_count;
    memcpy(bi.reserved.r, reserved, count * sizeof(*reserved));
    bi.reserved.count = count;
    bi.image = (struct boot_range){.base = hpa(HOST_RAM_BASE + MIB(4) + 100), .size = MIB(3)};
    assert_int_equal(page_init(&bi), OK);
}

static void test_reserved_is_never_given(void **state)
{
    const uint64_t b = HOST_RAM_BASE;
    const struct boot_range ram[] = {{hpa(b + KIB(8)), MIB(20) - KIB(8)},
                                     {hpa(b + MIB(21)), MIB(7) + KIB(4)}};
    const struct boot_range reserved[] = {
        {hpa(b + MIB(10)), 1},          {hpa(b), KIB(64)},
        {hpa(b + MIB(9)), MIB(1)},      {hpa(b + MIB(9)), KIB(4)},
        {hpa(b + MIB(19) + 5), GIB(1)},
    };
    uint64_t got = 0;
    void *p;

    (void)state;
    init_with(reserved, ARRAY_SIZE(reserved), ram, ARRAY_SIZE(ram));
    while ((p = page_alloc(0)) != NULL) {
        uint64_t pa = arch_virt_to_phys(p).v;

        assert_true(range_contains(ram[0].base.v, ram[0].size, pa, PAGE_SIZE));
        assert_false(range_overlaps(pa, PAGE_SIZE, b + MIB(4) + 100, MIB(3)));
        for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
            assert_false(range_overlaps(pa, PAGE_SIZE, reserved[i].base.v, reserved[i].size));
        }
        memset(p, 0xEE, PAGE_SIZE);
        got += PAGE_SIZE;
    }
    // 19 MiB and the started page, less 64 KiB, the image's 3 MiB + 4 KiB, 1 MiB + 4 KiB and the descriptors.
    assert_in_range(got, MIB(15) - KIB(64) - KIB(16) - KIB(8), MIB(15) - KIB(64));
}

static void test_two_ranges(void **state)
{
    const uint64_t b = HOST_RAM_BASE;
    const struct boot_range ram[] = {{hpa(b), MIB(15)}, {hpa(b + MIB(32)), MIB(16)}};
    hpa_t pa;

    (void)state;
    init_with(ram, 0, ram, 2);
    assert_int_equal(page_alloc_range(MIB(16), MIB(16), &pa), OK);
    assert_int_equal(pa.v, b + MIB(32));
    assert_int_equal(page_alloc_range(MIB(8), MIB(4), &pa), E_NOMEM);
    page_free_range(hpa(b + MIB(32)), MIB(16));
    assert_int_equal(page_alloc_range(MIB(8), MIB(4), &pa), OK);
}

// The descriptors must not cost a machine its memory.
static void test_overhead(void **state)
{
    (void)state;
    host_boot(GIB(1), 1);
    assert_true(GIB(1) - stats().total < KIB(64));
}

static void test_double_free_panics(void **state)
{
    void *small = page_alloc(0);
    void *large = page_alloc(9);

    (void)state;
    page_free(small, 0);
    page_free(large, 9);
    if (!HOST_CATCH_PANIC()) {
        page_free(small, 0);
        fail_msg("a double free of a page went through");
    }
    host_boot(MIB(64), 1);
    large = page_alloc(9);
    page_free(large, 9);
    if (!HOST_CATCH_PANIC()) {
        page_free(large, 9);
        fail_msg("a double free of a block went through");
    }
    host_catch_end();
}

#define LIVE 400

static void test_random_against_model(void **state)
{
    static struct {
        uint8_t *p;
        uint64_t size;
        uint8_t mark;
    } live[LIVE];
    struct page_stats before;

    (void)state;
    host_boot(MIB(256), 1);
    before = stats();
    srand(3);
    memset(live, 0, sizeof(live));
    for (unsigned step = 0; step < 40000; step++) {
        unsigned i = (unsigned)rand() % LIVE;

        if (live[i].p != NULL) {
            // Nobody else wrote into its first and last byte.
            assert_int_equal(live[i].p[0], live[i].mark);
            assert_int_equal(live[i].p[live[i].size - 1], live[i].mark);
            page_free_range(arch_virt_to_phys(live[i].p), live[i].size);
            live[i].p = NULL;
        } else {
            hpa_t pa;

            live[i].size = (1 + (unsigned)rand() % (rand() % 50 == 0 ? 2000 : 9)) * PAGE_SIZE;
            if (page_alloc_range(live[i].size, PAGE_SIZE << (rand() % 4), &pa) != OK) {
                continue;
            }
            live[i].p = arch_phys_to_virt(pa);
            live[i].mark = (uint8_t)rand();
            live[i].p[0] = live[i].mark;
            live[i].p[live[i].size - 1] = live[i].mark;
        }
    }
    for (unsigned i = 0; i < LIVE; i++) {
        if (live[i].p != NULL) {
            page_free_range(arch_virt_to_phys(live[i].p), live[i].size);
        }
    }
    assert_int_equal(stats().free, before.free);
    assert_int_equal(stats().largest_free, before.largest_free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_alignment_and_zero, setup),
        cmocka_unit_test_setup(test_exhaustion_gives_everything, setup),
        cmocka_unit_test_setup(test_fragmentation, setup),
        cmocka_unit_test_setup(test_range_gives_the_tail_back, setup),
        cmocka_unit_test_setup(test_reserved_is_never_given, setup),
        cmocka_unit_test_setup(test_two_ranges, setup),
        cmocka_unit_test_setup(test_overhead, setup),
        cmocka_unit_test_setup(test_double_free_panics, setup),
        cmocka_unit_test_setup(test_random_against_model, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
