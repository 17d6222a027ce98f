// SPDX-License-Identifier: Apache-2.0
//
// HPET: main counter, one-shot and periodic comparators, both widths, routes, legacy replacement of the PIT.
#include "tests/unit/vmm/devices/twins.h"

#include "vmm/devices/vhpet.h"
#include "vmm/devices/vpit.h"

#define CAP VHPET_BASE
#define CAP_PERIOD (VHPET_BASE + 4)
#define CONFIG (VHPET_BASE + 0x10)
#define STATUS (VHPET_BASE + 0x20)
#define COUNTER (VHPET_BASE + 0xf0)
#define TIMER(n) (VHPET_BASE + 0x100 + 0x20 * (n))
#define COMPARATOR(n) (TIMER(n) + 8)

#define LEVEL 0x02u
#define INTERRUPTS 0x04u
#define PERIODIC 0x08u
#define SET_VALUE 0x40u
#define BITS_32 0x100u
#define ROUTE(n) ((uint32_t)(n) << 9)
#define MS 100000u // in counts

struct fixture {
    struct bench b;
    struct vdev *dev, *pit;
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));
    struct irq_line line;

    bench_init(&f->b);
    f->b.vm.time_offset = arch_time_now();
    line = (struct irq_line){.chip = &f->b.chip, .line = VPIT_GSI};
    assert_int_equal(vpit_create(&f->b.vm, &line, &f->pit), OK);
    assert_int_equal(vhpet_create(&f->b.vm, f->pit, &f->dev), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->ops->destroy(f->dev);
    f->pit->ops->destroy(f->pit);
    bench_fini(&f->b);
    free(f);
    return 0;
}

static uint64_t read64(struct fixture *f, uint64_t addr)
{
    uint64_t v = 0;

    assert_int_equal(bench_access(&f->b, addr, 8, false, &v), IO_DONE);
    return v;
}

static void write64(struct fixture *f, uint64_t addr, uint64_t v)
{
    assert_int_equal(bench_access(&f->b, addr, 8, true, &v), IO_DONE);
}

// A millisecond is 62500 host ticks.
static void advance_ms(unsigned ms)
{
    host_time_advance((uint64_t)HOST_HZ / 1000 * ms);
}

static void identity(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(bench_read(&f->b, CAP), 0x8086a201); // three timers, 64 bits, legacy replacement
    assert_int_equal(bench_read(&f->b, CAP_PERIOD), 10000000);
    bench_write(&f->b, TIMER(1), 0xffffffff & ~ROUTE(31));
    assert_int_equal(read64(f, TIMER(1)), UINT64_C(0x00000c0000000000) | 0x13e | ROUTE(10));
    bench_write(&f->b, TIMER(1), ROUTE(11));
    assert_int_equal(bench_read(&f->b, TIMER(1)), 0x30 | ROUTE(11));
    bench_write(&f->b, CONFIG, 0xffffffff);
    assert_int_equal(bench_read(&f->b, CONFIG), 3);
    assert_int_equal(read64(f, COMPARATOR(2)), UINT64_MAX);
    assert_int_equal(read64(f, TIMER(0) + 0x10), 0);
}

static void counter(void **state)
{
    struct fixture *f = *state;

    advance_ms(5);
    assert_int_equal(read64(f, COUNTER), 0);
    bench_write(&f->b, CONFIG, 1);
    advance_ms(5);
    assert_int_equal(read64(f, COUNTER), 5 * MS);
    bench_write(&f->b, CONFIG, 0);
    advance_ms(5);
    assert_int_equal(read64(f, COUNTER), 5 * MS);
    write64(f, COUNTER, UINT64_C(0x1fffffff0));
    bench_write(&f->b, CONFIG, 1);
    advance_ms(1);
    assert_int_equal(bench_read(&f->b, COUNTER), MS - 16);
    assert_int_equal(bench_read(&f->b, COUNTER + 4), 2);
    write64(f, COUNTER, 7); // while it runs
    advance_ms(1);
    assert_int_equal(read64(f, COUNTER), MS + 7);
}

static void one_shot(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, CONFIG, 1);
    bench_write(&f->b, TIMER(1), INTERRUPTS | ROUTE(11));
    write64(f, COMPARATOR(1), 10 * MS);
    host_time_advance(HOST_HZ / 100 - 1);
    assert_int_equal(f->b.edges[11], 0);
    host_time_advance(1);
    assert_int_equal(f->b.edges[11], 2); // a pulse
    assert_int_equal(bench_read(&f->b, STATUS), 0);
    advance_ms(100000); // 64 bits: not again
    assert_int_equal(f->b.edges[11], 2);
    bench_write(&f->b, TIMER(1), INTERRUPTS | BITS_32 | ROUTE(11));
    write64(f, COMPARATOR(1), (uint32_t)read64(f, COUNTER) + MS);
    advance_ms(1);
    assert_int_equal(f->b.edges[11], 4);
    advance_ms(42949); // 32 bits: each time round
    assert_int_equal(f->b.edges[11], 4);
    advance_ms(1);
    assert_int_equal(f->b.edges[11], 6);
}

