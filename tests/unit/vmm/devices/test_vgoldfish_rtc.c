// SPDX-License-Identifier: Apache-2.0
//
// Goldfish RTC: both halves of the clock, setting it, the alarm, every offset and width, save and load.
#include "tests/unit/vmm/devices/bench.h"

#include "arch/host/host.h"
#include "arch/time.h"
#include "vmm/devices/vgoldfish_rtc.h"

#define RTC 0x101000u
#define IRQ 11u
#define EPOCH UINT64_C(1700000000)
#define SECOND UINT64_C(1000000000)

#define TIME_LOW (RTC + 0x00)
#define TIME_HIGH (RTC + 0x04)
#define ALARM_LOW (RTC + 0x08)
#define ALARM_HIGH (RTC + 0x0c)
#define IRQ_ENABLED (RTC + 0x10)
#define CLEAR_ALARM (RTC + 0x14)
#define ALARM_STATUS (RTC + 0x18)
#define CLEAR_INTERRUPT (RTC + 0x1c)

struct fixture {
    struct bench b;
    struct vdev *dev;
};

static const struct plan_device plan =
    {.model = MODEL_RTC, .name = "rtc0", .base = RTC, .size = 0x1000, .irq = IRQ, .config_index = -1};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    bench_init(&f->b);
    f->b.vm.time_offset = arch_time_now();
    assert_int_equal(vgoldfish_rtc_create(&f->b.vm, &plan, EPOCH, &f->dev), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->ops->destroy(f->dev);
    bench_fini(&f->b);
    free(f);
    return 0;
}

static uint64_t now(struct fixture *f)
{
    uint64_t low = bench_read(&f->b, TIME_LOW);

    return low | (uint64_t)bench_read(&f->b, TIME_HIGH) << 32;
}

static void set_alarm(struct fixture *f, uint64_t ns)
{
    bench_write(&f->b, ALARM_HIGH, (uint32_t)(ns >> 32));
    bench_write(&f->b, ALARM_LOW, (uint32_t)ns);
}

static void clock_runs(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(now(f), EPOCH * SECOND);
    host_time_advance(3 * HOST_HZ + HOST_HZ / 4);
    assert_int_equal(now(f), EPOCH * SECOND + 3 * SECOND + SECOND / 4);
}

// TIME_HIGH belongs to the last TIME_LOW.
static void halves_fit(void **state)
{
    struct fixture *f = *state;
    uint64_t start = (UINT64_C(5) << 32) - 100;

    bench_write(&f->b, TIME_HIGH, (uint32_t)(start >> 32));
    bench_write(&f->b, TIME_LOW, (uint32_t)start);
    assert_int_equal(bench_read(&f->b, TIME_LOW), (uint32_t)start);
    host_time_advance(HOST_HZ);
    assert_int_equal(bench_read(&f->b, TIME_HIGH), 4);
    assert_int_equal(now(f), start + SECOND);
}

static void clock_can_be_set(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, TIME_HIGH, 0x12345678);
    bench_write(&f->b, TIME_LOW, 0x9abcdef0);
    assert_int_equal(now(f), UINT64_C(0x123456789abcdef0));
    host_time_advance(2 * HOST_HZ);
    assert_int_equal(now(f), UINT64_C(0x123456789abcdef0) + 2 * SECOND);
    f->dev->ops->reset(f->dev); // battery
    assert_int_equal(now(f), UINT64_C(0x123456789abcdef0) + 2 * SECOND);
}

