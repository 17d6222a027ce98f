// SPDX-License-Identifier: Apache-2.0
//
// 8254: the modes as seen through counts, status, port 61h and channel 0's interrupt; that no guest can ask for too many.
#include "tests/unit/vmm/devices/twins.h"

#include "vmm/devices/vclock.h"
#include "vmm/devices/vpit.h"

#define CH0 0x40
#define CH2 0x42
#define CONTROL 0x43
#define SPEAKER 0x61
#define OUT2 0x20
#define GSI VPIT_GSI

static int setup(void **state)
{
    struct twin *f = malloc(sizeof(*f));
    struct irq_line line;

    bench_init(&f->b);
    f->b.vm.time_offset = arch_time_now();
    line = (struct irq_line){.chip = &f->b.chip, .line = GSI};
    assert_int_equal(vpit_create(&f->b.vm, &line, &f->dev), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    twins_death(*state);
    free(*state);
    return 0;
}

// To the first host tick at which the timer's clock has gone `ticks` further.
static void advance(struct twin *f, uint64_t ticks)
{
    uint64_t goal = vclock_count(&f->b.vm, VPIT_HZ) + ticks;

    while (vclock_count(&f->b.vm, VPIT_HZ) < goal) {
        uint64_t left = goal - vclock_count(&f->b.vm, VPIT_HZ);

        host_time_advance(left > 2 ? (left - 1) * (HOST_HZ / VPIT_HZ) : 1);
    }
}

static void program(struct twin *f, unsigned channel, unsigned mode, unsigned count)
{
    bench_out(&f->b, CONTROL, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    bench_out(&f->b, (uint16_t)(CH0 + channel), (uint8_t)count);
    bench_out(&f->b, (uint16_t)(CH0 + channel), (uint8_t)(count >> 8));
}

static unsigned latched(struct twin *f, unsigned channel)
{
    unsigned v;

    bench_out(&f->b, CONTROL, (uint8_t)(channel << 6));
    v = bench_in(&f->b, (uint16_t)(CH0 + channel));
    return v | (unsigned)bench_in(&f->b, (uint16_t)(CH0 + channel)) << 8;
}

static bool out2(struct twin *f)
{
    return bench_in(&f->b, SPEAKER) & OUT2;
}

// Linux's TSC calibration: mode 0 through port 61h.
static void terminal_count(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, SPEAKER, 1);
    program(f, 2, 0, 0x1000);
    assert_false(out2(f));
    assert_int_equal(latched(f, 2), 0x1000);
    advance(f, 0x234);
    assert_int_equal(latched(f, 2), 0xdcc);
    assert_int_equal(bench_in(&f->b, CH2), 0xcc); // not latched: low, then high
    assert_int_equal(bench_in(&f->b, CH2), 0x0d);
    advance(f, 0xdcb);
    assert_false(out2(f));
    advance(f, 1);
    assert_true(out2(f));
    advance(f, 5);
    assert_int_equal(latched(f, 2), 0xfffb); // goes on
    assert_true(out2(f));
    program(f, 2, 0, 5);
    assert_false(out2(f));
}

static void gate_holds_the_count(void **state)
{
    struct twin *f = *state;

    program(f, 2, 0, 1000); // gate is low
    advance(f, 5000);
    assert_false(out2(f));
    assert_int_equal(latched(f, 2), 1000);
    bench_out(&f->b, SPEAKER, 1);
    advance(f, 400);
    bench_out(&f->b, SPEAKER, 0);
    advance(f, 5000);
    assert_int_equal(latched(f, 2), 600);
    bench_out(&f->b, SPEAKER, 3);
    advance(f, 599);
    assert_false(out2(f));
    advance(f, 1);
    assert_true(out2(f));
}

static void gate_triggers(void **state)
{
    struct twin *f = *state;

    program(f, 2, 1, 100); // one-shot
    advance(f, 1000);
    assert_true(out2(f));
    bench_out(&f->b, SPEAKER, 1);
    assert_false(out2(f));
    advance(f, 100);
    assert_true(out2(f));
    program(f, 2, 5, 100); // strobe
    bench_out(&f->b, SPEAKER, 0);
    bench_out(&f->b, SPEAKER, 1);
    assert_true(out2(f));
    advance(f, 100);
    assert_false(out2(f));
    advance(f, 1);
    assert_true(out2(f));
}

static void gate_restarts_periods(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, SPEAKER, 1);
    program(f, 2, 3, 100);
    advance(f, 60);
    assert_false(out2(f));
    bench_out(&f->b, SPEAKER, 0);
    assert_true(out2(f));
    bench_out(&f->b, SPEAKER, 1);
    advance(f, 49);
    assert_true(out2(f));
    advance(f, 1);
    assert_false(out2(f));
}

static void square_counts_by_two(void **state)
{
    struct twin *f = *state;

    program(f, 0, 3, 1000);
    assert_int_equal(latched(f, 0), 1000);
    advance(f, 100);
    assert_int_equal(latched(f, 0), 800);
    advance(f, 500);
    assert_int_equal(latched(f, 0), 800);
}

static void latch_holds(void **state)
{
    struct twin *f = *state;

    program(f, 0, 2, 0);
    bench_out(&f->b, CONTROL, 0x00);
    advance(f, 0x102);
    bench_out(&f->b, CONTROL, 0x00); // the first latch counts
    assert_int_equal(bench_in(&f->b, CH0), 0x00);
    assert_int_equal(bench_in(&f->b, CH0), 0x00);
    assert_int_equal(bench_in(&f->b, CH0), 0xfe); // 10000h - 102h
    assert_int_equal(bench_in(&f->b, CH0), 0xfe);
}

