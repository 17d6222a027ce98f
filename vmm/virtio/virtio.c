// SPDX-License-Identifier: Apache-2.0
//
// The common part of all virtio devices: see virtio.h. Section numbers are those of Virtual I/O Device 1.2.
#include "vmm/virtio/virtio.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/time.h"
#include "vmm/core/vcpu.h"
#include "vmm/core/vm.h"

#define DRIVER_STATUS_BITS                                                        \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK | \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)

// A word that others change under the lock and that is read without it.
static uint32_t read_once(const uint32_t *p)
{
    return *(const volatile uint32_t *)p;
}

static void warn(struct virtio_device *dev, const char *what)
{
    vm_warn(dev->vdev.vm, "%s %s: %s", dev->ops->vdev.model, dev->vdev.name, what);
}

enum status virtio_setup(struct virtio_device *dev, const struct virtio_ops *ops, struct vm *vm,
                         const char *name)
{
    if (ops->queue_count > VIRTIO_QUEUES_MAX || !is_power_of_two(ops->queue_size_max)) {
        return E_INVAL;
    }
    dev->vdev = (struct vdev){.ops = &ops->vdev, .vm = vm, .name = name, .state = &dev->state};
    list_init(&dev->vdev.node);
    dev->ops = ops;
    dev->features |= VIRTIO_FEATURES_COMMON;
    spin_init(&dev->lock, LOCK_VDEV);
    wait_queue_init(&dev->idle);
    completion_init(&dev->stopped);
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        virtqueue_setup(&dev->queues[i], &dev->state.queues[i], &vm->gmem, ops->queue_size_max);
    }
    return OK;
}

// ---- worker -------------------------------------------------------------------------------------

// `work` also says that somebody is in process(): he alone clears this bit. Bits that others set meanwhile he leaves to the
// worker, or takes himself when he is the worker.
#define BUSY (1u << 31)

// Adds work; whoever adds the first wakes the worker, unless somebody is at it and will look when he ends.
static void add_work(struct virtio_device *dev, uint32_t bits)
{
    if (atomic_fetch_or_explicit(&dev->work, bits, memory_order_acq_rel) == 0 && dev->worker) {
        thread_wake(dev->worker);
    }
}

// What waits, and `bits`, is the caller's now. 0: there is nothing, or somebody is at it.
static inline uint32_t claim(struct virtio_device *dev, uint32_t bits)
{
    uint32_t w = atomic_load_explicit(&dev->work, memory_order_relaxed);

    do {
        if ((w | bits) == 0 || (w & BUSY)) {
            return 0;
        }
    } while (!atomic_compare_exchange_weak_explicit(&dev->work, &w, BUSY, memory_order_acquire,
                                                    memory_order_relaxed));
    return w | bits;
}

static bool at_rest(void *ctx)
{
    struct virtio_device *dev = ctx;

    return atomic_load(&dev->in_flight) == 0 && !(atomic_load(&dev->work) & BUSY);
}

// Sequentially consistent, as what came before it and what virtio_quiesce() does: one of both sees the other.
static void tell_quiesce(struct virtio_device *dev)
{
    if (__builtin_expect(atomic_load(&dev->quiescing), 0)) {
        wait_wake_all(&dev->idle);
    }
}

// process() has ended with `left`. True: there is work.
static inline bool unclaim(struct virtio_device *dev, uint32_t left)
{
    uint32_t w = BUSY;

    if (left != 0 || !atomic_compare_exchange_strong(&dev->work, &w, 0)) {
        atomic_fetch_or_explicit(&dev->work, left, memory_order_relaxed);
        w = atomic_fetch_and(&dev->work, ~BUSY);
    }
    tell_quiesce(dev);
    return w != BUSY;
}

static void worker_main(void *arg)
{
    struct virtio_device *dev = arg;

    while (!atomic_load_explicit(&dev->stop, memory_order_acquire)) {
        uint32_t bits = claim(dev, 0);

        if (bits) {
            (void)unclaim(dev, dev->ops->process(dev, bits, VIRTIO_NO_BUDGET));
        } else {
            thread_calm(&dev->quiescing, UINT32_MAX);
            thread_block();
        }
    }
    completion_signal(&dev->stopped);
    thread_exit();
}

enum status virtio_start_worker(struct virtio_device *dev)
{
    const struct vm *vm = dev->vdev.vm;
    struct thread_attr attr = {.name = dev->vdev.name, .entry = worker_main, .arg = dev, .prio = PRIO_WORKER};

