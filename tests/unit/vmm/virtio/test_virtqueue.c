// SPDX-License-Identifier: Apache-2.0
//
// The device's side of a split ring: ordinary traffic, wrap-around, notification, and everything a hostile
// driver can do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/virtio/virtqueue.h"

#define QSIZE 8
#define CAPACITY 16
#define RING_BASE (RAM_BASE + KIB(4))
#define TABLE (RAM_BASE + KIB(32))
#define DATA (RAM_BASE + KIB(64))

struct fixture {
    struct test_guest *g;
    struct test_ring ring;
    struct virtqueue vq;
    struct virtqueue_state state;
    struct virtq_chain chain;
    struct virtq_segment segs[CAPACITY];
};

static int setup(void **out)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->g = guest_create();
    f->ring = ring_at(f->g, RING_BASE, QSIZE);
    virtqueue_setup(&f->vq, &f->state, &f->g->vm.gmem, CAPACITY);
    f->state.size = QSIZE;
    f->state.desc = f->ring.desc;
    f->state.driver = f->ring.avail;
    f->state.device = f->ring.used;
    f->chain.segs = f->segs;
    f->chain.capacity = CAPACITY;
    assert_int_equal(virtqueue_enable(&f->vq), OK);
    virtqueue_set_features(&f->vq, VIRTIO_FEATURES_COMMON);
    *out = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    guest_destroy(f->g);
    free(f);
    return 0;
}

static enum status pop(struct fixture *f)
{
    return virtqueue_pop(&f->vq, &f->chain);
}

// The queue is broken and stays so; nothing is written any more.
static void assert_broken(struct fixture *f)
{
    uint16_t used = guest_load16(f->g, f->ring.used + VIRTQ_USED_IDX);

    assert_int_equal(pop(f), E_CORRUPT);
    assert_non_null(f->vq.why);
    assert_int_equal(pop(f), E_CORRUPT);
    assert_false(virtqueue_pending(&f->vq));
    assert_false(virtqueue_await_kick(&f->vq));
    assert_false(virtqueue_publish(&f->vq));
    assert_int_equal(virtqueue_push(&f->vq, 0, 1), E_CORRUPT);
    assert_int_equal(guest_load16(f->g, f->ring.used + VIRTQ_USED_IDX), used);
}

static void test_simple_chain(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;
    char buf[8];

    assert_int_equal(pop(f), E_NOENT);
    memcpy(guest_at(f->g, DATA), "headdata", 8);
    ring_desc(&f->ring, 3, DATA, 4, VIRTQ_DESC_F_NEXT, 5);
    ring_desc(&f->ring, 5, DATA + 4, 4, VIRTQ_DESC_F_NEXT, 0);
    ring_desc(&f->ring, 0, DATA + 64, 10, VIRTQ_DESC_F_WRITE, 7);
    ring_offer(&f->ring, 3);
    assert_true(virtqueue_pending(&f->vq));
    assert_int_equal(pop(f), OK);
    assert_int_equal(f->chain.head, 3);
    assert_int_equal(f->chain.count, 3);
    assert_int_equal(f->chain.readable, 2);
    assert_int_equal(f->chain.read_len, 8);
    assert_int_equal(f->chain.write_len, 10);
    assert_int_equal(virtq_chain_read(f->vq.gm, &f->chain, 0, buf, 8), OK);
    assert_memory_equal(buf, "headdata", 8);
    assert_int_equal(virtq_chain_read(f->vq.gm, &f->chain, 3, buf, 2), OK);
    assert_memory_equal(buf, "dd", 2);
    assert_int_equal(virtq_chain_read(f->vq.gm, &f->chain, 3, buf, 6), E_RANGE);
    assert_int_equal(virtq_chain_write(f->vq.gm, &f->chain, 7, "xyz", 3), OK);
    assert_memory_equal(guest_at(f->g, DATA + 71), "xyz", 3);
    assert_int_equal(virtq_chain_write(f->vq.gm, &f->chain, 8, "xyz", 3), E_RANGE);
    assert_int_equal(virtqueue_push(&f->vq, 3, 10), OK);
    assert_false(ring_take(&f->ring, &e)); // not before it is published
    assert_true(virtqueue_publish(&f->vq));
    assert_true(ring_take(&f->ring, &e));
    assert_int_equal(e.id, 3);
    assert_int_equal(e.len, 10);
    assert_false(ring_take(&f->ring, &e));
    assert_int_equal(pop(f), E_NOENT);
}

