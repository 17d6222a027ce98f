// SPDX-License-Identifier: Apache-2.0
//
// Slots of the virtual board without a device, as a guest sees that looks through all of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/backend/blk_ram.h"
#include "vmm/virtio/virtio_blk.h"

#define SLOTS 8u
#define SLOT_SIZE 0x200u
#define TAKEN 3u

struct fixture {
    struct test_guest *g;
    struct blk_backend *ram;
    struct virtio_device *dev;
};

static enum io_result slot_access(struct fixture *f, uint64_t addr, uint8_t size, bool write, uint64_t *value)
{
    struct io_cache cache = {0};
    struct io_access a = {.value = *value, .size = size, .write = write};
    enum io_result r = io_bus_access(&f->g->vm.mmio, &cache, addr, &a);

    *value = a.value;
    return r;
}

static uint64_t slot_read(struct fixture *f, unsigned slot, uint32_t off)
{
    uint64_t value = 0xdead;

    assert_int_equal(slot_access(f, MMIO_BASE + slot * SLOT_SIZE + off, 4, false, &value), IO_DONE);
    return value;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct plan_device place = *guest_place();

    f->g = guest_create();
    f->g->vm.plan.virtio_base = MMIO_BASE;
    f->g->vm.plan.virtio_slots = SLOTS;
    f->g->vm.plan.virtio_slot_size = SLOT_SIZE;
    place.base = MMIO_BASE + TAKEN * SLOT_SIZE;
    place.size = SLOT_SIZE;
    assert_int_equal(blk_ram_create("ram", NULL, MIB(1), false, &f->ram), OK);
    assert_int_equal(virtio_blk_create(&f->g->vm, "vda", f->ram, &f->dev), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, &place, f->dev), OK);
    assert_int_equal(virtio_mmio_fill_slots(&f->g->vm), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->vdev.ops->destroy(&f->dev->vdev);
    f->ram->ops->destroy(f->ram);
    guest_destroy(f->g);
    free(f);
    return 0;
}

// 4.2.3.1.1: magic and version first, then "if the device ID is 0, ignore".
static void test_scan_finds_the_device_alone(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < SLOTS; i++) {
        assert_int_equal(slot_read(f, i, VIRTIO_MMIO_MAGIC_VALUE), VIRTIO_MMIO_MAGIC);
        assert_int_equal(slot_read(f, i, VIRTIO_MMIO_VERSION), VIRTIO_MMIO_VERSION_2);
        assert_int_equal(slot_read(f, i, VIRTIO_MMIO_DEVICE_ID), i == TAKEN ? VIRTIO_ID_BLOCK : 0);
    }
}

static void test_nothing_else_is_there(void **state)
{
    struct fixture *f = *state;
    uint64_t value = UINT64_MAX;

    for (uint32_t off = VIRTIO_MMIO_DEVICE_ID; off < SLOT_SIZE; off += 4) {
        assert_int_equal(slot_read(f, 0, off), 0);
        assert_int_equal(slot_access(f, MMIO_BASE + off, 4, true, &value), IO_DONE);
        assert_int_equal(slot_read(f, 0, off), 0);
    }
    assert_int_equal(slot_access(f, MMIO_BASE, 4, true, &value), IO_DONE);
    assert_int_equal(slot_read(f, 0, 0), VIRTIO_MMIO_MAGIC);
}

// H11: any width, any alignment: an answer inside the width, and no other slot's.
static void test_every_width(void **state)
{
    struct fixture *f = *state;

    for (uint32_t off = 0; off < 16; off++) {
        for (uint8_t size = 1; size <= 8; size *= 2) {
            uint64_t value = 0;

            assert_int_equal(slot_access(f, MMIO_BASE + off, size, false, &value), IO_DONE);
            assert_true(size == 8 || value >> (8 * size) == 0);
        }
    }
}

static void test_behind_the_last_slot(void **state)
{
    struct fixture *f = *state;
    uint64_t value = 0;

    assert_int_equal(slot_access(f, MMIO_BASE + SLOTS * SLOT_SIZE, 4, false, &value), IO_UNCLAIMED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_scan_finds_the_device_alone),
        T(test_nothing_else_is_there),
        T(test_every_width),
        T(test_behind_the_last_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
