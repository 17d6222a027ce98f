// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: the virtqueue over a ring that is fuzz input, and that changes between any two steps.
//
// Input: log2 of the size, features, place of the rings (3 x u16, units of 16 bytes), then the image of guest
// memory from RAM_BASE on. What the queue yields must keep its promises whatever the ring says.
#include <stdint.h>

#include "kernel/log/log.h"
#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/virtio/virtqueue.h"

#define CAPACITY 64
#define IMAGE_MAX KIB(16)
#define STEPS 200

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_set_level(LOG_ERR);
    return 0;
}

static void require(bool condition)
{
    if (!condition) {
        __builtin_trap();
    }
}

static void check_chain(const struct virtq_chain *c)
{
    uint64_t read_len = 0, write_len = 0;

    require(c->count <= CAPACITY && c->readable <= c->count);
    for (unsigned i = 0; i < c->count; i++) {
        require(c->segs[i].len > 0 && c->segs[i].addr.v + (c->segs[i].len - 1) >= c->segs[i].addr.v);
        *(i < c->readable ? &read_len : &write_len) += c->segs[i].len;
    }
    require(read_len == c->read_len && write_len == c->write_len && read_len + write_len <= UINT32_MAX);
}

// One round of what a device does with a queue. False: broken, and it must stay so.
static bool round(struct virtqueue *vq, struct virtq_chain *chain, unsigned step)
{
    uint8_t buf[64];

    enum status st = virtqueue_pop(vq, chain);

    if (st == E_NOENT) {
        return virtqueue_await_kick(vq) || !vq->s->broken;
    }
    if (st != OK) {
        require(st == E_CORRUPT && vq->why);
        require(virtqueue_pop(vq, chain) == E_CORRUPT && virtqueue_push(vq, 0, 0) == E_CORRUPT);
        return false;
    }
    check_chain(chain);
    if (step % 5 == 4) {
        virtqueue_unpop(vq, step);
        return true;
    }
    uint32_t n = (uint32_t)min_u64(chain->read_len, sizeof(buf));
    uint32_t off = step % 3 == 0 ? chain->read_len - n : 0;

    (void)(virtq_chain_read(vq->gm, chain, off, buf, n) == OK);
    n = (uint32_t)min_u64(chain->write_len, sizeof(buf));
    memset(buf, (int)step, sizeof(buf));
    (void)(virtq_chain_write(vq->gm, chain, chain->write_len - n, buf, n) == OK);
    (void)(virtqueue_push(vq, chain->head, n) == OK);
    (void)virtqueue_publish(vq);
    return !vq->s->broken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtqueue_state state;
    struct virtqueue vq;
    struct virtq_segment segs[CAPACITY];
    struct virtq_chain chain = {.segs = segs, .capacity = CAPACITY};

    if (size < 8) {
        return 0;
    }
    struct test_guest *g = guest_create();

    virtqueue_setup(&vq, &state, &g->vm.gmem, CAPACITY);
    state.size = 1u << (data[0] % 8);
    state.desc = RAM_BASE + 16u * (data[2] | (uint64_t)data[3] << 8);
    state.driver = RAM_BASE + 16u * (data[4] | (uint64_t)data[5] << 8);
    state.device = RAM_BASE + 16u * (data[6] | (uint64_t)data[7] << 8);
    virtqueue_set_features(&vq, (uint64_t)data[1] << 28);
    data += 8;
    size = (size_t)min_u64(size - 8, IMAGE_MAX);
    memcpy(guest_at(g, RAM_BASE), data, size);
    if (virtqueue_enable(&vq) == OK) {
        for (unsigned i = 0; i < STEPS && round(&vq, &chain, i); i++) {
            if (size >= 8) { // the other vCPU writes
                memcpy(guest_at(g, RAM_BASE + data[i % size] * 16u), &data[(i * 7u) % (size - 7)], 8);
            }
        }
    }
    guest_destroy(g);
    return 0;
}
