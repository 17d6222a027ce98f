// SPDX-License-Identifier: Apache-2.0
//
// 8259A pair: found, initialised, masked, silent.
#include "tests/unit/vmm/devices/twins.h"

#include "vmm/devices/vpic.h"

static void make(struct twin *t)
{
    assert_int_equal(vpic_create(&t->b.vm, &t->dev), OK);
}

static int setup(void **state)
{
    struct twin *f = malloc(sizeof(*f));

    bench_init(&f->b);
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

// Linux looks for it by its mask.
static void found_by_its_mask(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, 0xa1, 0xff);
    bench_out(&f->b, 0x21, 0xfb);
    assert_int_equal(bench_in(&f->b, 0x21), 0xfb);
    assert_int_equal(bench_in(&f->b, 0xa1), 0xff);
    f->dev->ops->reset(f->dev);
    assert_int_equal(bench_in(&f->b, 0xa1), 0);
}

static void initialised(void **state)
{
    struct twin *f = *state;
    static const uint8_t words[] = {0x30, 0x04, 0x01};

    bench_out(&f->b, 0x21, 0xaa);
    bench_out(&f->b, 0x20, 0x11);
    for (unsigned i = 0; i < sizeof(words); i++) {
        bench_out(&f->b, 0x21, words[i]);
        assert_int_equal(bench_in(&f->b, 0x21), 0); // cleared, and no mask yet
    }
    bench_out(&f->b, 0x21, 0x55);
    assert_int_equal(bench_in(&f->b, 0x21), 0x55);
    bench_out(&f->b, 0xa0, 0x12); // alone, without the fourth word
    bench_out(&f->b, 0xa1, 0x38);
    bench_out(&f->b, 0xa1, 0x99);
    assert_int_equal(bench_in(&f->b, 0xa1), 0x99);
    bench_out(&f->b, 0xa0, 0x10); // cascaded, without it
    bench_out(&f->b, 0xa1, 0x38);
    bench_out(&f->b, 0xa1, 0x02);
    assert_int_equal(bench_in(&f->b, 0xa1), 0);
    bench_out(&f->b, 0xa1, 0x77);
    assert_int_equal(bench_in(&f->b, 0xa1), 0x77);
    assert_int_equal(bench_in(&f->b, 0x21), 0x55);
}

static void silent(void **state)
{
    struct twin *f = *state;
    static const uint8_t commands[] = {0x0a, 0x0b, 0x0c, 0x20, 0x60, 0xa0, 0xc7, 0x68};

    for (unsigned i = 0; i < sizeof(commands); i++) {
        bench_out(&f->b, 0x20, commands[i]);
        bench_out(&f->b, 0xa0, commands[i]);
        assert_int_equal(bench_in(&f->b, 0x20), 0);
        assert_int_equal(bench_in(&f->b, 0xa0), 0);
    }
}

static void trigger_modes(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, 0x4d0, 0xff);
    bench_out(&f->b, 0x4d1, 0xff);
    assert_int_equal(bench_in(&f->b, 0x4d0), 0xf8);
    assert_int_equal(bench_in(&f->b, 0x4d1), 0xde);
    bench_out(&f->b, 0x20, 0x11); // not part of the chip
    assert_int_equal(bench_in(&f->b, 0x4d0), 0xf8);
}

static void creation(void **state)
{
    struct twin *f = *state;
    struct vdev *second;
    uint64_t v = 0;

    assert_int_equal(vpic_create(&f->b.vm, &second), E_EXISTS);
    assert_int_equal(bench_port(&f->b, 0x21, 2, true, &v), IO_UNCLAIMED);
}

static const struct twins_place places[] = {{0x20, 2, true}, {0xa0, 2, true}, {0x4d0, 2, true}};
static const struct twins twins = {make, places, ARRAY_SIZE(places), 1000};

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
        T(found_by_its_mask),      T(initialised), T(silent),
        T(trigger_modes),          T(creation),    cmocka_unit_test(twins_agree),
        cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
