// SPDX-License-Identifier: Apache-2.0
//
// The MMIO transport and the status machine of virtio, on a device of the test's own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/guest_ring.h"

#define QSIZE 8
#define RING(q) (RAM_BASE + KIB(4) * ((q) + 1))

struct fixture {
    struct test_guest *g;
    struct virtio_device dev;
    uint8_t config[12];
    unsigned activations, resets, notified;
    uint32_t last_work, leave;
};

static struct fixture *of(struct virtio_device *dev)
{
    return container_of(dev, struct fixture, dev);
}

static void on_activate(struct virtio_device *dev)
{
    of(dev)->activations++;
}

static void on_reset(struct virtio_device *dev)
{
    of(dev)->resets++;
}

static uint32_t on_process(struct virtio_device *dev, uint32_t work, uint32_t budget)
{
    struct fixture *f = of(dev);

    f->notified++;
    f->last_work = work;
    if (budget == VIRTIO_NO_BUDGET) {
        return 0;
    }
    assert_int_equal(budget, 3);
    return f->leave;
}

static void on_config_write(struct virtio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
    memcpy(of(dev)->config + off, buf, len);
}

static void on_destroy(struct virtio_device *dev)
{
    (void)dev;
}

static const struct virtio_ops ops = {
    .vdev = VIRTIO_VDEV_OPS("virtio-test"),
    .device_id = 42,
    .queue_count = 2,
    .queue_size_max = 16,
    .activate = on_activate,
    .reset = on_reset,
    .process = on_process,
    .exit_budget = 3,
    .config_write = on_config_write,
    .destroy = on_destroy,
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->g = guest_create();
    memcpy(f->config, "abcdefghijkl", 12);
    f->dev.config = f->config;
    f->dev.config_size = sizeof(f->config);
    f->dev.features = BIT64(3) | BIT64(40);
    assert_int_equal(virtio_setup(&f->dev, &ops, &f->g->vm, "test0"), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, guest_place(), &f->dev), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct io_region left;

    virtio_destroy(&f->dev);
    assert_false(io_bus_nearest(&f->g->vm.mmio, MMIO_BASE, &left)); // it left the bus
    guest_destroy(f->g);
    free(f);
    return 0;
}

static uint32_t rd(struct fixture *f, uint32_t off)
{
    return guest_read(f->g, off);
}

static void wr(struct fixture *f, uint32_t off, uint32_t v)
{
    guest_write(f->g, off, v);
}

static void bring_up(struct fixture *f)
{
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    for (unsigned q = 0; q < 2; q++) {
        struct test_ring r = ring_at(f->g, RING(q), QSIZE);

        guest_queue_setup(f->g, q, &r);
    }
    guest_driver_ok(f->g);
}