    if (vm->vcpu_count > 0 && vm->vcpus && vm->vcpus[0]->thread) {
        attr.payer = vm->vcpus[0]->thread;
        attr.cpu = attr.payer->cpu;
        attr.prio = PRIO_GUEST(vm->config->sched.priority);
        attr.weight = vm->config->sched.weight;
        attr.budget = time_from_us(vm->config->sched.budget_us);
        attr.period = time_from_us(vm->config->sched.period_us);
    } else if (vm->config->sched.pcpu_count > 0) {
        attr.cpu = vm->config->sched.pcpus[0];
    }
    dev->worker = thread_create(&attr);
    if (!dev->worker) {
        return E_NOMEM;
    }
    thread_start(dev->worker);
    return OK;
}

static void stop_worker(struct virtio_device *dev)
{
    if (!dev->worker) {
        return;
    }
    atomic_store_explicit(&dev->stop, true, memory_order_release);
    atomic_store(&dev->quiescing, 1);
    thread_urge(dev->worker, &dev->quiescing, UINT32_MAX);
    completion_wait(&dev->stopped);
    dev->worker = NULL;
}

void virtio_kick(struct virtio_device *dev)
{
    add_work(dev, VIRTIO_WORK_BACKEND);
}

void virtio_process(struct virtio_device *dev)
{
    uint32_t bits = claim(dev, VIRTIO_WORK_ALL);

    while (bits) {
        (void)unclaim(dev, dev->ops->process(dev, bits, VIRTIO_NO_BUDGET));
        bits = claim(dev, 0);
    }
}

// The driver kicked: as much as is short is done here and now.
static void serve(struct virtio_device *dev, uint32_t bits)
{
    uint32_t mine = dev->ops->exit_budget > 0 ? claim(dev, bits) : 0;

    if (mine == 0) {
        add_work(dev, bits);
    } else if (unclaim(dev, dev->ops->process(dev, mine, dev->ops->exit_budget)) && dev->worker) {
        thread_wake(dev->worker);
    }
}

void virtio_requests_end(struct virtio_device *dev, uint32_t n)
{
    // Release: what the requests did to guest memory is visible to whoever sees the count at zero.
    if (atomic_fetch_sub(&dev->in_flight, n) == n) {
        tell_quiesce(dev);
    }
}

// ---- lock held ----------------------------------------------------------------------------------

static void raise(struct virtio_device *dev, uint32_t bits)
{
    if ((dev->state.interrupt_status & bits) != bits) {
        dev->state.interrupt_status |= bits;
        if (dev->transport) {
            dev->transport->interrupt(dev);
        }
    }
}

void virtio_notify_used(struct virtio_device *dev, struct virtqueue *vq)
{
    if (virtqueue_publish(vq)) {
        raise(dev, VIRTIO_MMIO_INT_VRING);
    }
    if (vq->s->broken) {
        virtio_break(dev, vq, vq->why);
    }
}

