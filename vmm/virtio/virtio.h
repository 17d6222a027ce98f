// SPDX-License-Identifier: Apache-2.0
//
// What all virtio devices have in common (Virtual I/O Device 1.2, sections 2.1 to 2.6 and 3): status,
// features, queues, configuration space, reset; and one worker thread each. A device type fills struct
// virtio_ops, a transport (virtio_mmio.h) calls virtio_set_status() and its kin and shows interrupts to the
// guest.
//
// Contexts. Transports call from a vCPU's exit handler. A device does its work in ops->process(), which one thread at a
// time is in: the vCPU that kicks, in its exit, as far as ops->exit_budget goes; for the rest, and for what the back end
// has to say, the worker thread. What waits to be done is a set of bits, `work`. Nothing here waits, but
// virtio_quiesce().
//
// Reset at any time. A reset bumps `generation`. Requests under way keep the generation they began in, and
// their completion is dropped when it is not the current one. Until the last of them has left guest memory
// the status register reads DEVICE_NEEDS_RESET, so a driver that waits for 0, as 2.4.2 asks, may reuse its
// buffers.
#pragma once

#include "drivers/virtio/virtio_ring.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/vdev.h"
#include "vmm/virtio/virtqueue.h"

#define VIRTIO_QUEUES_MAX 4
#define VIRTIO_STATE_VERSION 1

// What there is to do: bit n, the driver kicked queue n; or the back end has something.
#define VIRTIO_WORK_BACKEND (1u << VIRTIO_QUEUES_MAX)
#define VIRTIO_WORK_ALL ((1u << (VIRTIO_QUEUES_MAX + 1)) - 1)
#define VIRTIO_NO_BUDGET UINT32_MAX

// The features that every device here offers.
#define VIRTIO_FEATURES_COMMON \
    (BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX))

// Everything of a device that a guest can see: plain data (vdev.state).
struct virtio_state {
    uint64_t driver_features;
    uint32_t status;
    uint32_t config_generation;
    uint32_t interrupt_status; // VIRTIO_MMIO_INT_*
    // The transport's selectors.
    uint32_t queue_sel, device_features_sel, driver_features_sel, shm_sel;
    uint32_t reserved;
    struct virtqueue_state queues[VIRTIO_QUEUES_MAX];
};

struct virtio_device;

struct virtio_ops {
    struct vdev_ops vdev; // VIRTIO_VDEV_OPS("model")
    uint32_t device_id;
    uint16_t queue_count, queue_size_max;
    // The driver said DRIVER_OK, or the state was loaded. Lock held. May be NULL.
    void (*activate)(struct virtio_device *dev);
    // Forget the driver's requests; those under way stay until they complete. Lock held. May be NULL.
    void (*reset)(struct virtio_device *dev);
    // Does the work in `work` until there is none, or until `budget` is used up (in the device's own unit; NO_BUDGET on the
    // worker). Returns what is left. One caller at a time; in a vCPU's exit with interrupts masked: with a budget it
    // must be short, and not call the back end's run().
    uint32_t (*process)(struct virtio_device *dev, uint32_t work, uint32_t budget);
    uint32_t exit_budget; // of a kick in the vCPU's exit; 0: all is the worker's
    // The driver writes configuration space; bounds checked. Lock held. NULL: ignored.
    void (*config_write)(struct virtio_device *dev, uint32_t off, const void *buf, uint32_t len);
    // Frees the device and lets go of its back end, which stays its maker's; the worker has ended.
    void (*destroy)(struct virtio_device *dev);
};

// How the guest learns of interrupts: drives the line from state.interrupt_status. Lock held.
struct virtio_transport_ops {
    void (*interrupt)(struct virtio_device *dev);
    void (*destroy)(struct virtio_device *dev); // the transport's own part; may be NULL
};

struct virtio_device {
    struct vdev vdev; // first
    const struct virtio_ops *ops;
    const struct virtio_transport_ops *transport; // NULL: not attached
    void *transport_data;
    uint64_t features;  // offered
    const void *config; // configuration space: changed with the lock held, then virtio_config_changed()
    uint32_t config_size;

    struct spinlock lock; // protects the state, the queues, config and generation
    struct virtio_state state;
    struct virtqueue queues[VIRTIO_QUEUES_MAX];
    uint32_t generation; // counts resets
    bool paused;         // quiesced: take no new chains

    _Atomic uint32_t in_flight; // requests of any generation that may still touch guest memory
    _Atomic uint32_t work;      // VIRTIO_WORK_*, and that somebody is in process()
    _Atomic uint32_t
        quiescing; // somebody waits in `idle`, or for the worker's end: it runs before all guests until then
    _Atomic bool stop;         // the worker is to end
    struct thread *worker;     // NULL in unit tests
    struct completion stopped; // the worker has ended
    struct wait_queue idle;    // waits for in_flight == 0 and nobody in process()
};

