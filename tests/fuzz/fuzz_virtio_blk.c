// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target: virtio-blk behind its MMIO registers. The input is a program of a hostile driver:
// register accesses, writes to guest memory (rings, descriptors, headers), well-formed requests, kicks,
// resets, and when the back end completes.
#include <stdint.h>

#include "kernel/log/log.h"
#include "tests/unit/vmm/virtio/guest_ring.h"
#include "vmm/virtio/virtio_blk.h"

#define QSIZE 16
#define RING_BASE (RAM_BASE + KIB(4))
#define PLAYGROUND RAM_BASE // 64 KiB that memory writes reach, rings included
#define HELD_MAX 256

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_disk {
    struct blk_backend be;
    struct test_guest *g;
    struct block_request *held[HELD_MAX];
    unsigned count;
};

struct input {
    const uint8_t *data;
    size_t left;
};

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

static uint32_t take(struct input *in, unsigned bytes)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < bytes && in->left > 0; i++) {
        v |= (uint32_t)*in->data++ << (8 * i);
        in->left--;
    }
    return v;
}

// Whatever the guest asked for, the back end sees only requests that make sense.
static enum status disk_submit(struct blk_backend *be, struct block_request *req)
{
    struct fuzz_disk *d = container_of(be, struct fuzz_disk, be);
    uint64_t sectors = 0;

    for (unsigned i = 0; i < req->segment_count; i++) {
        const struct block_segment *s = &req->segments[i];

        require(s->size > 0 && s->size % SECTOR_SIZE == 0);
        bool inside =
            (uint8_t *)s->va >= d->g->mem && s->size <= RAM_SIZE + ROM_SIZE &&
            (uint8_t *)s->va + s->size <= d->g->mem + RAM_SIZE + (req->op == BLOCK_WRITE ? ROM_SIZE : 0);

        // A sector that the guest has cut goes through a buffer of the device's.
        require(inside || (s->size == SECTOR_SIZE && i + 1 == req->segment_count));
        sectors += s->size / SECTOR_SIZE;
    }
    require(req->segment_count <= BLOCK_SEGMENTS_MAX &&
            (req->op == BLOCK_FLUSH) == (req->segment_count == 0));
    require(req->op == BLOCK_FLUSH ||
            (req->sector <= be->sector_count && sectors <= be->sector_count - req->sector));
    require(d->count < VIRTIO_BLK_REQUESTS);
    d->held[d->count++] = req;
    return OK;
}

static const struct blk_backend_ops disk_ops = {.submit = disk_submit};

static void complete(struct fuzz_disk *d, unsigned i, enum status result)
{
    struct block_request *req = d->held[i];

    d->held[i] = d->held[--d->count];
    if (req->op == BLOCK_READ && result == OK) {
        for (unsigned s = 0; s < req->segment_count; s++) {
            memset(req->segments[s].va, 0x5a, req->segments[s].size);
        }
    }
    req->done(req, result);
}

static void bring_up(struct test_guest *g, struct test_ring *ring)
{
    memset(guest_at(g, RING_BASE), 0, KIB(4));
    guest_negotiate(g, VIRTIO_FEATURES_COMMON);
    *ring = ring_at(g, RING_BASE, QSIZE);
    guest_queue_setup(g, 0, ring);
    guest_driver_ok(g);
}

// Whole sectors half the time.
static uint32_t cut(uint32_t v)
{
    return v & 1 ? 512 * (v >> 1) : v >> 1;
}

// A request as a good driver makes it, with values from the input.
static void well_formed(struct test_guest *g, struct test_ring *ring, struct input *in)
{
    struct virtio_blk_req_hdr h = {.type = take(in, 1) % 16, .sector = take(in, 2)};
    uint16_t d = (uint16_t)(take(in, 1) % (QSIZE - 2));
    uint16_t dir = h.type == VIRTIO_BLK_T_OUT ? 0 : VIRTQ_DESC_F_WRITE;

    memcpy(guest_at(g, RAM_BASE + 0x3000 + 16 * d), &h, sizeof(h));
    ring_desc(ring, d, RAM_BASE + 0x3000 + 16 * d, 16, VIRTQ_DESC_F_NEXT, d + 1);
    ring_desc(ring, d + 1u, RAM_BASE + 512 * take(in, 2), cut(take(in, 2)), dir | VIRTQ_DESC_F_NEXT, d + 2);
    ring_desc(ring, d + 2u, RAM_BASE + 0x2f00 + d, 1, VIRTQ_DESC_F_WRITE, 0);
    ring_offer(ring, d);
}

static void memory_write(struct test_guest *g, struct input *in)
{
    uint32_t off = take(in, 2);
    uint32_t len = take(in, 1) % 32;

    for (uint32_t i = 0; i < len && off + i < KIB(64); i++) {
        *guest_at(g, PLAYGROUND + off + i) = (uint8_t)take(in, 1);
    }
}

static void register_access(struct test_guest *g, struct input *in)
{
    uint32_t how = take(in, 1);
    uint64_t off = take(in, 2) % 0x200;
    uint64_t value = take(in, 4);

    (void)guest_access(g, off, 1u << (how & 3), (how & 4) != 0, &value);
}

static void step(struct test_guest *g, struct fuzz_disk *d, struct virtio_device *dev, struct test_ring *ring,
                 struct input *in)
{
    switch (take(in, 1) % 8) {
    case 0:
    case 1:
        memory_write(g, in);
        break;
    case 2:
        register_access(g, in);
        break;
    case 3:
        guest_write(g, VIRTIO_MMIO_QUEUE_NOTIFY, take(in, 1) & 1);
        virtio_process(dev);
        break;
    case 4:
        if (d->count > 0) {
            unsigned i = take(in, 1) % d->count;

            complete(d, i, take(in, 1) & 1 ? E_IO : OK);
        }
        break;
    case 5:
        well_formed(g, ring, in);
        break;
    case 6:
        bring_up(g, ring);
        break;
    default:
        virtio_process(dev);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.data = data, .left = size};
    struct test_guest *g = guest_create();
    struct fuzz_disk disk = {.be = {.ops = &disk_ops, .sector_count = 4096, .can_flush = true}, .g = g};
    struct virtio_device *dev;
    struct test_ring ring;

    require(virtio_blk_create(&g->vm, "vda", &disk.be, &dev) == OK);
    require(virtio_mmio_attach(&g->vm, guest_place(), dev) == OK);
    bring_up(g, &ring);
    while (in.left > 0) {
        step(g, &disk, dev, &ring, &in);
    }
    dev->vdev.ops->quiesce(&dev->vdev);
    while (disk.count > 0) {
        complete(&disk, 0, OK);
        virtio_process(dev);
    }
    require(dev->in_flight == 0);
    dev->vdev.ops->destroy(&dev->vdev);
    guest_destroy(g);
    return 0;
}
