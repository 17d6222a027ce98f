// SPDX-License-Identifier: Apache-2.0
//
// The driver's split ring against a model device that reads only the shared memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drivers/virtio/vring.h"

#define SIZE_MAX_TESTED 64

struct bench {
    struct vring vr;
    void *mem;
    struct vring_slot slots[SIZE_MAX_TESTED];
    uint16_t seen; // the device's copy of how far it has read the available ring
};

static void bench_create(struct bench *b, uint16_t size)
{
    size_t bytes = vring_bytes(size);

    *b = (struct bench){.mem = aligned_alloc(PAGE_SIZE, align_up(bytes, PAGE_SIZE))};
    assert_non_null(b->mem);
    memset(b->mem, 0, bytes);
    vring_init(&b->vr, size, b->mem, b->slots);
}

static void bench_destroy(struct bench *b)
{
    free(b->mem);
}

// The device takes the next chain; returns its head and checks its form.
static uint16_t device_pop(struct bench *b, unsigned *length)
{
    assert_int_not_equal(b->vr.avail->idx, b->seen);

    uint16_t head = b->vr.avail->ring[b->seen++ % b->vr.size];
    uint16_t at = head;
    bool writes = false;

    for (*length = 1;; (*length)++) {
        assert_true(at < b->vr.size);
        assert_true(*length <= b->vr.size);
        assert_true(!writes || (b->vr.desc[at].flags & VIRTQ_DESC_F_WRITE));
        writes = b->vr.desc[at].flags & VIRTQ_DESC_F_WRITE;
        if (!(b->vr.desc[at].flags & VIRTQ_DESC_F_NEXT)) {
            return head;
        }
        at = b->vr.desc[at].next;
    }
}

static void device_push(struct bench *b, uint32_t id, uint32_t len)
{
    b->vr.used->ring[b->vr.used->idx % b->vr.size] = (struct virtq_used_elem){.id = id, .len = len};
    b->vr.used->idx++;
}

static void layout_is_the_specifications(void **state)
{
    (void)state;
    assert_int_equal(vring_bytes(4),
                     16 * 4 + (6 + 2 * 4) + 2 + (6 + 8 * 4)); // 2 bytes of padding before the used ring
    assert_int_equal(vring_bytes(256), 16 * 256 + (6 + 2 * 256) + 2 + (6 + 8 * 256));
}

static void a_chain_goes_there_and_back(void **state)
{
    struct bench b;
    int token = 0;
    void *back = NULL;
    uint32_t written = 0;
    unsigned length = 0;
    const struct vring_buf bufs[] = {{.addr = 0x1000, .len = 16}, {0x2000, 512, true}, {0x3000, 1, true}};

    (void)state;
    bench_create(&b, 8);
    assert_int_equal(vring_take(&b.vr, &back, &written), E_NOENT);
    assert_int_equal(vring_add(&b.vr, bufs, 3, &token), OK);
    assert_int_equal(b.vr.free_count, 5);

    uint16_t head = device_pop(&b, &length);

    assert_int_equal(length, 3);
    assert_int_equal(b.vr.desc[head].addr, 0x1000);
    assert_int_equal(b.vr.desc[b.vr.desc[head].next].len, 512);
    assert_int_equal(vring_used_count(&b.vr), 0);
    device_push(&b, head, 513);
    assert_int_equal(vring_used_count(&b.vr), 1);
    assert_int_equal(vring_take(&b.vr, &back, &written), OK);
    assert_ptr_equal(back, &token);
    assert_int_equal(written, 513);
    assert_int_equal(b.vr.free_count, 8);
    bench_destroy(&b);
}

static void a_full_ring_says_busy(void **state)
{
    struct bench b;
    int token = 0;
    const struct vring_buf bufs[3] = {{.addr = 1, .len = 1}, {2, 1, false}, {3, 1, false}};

    (void)state;
    bench_create(&b, 8);
    assert_int_equal(vring_add(&b.vr, bufs, 3, &token), OK);
    assert_int_equal(vring_add(&b.vr, bufs, 3, &token), OK);
    assert_int_equal(vring_add(&b.vr, bufs, 3, &token), E_BUSY);
    assert_int_equal(b.vr.avail->idx, 2);
    assert_int_equal(vring_add(&b.vr, bufs, 2, &token), OK);
    assert_int_equal(vring_add(&b.vr, bufs, 0, &token), E_INVAL);
    bench_destroy(&b);
}

static void nonsense_from_the_device_is_seen(void **state)
{
    struct bench b;
    int token = 0;
    void *back = NULL;
    uint32_t written = 0;
    unsigned length = 0;
    const struct vring_buf bufs[2] = {{.addr = 1, .len = 1}, {2, 1, true}};

    (void)state;
    bench_create(&b, 4);
    assert_int_equal(vring_add(&b.vr, bufs, 2, &token), OK);

    uint16_t head = device_pop(&b, &length);

    device_push(&b, 4, 0); // no such descriptor
    assert_int_equal(vring_take(&b.vr, &back, &written), E_CORRUPT);
    device_push(&b, b.vr.desc[head].next, 0); // not the head of a chain
    assert_int_equal(vring_take(&b.vr, &back, &written), E_CORRUPT);
    device_push(&b, head, 0);
    assert_int_equal(vring_take(&b.vr, &back, &written), OK);
    device_push(&b, head, 0); // twice
    assert_int_equal(vring_take(&b.vr, &back, &written), E_CORRUPT);
    assert_int_equal(b.vr.free_count, 4);
    b.vr.used->idx = (uint16_t)(b.vr.used->idx + 5);
    assert_true(vring_used_count(&b.vr) > b.vr.size);
    bench_destroy(&b);
}

// Random traffic, answered out of order, far enough for the indices to wrap several times.
static void model_holds_over_many_turns(void **state)
{
    struct bench b;
    static int tokens[SIZE_MAX_TESTED];
    uint16_t held[SIZE_MAX_TESTED]; // heads in the device's hands
    unsigned held_count = 0;
    unsigned outstanding = 0;
    uint64_t finished = 0;
    uint32_t rnd = 1;

    (void)state;
    bench_create(&b, 16);
    while (finished < 300000) {
        rnd = rnd * 1664525 + 1013904223;

        unsigned n = 1 + (rnd >> 20) % 5;
        struct vring_buf bufs[5];

        for (unsigned i = 0; i < n; i++) {
            bufs[i] = (struct vring_buf){.addr = rnd, .len = i + 1, .device_writes = i == n - 1};
        }

        enum status s = vring_add(&b.vr, bufs, n, &tokens[n]);

        assert_int_equal(s, s == OK ? OK : E_BUSY);
        outstanding += s == OK;
        while (b.seen != b.vr.avail->idx) {
            unsigned length = 0;

            held[held_count++] = device_pop(&b, &length);
        }
        if (held_count && (s == E_BUSY || rnd & 1)) {
            unsigned pick = (rnd >> 8) % held_count;

            device_push(&b, held[pick], 7);
            held[pick] = held[--held_count];
        }

        void *back = NULL;
        uint32_t written = 0;

        while (vring_take(&b.vr, &back, &written) == OK) {
            assert_in_range((int *)back - tokens, 1, 5);
            outstanding--;
            finished++;
        }
        assert_int_equal(outstanding, held_count);
    }
    bench_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_the_specifications), cmocka_unit_test(a_chain_goes_there_and_back),
        cmocka_unit_test(a_full_ring_says_busy),        cmocka_unit_test(nonsense_from_the_device_is_seen),
        cmocka_unit_test(model_holds_over_many_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
