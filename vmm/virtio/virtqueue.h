// SPDX-License-Identifier: Apache-2.0
//
// The device's side of a split virtqueue (Virtual I/O Device 1.2, section 2.7).
//
// Knows no transport, device or interrupt: it takes descriptor chains out of guest memory and gives them
// back. All of guest memory is hostile: every ring access goes through gmem, a descriptor is copied once and
// then checked, a chain is bounded. A queue whose driver breaks the rules becomes "broken" for good: it then
// yields nothing and writes nothing until it is reset; the owner tells the guest (virtio.h, virtio_break()).
//
// Not locked: the owner calls with its device's lock held (struct virtio_device), any context.
#pragma once

#include "drivers/virtio/virtio_ring.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/gmem.h"

// The guest-visible state: plain data, saved and loaded as it is.
struct virtqueue_state {
    uint64_t desc;       // guest physical addresses, as the driver wrote them
    uint64_t driver;     // available ring
    uint64_t device;     // used ring
    uint32_t size;       // entries, as the driver wrote it: checked when the queue becomes ready
    uint32_t offset;     // bytes of the next chain that were consumed before virtqueue_unpop()
    uint16_t last_avail; // free-running index of the next chain to take
    uint16_t used;       // free-running index of the next used element
    uint16_t signalled;  // `used` at the last notification decision
    uint8_t signalled_valid;
    uint8_t ready;
    uint8_t broken;
    uint8_t reserved[7];
};

enum virtq_part {
    VIRTQ_DESC,
    VIRTQ_AVAIL,
    VIRTQ_USED,
    VIRTQ_PARTS
};

struct virtqueue {
    struct virtqueue_state *s;
    struct gmem *gm;
    uint16_t size_max;
    bool event_idx; // VIRTIO_F_EVENT_IDX was negotiated
    bool indirect;  // VIRTIO_F_INDIRECT_DESC was negotiated
    uint16_t avail; // the driver's avail.idx when last looked at
    // Where the rings lie in the hypervisor's own mapping, as of a generation of guest memory; NULL: go
    // through gmem.
    uint8_t *va[VIRTQ_PARTS];
    uint64_t found;              // 1 + the generation of guest memory that `va` is for; 0: none
    struct gmem_window tables;   // where indirect tables lay last
    uint64_t met_addr, met_rest; // inside virtqueue_pop(): the copy of an indirect descriptor
    const char *why;             // what broke the queue, for the log; NULL when not broken
};

struct virtq_segment {
    gpa_t addr; // not yet checked to be memory: gmem does that at each use
    uint32_t len;
};

// One chain: `readable` segments the device reads, then `count - readable` that it writes. Zero-length ones
// are left out.
struct virtq_chain {
    struct virtq_segment *segs; // the caller's array
    uint16_t capacity;          // its length: at least the queue's size_max
    uint16_t count, readable;
    uint16_t head;      // names the chain to virtqueue_push()
    uint32_t read_len;  // bytes of the readable segments; both together stay below 2^32
    uint32_t write_len; // bytes of the writable ones
};

// A position in the readable or writable part of a chain.
struct virtq_cursor {
    uint16_t seg, end; // current segment, one past the last
    uint32_t off;      // inside it
};

void virtqueue_setup(struct virtqueue *vq, struct virtqueue_state *s, struct gmem *gm, uint16_t size_max);

// Back to power-on: not ready, not broken, all registers zero.
void virtqueue_reset(struct virtqueue *vq);

// The driver says that the queue is ready. E_INVAL: size not a power of two in 1..size_max, or a ring
// misaligned; E_RANGE: a ring is not wholly memory that the guest may write (the tables it only reads: read).
// Nothing changes then.
enum status virtqueue_enable(struct virtqueue *vq);

// Takes the features that were negotiated; before the first pop.
void virtqueue_set_features(struct virtqueue *vq, uint64_t features);

// Takes the next chain. E_NOENT: none waits (or the queue is not ready). The available index is read again only when all
// that it showed before are taken. E_CORRUPT: the driver broke the
// rules, the queue is broken now (vq->why), also on every later call.
enum status virtqueue_pop(struct virtqueue *vq, struct virtq_chain *chain);

// Puts the chain that was popped last back as the next one; `offset` is for the owner (s->offset).
void virtqueue_unpop(struct virtqueue *vq, uint32_t offset);

// Is there something to pop? Looks at guest memory. False for a queue that is broken or not ready.
bool virtqueue_pending(struct virtqueue *vq);

// Are chains known to wait, without a look at guest memory?
static inline bool virtqueue_knows_more(const struct virtqueue *vq)
{
    return vq->avail != vq->s->last_avail;
}

// Gives a chain back, `len` bytes written to its writable part. The driver sees it with virtqueue_publish().
// E_CORRUPT when the used ring cannot be written.
enum status virtqueue_push(struct virtqueue *vq, uint16_t head, uint32_t len);

// After one or more pushes: shows them to the driver. Does it want an interrupt? (2.7.7)
bool virtqueue_publish(struct virtqueue *vq);

// The queue was found empty (virtqueue_pop()) after the last kick: asks the driver to kick at the next chain (2.7.10). True
// when chains arrived meanwhile: the caller must look again. Without EVENT_IDX the driver kicks for every chain: false.
bool virtqueue_await_kick(struct virtqueue *vq);

// Marks the queue broken, because of `why` (static text).
void virtqueue_set_broken(struct virtqueue *vq, const char *why);

// Copies [off, off + len) of the readable part out, or into the writable part. E_RANGE when the chain is
// shorter or a segment is not memory with that permission; part may have been copied then.
enum status virtq_chain_read(struct gmem *gm, const struct virtq_chain *chain, uint32_t off, void *buf,
                             uint32_t len);
enum status virtq_chain_write(struct gmem *gm, const struct virtq_chain *chain, uint32_t off, const void *buf,
                              uint32_t len);

// Piecewise walk: starts `off` bytes into the readable or writable part...
struct virtq_cursor virtq_cursor_at(const struct virtq_chain *chain, bool writable, uint32_t off);
// ...and yields the next piece of at most `max` bytes (> 0), advancing. False at the end.
bool virtq_cursor_next(const struct virtq_chain *chain, struct virtq_cursor *c, uint32_t max,
                       struct virtq_segment *out);
