// SPDX-License-Identifier: Apache-2.0
//
// PL031: identification, time from the guest's clock, setting it, the match interrupt, save and load.
#include "tests/unit/vmm/devices/bench.h"

#include "arch/host/host.h"
#include "arch/time.h"
#include "vmm/devices/vpl031.h"

#define RTC 0x9010000u
#define IRQ 34u
#define EPOCH 1700000000u

#define DR (RTC + 0x00)
#define MR (RTC + 0x04)
#define LR (RTC + 0x08)
#define CR (RTC + 0x0c)
#define IMSC (RTC + 0x10)
#define RIS (RTC + 0x14)
#define MIS (RTC + 0x18)
#define ICR (RTC + 0x1c)

struct fixture {
    struct bench b;
    struct vdev *dev;
};

static const struct plan_device plan =
    {.model = MODEL_RTC, .name = "rtc0", .base = RTC, .size = 0x1000, .irq = IRQ, .config_index = -1};

static void fixture_init(struct fixture *f)
{
    bench_init(&f->b);
    f->b.vm.time_offset = arch_time_now();
    assert_int_equal(vpl031_create(&f->b.vm, &plan, EPOCH, &f->dev), OK);
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    fixture_init(f);
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

static uint32_t rd(struct fixture *f, uint64_t addr)
{
    return bench_read(&f->b, addr);
}

static void wr(struct fixture *f, uint64_t addr, uint32_t v)
{
    bench_write(&f->b, addr, v);
}

static void seconds(unsigned n)
{
    host_time_advance(n * arch_time_hz());
}

static void identification(void **state)
{
    struct fixture *f = *state;
    static const uint8_t id[8] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
    struct vdev_desc d;
    struct vdev *second;

    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(rd(f, RTC + 0xfe0 + 4 * i), id[i]);
    }
    f->dev->ops->describe(f->dev, &d);
    assert_string_equal(d.node, "pl031");
    assert_memory_equal(d.compatible, "arm,pl031\0arm,primecell", d.compatible_len);
    assert_string_equal(d.clock_names, "apb_pclk");
    assert_int_equal(d.clocks, 1);
    assert_false(d.is_console);
    assert_int_equal(vpl031_create(&f->b.vm, &plan, 0, &second), E_EXISTS);
}

static void time_goes_on(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rd(f, DR), EPOCH);
    seconds(1);
    assert_int_equal(rd(f, DR), EPOCH + 1);
    host_time_advance(arch_time_hz() - 1);
    assert_int_equal(rd(f, DR), EPOCH + 1);
    host_time_advance(1);
    assert_int_equal(rd(f, DR), EPOCH + 2);
    wr(f, DR, 5); // read-only
    assert_int_equal(rd(f, DR), EPOCH + 2);
    assert_int_equal(rd(f, CR), 1);
    wr(f, CR, 0); // cannot be stopped
    assert_int_equal(rd(f, CR), 1);
}

static void setting_the_time(void **state)
{
    struct fixture *f = *state;

    seconds(10);
    wr(f, LR, 1000);
    assert_int_equal(rd(f, DR), 1000);
    assert_int_equal(rd(f, LR), 1000);
    seconds(7);
    assert_int_equal(rd(f, DR), 1007);
    wr(f, LR, UINT32_MAX);
    seconds(2);
    assert_int_equal(rd(f, DR), 1); // the counter wraps
}

static void match_interrupt(void **state)
{
    struct fixture *f = *state;

    wr(f, IMSC, 1);
    wr(f, MR, EPOCH + 3);
    assert_int_equal(rd(f, MR), EPOCH + 3);
    seconds(2);
    assert_int_equal(rd(f, RIS), 0);
    assert_false(f->b.level[IRQ]);
    seconds(1);
    assert_true(f->b.level[IRQ]);
    assert_int_equal(rd(f, RIS), 1);
    assert_int_equal(rd(f, MIS), 1);
    wr(f, ICR, 1);
    assert_false(f->b.level[IRQ]);
    seconds(5);
    assert_false(f->b.level[IRQ]); // once is enough
}

static void match_masked_then_unmasked(void **state)
{
    struct fixture *f = *state;

    wr(f, MR, EPOCH + 1);
    seconds(1);
    assert_int_equal(rd(f, RIS), 1);
    assert_int_equal(rd(f, MIS), 0);
    assert_false(f->b.level[IRQ]);
    wr(f, IMSC, 0xffffffff);
    assert_int_equal(rd(f, IMSC), 1);
    assert_true(f->b.level[IRQ]);
}

