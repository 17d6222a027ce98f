// SPDX-License-Identifier: Apache-2.0
//
// The test finisher: what each value does to the VM, and what means nothing.
#include "tests/unit/vmm/devices/bench.h"

#include "arch/host/host.h"
#include "vmm/devices/vsifive_test.h"

#define TEST 0x100000u

struct fixture {
    struct bench b;
    struct vdev *dev;
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    bench_init(&f->b);
    assert_int_equal(vsifive_test_create(&f->b.vm, TEST, &f->dev), OK);
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

static void powers_off(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, TEST, 0x5555);
    assert_int_equal(f->b.vm.state, VM_STOPPING);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_POWEROFF);
}

static void resets(void **state)
{
    struct fixture *f = *state;
    uint64_t v = 0x7777;

    assert_int_equal(bench_access(&f->b, TEST, 2, true, &v), IO_DONE);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_RESET);
}

// Nothing else stops anything; without vCPUs a failure has nobody to blame.
static void ignores_the_rest(void **state)
{
    struct fixture *f = *state;

    bench_write(&f->b, TEST, 0);
    bench_write(&f->b, TEST, 0x1234);
    bench_write(&f->b, TEST, 0x00013333);
    bench_write(&f->b, TEST + 4, 0x5555);
    assert_int_equal(bench_read(&f->b, TEST), 0);
    assert_int_equal(f->b.vm.state, VM_RUNNING);
}

static void widths(void **state)
{
    struct fixture *f = *state;

    for (uint64_t off = 0; off < 0x1000; off += 1 + off % 7) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            uint64_t v = 0x1111;
            bool good = (size == 2 || size == 4) && off % size == 0;

            if (off + size <= 0x1000) {
                assert_int_equal(bench_access(&f->b, TEST + off, (uint8_t)size, true, &v),
                                 good ? IO_DONE : IO_BAD);
            }
        }
    }
    assert_int_equal(f->b.vm.state, VM_RUNNING);
}

static void creation(void **state)
{
    struct fixture *f = *state;
    struct vdev *second;

    assert_int_equal(vsifive_test_create(&f->b.vm, TEST, &second), E_EXISTS);
    f->dev->ops->reset(f->dev);
    assert_null(f->dev->ops->describe);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {T(powers_off), T(resets), T(ignores_the_rest), T(widths), T(creation)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
