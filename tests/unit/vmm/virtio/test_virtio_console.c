// SPDX-License-Identifier: Apache-2.0
//
// virtio-console as a driver sees it, over a fake terminal whose room and input the test controls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/virtio/virtio_console.h"

#define QSIZE 8
#define RX_RING (RAM_BASE + KIB(4))
#define TX_RING (RAM_BASE + KIB(8))
#define DATA (RAM_BASE + KIB(64))

struct terminal {
    struct char_backend be;
    char out[8192];
    size_t out_len, room;
    char in[8192];
    size_t in_len, in_pos;
    unsigned writes;
    void (*during_write)(void *ctx);
    void *ctx;
};

struct fixture {
    struct test_guest *g;
    struct terminal term;
    struct virtio_device *dev;
    struct test_ring rx, tx;
};

static size_t term_write(struct char_backend *be, const void *buf, size_t len)
{
    struct terminal *t = container_of(be, struct terminal, be);
    size_t n = min_u64(len, t->room);

    t->writes++;
    memcpy(t->out + t->out_len, buf, n);
    t->out_len += n;
    t->room -= n;
    if (t->during_write) {
        t->during_write(t->ctx);
    }
    return n;
}

static size_t term_read(struct char_backend *be, void *buf, size_t len)
{
    struct terminal *t = container_of(be, struct terminal, be);
    size_t n = min_u64(len, t->in_len - t->in_pos);

    memcpy(buf, t->in + t->in_pos, n);
    t->in_pos += n;
    return n;
}

static const struct char_backend_ops term_ops = {.write = term_write, .read = term_read};

static void process(struct fixture *f)
{
    virtio_process(f->dev);
}

