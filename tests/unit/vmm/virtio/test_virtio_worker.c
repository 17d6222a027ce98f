// SPDX-License-Identifier: Apache-2.0
//
// virtio-blk with its worker thread on the fake machine: kicks wake it, resets and completions cross it from other CPUs,
// quiesce waits for what is under way, destroy ends it and leaks nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/backend/blk_ram.h"
#include "vmm/virtio/virtio_blk.h"

#define QSIZE 16
#define RING_BASE (RAM_BASE + KIB(4))
#define HEADER (RAM_BASE + KIB(32))
#define STATUS_BYTE (RAM_BASE + KIB(40))
#define DATA (RAM_BASE + KIB(64))
#define SECTORS 64u

// A disk that answers after a while, from timer interrupts.
struct slow_disk {
    struct blk_backend be;
    struct timer timer;
    struct list_node queue;
    unsigned count;
};

struct fixture {
    struct test_guest *g;
    struct test_ring ring;
    struct virtio_device *dev;
    struct slow_disk slow;
    struct pool_stats before;
};

static void slow_fired(struct timer *t)
{
    struct slow_disk *d = container_of(t, struct slow_disk, timer);
    struct list_node *node = list_pop_front(&d->queue);
    struct block_request *req = list_entry(node, struct block_request, node);

    if (--d->count > 0) {
        timer_set(t, t->deadline + time_from_us(100));
    }
    req->done(req, OK);
}

static enum status slow_submit(struct blk_backend *be, struct block_request *req)
{
    struct slow_disk *d = container_of(be, struct slow_disk, be);

    list_push_back(&d->queue, &req->node);
    if (d->count++ == 0) {
        timer_set(&d->timer, arch_time_now() + time_from_us(100));
    }
    return OK;
}

static const struct blk_backend_ops slow_ops = {.submit = slow_submit};

static void bring_up(struct fixture *f)
{
    memset(guest_at(f->g, RING_BASE), 0, KIB(4));
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    guest_queue_setup(f->g, 0, &f->ring);
    guest_driver_ok(f->g);
}

