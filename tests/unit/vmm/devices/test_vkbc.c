// SPDX-License-Identifier: Apache-2.0
//
// The ways to reset a PC, and its PCI configuration ports.
#include "tests/unit/vmm/devices/twins.h"

#include "vmm/devices/vkbc.h"
#include "vmm/devices/vpci_ports.h"

struct fixture {
    struct bench b;
    struct vdev *kbc, *pci;
};

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    bench_init(&f->b);
    assert_int_equal(vkbc_create(&f->b.vm, &f->kbc), OK);
    assert_int_equal(vpci_ports_create(&f->b.vm, &f->pci), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->kbc->ops->destroy(f->kbc);
    f->pci->ops->destroy(f->pci);
    bench_fini(&f->b);
    free(f);
    return 0;
}

static uint64_t in(struct fixture *f, uint64_t port, uint8_t size)
{
    uint64_t v = 0;

    assert_int_equal(bench_port(&f->b, port, size, false, &v), IO_DONE);
    return v;
}

static void out(struct fixture *f, uint64_t port, uint8_t size, uint64_t value)
{
    assert_int_equal(bench_port(&f->b, port, size, true, &value), IO_DONE);
}

static void no_controller(void **state)
{
    struct fixture *f = *state;

    for (unsigned v = 0; v < 0x100; v++) {
        out(f, 0x60, 1, v);
        if (v != 0xfe) {
            out(f, 0x64, 1, v);
        }
    }
    assert_int_equal(in(f, 0x60, 1), 0xff);
    assert_int_equal(in(f, 0x64, 1) & 3, 0); // ready for a command, nothing to read
    assert_int_equal(f->b.vm.state, VM_RUNNING);
}

static void keyboard_reset(void **state)
{
    struct fixture *f = *state;

    out(f, 0x64, 1, 0xfe);
    assert_int_equal(f->b.vm.state, VM_STOPPING);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_RESET);
}

static void fast_reset(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(in(f, 0x92, 1), 0x02);
    out(f, 0x92, 1, 0xfe);
    assert_int_equal(in(f, 0x92, 1), 0x02);
    assert_int_equal(f->b.vm.state, VM_RUNNING);
    out(f, 0x92, 1, 0x03);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_RESET);
}

// As Linux does it: the kind first.
static void reset_control(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(in(f, 0xcf9, 1), 0);
    out(f, 0xcf9, 1, 0xfb);
    assert_int_equal(in(f, 0xcf9, 1), 0x0a);
    out(f, 0xcf9, 2, 0x0606); // not this register's width
    assert_int_equal(f->b.vm.state, VM_RUNNING);
    out(f, 0xcf9, 1, 0x0e);
    assert_int_equal(f->b.vm.stop_reason, VM_STOP_RESET);
    assert_int_equal(in(f, 0xcf9, 1), 0x0a);
}

// Configuration mechanism 1 is there, no device is.
static void nothing_on_the_bus(void **state)
{
    struct fixture *f = *state;

    out(f, 0xcfb, 1, 1);
    assert_int_equal(in(f, 0xcf8, 4), 0);
    for (uint64_t device = 0; device < 32; device++) {
        uint64_t address = UINT64_C(0x80000000) | device << 11 | 0x3c;

        out(f, 0xcf8, 4, address | 0x7f000003);
        assert_int_equal(in(f, 0xcf8, 4), address);
        out(f, 0xcfc, 4, 0);
        assert_int_equal(in(f, 0xcfc, 4), 0xffffffff);
        assert_int_equal(in(f, 0xcfe, 2), 0xffff);
        assert_int_equal(in(f, 0xcfd, 1), 0xff);
    }
    assert_int_equal(in(f, 0xcf8, 1), 0xff); // no mechanism 2
    f->pci->ops->reset(f->pci);
    assert_int_equal(in(f, 0xcf8, 4), 0);
    assert_int_equal(f->b.vm.state, VM_RUNNING);
}

static void creation(void **state)
{
    struct fixture *f = *state;
    struct vdev *second;

    assert_int_equal(vkbc_create(&f->b.vm, &second), E_EXISTS);
    assert_int_equal(vpci_ports_create(&f->b.vm, &second), E_EXISTS);
    assert_int_equal(f->kbc->ops->state_size, 0);
}

static enum io_result nothing(void *dev, struct io_access *a)
{
    (void)dev;
    (void)a;
    return IO_DONE;
}

// All or none: what was added before the port that is taken is gone again.
static void half_created(void **state)
{
    struct fixture *f = *state;
    struct io_region taken = {.base = 0x92, .size = 1, .access = nothing, .name = "taken"};
    uint64_t v = 0;

    f->kbc->ops->destroy(f->kbc);
    assert_int_equal(io_bus_add(&f->b.vm.pio, &taken, NULL), OK);
    assert_int_equal(vkbc_create(&f->b.vm, &f->kbc), E_EXISTS);
    assert_int_equal(bench_port(&f->b, 0x64, 1, false, &v), IO_UNCLAIMED);
    assert_int_equal(io_bus_remove(&f->b.vm.pio, 0x92), OK);
    assert_int_equal(vkbc_create(&f->b.vm, &f->kbc), OK);
}

static void make_kbc(struct twin *t)
{
    assert_int_equal(vkbc_create(&t->b.vm, &t->dev), OK);
}

static void make_pci(struct twin *t)
{
    assert_int_equal(vpci_ports_create(&t->b.vm, &t->dev), OK);
}

static const struct twins_place kbc_places[] = {{0x60, 1, true}, {0x64, 1, true}, {0x92, 1, true}};
static const struct twins_place pci_places[] = {{0xcf8, 8, true}, {0xcf8, 1, true}, {0xcf9, 1, true}};
static const struct twins kbc = {make_kbc, kbc_places, ARRAY_SIZE(kbc_places), 1000};
static const struct twins pci = {make_pci, pci_places, ARRAY_SIZE(pci_places), 1000};

static void twins_agree(void **state)
{
    (void)state;
    twins_run(&kbc);
    twins_run(&pci);
}

static void garbage(void **state)
{
    (void)state;
    twins_load_garbage(&pci);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(no_controller),          T(keyboard_reset), T(fast_reset),   T(reset_control),
        T(nothing_on_the_bus),     T(creation),       T(half_created), cmocka_unit_test(twins_agree),
        cmocka_unit_test(garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