void virtio_config_changed(struct virtio_device *dev)
{
    dev->state.config_generation++;
    raise(dev, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_break(struct virtio_device *dev, struct virtqueue *vq, const char *why)
{
    virtqueue_set_broken(vq, why ? why : "broken");
    if (dev->state.status & VIRTIO_STATUS_DEVICE_NEEDS_RESET) {
        return;
    }
    dev->state.status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
    warn(dev, vq->why ? vq->why : "broken");
    if (dev->state.status & VIRTIO_STATUS_DRIVER_OK) {
        virtio_config_changed(dev);
    }
}

static void reset_locked(struct virtio_device *dev)
{
    dev->generation++;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        virtqueue_reset(&dev->queues[i]);
    }
    dev->state = (struct virtio_state){0};
    dev->paused = false;
    if (dev->ops->reset) {
        dev->ops->reset(dev);
    }
    if (dev->transport) {
        dev->transport->interrupt(dev);
    }
}

static void activate_locked(struct virtio_device *dev)
{
    if (dev->ops->activate) {
        dev->ops->activate(dev);
    }
    add_work(dev, VIRTIO_WORK_ALL); // chains may wait already
}

// ---- status and features ------------------------------------------------------------------------

uint32_t virtio_get_status(const struct virtio_device *dev)
{
    uint32_t status = read_once(&dev->state.status);

    // A driver that resets and then waits for 0 must not see it while an old request can still write to its
    // memory.
    if (!(status & VIRTIO_STATUS_DRIVER_OK) &&
        atomic_load_explicit(&dev->in_flight, memory_order_acquire) > 0) {
        status |= VIRTIO_STATUS_DEVICE_NEEDS_RESET;
    }
    return status;
}

// 2.2.2, 6.1: what the driver chose must have been offered, and the legacy interface does not exist here.
static bool features_acceptable(const struct virtio_device *dev, uint64_t chosen)
{
    return (chosen & ~dev->features) == 0 && (chosen & BIT64(VIRTIO_F_VERSION_1)) != 0;
}

static void apply_features(struct virtio_device *dev)
{
    for (unsigned i = 0; i < dev->ops->queue_count; i++) {
        virtqueue_set_features(&dev->queues[i], dev->state.driver_features);
    }
}

// 2.1.1: the driver only ever sets bits; 3.1.1 gives their order.
static void advance_status(struct virtio_device *dev, uint32_t value)
{
    struct virtio_state *st = &dev->state;
    uint32_t old = st->status & DRIVER_STATUS_BITS;
    uint32_t now = value & DRIVER_STATUS_BITS;

    if (old & ~now) {
        warn(dev, "the driver clears status bits without a reset");
        return;
    }
    if ((now & ~old & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(dev, st->driver_features)) {
        warn(dev, "the driver's choice of features is refused");
        now &= ~VIRTIO_STATUS_FEATURES_OK;
    }
    if (!(now & VIRTIO_STATUS_FEATURES_OK) && (now & VIRTIO_STATUS_DRIVER_OK)) {
        warn(dev, "DRIVER_OK without FEATURES_OK is refused");
        now &= ~VIRTIO_STATUS_DRIVER_OK;
    }
    st->status = (st->status & VIRTIO_STATUS_DEVICE_NEEDS_RESET) | now;
    if (now & ~old & VIRTIO_STATUS_FEATURES_OK) {
        apply_features(dev);
    }
    if (now & ~old & VIRTIO_STATUS_DRIVER_OK) {
        activate_locked(dev);
    }
}

void virtio_set_status(struct virtio_device *dev, uint32_t value)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (value == 0) {
        reset_locked(dev);
    } else {
        advance_status(dev, value);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

uint32_t virtio_get_device_features(const struct virtio_device *dev, uint32_t sel)
{
    return sel < 2 ? (uint32_t)(dev->features >> (32 * sel)) : 0;
}

void virtio_set_driver_features(struct virtio_device *dev, uint32_t sel, uint32_t value)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);
    uint64_t *chosen = &dev->state.driver_features;

    if (dev->state.status & VIRTIO_STATUS_FEATURES_OK) {
        warn(dev, "the driver changes features after FEATURES_OK");
    } else if (sel < 2) {
        *chosen = (*chosen & ~MASK64(32 * sel, 32)) | ((uint64_t)value << (32 * sel));
    } else if (value != 0) {
        warn(dev, "the driver chooses features that do not exist");
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

// ---- queues -------------------------------------------------------------------------------------

struct virtqueue *virtio_queue_for_setup(struct virtio_device *dev, uint32_t index)
{
    if (index >= dev->ops->queue_count) {
        return NULL;
    }
    if ((dev->state.status & VIRTIO_STATUS_DRIVER_OK) || dev->queues[index].s->ready) {
        warn(dev, "the driver changes a queue that is in use");
        return NULL;
    }
    return &dev->queues[index];
}

void virtio_queue_set_ready(struct virtio_device *dev, uint32_t index, bool ready)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (index >= dev->ops->queue_count || dev->queues[index].s->ready == ready) {
        // Nothing changes.
    } else if (dev->state.status & VIRTIO_STATUS_DRIVER_OK) {
        warn(dev, "the driver changes QueueReady after DRIVER_OK");
    } else if (!ready) {
        dev->queues[index].s->ready = 0;
    } else if (virtqueue_enable(&dev->queues[index]) != OK) {
        warn(dev, "a queue's size or addresses are invalid: it stays off");
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

void virtio_queue_notify(struct virtio_device *dev, uint32_t index)
{
    // Without the lock: whatever changes meanwhile, process() checks again under it.
    if (index >= dev->ops->queue_count || !virtio_status_running(read_once(&dev->state.status)) ||
        !dev->queues[index].s->ready) {
        warn(dev, "a kick for a queue that is not in use");
        return;
    }
    serve(dev, 1u << index);
}

void virtio_interrupt_ack(struct virtio_device *dev, uint32_t bits)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    dev->state.interrupt_status &= ~bits;
    if (dev->transport) {
        dev->transport->interrupt(dev);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

// ---- configuration space ------------------------------------------------------------------------

void virtio_config_read(struct virtio_device *dev, uint32_t off, void *buf, uint32_t len)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    memset(buf, 0, len);
    if (off < dev->config_size) {
        uint64_t n = min_u64(len, dev->config_size - off);

        memcpy(buf, (const char *)dev->config + off, (size_t)n);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

void virtio_config_write(struct virtio_device *dev, uint32_t off, const void *buf, uint32_t len)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    if (dev->ops->config_write && off < dev->config_size && len <= dev->config_size - off) {
        dev->ops->config_write(dev, off, buf, len);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
}

// ---- life cycle ---------------------------------------------------------------------------------

void virtio_reset(struct virtio_device *dev)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    reset_locked(dev);
    spin_unlock_irqrestore(&dev->lock, irq);
}

void virtio_quiesce(struct virtio_device *dev)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    dev->paused = true;
    spin_unlock_irqrestore(&dev->lock, irq);
    if (!dev->worker) {
        virtio_process(dev); // nobody else will
        return;
    }
    atomic_store(&dev->quiescing, 1);
    thread_urge(dev->worker, &dev->quiescing, UINT32_MAX);
    wait_event(&dev->idle, at_rest, dev);
    atomic_store(&dev->quiescing, 0);
    thread_wake(dev->worker); // it may calm down
}

void virtio_resume(struct virtio_device *dev)
{
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    dev->paused = false;
    spin_unlock_irqrestore(&dev->lock, irq);
    add_work(dev, VIRTIO_WORK_ALL);
}

void virtio_destroy(struct virtio_device *dev)
{
    stop_worker(dev);
    if (dev->transport && dev->transport->destroy) {
        dev->transport->destroy(dev);
    }
    dev->ops->destroy(dev);
}

void virtio_vdev_reset(struct vdev *v)
{
    virtio_reset(virtio_from_vdev(v));
}

void virtio_vdev_quiesce(struct vdev *v)
{
    virtio_quiesce(virtio_from_vdev(v));
}

void virtio_vdev_destroy(struct vdev *v)
{
    virtio_destroy(virtio_from_vdev(v));
}

void virtio_vdev_describe(const struct vdev *v, struct vdev_desc *out)
{
    static const char compatible[] = "virtio,mmio";

    (void)v;
    *out = (struct vdev_desc){.node = "virtio_mmio",
                              .compatible = compatible,
                              .compatible_len = sizeof(compatible),
                              .dma_coherent = true};
}

// Check, ...
static bool state_valid(struct virtio_device *dev, const struct virtio_state *s)
{
    uint32_t known = DRIVER_STATUS_BITS | VIRTIO_STATUS_DEVICE_NEEDS_RESET;

    if ((s->status & ~known) || (s->interrupt_status & ~(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG))) {
        return false;
    }
    if ((s->status & VIRTIO_STATUS_DRIVER_OK) && !(s->status & VIRTIO_STATUS_FEATURES_OK)) {
        return false;
    }
    if ((s->status & VIRTIO_STATUS_FEATURES_OK) && !features_acceptable(dev, s->driver_features)) {
        return false;
    }
    for (unsigned i = 0; i < dev->ops->queue_count; i++) {
        struct virtqueue_state copy = s->queues[i];
        struct virtqueue trial = {.s = &copy, .gm = dev->queues[i].gm, .size_max = dev->queues[i].size_max};

        if (copy.ready > 1 || copy.broken > 1 || copy.signalled_valid > 1 ||
            (copy.ready && virtqueue_enable(&trial) != OK)) {
            return false;
        }
    }
    return true;
}

// ... then commit.
enum status virtio_vdev_load(struct vdev *v, const void *state)
{
    struct virtio_device *dev = virtio_from_vdev(v);
    struct virtio_state s;

    memcpy(&s, state, sizeof(s));
    if (!state_valid(dev, &s)) {
        return E_CORRUPT;
    }
    for (unsigned i = dev->ops->queue_count; i < VIRTIO_QUEUES_MAX; i++) {
        s.queues[i] = (struct virtqueue_state){0};
    }
    irq_state_t irq = spin_lock_irqsave(&dev->lock);

    reset_locked(dev);
    dev->state = s;
    if (s.status & VIRTIO_STATUS_FEATURES_OK) {
        apply_features(dev);
    }
    if (dev->transport) {
        dev->transport->interrupt(dev);
    }
    if (s.status & VIRTIO_STATUS_DRIVER_OK) {
        activate_locked(dev);
    }
    spin_unlock_irqrestore(&dev->lock, irq);
    return OK;
}