static void bring_up(struct fixture *f)
{
    memset(guest_at(f->g, RX_RING), 0, KIB(8));
    guest_negotiate(f->g, VIRTIO_FEATURES_COMMON);
    f->rx = ring_at(f->g, RX_RING, QSIZE);
    f->tx = ring_at(f->g, TX_RING, QSIZE);
    guest_queue_setup(f->g, VIRTIO_CONSOLE_RX, &f->rx);
    guest_queue_setup(f->g, VIRTIO_CONSOLE_TX, &f->tx);
    guest_driver_ok(f->g);
    process(f);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->g = guest_create();
    f->term.be.ops = &term_ops;
    f->term.room = sizeof(f->term.out);
    assert_int_equal(virtio_console_create(&f->g->vm, "console0", &f->term.be, &f->dev), OK);
    assert_int_equal(virtio_mmio_attach(&f->g->vm, guest_place(), f->dev), OK);
    bring_up(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    f->dev->vdev.ops->destroy(&f->dev->vdev);
    assert_null(f->term.be.front);
    guest_destroy(f->g);
    free(f);
    return 0;
}

static void send(struct fixture *f, uint16_t head, const char *text)
{
    uint64_t at = DATA + 4096u * head;

    memcpy(guest_at(f->g, at), text, strlen(text));
    ring_desc(&f->tx, head, at, (uint32_t)strlen(text), 0, 0);
    ring_offer(&f->tx, head);
}

static void kick(struct fixture *f, unsigned queue)
{
    guest_write(f->g, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void type(struct fixture *f, const char *text)
{
    memcpy(f->term.in + f->term.in_len, text, strlen(text));
    f->term.in_len += strlen(text);
    f->term.be.front->rx_ready(f->term.be.dev);
    process(f);
}

static void assert_output(struct fixture *f, const char *text)
{
    assert_int_equal(f->term.out_len, strlen(text));
    assert_memory_equal(f->term.out, text, strlen(text));
}

static void test_sends_in_the_kick_itself(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    send(f, 2, "hello ");
    send(f, 3, "world");
    kick(f, VIRTIO_CONSOLE_TX); // no process(): the worker is not needed
    assert_output(f, "hello world");
    assert_true(ring_take(&f->tx, &e));
    assert_int_equal(e.id, 2);
    assert_int_equal(e.len, 0);
    assert_true(ring_take(&f->tx, &e));
    assert_int_equal(e.id, 3);
    assert_true(f->g->level);
}

static void test_exit_work_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    memset(guest_at(f->g, DATA), 'x', 8000);
    ring_desc(&f->tx, 0, DATA, 8000, 0, 0);
    ring_offer(&f->tx, 0);
    kick(f, VIRTIO_CONSOLE_TX);
    assert_int_equal(f->term.out_len, 4096);
    assert_false(ring_take(&f->tx, &e));
    assert_true(f->dev->work); // left to the worker
    process(f);
    assert_int_equal(f->term.out_len, 8000);
    assert_true(ring_take(&f->tx, &e));
}

static void test_back_pressure(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    f->term.room = 4;
    send(f, 0, "0123456789");
    send(f, 1, "abc");
    kick(f, VIRTIO_CONSOLE_TX);
    assert_output(f, "0123");
    assert_false(ring_take(&f->tx, &e));
    process(f); // still no room: nothing is lost or repeated
    assert_output(f, "0123");
    f->term.room = 3;
    f->term.be.front->tx_ready(f->term.be.dev);
    process(f);
    assert_output(f, "0123456");
    f->term.room = 100;
    f->term.be.front->tx_ready(f->term.be.dev);
    process(f);
    assert_output(f, "0123456789abc");
    assert_true(ring_take(&f->tx, &e));
    assert_true(ring_take(&f->tx, &e));
    assert_false(ring_take(&f->tx, &e));
}

static void test_chain_shrinks_while_it_waits(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    f->term.room = 4;
    send(f, 0, "0123456789");
    kick(f, VIRTIO_CONSOLE_TX);
    ring_desc(&f->tx, 0, DATA, 2, 0, 0); // shorter than what was sent of it
    f->term.room = 100;
    process(f);
    assert_output(f, "0123");
    assert_true(ring_take(&f->tx, &e));
    send(f, 1, "next");
    kick(f, VIRTIO_CONSOLE_TX);
    assert_output(f, "0123next");
}

static void test_odd_chains(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    ring_desc(&f->tx, 0, DATA, 0, 0, 0);                  // empty
    ring_desc(&f->tx, 1, DATA, 5, VIRTQ_DESC_F_WRITE, 0); // nothing to read
    ring_desc(&f->tx, 2, 0, 5, 0, 0);                     // not memory
    ring_offer(&f->tx, 0);
    ring_offer(&f->tx, 1);
    ring_offer(&f->tx, 2);
    send(f, 3, "ok");
    kick(f, VIRTIO_CONSOLE_TX);
    assert_output(f, "ok");
    for (unsigned i = 0; i < 4; i++) {
        assert_true(ring_take(&f->tx, &e));
        assert_int_equal(e.id, i);
    }
}

static void test_input(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    type(f, "early"); // no buffer yet: it waits in the back end
    assert_int_equal(f->term.in_pos, 0);
    ring_desc(&f->rx, 0, DATA, 3, VIRTQ_DESC_F_WRITE, 0);
    ring_desc(&f->rx, 1, DATA + 16, 100, VIRTQ_DESC_F_WRITE, 0);
    ring_desc(&f->rx, 2, DATA + 256, 100, VIRTQ_DESC_F_WRITE, 0);
    for (uint16_t i = 0; i < 3; i++) {
        ring_offer(&f->rx, i);
    }
    kick(f, VIRTIO_CONSOLE_RX);
    process(f);
    assert_true(ring_take(&f->rx, &e));
    assert_int_equal(e.len, 3);
    assert_memory_equal(guest_at(f->g, DATA), "ear", 3);
    assert_true(ring_take(&f->rx, &e));
    assert_int_equal(e.len, 2);
    assert_memory_equal(guest_at(f->g, DATA + 16), "ly", 2);
    assert_false(ring_take(&f->rx, &e)); // an empty buffer is not given back
    type(f, "more");
    assert_true(ring_take(&f->rx, &e));
    assert_int_equal(e.id, 2);
    assert_int_equal(e.len, 4);
    assert_true(f->g->level);
}

static void test_receive_buffer_not_memory(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->rx, 0, ROM_BASE, 16, VIRTQ_DESC_F_WRITE, 0);
    ring_offer(&f->rx, 0);
    kick(f, VIRTIO_CONSOLE_RX);
    type(f, "x");
    assert_true(guest_read(f->g, VIRTIO_MMIO_STATUS) & VIRTIO_STATUS_DEVICE_NEEDS_RESET);
    bring_up(f);
    send(f, 0, "alive");
    kick(f, VIRTIO_CONSOLE_TX);
    assert_output(f, "alive");
}

static void reset_now(void *ctx)
{
    struct fixture *f = ctx;

    f->term.during_write = NULL;
    bring_up(f); // another vCPU, while this one is inside the back end
    send(f, 1, "after");
}

// H08
static void test_reset_while_sending(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    f->term.during_write = reset_now;
    f->term.ctx = f;
    send(f, 0, "before");
    kick(f, VIRTIO_CONSOLE_TX);
    process(f);
    assert_output(f, "beforeafter");
    assert_true(ring_take(&f->tx, &e));
    assert_int_equal(e.id, 1); // nothing of the old life reached the new ring
    assert_false(ring_take(&f->tx, &e));
}

static void kick_again(void *ctx)
{
    struct fixture *f = ctx;

    if (f->term.writes < 4) {
        send(f, (uint16_t)f->term.writes, "+");
        kick(f, VIRTIO_CONSOLE_TX); // somebody else is at it: must neither wait nor be lost
    }
}

static void test_kick_while_busy(void **state)
{
    struct fixture *f = *state;

    f->term.during_write = kick_again;
    f->term.ctx = f;
    send(f, 0, "+");
    kick(f, VIRTIO_CONSOLE_TX);
    assert_output(f, "++++");
}

static void test_quiesce(void **state)
{
    struct fixture *f = *state;

    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    send(f, 0, "later");
    kick(f, VIRTIO_CONSOLE_TX);
    process(f);
    assert_output(f, "");
    virtio_resume(f->dev);
    process(f);
    assert_output(f, "later");
}

static void test_save_load_in_the_middle_of_a_chain(void **state)
{
    struct fixture *f = *state;
    struct virtio_state saved;

    f->term.room = 4;
    send(f, 0, "0123456789");
    kick(f, VIRTIO_CONSOLE_TX);
    f->dev->vdev.ops->quiesce(&f->dev->vdev);
    assert_int_equal(vdev_save(&f->dev->vdev, &saved, sizeof(saved)), OK);
    f->dev->vdev.ops->reset(&f->dev->vdev);
    assert_int_equal(vdev_load(&f->dev->vdev, VIRTIO_STATE_VERSION, &saved, sizeof(saved)), OK);
    f->term.room = 100;
    process(f);
    assert_output(f, "0123456789");
}

static void test_kick_of_what_is_not_there(void **state)
{
    struct fixture *f = *state;
    static const uint32_t queues[] = {2, 3, 31, 0x10001, UINT32_MAX, 0x80000000};

    send(f, 0, "x");
    for (unsigned i = 0; i < ARRAY_SIZE(queues); i++) {
        kick(f, queues[i]); // H06
    }
    assert_output(f, "");
    guest_write(f->g, VIRTIO_MMIO_STATUS, 0);
    kick(f, VIRTIO_CONSOLE_TX);
    process(f);
    assert_output(f, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_sends_in_the_kick_itself),
        T(test_exit_work_is_bounded),
        T(test_back_pressure),
        T(test_chain_shrinks_while_it_waits),
        T(test_odd_chains),
        T(test_input),
        T(test_receive_buffer_not_memory),
        T(test_reset_while_sending),
        T(test_kick_while_busy),
        T(test_quiesce),
        T(test_save_load_in_the_middle_of_a_chain),
        T(test_kick_of_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
