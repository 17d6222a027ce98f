// SPDX-License-Identifier: Apache-2.0
//
// Where device data goes. Devices (vmm/devices, vmm/virtio) call these; back ends (vmm/backend) implement
// them.
#pragma once

#include "kernel/dev/block.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

struct char_backend;

struct char_backend_ops {
    // Takes up to `len` bytes, returns how many; fewer means full: front end is told by tx_ready(). Never
    // blocks. Any thread.
    size_t (*write)(struct char_backend *be, const void *buf, size_t len);
    // Takes up to `len` input bytes, returns how many. Never blocks.
    size_t (*read)(struct char_backend *be, void *buf, size_t len);
    // After return no call of the front end is under way or will come. Worker thread. NULL: it calls only from inside
    // write() and read().
    void (*detach)(struct char_backend *be);
    void (*destroy)(struct char_backend *be);
};

// The device's side; called by the back end from a worker thread or interrupt context, no back-end lock held.
struct char_frontend_ops {
    void (*rx_ready)(void *dev); // input is waiting
    void (*tx_ready)(void *dev); // there is room again
};

struct char_backend {
    const struct char_backend_ops *ops;
    const struct char_frontend_ops *front; // NULL until attached
    void *dev;
};

// The device goes: to be called before it is freed.
static inline void char_backend_detach(struct char_backend *be)
{
    if (be->ops->detach) {
        be->ops->detach(be);
    }
    __atomic_store_n(&be->front, NULL, __ATOMIC_RELEASE);
}

// The device comes: from now on it may be called.
static inline void char_backend_attach(struct char_backend *be, const struct char_frontend_ops *front,
                                       void *dev)
{
    be->dev = dev;
    __atomic_store_n(&be->front, front, __ATOMIC_RELEASE);
}

// Block back ends speak struct block_request (kernel/dev/block.h): segments point into guest memory, already
// checked.
struct blk_backend;

#define BLK_QUICK_MAX 4096u

struct blk_backend_ops {
    // Takes the request or fails at once. done() comes from any context but with no lock held: a worker
    // thread, an interrupt handler, or (a medium that is memory) from inside submit().
    enum status (*submit)(struct blk_backend *be, struct block_request *req);
    // Carries the request out on the spot when that is short work: at most BLK_QUICK_MAX bytes between memory and memory,
    // nothing to allocate or wait for. E_BUSY: submit() it instead; else its result, and done() is not called. NULL: never.
    // The same caller as run(), or a vCPU's exit while nobody is in run().
    enum status (*quick)(struct blk_backend *be, const struct block_request *req);
    // NULL: requests finish by themselves. Else the front end calls run() on its worker thread after
    // submit(), and done() comes from inside it.
    void (*run)(struct blk_backend *be);
    void (*destroy)(struct blk_backend *be); // nothing is in flight
};

struct blk_backend {
    const struct blk_backend_ops *ops;
    uint64_t sector_count; // of 512 bytes
    bool read_only;
    bool can_flush;
    char serial[20];
    const char *owner; // the VM it is for, in messages; NULL: nobody
};