static void start(struct fixture *f, struct blk_backend *be)
{
    assert_int_equal(virtio_blk_create(&f->g->vm, "vda", be, &f->dev), OK);
    assert_int_equal(virtio_mmio_create(&f->g->vm, guest_place(), f->dev), OK);
    bring_up(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    host_boot(MIB(64), 1);
    f->g = guest_create();
    pool_stats_get(&f->before);
    f->slow.be = (struct blk_backend){.ops = &slow_ops, .sector_count = SECTORS, .can_flush = true};
    list_init(&f->slow.queue);
    timer_setup(&f->slow.timer, slow_fired);
    *state = f;
    return 0;
}

static void end(struct fixture *f)
{
    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    assert_int_equal(f->dev->in_flight, 0);
    f->dev->vdev.ops->destroy(&f->dev->vdev);
    assert_true(list_empty(&f->g->vm.devices));
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct pool_stats after;

    sched_reap(); // the dead worker's memory comes back
    io_bus_quiesce(&f->g->vm.mmio);
    pool_stats_get(&after);
    assert_int_equal(after.live_objects, f->before.live_objects);
    guest_destroy(f->g);
    free(f);
    return 0;
}

static void offer(struct fixture *f, unsigned slot, uint32_t type)
{
    struct virtio_blk_req_hdr h = {.type = type, .sector = slot};
    uint16_t d = (uint16_t)(slot * 3);

    memcpy(guest_at(f->g, HEADER + 16 * slot), &h, sizeof(h));
    ring_desc(&f->ring, d, HEADER + 16 * slot, 16, VIRTQ_DESC_F_NEXT, d + 1);
    ring_desc(&f->ring, d + 1u, DATA + 512 * slot, 512,
              (type == VIRTIO_BLK_T_OUT ? 0 : VIRTQ_DESC_F_WRITE) | VIRTQ_DESC_F_NEXT, d + 2);
    ring_desc(&f->ring, d + 2u, STATUS_BYTE + slot, 1, VIRTQ_DESC_F_WRITE, 0);
    ring_offer(&f->ring, d);
}

static unsigned take_all(struct fixture *f)
{
    struct virtq_used_elem e;
    unsigned n = 0;

    while (ring_take(&f->ring, &e)) {
        n++;
    }
    return n;
}

static void test_kick_wakes_the_worker(void **state)
{
    struct fixture *f = *state;
    static uint8_t image[SECTORS * 512];
    struct blk_backend *ram;

    memset(image, 0x3c, sizeof(image));
    assert_int_equal(blk_ram_create("ram", image, sizeof(image), false, &ram), OK);
    start(f, ram);
    for (unsigned i = 0; i < 100; i++) {
        offer(f, 1, VIRTIO_BLK_T_IN);
        guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        host_run_until(NULL, NULL, 0);
        assert_int_equal(take_all(f), 1);
    }
    assert_memory_equal(guest_at(f->g, DATA + 512), image, 512);
    assert_true(f->g->level);
    end(f);
    ram->ops->destroy(ram);
}

// As in a vCPU's exit: what is short is done there, the rest waits for the worker.
static void test_kick_with_interrupts_masked(void **state)
{
    struct fixture *f = *state;
    static uint8_t image[SECTORS * 512];
    struct blk_backend *ram;

    assert_int_equal(blk_ram_create("ram", image, sizeof(image), false, &ram), OK);
    start(f, ram);
    unsigned long irq = arch_irq_save();

    for (unsigned i = 0; i < 5; i++) {
        offer(f, i, VIRTIO_BLK_T_IN);
    }
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert_int_equal(take_all(f), 4); // the exit's budget
    arch_irq_restore(irq);
    host_run_until(NULL, NULL, 0);
    assert_int_equal(take_all(f), 1);
    irq = arch_irq_save();
    offer(f, 0, VIRTIO_BLK_T_OUT); // its first write takes memory, which is no work for an exit
    offer(f, 1, VIRTIO_BLK_T_IN);  // overtakes nothing
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert_int_equal(take_all(f), 0);
    arch_irq_restore(irq);
    host_run_until(NULL, NULL, 0);
    assert_int_equal(take_all(f), 2);
    end(f);
    ram->ops->destroy(ram);
}

static void test_completion_in_interrupt(void **state)
{
    struct fixture *f = *state;

    start(f, &f->slow.be);
    for (unsigned i = 0; i < 5; i++) {
        offer(f, i, VIRTIO_BLK_T_IN);
    }
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    host_run_until(NULL, NULL, 0);
    assert_int_equal(take_all(f), 0);
    host_time_advance(time_from_us(250));
    host_run_until(NULL, NULL, 0);
    assert_int_equal(take_all(f), 2);
    host_time_advance(time_from_us(1000));
    host_run_until(NULL, NULL, 0);
    assert_int_equal(take_all(f), 3);
    end(f);
}

static void test_quiesce_waits(void **state)
{
    struct fixture *f = *state;

    start(f, &f->slow.be);
    for (unsigned i = 0; i < 4; i++) {
        offer(f, i, VIRTIO_BLK_T_IN);
    }
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    host_run_until(NULL, NULL, 0);
    assert_int_equal(f->slow.count, 4);
    end(f); // asserts that nothing is in flight after quiesce
    assert_int_equal(f->slow.count, 0);
    assert_int_equal(take_all(f), 4);
}

// H08: resets at any moment of the requests' life.
static void test_reset_storm(void **state)
{
    struct fixture *f = *state;

    start(f, &f->slow.be);
    for (unsigned i = 0; i < 200; i++) {
        offer(f, i % 5, VIRTIO_BLK_T_IN);
        offer(f, (i + 1) % 5, VIRTIO_BLK_T_FLUSH);
        guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        host_time_advance(time_from_us(i % 7 * 40));
        host_run_until(NULL, NULL, 0);
        if (i % 3 == 0) {
            bring_up(f);
        } else if (i % 3 == 1) {
            guest_write(f->g, VIRTIO_MMIO_STATUS, 0);
            bring_up(f);
        }
    }
    end(f);
    assert_int_equal(f->slow.count, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_kick_wakes_the_worker),
        T(test_kick_with_interrupts_masked),
        T(test_completion_in_interrupt),
        T(test_quiesce_waits),
        T(test_reset_storm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
