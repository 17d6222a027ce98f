// SPDX-License-Identifier: Apache-2.0
//
// MC146818: the date in every format, setting it, what is no date, the memory.
#include "tests/unit/vmm/devices/twins.h"

#include <time.h>

#include "vmm/devices/vcmos.h"

#define EPOCH UINT64_C(1704067199) // 2023-12-31 23:59:59, a Sunday

static void make(struct twin *t)
{
    assert_int_equal(vcmos_create(&t->b.vm, EPOCH, &t->dev), OK);
}

static int setup(void **state)
{
    struct twin *f = malloc(sizeof(*f));

    bench_init(&f->b);
    f->b.vm.time_offset = arch_time_now();
    make(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    twins_death(*state);
    free(*state);
    return 0;
}

static uint8_t get(struct twin *f, uint8_t index)
{
    bench_out(&f->b, 0x70, index);
    return bench_in(&f->b, 0x71);
}

static void put(struct twin *f, uint8_t index, uint8_t value)
{
    bench_out(&f->b, 0x70, index);
    bench_out(&f->b, 0x71, value);
}

// Century, year, month, day, weekday, hour, minute, second, as registers.
static const uint8_t order[8] = {0x32, 9, 8, 7, 6, 4, 2, 0};

static void expect(struct twin *f, const uint8_t *want)
{
    for (unsigned i = 0; i < sizeof(order); i++) {
        assert_int_equal(get(f, order[i]), want[i]);
    }
}

static void decimal(void **state)
{
    struct twin *f = *state;

    assert_int_equal(get(f, 0x0b), 0x02);
    assert_int_equal(get(f, 0x0d), 0x80);
    expect(f, (const uint8_t[]){0x20, 0x23, 0x12, 0x31, 1, 0x23, 0x59, 0x59});
    host_time_advance(HOST_HZ);
    expect(f, (const uint8_t[]){0x20, 0x24, 0x01, 0x01, 2, 0x00, 0x00, 0x00});
    assert_int_equal(get(f, 0x80 | 9), 0x24); // the NMI's bit
}

static void other_formats(void **state)
{
    struct twin *f = *state;

    put(f, 0x0b, 0x06);
    expect(f, (const uint8_t[]){20, 23, 12, 31, 1, 23, 59, 59});
    put(f, 0x0b, 0x00); // 12 hours
    assert_int_equal(get(f, 4), 0x91);
    put(f, 4, 0x12);
    assert_int_equal(get(f, 4), 0x12); // midnight
    put(f, 0x0b, 0x04);
    assert_int_equal(get(f, 4), 12);
    put(f, 4, 0x80 | 12);
    put(f, 0x0b, 0x02);
    assert_int_equal(get(f, 4), 0x12); // noon
}

static void sets_the_date(void **state)
{
    struct twin *f = *state;
    static const uint8_t leap[] = {0x20, 0x00, 0x02, 0x28, 2, 0x23, 0x59, 0x50};

    put(f, 0x0b, 0x82);
    for (unsigned i = 0; i < sizeof(order); i++) {
        put(f, order[i], leap[i]);
        host_time_advance(HOST_HZ);
    }
    expect(f, leap);
    put(f, 0x0b, 0x02);
    expect(f, leap);
    host_time_advance(10 * (uint64_t)HOST_HZ);
    expect(f, (const uint8_t[]){0x20, 0x00, 0x02, 0x29, 3, 0x00, 0x00, 0x00});
    put(f, 0, 0x30); // without SET
    host_time_advance(HOST_HZ);
    assert_int_equal(get(f, 0), 0x31);
    f->dev->ops->reset(f->dev); // battery
    expect(f, (const uint8_t[]){0x20, 0x00, 0x02, 0x29, 3, 0x00, 0x00, 0x31});
}

static void no_such_date(void **state)
{
    struct twin *f = *state;

    put(f, 0x0b, 0x82);
    for (unsigned i = 0; i < sizeof(order); i++) {
        put(f, order[i], 0xff);
    }
    put(f, 0x0b, 0x02);
    expect(f, (const uint8_t[]){0x65, 0x65, 0x12, 0x31, 3, 0x23, 0x59, 0x59});
    put(f, 8, 0x00);
    assert_int_equal(get(f, 8), 0x01);
    put(f, 8, 0x02); // the 31st of February
    assert_int_equal(get(f, 7), 0x28);
    put(f, 0x32, 0x18);
    assert_int_equal(get(f, 0x32), 0x19);
    assert_int_equal(get(f, 9), 0x70);
    put(f, 0x32, 0x99);
    put(f, 9, 0x99);
    put(f, 8, 0x12);
    put(f, 7, 0x31);
    host_time_advance(86400 * (uint64_t)HOST_HZ); // after the last year comes the first
    assert_int_equal(get(f, 0x32), 0x19);
    assert_int_equal(get(f, 9), 0x70);
}

// Against the C library's calendar.
static void calendar(void **state)
{
    struct twin *f = *state;
    uint64_t at = EPOCH;

    put(f, 0x0b, 0x06);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t step = UINT64_C(86400) * 40 + 12345;
        time_t t;
        struct tm tm;

        host_time_advance(step * HOST_HZ);
        at += step;
        t = (time_t)at;
        gmtime_r(&t, &tm);
        expect(f, (const uint8_t[]){(uint8_t)((tm.tm_year + 1900) / 100), (uint8_t)(tm.tm_year % 100),
                                    (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday, (uint8_t)(tm.tm_wday + 1),
                                    (uint8_t)tm.tm_hour, (uint8_t)tm.tm_min, (uint8_t)tm.tm_sec});
    }
}

static void update_in_progress(void **state)
{
    struct twin *f = *state;

    assert_int_equal(get(f, 0x0a), 0x26);
    host_time_advance(HOST_HZ / 1000 * 998);
    assert_int_equal(get(f, 0x0a), 0xa6);
    assert_int_equal(get(f, 0x0c), 0);
    host_time_advance(HOST_HZ / 1000 * 2);
    assert_int_equal(get(f, 0x0a), 0x26);
    assert_int_equal(get(f, 0x0c), 0x10);
    assert_int_equal(get(f, 0x0c), 0);
    put(f, 0x0b, 0x82);
    host_time_advance(HOST_HZ / 1000 * 999);
    assert_int_equal(get(f, 0x0a), 0x26);
}

static void memory(void **state)
{
    struct twin *f = *state;

    for (uint8_t i = 0x0e; i < 0x80; i++) {
        if (i != VCMOS_CENTURY) {
            assert_int_equal(get(f, i), 0);
            put(f, i, (uint8_t)(i ^ 0x55));
        }
    }
    put(f, 1, 0xc0); // alarm
    put(f, 0x0c, 0xff);
    put(f, 0x0d, 0);
    f->dev->ops->reset(f->dev);
    for (uint8_t i = 0x0e; i < 0x80; i++) {
        assert_true(i == VCMOS_CENTURY || get(f, i) == (i ^ 0x55));
    }
    assert_int_equal(get(f, 1), 0xc0);
    assert_int_equal(get(f, 0x0c), 0);
    assert_int_equal(get(f, 0x0d), 0x80);
}

static void creation(void **state)
{
    struct twin *f = *state;
    struct vdev *second;

    assert_int_equal(vcmos_create(&f->b.vm, 0, &second), E_EXISTS);
    assert_int_equal(bench_in(&f->b, 0x70), 0xff);
}

static const struct twins_place places[] = {{0x70, 2, true}, {0x70, 1, true}, {0x71, 1, true}};
static const struct twins twins = {make, places, ARRAY_SIZE(places), HOST_HZ *UINT64_C(4)};

static void twins_agree(void **state)
{
    (void)state;
    twins_run(&twins);
}

static void garbage(void **state)
{
    (void)state;
    twins_load_garbage(&twins);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(decimal),
        T(other_formats),
        T(sets_the_date),
        T(no_such_date),
        T(calendar),
        T(update_in_progress),
        T(memory),
        T(creation),
        cmocka_unit_test(twins_agree),
        cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