static void test_index_wraps_at_65536(void **state)
{
    struct fixture *f = *state;
    struct virtq_used_elem e;

    for (unsigned i = 0; i < 70000; i++) {
        ring_desc(&f->ring, i % QSIZE, DATA, i % 100 + 1, 0, 0);
        ring_offer(&f->ring, i % QSIZE);
        assert_int_equal(pop(f), OK);
        assert_int_equal(f->chain.read_len, i % 100 + 1);
        assert_int_equal(virtqueue_push(&f->vq, f->chain.head, i), OK);
        (void)virtqueue_publish(&f->vq);
        assert_true(ring_take(&f->ring, &e));
        assert_int_equal(e.id, i % QSIZE);
        assert_int_equal(e.len, i);
    }
}

static void test_full_ring_then_more(void **state)
{
    struct fixture *f = *state;

    for (uint16_t i = 0; i < QSIZE; i++) {
        ring_desc(&f->ring, i, DATA + i, 1, 0, 0);
        ring_offer(&f->ring, i);
    }
    for (uint16_t i = 0; i < QSIZE; i++) {
        assert_int_equal(pop(f), OK);
        assert_int_equal(f->chain.head, i);
    }
    assert_int_equal(pop(f), E_NOENT);
}

static void test_unpop_gives_the_same_chain_again(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 2, DATA, 7, 0, 0);
    ring_offer(&f->ring, 2);
    assert_int_equal(pop(f), OK);
    virtqueue_unpop(&f->vq, 5);
    assert_int_equal(f->state.offset, 5);
    assert_true(virtqueue_pending(&f->vq));
    assert_int_equal(pop(f), OK);
    assert_int_equal(f->chain.head, 2);
    assert_int_equal(pop(f), E_NOENT);
}

static void test_zero_length_segments_are_left_out(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 0, VIRTQ_DESC_F_NEXT, 1);
    ring_desc(&f->ring, 1, DATA, 3, VIRTQ_DESC_F_NEXT, 2);
    ring_desc(&f->ring, 2, UINT64_MAX, 0, VIRTQ_DESC_F_WRITE, 0);
    ring_offer(&f->ring, 0);
    assert_int_equal(pop(f), OK);
    assert_int_equal(f->chain.count, 1);
    assert_int_equal(f->chain.write_len, 0);
}

// ---- indirect -----------------------------------------------------------------------------------

static void indirect(struct fixture *f, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                     uint16_t next)
{
    desc_write(f->g, TABLE, i, (struct virtq_desc){.addr = addr, .len = len, .flags = flags, .next = next});
}

static void test_indirect_table(void **state)
{
    struct fixture *f = *state;

    // A direct descriptor first, then the table, whose WRITE flag means nothing (2.7.5.3.2).
    ring_desc(&f->ring, 1, DATA, 1, VIRTQ_DESC_F_NEXT, 2);
    ring_desc(&f->ring, 2, TABLE, 12 * 16, VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE, 0);
    for (uint16_t i = 0; i < 12; i++) {
        indirect(f, i, DATA + i, 2, i < 11 ? VIRTQ_DESC_F_NEXT : VIRTQ_DESC_F_WRITE, (uint16_t)(i + 1));
    }
    ring_offer(&f->ring, 1);
    assert_int_equal(pop(f), OK);
    assert_int_equal(f->chain.count, 13); // more than the queue's size, as many as the device takes
    assert_int_equal(f->chain.read_len, 1 + 11 * 2);
    assert_int_equal(f->chain.write_len, 2);
}

