// SPDX-License-Identifier: Apache-2.0
//
// Lists, bitmaps, byte rings, ranges.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kernel/lib/bitmap.h"
#include "kernel/lib/list.h"
#include "kernel/lib/range.h"
#include "kernel/lib/ring.h"
#include "kernel/lib/status.h"

static void test_list(void **state)
{
    struct list_node head, n[3];

    (void)state;
    list_init(&head);
    assert_null(list_pop_front(&head));
    list_push_back(&head, &n[1]);
    list_push_back(&head, &n[2]);
    list_push_front(&head, &n[0]);
    list_remove(&n[1]);
    list_remove(&n[1]); // harmless
    assert_ptr_equal(list_pop_front(&head), &n[0]);
    assert_ptr_equal(list_pop_front(&head), &n[2]);
    assert_true(list_empty(&head));
}

static void test_bitmap(void **state)
{
    uint64_t map[BITMAP_WORDS(130)] = {0};

    (void)state;
    assert_int_equal(BITMAP_WORDS(130), 3);
    assert_int_equal(bitmap_next(map, 130, 0), 130);
    bitmap_set(map, 0);
    bitmap_set(map, 63);
    bitmap_set(map, 64);
    bitmap_set(map, 129);
    assert_int_equal(bitmap_next(map, 130, 0), 0);
    assert_int_equal(bitmap_next(map, 130, 1), 63);
    assert_int_equal(bitmap_next(map, 130, 64), 64);
    assert_int_equal(bitmap_next(map, 130, 65), 129);
    assert_int_equal(bitmap_next(map, 129, 65), 129);
    assert_int_equal(bitmap_next(map, 130, 130), 130);
    assert_int_equal(bitmap_next_clear(map, 130, 63), 65);
    bitmap_clear(map, 64);
    assert_false(bitmap_test(map, 64));
    assert_int_equal(bitmap_next_clear(map, 130, 63), 64);
    map[0] = map[1] = map[2] = UINT64_MAX;
    assert_int_equal(bitmap_next_clear(map, 130, 3), 130);
}

static void test_ring_random(void **state)
{
    uint8_t data[16], buf[24];
    struct ring r;
    uint8_t in = 0, out = 0;

    (void)state;
    srand(1);
    ring_init(&r, data, sizeof(data));
    // Positions near the wrap at 2^32.
    r.head = r.tail = UINT32_MAX - 100;
    for (unsigned step = 0; step < 10000; step++) {
        uint32_t len = (uint32_t)rand() % 24;
        uint32_t n;

        if (rand() % 2) {
            uint32_t room = ring_room(&r);

            for (uint32_t i = 0; i < len; i++) {
                buf[i] = (uint8_t)(in + i);
            }
            n = ring_write(&r, buf, len);
            assert_int_equal(n, len < room ? len : room);
            in = (uint8_t)(in + n);
        } else {
            uint32_t used = ring_used(&r);

            assert_int_equal(ring_peek(&r, buf, len), len < used ? len : used);
            n = ring_read(&r, buf, len);
            assert_int_equal(n, len < used ? len : used);
            for (uint32_t i = 0; i < n; i++) {
                assert_int_equal(buf[i], (uint8_t)(out + i));
            }
            out = (uint8_t)(out + n);
        }
        assert_int_equal(ring_used(&r) + ring_room(&r), 16);
    }
}

static void test_range(void **state)
{
    uint64_t sum = 7;

    (void)state;
    assert_true(range_valid(UINT64_MAX, 1));
    assert_false(range_valid(UINT64_MAX, 2));
    assert_true(range_contains(10, 5, 15, 0));
    assert_false(range_contains(10, 5, 14, 2));
    assert_false(range_contains(10, 5, 11, UINT64_MAX));
    assert_true(range_overlaps(UINT64_MAX, 1, UINT64_MAX - 1, 2));
    assert_false(range_overlaps(0, 0, 0, 5));
    assert_false(add_checked(UINT64_MAX, 1, &sum));
    assert_int_equal(sum, 7);
}

static void test_status_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= STATUS_COUNT; i++) {
        assert_non_null(status_name((enum status)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),  cmocka_unit_test(test_bitmap),       cmocka_unit_test(test_ring_random),
        cmocka_unit_test(test_range), cmocka_unit_test(test_status_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
