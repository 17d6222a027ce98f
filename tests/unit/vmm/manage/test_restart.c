// SPDX-License-Identifier: Apache-2.0
//
// When crashed guests start again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/manage/restart.h"

static void test_delays_double_to_ten_seconds(void **state)
{
    static const uint64_t want[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    struct restart_state r = {0};
    uint64_t now = 5000, delay;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        restart_started(&r, now);
        now += 10;
        assert_true(restart_after_crash(&r, 100, now, &delay));
        assert_int_equal(delay, want[i]);
        now += delay;
    }
    // However many: no overflow.
    for (unsigned i = 0; i < 80; i++) {
        assert_true(restart_after_crash(&r, 1000, now, &delay));
        assert_int_equal(delay, 10000);
    }
}

static void test_limit(void **state)
{
    struct restart_state r = {0};
    uint64_t delay = 0;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        assert_true(restart_after_crash(&r, 5, 100 * i, &delay));
    }
    assert_false(restart_after_crash(&r, 5, 600, &delay));
    assert_false(restart_after_crash(&(struct restart_state){0}, 0, 600, &delay));
}

static void test_a_minute_of_life_is_forgiven(void **state)
{
    struct restart_state r = {0};
    uint64_t delay;

    (void)state;
    assert_true(restart_after_crash(&r, 2, 10, &delay));
    assert_true(restart_after_crash(&r, 2, 20, &delay));
    restart_started(&r, 1000);
    assert_false(restart_after_crash(&r, 2, 1000 + RESTART_FORGET_MS - 1, &delay));
    assert_true(restart_after_crash(&r, 2, 1000 + RESTART_FORGET_MS, &delay));
    assert_int_equal(delay, RESTART_FIRST_MS);
}

static void test_resets_are_spaced(void **state)
{
    struct restart_state r = {0};

    (void)state;
    restart_started(&r, 1000);
    assert_int_equal(restart_after_reset(&r, 1000), RESET_MIN_MS);
    assert_int_equal(restart_after_reset(&r, 1030), RESET_MIN_MS - 30);
    assert_int_equal(restart_after_reset(&r, 1000 + RESET_MIN_MS), 0);
    assert_int_equal(restart_after_reset(&r, 9000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delays_double_to_ten_seconds),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_a_minute_of_life_is_forgiven),
        cmocka_unit_test(test_resets_are_spaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
