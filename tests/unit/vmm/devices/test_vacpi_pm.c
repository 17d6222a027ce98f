// SPDX-License-Identifier: Apache-2.0
//
// ACPI fixed hardware: soft-off, the timer and its carry, every width.
#include "tests/unit/vmm/devices/twins.h"

#include "vmm/devices/vacpi_pm.h"

#define STATUS VACPI_PM_EVENT
#define ENABLE (VACPI_PM_EVENT + 2)
#define CONTROL VACPI_PM_CONTROL
#define TIMER VACPI_PM_TIMER
#define SCI VACPI_PM_SCI

static void make(struct twin *t)
{
    struct irq_line line = {.chip = &t->b.chip, .line = SCI};

    assert_int_equal(vacpi_pm_create(&t->b.vm, &line, &t->dev), OK);
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

static uint64_t in(struct twin *f, uint64_t port, uint8_t size)
{
    uint64_t v = UINT64_MAX;

    assert_int_equal(bench_port(&f->b, port, size, false, &v), IO_DONE);
    return v;
}

static void out(struct twin *f, uint64_t port, uint8_t size, uint64_t value)
{
    assert_int_equal(bench_port(&f->b, port, size, true, &value), IO_DONE);
}

static void powers_off(void **state)
{
    struct twin *f = *state;

    assert_int_equal(in(f, CONTROL, 2), 1); // SCI_EN
    out(f, CONTROL, 2, 0x1400);             // a type alone
    assert_int_equal(in(f, CONTROL, 2), 0x1401);
    assert_int_equal(f->b.vm.state, VM_RUNNING);
    out(f, CONTROL, 2, 0x3400);
    assert_int_equal(f->b.vm.state, VM_STOPPING);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_POWEROFF);
    assert_int_equal(in(f, CONTROL, 2), 0x1401); // SLP_EN is write-only
}

static void powers_off_by_a_byte(void **state)
{
    struct twin *f = *state;

    out(f, CONTROL, 1, 0x20); // the low byte has no such bit
    out(f, CONTROL + 2, 2, 0x2020);
    assert_int_equal(f->b.vm.state, VM_RUNNING);
    out(f, CONTROL + 1, 1, 0x20);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_POWEROFF);
}

static void timer_counts(void **state)
{
    struct twin *f = *state;

    assert_int_equal(in(f, TIMER, 4), 0);
    host_time_advance(HOST_HZ);
    assert_int_equal(in(f, TIMER, 4), VACPI_PM_TIMER_HZ);
    host_time_advance(2 * HOST_HZ);
    assert_int_equal(in(f, TIMER, 4), 3 * VACPI_PM_TIMER_HZ);
    out(f, TIMER, 4, 0);
    assert_int_equal(in(f, TIMER, 4), 3 * VACPI_PM_TIMER_HZ);
    assert_int_equal(in(f, TIMER + 1, 1), 3 * VACPI_PM_TIMER_HZ >> 8 & 0xff);
    host_time_advance(2 * HOST_HZ);
    assert_int_equal(in(f, TIMER, 4), 5 * VACPI_PM_TIMER_HZ - (1 << 24));
}

// Bit 23 changes every 2.343 seconds.
static void carry(void **state)
{
    struct twin *f = *state;

    host_time_advance(HOST_HZ / 100 * 235);
    assert_int_equal(in(f, STATUS, 2), 1);
    assert_false(f->b.level[SCI]);
    out(f, ENABLE, 2, 0xffff);
    assert_int_equal(in(f, ENABLE, 2), 0x721);
    assert_true(f->b.level[SCI]);
    out(f, STATUS, 1, 1);
    assert_int_equal(in(f, STATUS, 4), 0x07210000);
    assert_false(f->b.level[SCI]);
    host_time_advance(HOST_HZ / 100 * 233);
    assert_false(f->b.level[SCI]);
    host_time_advance(HOST_HZ / 100);
    assert_true(f->b.level[SCI]);
    f->dev->ops->reset(f->dev);
    assert_false(f->b.level[SCI]);
    assert_int_equal(in(f, STATUS, 8), 0x100000000);
}

static void creation(void **state)
{
    struct twin *f = *state;
    struct irq_line line = {.chip = NULL};
    struct vdev *second;
    uint64_t v = 0;

    assert_int_equal(vacpi_pm_create(&f->b.vm, &line, &second), E_EXISTS);
    assert_int_equal(bench_port(&f->b, TIMER + 2, 4, false, &v), IO_UNCLAIMED);
}

static const struct twins_place places[] = {{VACPI_PM_EVENT, 12, true}, {VACPI_PM_EVENT, 4, true}};
static const struct twins twins = {make, places, ARRAY_SIZE(places), HOST_HZ *UINT64_C(400)};

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
        T(powers_off), T(powers_off_by_a_byte),       T(timer_counts),           T(carry),
        T(creation),   cmocka_unit_test(twins_agree), cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