static void level(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, CONFIG, 1);
    bench_write(&f->b, TIMER(0), INTERRUPTS | LEVEL | ROUTE(10));
    bench_write(&f->b, TIMER(2), INTERRUPTS | LEVEL | ROUTE(10));
    write64(f, COMPARATOR(0), MS);
    write64(f, COMPARATOR(2), 2 * MS);
    advance_ms(1);
    assert_true(f->b.level[10]);
    advance_ms(1);
    assert_int_equal(bench_read(&f->b, STATUS), 5);
    bench_write(&f->b, STATUS, 1);
    assert_true(f->b.level[10]); // shared
    bench_write(&f->b, STATUS, 0xfe);
    assert_false(f->b.level[10]);
    assert_int_equal(f->b.edges[10], 2);
    write64(f, COMPARATOR(0), read64(f, COUNTER) + MS);
    advance_ms(1);
    assert_true(f->b.level[10]);
    bench_write(&f->b, CONFIG, 0);
    assert_false(f->b.level[10]);
}

// As Linux starts it: value, then period, through 32 bits.
static void periodic(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, CONFIG, 1);
    bench_write(&f->b, TIMER(0), INTERRUPTS | PERIODIC | SET_VALUE | BITS_32 | ROUTE(10));
    bench_write(&f->b, COMPARATOR(0), 5 * MS);
    bench_write(&f->b, COMPARATOR(0), 4 * MS);
    advance_ms(4);
    assert_int_equal(f->b.edges[10], 0);
    advance_ms(1);
    assert_int_equal(f->b.edges[10], 2);
    assert_int_equal(bench_read(&f->b, COMPARATOR(0)), 9 * MS);
    advance_ms(40);
    assert_int_equal(f->b.edges[10], 22);
    bench_write(&f->b, TIMER(0), 0);
    advance_ms(40);
    assert_int_equal(f->b.edges[10], 22);
}

static void no_flood(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, CONFIG, 1);
    for (uint32_t period = 0; period < 5; period++) {
        unsigned before = f->b.edges[10];

        bench_write(&f->b, TIMER(0), INTERRUPTS | PERIODIC | SET_VALUE | ROUTE(10));
        write64(f, COMPARATOR(0), read64(f, COUNTER) + 10);
        write64(f, COMPARATOR(0), period);
        advance_ms(100);
        assert_in_range(f->b.edges[10] - before, period ? 1000 : 0, 2002);
    }
}

static void legacy_replacement(void **state)
{
    struct fixture *f = *state;

    bench_out(&f->b, 0x43, 0x34); // the PIT at 100 Hz
    bench_out(&f->b, 0x40, 0x9c);
    bench_out(&f->b, 0x40, 0x2e);
    assert_true(f->b.level[2]);
    bench_write(&f->b, CONFIG, 3);
    assert_false(f->b.level[2]);
    bench_write(&f->b, TIMER(0), INTERRUPTS | LEVEL);
    bench_write(&f->b, TIMER(1), INTERRUPTS);
    write64(f, COMPARATOR(0), 50 * MS);
    write64(f, COMPARATOR(1), 50 * MS);
    unsigned before = f->b.edges[2];

    advance_ms(49);
    assert_int_equal(f->b.edges[2], before);
    advance_ms(1);
    assert_true(f->b.level[2]);
    assert_int_equal(f->b.edges[8], 2);
    bench_write(&f->b, CONFIG, 1);
    assert_true(f->b.level[2]); // the PIT's again
    assert_true(f->b.level[10]);
    assert_int_equal(f->b.edges[2], before + 3);
    advance_ms(20);
    assert_in_range(f->b.edges[2], before + 5, before + 7);
}

static void machine_reset(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, CONFIG, 1);
    bench_write(&f->b, TIMER(0), INTERRUPTS | LEVEL | ROUTE(11));
    write64(f, COMPARATOR(0), MS);
    advance_ms(1);
    assert_true(f->b.level[11]);
    f->dev->ops->reset(f->dev);
    assert_false(f->b.level[11]);
    assert_int_equal(bench_read(&f->b, CONFIG), 0);
    assert_int_equal(read64(f, COUNTER), 0);
}

static void creation(void **state)
{
    struct fixture *f = *state;
    struct vdev *second;
    uint64_t v = 0;

    assert_int_equal(vhpet_create(&f->b.vm, NULL, &second), E_EXISTS);
    assert_int_equal(bench_access(&f->b, COUNTER + 2, 4, false, &v), IO_BAD);
    assert_int_equal(bench_access(&f->b, COUNTER + 2, 2, false, &v), IO_DONE);
    assert_int_equal(bench_access(&f->b, VHPET_BASE + 0x3f8, 8, true, &v), IO_DONE);
}

static void make(struct twin *t)
{
    assert_int_equal(vhpet_create(&t->b.vm, NULL, &t->dev), OK);
}

static const struct twins_place places[] = {{VHPET_BASE, VHPET_SIZE, false},
                                            {VHPET_BASE, 0x30, false},
                                            {VHPET_BASE + 0xf0, 8, false},
                                            {VHPET_BASE + 0x100, 0x60, false},
                                            {VHPET_BASE + 0x100, 0x10, false}};
static const struct twins twins = {make, places, ARRAY_SIZE(places), HOST_HZ / 50};

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
        T(identity),
        T(counter),
        T(one_shot),
        T(level),
        T(periodic),
        T(no_flood),
        T(legacy_replacement),
        T(machine_reset),
        T(creation),
        cmocka_unit_test(twins_agree),
        cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