static void test_identification(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(rd(f, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_ID), 42);
    assert_int_not_equal(rd(f, VIRTIO_MMIO_VENDOR_ID), 0);
    wr(f, VIRTIO_MMIO_MAGIC_VALUE, 0); // read-only
    assert_int_equal(rd(f, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    wr(f, VIRTIO_MMIO_SHM_SEL, 0);
    for (uint32_t off = VIRTIO_MMIO_SHM_LEN_LOW; off <= VIRTIO_MMIO_SHM_BASE_HIGH; off += 4) {
        assert_int_equal(rd(f, off), UINT32_MAX);
    }
    assert_int_equal(rd(f, 0x008 + 0x1f0 - 0x100), 0); // reserved: reads as zero
}

static void test_feature_words(void **state)
{
    struct fixture *f = *state;

    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1u << 3 | 1u << 28 | 1u << 29);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 1u << 0 | 1u << 8);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
    wr(f, VIRTIO_MMIO_DEVICE_FEATURES_SEL, UINT32_MAX);
    assert_int_equal(rd(f, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

// H11, as far as a device decides it: registers take 32-bit accesses alone, configuration space every natural
// one.
static void test_widths(void **state)
{
    struct fixture *f = *state;
    uint64_t v;

    for (uint32_t off = 0; off < 0x100; off++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            bool known = off == VIRTIO_MMIO_STATUS || off == VIRTIO_MMIO_MAGIC_VALUE ||
                         off == VIRTIO_MMIO_QUEUE_NOTIFY;

            if (known && size != 4) {
                v = 0;
                assert_int_equal(guest_access(f->g, off, size, false, &v), IO_BAD);
                assert_int_equal(guest_access(f->g, off, size, true, &v), IO_BAD);
            }
        }
    }
    assert_int_equal(guest_access(f->g, 0x101, 4, false, &v), IO_BAD);
    assert_int_equal(guest_access(f->g, 0x102, 2, false, &v), IO_DONE);
    assert_int_equal(v, 'c' | 'd' << 8);
    assert_int_equal(guest_access(f->g, 0x10b, 1, false, &v), IO_DONE);
    assert_int_equal(v, 'l');
    assert_int_equal(guest_access(f->g, 0x108, 8, false, &v), IO_DONE);
    assert_int_equal(v, UINT64_C(0x6c6b6a69)); // beyond the end: zeros
    assert_int_equal(guest_access(f->g, 0x1f8, 8, false, &v), IO_DONE);
    assert_int_equal(v, 0);
    assert_int_equal(guest_access(f->g, 0x1f4, 8, false, &v), IO_BAD);
    assert_int_equal(guest_access(f->g, 0x200, 4, false, &v), IO_UNCLAIMED);
}

static void test_config_writes(void **state)
{
    struct fixture *f = *state;
    uint64_t v = 0x31;

    assert_int_equal(guest_access(f->g, 0x101, 1, true, &v), IO_DONE);
    assert_memory_equal(f->config, "a1cdefghijkl", 12);
    v = UINT64_MAX;
    assert_int_equal(guest_access(f->g, 0x108, 8, true, &v), IO_DONE); // over the end: ignored as a whole
    assert_int_equal(guest_access(f->g, 0x1f0, 8, true, &v), IO_DONE);
    assert_memory_equal(f->config, "a1cdefghijkl", 12);
}

static void test_negotiation(void **state)
{
    struct fixture *f = *state;

    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON | BIT64(3));
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), STATUS_UP_TO_FEATURES);
    // Fixed from here on.
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    wr(f, VIRTIO_MMIO_DRIVER_FEATURES, UINT32_MAX);
    assert_int_equal(f->dev.state.driver_features, VIRTIO_FEATURES_COMMON | BIT64(3));
    guest_driver_ok(f->g);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), STATUS_UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK);
    assert_int_equal(f->activations, 1);
    guest_driver_ok(f->g); // again: nothing happens
    assert_int_equal(f->activations, 1);
}

static void test_features_refused(void **state)
{
    struct fixture *f = *state;
    static const uint64_t bad[] = {
        0, // no VERSION_1: a legacy driver
        BIT64(VIRTIO_F_INDIRECT_DESC),
        BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED), // not offered
        UINT64_MAX,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        guest_negotiate(f->g, bad[i]);
        assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
        guest_driver_ok(f->g); // the driver insists
        assert_int_equal(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DRIVER_OK, 0);
        assert_int_equal(f->activations, 0);
    }
    wr(f, VIRTIO_MMIO_STATUS, 0);
    wr(f, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_DRIVER_OK);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DRIVER_OK, 0);
}

static void test_status_bits_only_grow(void **state)
{
    struct fixture *f = *state;

    bring_up(f);
    wr(f, VIRTIO_MMIO_STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), STATUS_UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK);
    // The driver cannot set what is the device's, nor what does not exist.
    wr(f, VIRTIO_MMIO_STATUS, UINT32_MAX & ~VIRTIO_STATUS_FAILED);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), STATUS_UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK);
    wr(f, VIRTIO_MMIO_STATUS, 0xff);
    assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_FAILED);
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0); // a failed driver gets nothing done
    assert_int_equal(f->notified, 0);
    wr(f, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), 0);
}

static void test_queue_setup(void **state)
{
    struct fixture *f = *state;

    wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 16);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 1); // size 0
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    static const uint32_t none[] = {2, 3, 4, 5, UINT32_MAX};

    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        wr(f, VIRTIO_MMIO_QUEUE_SEL, none[i]);
        assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
        wr(f, VIRTIO_MMIO_QUEUE_NUM, 8);
        wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
        wr(f, VIRTIO_MMIO_QUEUE_READY, 1);
        assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
    }
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 1);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x11111110);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x22222222);
    assert_int_equal(f->dev.state.queues[1].desc, UINT64_C(0x2222222211111110));
    struct test_ring r = ring_at(f->g, RING(1), QSIZE);

    guest_queue_setup(f->g, 1, &r);
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 1);
    wr(f, VIRTIO_MMIO_QUEUE_READY, 0); // before DRIVER_OK the driver may take it back
    assert_int_equal(rd(f, VIRTIO_MMIO_QUEUE_READY), 0);
}