static void match_now_and_in_the_past(void **state)
{
    struct fixture *f = *state;

    wr(f, IMSC, 1);
    wr(f, MR, EPOCH);
    assert_true(f->b.level[IRQ]);
    wr(f, ICR, 1);
    wr(f, MR, EPOCH - 1); // 136 years ahead
    seconds(100);
    assert_false(f->b.level[IRQ]);
}

static void rearming_and_moving_the_clock(void **state)
{
    struct fixture *f = *state;

    wr(f, IMSC, 1);
    wr(f, MR, EPOCH + 10);
    wr(f, MR, EPOCH + 2);
    seconds(2);
    assert_true(f->b.level[IRQ]);
    wr(f, ICR, 1);
    wr(f, MR, EPOCH + 100);
    wr(f, LR, EPOCH + 95); // closer now
    seconds(4);
    assert_false(f->b.level[IRQ]);
    seconds(1);
    assert_true(f->b.level[IRQ]);
    wr(f, ICR, 1);
    wr(f, MR, EPOCH + 105);
    wr(f, LR, EPOCH); // further away: the old deadline passes in silence
    seconds(50);
    assert_false(f->b.level[IRQ]);
    seconds(55);
    assert_true(f->b.level[IRQ]);
}

static void reset_keeps_the_time(void **state)
{
    struct fixture *f = *state;

    wr(f, LR, 5000);
    wr(f, IMSC, 1);
    wr(f, MR, 5000);
    assert_true(f->b.level[IRQ]);
    f->dev->ops->reset(f->dev);
    assert_false(f->b.level[IRQ]);
    assert_int_equal(rd(f, IMSC) | rd(f, RIS) | rd(f, MR) | rd(f, LR), 0);
    seconds(1);
    assert_int_equal(rd(f, DR), 5001);
}

static void access_sweep(void **state)
{
    struct fixture *f = *state;

    for (unsigned off = 0; off < 0x1000; off++) {
        for (uint8_t size = 1; size <= 8; size++) {
            uint64_t v = UINT64_MAX;
            bool natural = (size & (size - 1)) == 0 && off % size == 0;
            bool reserved = off >= 0x20 && off < 0xfe0;
            enum io_result r = bench_access(&f->b, RTC + off, size, off & 1, &v);

            if (off + size > 0x1000) {
                assert_int_equal(r, IO_UNCLAIMED);
            } else {
                assert_int_equal(r, natural && (size <= 4 || reserved) ? IO_DONE : IO_BAD);
            }
        }
    }
}

static void save_and_load(void **state)
{
    struct fixture *f = *state;
    struct fixture g;
    uint8_t saved[64];
    uint32_t size = f->dev->ops->state_size, version = f->dev->ops->state_version;

    assert_true(size <= sizeof(saved));
    wr(f, LR, 4000);
    wr(f, IMSC, 1);
    wr(f, MR, 4010);
    seconds(3);
    fixture_init(&g);
    g.b.vm.time_offset = f->b.vm.time_offset; // the guest's clock is restored by the VM
    assert_int_equal(vdev_save(f->dev, saved, sizeof(saved)), OK);
    assert_int_equal(vdev_load(g.dev, version + 1, saved, size), E_UNSUPPORTED);
    assert_int_equal(vdev_load(g.dev, version, saved, size - 1), E_INVAL);
    assert_int_equal(vdev_load(g.dev, version, saved, size), OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(rd(f, DR), rd(&g, DR));
        assert_int_equal(rd(f, RIS), rd(&g, RIS));
        assert_int_equal(rd(f, MR), rd(&g, MR));
        assert_int_equal(f->b.level[IRQ], g.b.level[IRQ]);
        seconds(1);
    }
    assert_true(g.b.level[IRQ]);
    memset(saved, 0xff, sizeof(saved));
    assert_int_equal(vdev_load(g.dev, version, saved, size), E_CORRUPT);
    g.dev->ops->destroy(g.dev);
    bench_fini(&g.b);
}

static void destroyed_with_the_timer_armed(void **state)
{
    struct fixture g;

    (void)state;
    fixture_init(&g);
    wr(&g, MR, EPOCH + 5);
    g.dev->ops->destroy(g.dev);
    seconds(10); // nothing fires
    bench_fini(&g.b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(identification),
        T(time_goes_on),
        T(setting_the_time),
        T(match_interrupt),
        T(match_masked_then_unmasked),
        T(match_now_and_in_the_past),
        T(rearming_and_moving_the_clock),
        T(reset_keeps_the_time),
        T(access_sweep),
        T(save_and_load),
        cmocka_unit_test(destroyed_with_the_timer_armed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
