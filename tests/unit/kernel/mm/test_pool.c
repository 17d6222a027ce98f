// SPDX-License-Identifier: Apache-2.0
//
// Small objects, and the window of device mappings and guarded stacks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/mmu.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    return 0;
}

static void test_sizes_alignment_zero(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 20000; size += size < 300 ? 1 : 97) {
        uint8_t *p = pool_alloc(size);
        uint64_t align = 1;

        assert_non_null(p);
        while (align < size && align < 64) {
            align *= 2;
        }
        assert_int_equal((uintptr_t)p % (size > 2048 ? PAGE_SIZE : align), 0);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xA5, size);
        pool_free(p, size);
    }
    pool_free(NULL, 5);
}

static void test_no_memory(void **state)
{
    struct page_stats before, after;
    struct pool_stats live;
    void *list = NULL;
    void *p;

    (void)state;
    page_stats_get(&before);
    assert_null(pool_alloc(GIB(2)));
    assert_null(pool_alloc(SIZE_MAX));
    assert_null(pool_alloc_array(SIZE_MAX / 2, 3));
    while ((p = pool_alloc(512)) != NULL) {
        *(void **)p = list;
        list = p;
    }
    while (list != NULL) {
        p = *(void **)list;
        pool_free(list, 512);
        list = p;
    }
    page_stats_get(&after);
    assert_true(before.free - after.free <= KIB(16) * 2);
    pool_stats_get(&live);
    p = pool_alloc_array(7, 9);
    assert_non_null(p);
    pool_free_array(p, 7, 9);
}

#define LIVE 500

static void test_random(void **state)
{
    static struct {
        uint8_t *p;
        size_t size;
        uint8_t mark;
    } live[LIVE];
    struct pool_stats s0, s1;

    (void)state;
    memset(live, 0, sizeof(live));
    pool_stats_get(&s0);
    srand(11);
    for (unsigned step = 0; step < 50000; step++) {
        unsigned i = (unsigned)rand() % LIVE;

        if (live[i].p != NULL) {
            assert_int_equal(live[i].p[0], live[i].mark);
            assert_int_equal(live[i].p[live[i].size - 1], live[i].mark);
            pool_free(live[i].p, live[i].size);
            live[i].p = NULL;
            continue;
        }
        live[i].size = 1 + (size_t)rand() % (rand() % 20 == 0 ? 9000 : 600);
        live[i].p = pool_alloc(live[i].size);
        assert_non_null(live[i].p);
        live[i].mark = (uint8_t)rand();
        memset(live[i].p, live[i].mark, live[i].size);
    }
    for (unsigned i = 0; i < LIVE; i++) {
        pool_free(live[i].p, live[i].size);
    }
    pool_stats_get(&s1);
    assert_int_equal(s1.live_objects, s0.live_objects);
    assert_int_equal(s1.live_bytes, s0.live_bytes);
}

static void wrong_size(void)
{
    pool_free(pool_alloc(16), 32);
}

static void test_wrong_size_is_a_bug(void **state)
{
    (void)state;
    if (!HOST_CATCH_PANIC()) {
        wrong_size();
        fail_msg("freeing with another size went through");
    }
    host_catch_end();
}

static void test_mmio_map(void **state)
{
    hpa_t pa;
    volatile uint32_t *a, *b;

    (void)state;
    // Device registers stand in RAM here, so that both views can be compared.
    assert_int_equal(page_alloc_range(MIB(4), MIB(2), &pa), OK);
    a = (volatile uint32_t *)(uintptr_t)mmio_map(hpa(pa.v + 0x108), 8);
    assert_non_null(a);
    mmio_write32(a, 4, 0x1234);
    assert_int_equal(*(uint32_t *)(void *)((char *)arch_phys_to_virt(pa) + 0x10C), 0x1234);
    b = (volatile uint32_t *)(uintptr_t)mmio_map(pa, MIB(4));
    assert_non_null(b);
    assert_int_equal(b[0x10C / 4], 0x1234);
    b[MIB(4) / 4 - 1] = 7;
    assert_int_equal(*(uint32_t *)(void *)((char *)arch_phys_to_virt(pa) + MIB(4) - 4), 7);
    // One unmapped page behind a mapping.
    assert_false(arch_probe_write(b + MIB(4) / 4, 1));
    assert_null(mmio_map(pa, 0));
    assert_null(mmio_map(hpa(UINT64_MAX - 10), 100));
    assert_null(mmio_map(pa, GIB(1)));
}

static void test_stacks(void **state)
{
    static void *tops[2000];
    struct page_stats before, after;
    unsigned n = 0;

    (void)state;
    stack_free(stack_alloc());
    page_stats_get(&before);
    while (n < 2000 && (tops[n] = stack_alloc()) != NULL) {
        volatile uint32_t *bottom = (volatile uint32_t *)(uintptr_t)((char *)tops[n] - STACK_SIZE);

        bottom[0] = n;
        assert_false(arch_probe_write(bottom - 1, 1));
        n++;
    }
    assert_in_range(n, 1000, 1024);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(*(uint32_t *)(void *)((char *)tops[i] - STACK_SIZE), i);
        stack_free(tops[i]);
    }
    page_stats_get(&after);
    assert_int_equal(after.free, before.free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes_alignment_zero, setup),
        cmocka_unit_test_setup(test_no_memory, setup),
        cmocka_unit_test_setup(test_random, setup),
        cmocka_unit_test_setup(test_wrong_size_is_a_bug, setup),
        cmocka_unit_test_setup(test_mmio_map, setup),
        cmocka_unit_test_setup(test_stacks, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