// H01
static void test_no_queue_change_after_driver_ok(void **state)
{
    struct fixture *f = *state;
    static const uint32_t regs[] = {VIRTIO_MMIO_QUEUE_NUM,        VIRTIO_MMIO_QUEUE_READY,
                                    VIRTIO_MMIO_QUEUE_DESC_LOW,   VIRTIO_MMIO_QUEUE_DESC_HIGH,
                                    VIRTIO_MMIO_QUEUE_DRIVER_LOW, VIRTIO_MMIO_QUEUE_DRIVER_HIGH,
                                    VIRTIO_MMIO_QUEUE_DEVICE_LOW, VIRTIO_MMIO_QUEUE_DEVICE_HIGH};
    struct virtio_state before;

    bring_up(f);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 0);
    assert_int_equal(vdev_save(&f->dev.vdev, &before, sizeof(before)), OK);
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        wr(f, regs[i], 0);
        wr(f, regs[i], 0xdead0);
    }
    assert_memory_equal(&before, &f->dev.state, sizeof(before));
}

static void test_ready_queue_is_fixed(void **state)
{
    struct fixture *f = *state;
    struct test_ring r = ring_at(f->g, RING(0), QSIZE);

    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    guest_queue_setup(f->g, 0, &r);
    wr(f, VIRTIO_MMIO_QUEUE_NUM, 3);
    wr(f, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10);
    assert_int_equal(f->dev.state.queues[0].size, QSIZE);
    assert_int_equal(f->dev.state.queues[0].desc, r.desc);
}

// H06
static void test_kicks(void **state)
{
    struct fixture *f = *state;
    static const uint32_t none[] = {2, 4, 0x10000, 0x80000000, UINT32_MAX};

    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0); // before anything is set up
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    struct test_ring r = ring_at(f->g, RING(1), QSIZE);

    guest_queue_setup(f->g, 1, &r);
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1); // before DRIVER_OK
    guest_driver_ok(f->g);
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0); // never configured
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, none[i]);
    }
    assert_int_equal(f->notified, 0);
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
    assert_int_equal(f->notified, 1);
    assert_int_equal(f->last_work, VIRTIO_WORK_ALL); // DRIVER_OK left that to do
    assert_int_equal(f->dev.work, 0);
    f->leave = 1u << 1; // the budget ends first
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
    assert_int_equal(f->notified, 2);
    assert_int_equal(f->last_work, 1u << 1);
    assert_int_equal(f->dev.work, 1u << 1);
    virtio_process(&f->dev);
    assert_int_equal(f->notified, 3);
    assert_int_equal(f->dev.work, 0);
}

static void test_interrupts(void **state)
{
    struct fixture *f = *state;
    uint32_t generation = rd(f, VIRTIO_MMIO_CONFIG_GENERATION);

    bring_up(f);
    f->config[0] = 'z';
    virtio_config_changed(&f->dev);
    assert_true(f->g->level);
    assert_int_not_equal(rd(f, VIRTIO_MMIO_CONFIG_GENERATION), generation);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
    struct test_ring r = ring_at(f->g, RING(0), QSIZE);

    ring_desc(&r, 0, RAM_BASE, 1, 0, 0);
    ring_offer(&r, 0);
    struct virtq_segment segs[16];
    struct virtq_chain chain = {.segs = segs, .capacity = 16};

    assert_int_equal(virtqueue_pop(&f->dev.queues[0], &chain), OK);
    assert_int_equal(virtqueue_push(&f->dev.queues[0], 0, 0), OK);
    virtio_notify_used(&f->dev, &f->dev.queues[0]);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG | VIRTIO_MMIO_INT_VRING);
    wr(f, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
    assert_true(f->g->level); // one is still there
    wr(f, VIRTIO_MMIO_INTERRUPT_ACK, UINT32_MAX);
    assert_false(f->g->level);
    assert_int_equal(f->g->raised, 1);
}