static inline struct virtio_device *virtio_from_vdev(struct vdev *v)
{
    return container_of(v, struct virtio_device, vdev);
}

// For device types. Fills the common part of a zeroed device; `name` must stay alive.
enum status virtio_setup(struct virtio_device *dev, const struct virtio_ops *ops, struct vm *vm,
                         const char *name);

// Starts the worker thread, beside the VM's first vCPU and on its account. E_NOMEM. Worker thread or boot.
enum status virtio_start_worker(struct virtio_device *dev);

// The back end has something: the worker will run process(). Any context.
void virtio_kick(struct virtio_device *dev);

// Does everything that there may be, on the calling thread; nothing when somebody else is at it. For devices without a
// worker: unit tests.
void virtio_process(struct virtio_device *dev);

// Bracket `n` requests that may touch guest memory from elsewhere. virtio_requests_end() is the last thing that is
// done with them and may be called in any context.
static inline void virtio_requests_begin(struct virtio_device *dev, uint32_t n)
{
    atomic_fetch_add_explicit(&dev->in_flight, n, memory_order_relaxed);
}
void virtio_requests_end(struct virtio_device *dev, uint32_t n);

// ---- for device types, lock held

static inline bool virtio_status_running(uint32_t status)
{
    return (status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_DEVICE_NEEDS_RESET | VIRTIO_STATUS_FAILED)) ==
           VIRTIO_STATUS_DRIVER_OK;
}

// DRIVER_OK, not broken, not paused.
static inline bool virtio_running(const struct virtio_device *dev)
{
    return !dev->paused && virtio_status_running(dev->state.status);
}

// After pushes to `vq`: interrupts the driver if it wants to know. Also looks for a queue that broke.
void virtio_notify_used(struct virtio_device *dev, struct virtqueue *vq);

// Configuration space changed: new generation, configuration interrupt.
void virtio_config_changed(struct virtio_device *dev);

// The driver broke the rules of `vq`: DEVICE_NEEDS_RESET, configuration interrupt (2.1.2), one log line.
// `why` is static text.
void virtio_break(struct virtio_device *dev, struct virtqueue *vq, const char *why);

// ---- for transports; they take the lock themselves unless said otherwise

uint32_t virtio_get_status(const struct virtio_device *dev);
// 2.1: all rules of the status register; writing 0 resets.
void virtio_set_status(struct virtio_device *dev, uint32_t value);
// 32 bits of the driver's features; refused from FEATURES_OK on.
void virtio_set_driver_features(struct virtio_device *dev, uint32_t sel, uint32_t value);
uint32_t virtio_get_device_features(const struct virtio_device *dev, uint32_t sel);
// The queue the driver may set up now: NULL from DRIVER_OK on, beyond the last one, or when it is ready. Lock
// held.
struct virtqueue *virtio_queue_for_setup(struct virtio_device *dev, uint32_t index);
// The driver writes QueueReady.
void virtio_queue_set_ready(struct virtio_device *dev, uint32_t index, bool ready);
// A kick. vCPU exit handler.
void virtio_queue_notify(struct virtio_device *dev, uint32_t index);
void virtio_interrupt_ack(struct virtio_device *dev, uint32_t bits);
// Configuration space; reads beyond its end give 0, writes there are ignored. len <= 8.
void virtio_config_read(struct virtio_device *dev, uint32_t off, void *buf, uint32_t len);
void virtio_config_write(struct virtio_device *dev, uint32_t off, const void *buf, uint32_t len);

// ---- life cycle, through vdev.ops

// To power-on state. Any context; see the head of this file for requests under way.
void virtio_reset(struct virtio_device *dev);
// Takes no new requests and waits for those under way. Worker thread. virtio_reset(), virtio_resume() and
// vdev_load() go on.
void virtio_quiesce(struct virtio_device *dev);
void virtio_resume(struct virtio_device *dev);
// Ends the worker, takes the device off its transport and frees it. After virtio_quiesce(); worker thread.
void virtio_destroy(struct virtio_device *dev);

void virtio_vdev_reset(struct vdev *v);
void virtio_vdev_quiesce(struct vdev *v);
void virtio_vdev_destroy(struct vdev *v);
void virtio_vdev_describe(const struct vdev *v, struct vdev_desc *out);
// E_CORRUPT: the state contradicts itself, this device or the guest's memory.
enum status virtio_vdev_load(struct vdev *v, const void *state);

#define VIRTIO_VDEV_OPS(name)                                                                              \
    {                                                                                                      \
        .model = (name), .state_version = VIRTIO_STATE_VERSION, .state_size = sizeof(struct virtio_state), \
        .reset = virtio_vdev_reset, .destroy = virtio_vdev_destroy, .quiesce = virtio_vdev_quiesce,        \
        .describe = virtio_vdev_describe, .load = virtio_vdev_load,                                        \
    }