static void alarm_interrupts(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, IRQ_ENABLED, 0xffffffff);
    assert_int_equal(bench_read(&f->b, IRQ_ENABLED), 1);
    set_alarm(f, now(f) + 10 * SECOND);
    assert_int_equal(bench_read(&f->b, ALARM_STATUS), 1);
    host_time_advance(10 * HOST_HZ - 1000);
    assert_false(f->b.level[IRQ]);
    host_time_advance(2000);
    assert_true(f->b.level[IRQ]);
    assert_int_equal(bench_read(&f->b, ALARM_STATUS), 0);
    bench_write(&f->b, CLEAR_INTERRUPT, 1);
    assert_false(f->b.level[IRQ]);
    set_alarm(f, now(f) - 1); // in the past: at once
    assert_true(f->b.level[IRQ]);
    bench_write(&f->b, IRQ_ENABLED, 0);
    assert_false(f->b.level[IRQ]);
    bench_write(&f->b, IRQ_ENABLED, 1);
    assert_true(f->b.level[IRQ]);
}

static void alarm_can_be_cleared(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, IRQ_ENABLED, 1);
    set_alarm(f, now(f) + SECOND);
    bench_write(&f->b, CLEAR_ALARM, 1);
    assert_int_equal(bench_read(&f->b, ALARM_STATUS), 0);
    host_time_advance(2 * HOST_HZ);
    assert_false(f->b.level[IRQ]);
}

static void far_alarms(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, IRQ_ENABLED, 1);
    set_alarm(f, UINT64_MAX);
    assert_int_equal(bench_read(&f->b, ALARM_STATUS), 1);
    assert_int_equal(bench_read(&f->b, ALARM_LOW), UINT32_MAX);
    assert_int_equal(bench_read(&f->b, ALARM_HIGH), UINT32_MAX);
    set_alarm(f, now(f) + 3 * 3600 * SECOND); // further than one step
    host_time_advance(2 * 3600 * (uint64_t)HOST_HZ);
    assert_false(f->b.level[IRQ]);
    host_time_advance(3601 * (uint64_t)HOST_HZ);
    assert_true(f->b.level[IRQ]);
}

// Setting the clock beyond the alarm makes it come.
static void clock_jumps_over_alarm(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, IRQ_ENABLED, 1);
    set_alarm(f, now(f) + 3600 * SECOND);
    bench_write(&f->b, TIME_HIGH, 0x7fffffff);
    assert_true(f->b.level[IRQ]);
}

static void access_sweep(void **state)
{
    struct fixture *f = *state;

    for (uint64_t off = 0; off < 0x1000; off += off < 0x40 ? 1 : 31) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            uint64_t v = UINT64_MAX;
            enum io_result want = off >= 0x20 || (size == 4 && off % 4 == 0) ? IO_DONE : IO_BAD;

            if (off + size > 0x1000) {
                continue;
            }
            assert_int_equal(bench_access(&f->b, RTC + off, (uint8_t)size, false, &v), want);
            v = UINT64_MAX;
            assert_int_equal(bench_access(&f->b, RTC + off, (uint8_t)size, true, &v), want);
        }
    }
}

static void save_load(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[128], bad[128];
    uint32_t size = f->dev->ops->state_size;
    uint64_t at;

    bench_write(&f->b, IRQ_ENABLED, 1);
    set_alarm(f, now(f) + 5 * SECOND);
    at = now(f);
    assert_int_equal(vdev_save(f->dev, buf, sizeof(buf)), OK);
    f->dev->ops->reset(f->dev);
    bench_write(&f->b, TIME_HIGH, 0);
    assert_int_equal(vdev_load(f->dev, 1, buf, size), OK);
    assert_int_equal(now(f), at);
    assert_int_equal(bench_read(&f->b, ALARM_STATUS), 1);
    host_time_advance(5 * HOST_HZ + 10);
    assert_true(f->b.level[IRQ]);
    memset(bad, 0xff, sizeof(bad));
    assert_int_equal(vdev_load(f->dev, 1, bad, size), E_CORRUPT);
    assert_int_equal(vdev_load(f->dev, 9, buf, size), E_UNSUPPORTED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(clock_runs),
        T(halves_fit),
        T(clock_can_be_set),
        T(alarm_interrupts),
        T(alarm_can_be_cleared),
        T(far_alarms),
        T(clock_jumps_over_alarm),
        T(access_sweep),
        T(save_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