static void test_broken_queue_asks_for_reset(void **state)
{
    struct fixture *f = *state;

    bring_up(f);
    virtio_break(&f->dev, &f->dev.queues[1], "test");
    virtio_break(&f->dev, &f->dev.queues[1], "test"); // once is enough
    assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    assert_int_equal(rd(f, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
    assert_int_equal(f->g->raised, 1);
    assert_false(virtio_running(&f->dev));
    wr(f, VIRTIO_MMIO_QUEUE_NOTIFY, 0); // the device needs a reset as a whole
    assert_int_equal(f->notified, 0);
    wr(f, VIRTIO_MMIO_STATUS, 0xff & ~VIRTIO_STATUS_DEVICE_NEEDS_RESET & ~VIRTIO_STATUS_FAILED);
    assert_true(rd(f, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DEVICE_NEEDS_RESET); // only a reset clears it
    bring_up(f);
    assert_int_equal(rd(f, VIRTIO_MMIO_STATUS), STATUS_UP_TO_FEATURES | VIRTIO_STATUS_DRIVER_OK);
    assert_false(f->g->level);
}

static void test_reset_clears_everything(void **state)
{
    struct fixture *f = *state;
    static const struct virtio_state zero;

    bring_up(f);
    wr(f, VIRTIO_MMIO_QUEUE_SEL, 7);
    virtio_config_changed(&f->dev);
    wr(f, VIRTIO_MMIO_STATUS, 0);
    assert_memory_equal(&f->dev.state, &zero, sizeof(zero));
    assert_false(f->g->level);
    assert_true(f->resets > 0);
}

// Random accesses, save, load into a second device: both behave the same from there on.
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static uint64_t random_access(struct fixture *f, uint32_t *seed)
{
    static const uint32_t interesting[] = {
        VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES,
        VIRTIO_MMIO_QUEUE_SEL,           VIRTIO_MMIO_QUEUE_NUM,           VIRTIO_MMIO_QUEUE_READY,
        VIRTIO_MMIO_QUEUE_NOTIFY,        VIRTIO_MMIO_INTERRUPT_ACK,       VIRTIO_MMIO_STATUS,
        VIRTIO_MMIO_QUEUE_DESC_LOW,      VIRTIO_MMIO_QUEUE_DRIVER_LOW,    VIRTIO_MMIO_QUEUE_DEVICE_LOW};
    static const uint32_t values[] = {0, 1, 2, 3, 7, 8, 11, 15, 0x40001000, 0x30000000, 0xff, UINT32_MAX};
    uint32_t r = next_random(seed);
    uint64_t off =
        r & 1 ? interesting[next_random(seed) % ARRAY_SIZE(interesting)] : next_random(seed) % 0x200;
    uint64_t v = values[next_random(seed) % ARRAY_SIZE(values)];
    unsigned size = r & 2 ? 4 : 1u << (r >> 2 & 3);
    enum io_result res = guest_access(f->g, off, size, (r & 16) != 0, &v);

    return ((uint64_t)res << 60) ^ v ^ ((uint64_t)f->g->level << 50);
}

static void test_save_load_same_behaviour(void **state)
{
    struct fixture *a = *state;
    void *second;

    for (uint32_t round = 0; round < 300; round++) {
        uint32_t seed = round, seed_b;
        struct virtio_state saved;

        assert_int_equal(setup(&second), 0);
        struct fixture *b = second;

        if (round % 3 == 0) {
            bring_up(a);
        }
        for (unsigned i = 0; i < 40; i++) {
            (void)random_access(a, &seed);
        }
        memcpy(b->config, a->config, sizeof(a->config));
        assert_int_equal(vdev_save(&a->dev.vdev, &saved, sizeof(saved)), OK);
        assert_int_equal(vdev_load(&b->dev.vdev, VIRTIO_STATE_VERSION, &saved, sizeof(saved)), OK);
        assert_memory_equal(&a->dev.state, &b->dev.state, sizeof(saved));
        seed_b = seed;
        for (unsigned i = 0; i < 60; i++) {
            assert_int_equal(random_access(a, &seed), random_access(b, &seed_b));
        }
        teardown(&second);
    }
}

static void test_description(void **state)
{
    struct fixture *f = *state;
    struct vdev_desc d;

    f->dev.vdev.ops->describe(&f->dev.vdev, &d);
    assert_string_equal(d.node, "virtio_mmio");
    assert_string_equal(d.compatible, "virtio,mmio");
    assert_int_equal(d.compatible_len, 12);
    assert_true(d.dma_coherent);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_identification),
        T(test_feature_words),
        T(test_widths),
        T(test_config_writes),
        T(test_negotiation),
        T(test_features_refused),
        T(test_status_bits_only_grow),
        T(test_queue_setup),
        T(test_no_queue_change_after_driver_ok),
        T(test_ready_queue_is_fixed),
        T(test_kicks),
        T(test_interrupts),
        T(test_broken_queue_asks_for_reset),
        T(test_reset_clears_everything),
        T(test_save_load_same_behaviour),
        T(test_description),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