static void read_back(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, CONTROL, 0x34);
    bench_out(&f->b, CONTROL, 0xe2);              // status of channel 0
    assert_int_equal(bench_in(&f->b, CH0), 0xf4); // output high, no count yet
    program(f, 0, 2, 0x1234);
    program(f, 2, 0, 0x4321);
    bench_out(&f->b, CONTROL, 0xca); // both, of channels 0 and 2
    advance(f, 7);
    assert_int_equal(bench_in(&f->b, CH0), 0xb4);
    assert_int_equal(bench_in(&f->b, CH0), 0x34);
    assert_int_equal(bench_in(&f->b, CH0), 0x12);
    assert_int_equal(bench_in(&f->b, CH2), 0x30);
    assert_int_equal(bench_in(&f->b, CH2), 0x21);
    assert_int_equal(bench_in(&f->b, CH2), 0x43);
}

static void single_bytes(void **state)
{
    struct twin *f = *state;

    bench_out(&f->b, CONTROL, 0x14); // low byte alone
    bench_out(&f->b, CH0, 0x80);
    assert_int_equal(bench_in(&f->b, CH0), 0x80);
    bench_out(&f->b, CONTROL, 0x24); // high byte
    bench_out(&f->b, CH0, 0x80);
    assert_int_equal(bench_in(&f->b, CH0), 0x80);
    assert_int_equal(bench_in(&f->b, CH0), 0x80);
    bench_out(&f->b, CONTROL, 0x35); // decimal
    bench_out(&f->b, CH0, 0x00);
    bench_out(&f->b, CH0, 0x20);
    advance(f, 1);
    assert_int_equal(latched(f, 0), 0x1999);
}

static unsigned edges_in(struct twin *f, uint64_t ticks)
{
    unsigned before = f->b.edges[GSI];

    advance(f, ticks);
    return (f->b.edges[GSI] - before) / 2;
}

static void periodic_interrupt(void **state)
{
    struct twin *f = *state;

    program(f, 0, 2, 11932); // 100 Hz
    advance(f, 11931);
    assert_int_equal(edges_in(f, 1), 1);
    assert_int_equal(edges_in(f, 11932 * 10), 10);
    program(f, 0, 3, 11932);
    assert_int_equal(edges_in(f, 11932 * 10), 10);
    bench_out(&f->b, CONTROL, 0x30); // stops
    assert_false(f->b.level[GSI]);
    assert_int_equal(edges_in(f, 11932 * 10), 0);
}

static void one_interrupt(void **state)
{
    struct twin *f = *state;

    program(f, 0, 0, 1000);
    assert_int_equal(f->b.edges[GSI], 0);
    advance(f, 999);
    assert_false(f->b.level[GSI]);
    advance(f, 1);
    assert_true(f->b.level[GSI]);
    advance(f, 200000);
    assert_int_equal(f->b.edges[GSI], 1);
    program(f, 0, 4, 1000); // the line was high: one pulse
    assert_int_equal(edges_in(f, 1001), 1);
    assert_int_equal(edges_in(f, 200000), 0);
}

static void no_flood(void **state)
{
    struct twin *f = *state;
    static const unsigned modes[] = {2, 3};

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        for (unsigned count = 1; count < 60; count += 7) {
            program(f, 0, modes[i], count);
            assert_in_range(edges_in(f, VPIT_HZ / 10), 500, 1000);
        }
    }
}

static void another_timer_takes_over(void **state)
{
    struct twin *f = *state;

    program(f, 0, 2, 11932);
    assert_true(f->b.level[GSI]);
    vpit_mute(f->dev, true);
    assert_false(f->b.level[GSI]);
    assert_int_equal(edges_in(f, 11932 * 10), 0);
    vpit_mute(f->dev, false);
    advance(f, 11932);
    assert_int_equal(edges_in(f, 11932 * 10), 10);
    vpit_mute(f->dev, true);
    f->dev->ops->reset(f->dev);
    assert_false(f->b.level[GSI]);
    program(f, 0, 0, 10);
    advance(f, 10);
    assert_true(f->b.level[GSI]);
}

static void refresh_toggles(void **state)
{
    struct twin *f = *state;
    uint8_t first = bench_in(&f->b, SPEAKER);

    advance(f, 18);
    assert_int_equal(first ^ bench_in(&f->b, SPEAKER), 0x10);
    bench_out(&f->b, SPEAKER, 0xff);
    assert_int_equal(bench_in(&f->b, SPEAKER) & 0xcf, 0x0f);
}

static void creation(void **state)
{
    struct twin *f = *state;
    struct irq_line line = {.chip = NULL};
    struct vdev *second;
    uint64_t v = 0;

    assert_int_equal(vpit_create(&f->b.vm, &line, &second), E_EXISTS);
    assert_int_equal(bench_in(&f->b, CONTROL), 0xff);
    assert_int_equal(bench_port(&f->b, SPEAKER, 2, false, &v), IO_UNCLAIMED);
    assert_int_equal(bench_port(&f->b, CH0, 4, false, &v), IO_DONE);
    assert_int_equal(v >> 24, 0xff);
}

static void make(struct twin *t)
{
    struct irq_line line = {.chip = &t->b.chip, .line = GSI};

    assert_int_equal(vpit_create(&t->b.vm, &line, &t->dev), OK);
}

static const struct twins_place places[] = {{0x40, 4, true}, {0x43, 1, true}, {0x61, 1, true}};
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
        T(terminal_count),
        T(gate_holds_the_count),
        T(gate_triggers),
        T(gate_restarts_periods),
        T(square_counts_by_two),
        T(latch_holds),
        T(read_back),
        T(single_bytes),
        T(periodic_interrupt),
        T(one_interrupt),
        T(no_flood),
        T(another_timer_takes_over),
        T(refresh_toggles),
        T(creation),
        cmocka_unit_test(twins_agree),
        cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