static void test_indirect_not_negotiated(void **state)
{
    struct fixture *f = *state;

    virtqueue_set_features(&f->vq, BIT64(VIRTIO_F_VERSION_1));
    indirect(f, 0, DATA, 2, 0, 0);
    ring_desc(&f->ring, 0, TABLE, 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_indirect_inside_indirect(void **state)
{
    struct fixture *f = *state;

    indirect(f, 0, TABLE, 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_desc(&f->ring, 0, TABLE, 16, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_indirect_with_next(void **state)
{
    struct fixture *f = *state;

    indirect(f, 0, DATA, 16, 0, 0);
    ring_desc(&f->ring, 0, TABLE, 16, VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_NEXT, 1);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void indirect_of(struct fixture *f, uint64_t addr, uint32_t len)
{
    ring_desc(&f->ring, 0, addr, len, VIRTQ_DESC_F_INDIRECT, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_indirect_length_odd(void **state)
{
    indirect_of(*state, TABLE, 24);
}

static void test_indirect_length_zero(void **state)
{
    indirect_of(*state, TABLE, 0);
}

static void test_indirect_outside_memory(void **state)
{
    indirect_of(*state, RAM_BASE + RAM_SIZE, 16);
}

static void test_indirect_wraps(void **state)
{
    indirect_of(*state, UINT64_MAX - 15, 64);
}

static void test_indirect_next_outside_table(void **state)
{
    struct fixture *f = *state;

    indirect(f, 0, DATA, 1, VIRTQ_DESC_F_NEXT, 2);
    indirect_of(f, TABLE, 32);
}

static void test_indirect_loop(void **state)
{
    struct fixture *f = *state;

    indirect(f, 0, DATA, 1, VIRTQ_DESC_F_NEXT, 1);
    indirect(f, 1, DATA, 1, VIRTQ_DESC_F_NEXT, 0);
    indirect_of(f, TABLE, 32);
}

static void test_indirect_longer_than_capacity(void **state)
{
    struct fixture *f = *state;

    for (uint16_t i = 0; i <= CAPACITY; i++) {
        indirect(f, i, DATA, 1, i < CAPACITY ? VIRTQ_DESC_F_NEXT : 0, (uint16_t)(i + 1));
    }
    indirect_of(f, TABLE, (CAPACITY + 1) * 16);
}

// ---- H02 to H05 ---------------------------------------------------------------------------------

static void test_avail_idx_jumps(void **state)
{
    struct fixture *f = *state;

    guest_store16(f->g, f->ring.avail + VIRTQ_AVAIL_IDX, QSIZE + 1);
    assert_broken(f);
}

static void test_avail_idx_goes_back(void **state)
{
    struct fixture *f = *state;

    guest_store16(f->g, f->ring.avail + VIRTQ_AVAIL_IDX, UINT16_MAX);
    assert_broken(f);
}

static void test_head_outside_table(void **state)
{
    struct fixture *f = *state;

    ring_offer(&f->ring, QSIZE);
    assert_broken(f);
}

static void test_next_outside_table(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 1, VIRTQ_DESC_F_NEXT, QSIZE);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_self_loop(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 1, VIRTQ_DESC_F_NEXT, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_loop_of_zero_lengths(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 0, VIRTQ_DESC_F_NEXT, 1);
    ring_desc(&f->ring, 1, DATA, 0, VIRTQ_DESC_F_NEXT, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_range_wraps(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, UINT64_MAX - 10, 100, 0, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_lengths_pass_4_gib(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, UINT32_MAX, VIRTQ_DESC_F_NEXT, 1);
    ring_desc(&f->ring, 1, DATA, 1, VIRTQ_DESC_F_WRITE, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

static void test_read_after_write(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 16, VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_WRITE, 1);
    ring_desc(&f->ring, 1, DATA, 16, 0, 0);
    ring_offer(&f->ring, 0);
    assert_broken(f);
}

// Addresses in a hole are found when they are used, not before: pop itself does not touch data.
static void test_data_outside_memory(void **state)
{
    struct fixture *f = *state;
    static const uint64_t bad[] = {0, MMIO_BASE, RAM_BASE - 1, RAM_BASE + RAM_SIZE - 3, ROM_BASE};
    char buf[4] = "abc";

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        ring_desc(&f->ring, 0, bad[i], 4, VIRTQ_DESC_F_WRITE, 0);
        ring_offer(&f->ring, 0);
        assert_int_equal(pop(f), OK);
        assert_int_equal(virtq_chain_write(f->vq.gm, &f->chain, 0, buf, 4), E_RANGE);
    }
    ring_desc(&f->ring, 0, RAM_BASE - 2, 4, 0, 0);
    ring_offer(&f->ring, 0);
    assert_int_equal(pop(f), OK);
    assert_int_equal(virtq_chain_read(f->vq.gm, &f->chain, 0, buf, 4), E_RANGE);
}

// ---- H01, H02: set-up ---------------------------------------------------------------------------

static void test_enable_checks(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[] = {0, 3, 6, 32, 0x10008, UINT32_MAX};
    struct virtqueue_state good = f->state;

    good.ready = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        f->state = good;
        f->state.size = sizes[i];
        assert_int_equal(virtqueue_enable(&f->vq), E_INVAL);
        assert_int_equal(f->state.ready, 0);
    }
    f->state = good;
    f->state.desc += 8;
    assert_int_equal(virtqueue_enable(&f->vq), E_INVAL);
    f->state = good;
    f->state.driver += 1;
    assert_int_equal(virtqueue_enable(&f->vq), E_INVAL);
    f->state = good;
    f->state.device += 2;
    assert_int_equal(virtqueue_enable(&f->vq), E_INVAL);
    f->state = good;
    f->state.desc = RAM_BASE + RAM_SIZE - 16;
    assert_int_equal(virtqueue_enable(&f->vq), E_RANGE);
    f->state = good;
    f->state.driver = UINT64_MAX - 1;
    assert_int_equal(virtqueue_enable(&f->vq), E_RANGE);
    f->state = good;
    f->state.device = ROM_BASE; // readable only
    assert_int_equal(virtqueue_enable(&f->vq), E_RANGE);
    f->state = good;
    assert_int_equal(virtqueue_enable(&f->vq), OK);
}

static void test_not_ready_yields_nothing(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 1, 0, 0);
    ring_offer(&f->ring, 0);
    virtqueue_reset(&f->vq);
    assert_int_equal(pop(f), E_NOENT);
    assert_false(virtqueue_pending(&f->vq));
    assert_int_equal(virtqueue_push(&f->vq, 0, 0), E_CORRUPT);
}

static void test_used_ring_over_avail_ring(void **state)
{
    struct fixture *f = *state;

    // The guest's own nonsense: the device must stay in bounds and end.
    f->state.device = f->state.driver;
    assert_int_equal(virtqueue_enable(&f->vq), OK);
    for (unsigned i = 0; i < 1000; i++) {
        ring_desc(&f->ring, 0, DATA, 1, 0, 0);
        ring_offer(&f->ring, 0);
        if (pop(f) != OK || virtqueue_push(&f->vq, f->chain.head, 0xffff) != OK) {
            break;
        }
        (void)virtqueue_publish(&f->vq);
    }
}

static void test_memory_goes_away(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 1, 0, 0);
    ring_offer(&f->ring, 0);
    assert_int_equal(pop(f), OK);
    assert_int_equal(gmem_remove(&f->g->vm.gmem, gpa(RAM_BASE)), OK);
    assert_int_equal(virtqueue_push(&f->vq, 0, 1), E_CORRUPT);
    assert_int_equal(pop(f), E_CORRUPT);
}

// ---- notification -------------------------------------------------------------------------------

static void push_one(struct fixture *f)
{
    ring_desc(&f->ring, 0, DATA, 1, 0, 0);
    ring_offer(&f->ring, 0);
    assert_int_equal(pop(f), OK);
    assert_int_equal(virtqueue_push(&f->vq, 0, 0), OK);
}

static void test_notify_by_flag(void **state)
{
    struct fixture *f = *state;

    virtqueue_set_features(&f->vq, BIT64(VIRTIO_F_VERSION_1));
    push_one(f);
    assert_true(virtqueue_publish(&f->vq));
    guest_store16(f->g, f->ring.avail + VIRTQ_AVAIL_FLAGS, VIRTQ_AVAIL_F_NO_INTERRUPT);
    push_one(f);
    assert_false(virtqueue_publish(&f->vq));
}

static void test_notify_by_event_index(void **state)
{
    struct fixture *f = *state;
    uint64_t event = f->ring.avail + VIRTQ_AVAIL_USED_EVENT(QSIZE);

    push_one(f); // the first decision always notifies
    assert_true(virtqueue_publish(&f->vq));
    guest_store16(f->g, event, 3);
    push_one(f);
    assert_false(virtqueue_publish(&f->vq));
    push_one(f);
    assert_false(virtqueue_publish(&f->vq));
    push_one(f); // used index 4 passes event 3
    assert_true(virtqueue_publish(&f->vq));
    push_one(f);
    assert_false(virtqueue_publish(&f->vq));
    guest_store16(f->g, event, 6); // several pushes in one decision
    push_one(f);
    push_one(f);
    push_one(f);
    assert_true(virtqueue_publish(&f->vq));
}

static void test_await_kick_publishes_the_event(void **state)
{
    struct fixture *f = *state;

    push_one(f);
    assert_false(virtqueue_await_kick(&f->vq));
    assert_int_equal(guest_load16(f->g, f->ring.used + VIRTQ_USED_AVAIL_EVENT(QSIZE)), 1);
    ring_offer(&f->ring, 0);
    assert_true(virtqueue_await_kick(&f->vq));
}

// H09: what the guest writes after pop changes nothing in the chain.
static void test_chain_is_a_copy(void **state)
{
    struct fixture *f = *state;

    ring_desc(&f->ring, 0, DATA, 8, 0, 0);
    ring_offer(&f->ring, 0);
    assert_int_equal(pop(f), OK);
    ring_desc(&f->ring, 0, 0, UINT32_MAX, VIRTQ_DESC_F_WRITE, 0);
    assert_int_equal(f->chain.read_len, 8);
    assert_int_equal(f->chain.segs[0].addr.v, DATA);
    assert_int_equal(f->chain.write_len, 0);
}

static void test_cursor(void **state)
{
    struct fixture *f = *state;
    struct virtq_segment s;

    f->segs[0] = (struct virtq_segment){gpa(100), 10};
    f->segs[1] = (struct virtq_segment){gpa(200), 5};
    f->segs[2] = (struct virtq_segment){gpa(300), 7};
    f->chain.count = 3;
    f->chain.readable = 2;
    struct virtq_cursor c = virtq_cursor_at(&f->chain, false, 12);

    assert_true(virtq_cursor_next(&f->chain, &c, 2, &s));
    assert_int_equal(s.addr.v, 202);
    assert_int_equal(s.len, 2);
    assert_true(virtq_cursor_next(&f->chain, &c, 99, &s));
    assert_int_equal(s.addr.v, 204);
    assert_int_equal(s.len, 1);
    assert_false(virtq_cursor_next(&f->chain, &c, 99, &s)); // not into the writable part
    c = virtq_cursor_at(&f->chain, true, 0);
    assert_true(virtq_cursor_next(&f->chain, &c, 99, &s));
    assert_int_equal(s.addr.v, 300);
    assert_int_equal(s.len, 7);
    c = virtq_cursor_at(&f->chain, true, 7);
    assert_false(virtq_cursor_next(&f->chain, &c, 99, &s));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_simple_chain),
        T(test_index_wraps_at_65536),
        T(test_full_ring_then_more),
        T(test_unpop_gives_the_same_chain_again),
        T(test_zero_length_segments_are_left_out),
        T(test_indirect_table),
        T(test_indirect_not_negotiated),
        T(test_indirect_inside_indirect),
        T(test_indirect_with_next),
        T(test_indirect_length_odd),
        T(test_indirect_length_zero),
        T(test_indirect_outside_memory),
        T(test_indirect_wraps),
        T(test_indirect_next_outside_table),
        T(test_indirect_loop),
        T(test_indirect_longer_than_capacity),
        T(test_avail_idx_jumps),
        T(test_avail_idx_goes_back),
        T(test_head_outside_table),
        T(test_next_outside_table),
        T(test_self_loop),
        T(test_loop_of_zero_lengths),
        T(test_range_wraps),
        T(test_lengths_pass_4_gib),
        T(test_read_after_write),
        T(test_data_outside_memory),
        T(test_enable_checks),
        T(test_not_ready_yields_nothing),
        T(test_used_ring_over_avail_ring),
        T(test_memory_goes_away),
        T(test_notify_by_flag),
        T(test_notify_by_event_index),
        T(test_await_kick_publishes_the_event),
        T(test_chain_is_a_copy),
        T(test_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
