// SPDX-License-Identifier: Apache-2.0
//
// Goldfish RTC: register table, alarm.
//
// The clock is vm_now() in nanoseconds plus an offset that a write to TIME_LOW or TIME_HIGH changes; it wraps
// at 2^64. The alarm's timer is only a hint to look again: whoever looks (timer, register access) decides by
// the clock. So it never has to be cancelled with the lock held, and a far alarm is reached in steps.
#include "vmm/devices/vgoldfish_rtc.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"
#include "vmm/core/vreg.h"

#define REG_SIZE 0x20u
#define NS_PER_SECOND UINT64_C(1000000000)
#define STEP_SECONDS 3600u // the longest a timer is set for

// What the guest can see; everything that is saved.
struct rtc_state {
    uint64_t offset; // clock at guest time 0, ns
    uint64_t alarm;  // ns
    uint32_t time_high;
    uint32_t alarm_high; // written, takes effect with ALARM_LOW
    uint32_t armed, pending, enabled;
    uint32_t reserved; // 0
};

struct vgoldfish_rtc {
    struct vreg_map map; // first: the access path finds it without an offset
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct rtc_state s;
    bool line_level;
    struct irq_line line;
    struct timer timer;
    uint64_t base;
};

// ---- time -------------------------------------------------------------------------------------------------

static uint64_t guest_ns(const struct vgoldfish_rtc *r)
{
    uint64_t now = vm_now(r->vdev.vm);
    uint64_t hz = arch_time_hz();

    return now / hz * NS_PER_SECOND + now % hz * NS_PER_SECOND / hz;
}

static uint64_t clock_ns(const struct vgoldfish_rtc *r)
{
    return guest_ns(r) + r->s.offset;
}

static void update_line_locked(struct vgoldfish_rtc *r)
{
    bool level = r->s.pending && r->s.enabled;

    if (level != r->line_level) {
        r->line_level = level;
        irq_line_set(&r->line, level);
    }
}

// Notes an alarm that has come; arms the timer for one that is still to come. The lock also keeps two CPUs
// from arming it at once; timer_set() never waits for a callback, so the callback may wait for us.
static void look_locked(struct vgoldfish_rtc *r)
{
    uint64_t now = clock_ns(r);
    uint64_t hz = arch_time_hz();

    if (r->s.armed && now >= r->s.alarm) {
        r->s.armed = 0;
        r->s.pending = 1;
    }
    update_line_locked(r);
    if (r->s.armed) {
        uint64_t left = r->s.alarm - now;
        uint64_t ticks = STEP_SECONDS * hz;

        if (left / NS_PER_SECOND < STEP_SECONDS) {
            ticks = left / NS_PER_SECOND * hz + left % NS_PER_SECOND * hz / NS_PER_SECOND + 1;
        }
        timer_set(&r->timer, arch_time_now() + ticks);
    }
}

static void timer_fired(struct timer *t)
{
    struct vgoldfish_rtc *r = container_of(t, struct vgoldfish_rtc, timer);
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

// ---- registers --------------------------------------------------------------------------------------------

static uint64_t time_low_read(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);
    uint64_t now = clock_ns(r);

    (void)a;
    r->s.time_high = (uint32_t)(now >> 32);
    spin_unlock_irqrestore(&r->lock, irq);
    return (uint32_t)now;
}

// Replaces one half of the clock; the other half goes on.
static void set_time(struct vgoldfish_rtc *r, unsigned shift, uint64_t value)
{
    irq_state_t irq = spin_lock_irqsave(&r->lock);
    uint64_t now = clock_ns(r);

    r->s.offset += ((now & ~MASK64(shift, 32)) | value << shift) - now;
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void time_low_write(void *dev, const struct vreg_access *a)
{
    set_time(dev, 0, a->value);
}

static void time_high_write(void *dev, const struct vreg_access *a)
{
    set_time(dev, 32, a->value);
}

#define DEFINE_READ(name, field)                                         \
    static uint64_t name##_read(void *dev, const struct vreg_access *a)  \
    {                                                                    \
        struct vgoldfish_rtc *r = dev;                                   \
                                                                         \
        (void)a;                                                         \
        return (uint32_t)__atomic_load_n(&r->s.field, __ATOMIC_RELAXED); \
    }

DEFINE_READ(time_high, time_high)
DEFINE_READ(alarm_low, alarm)
DEFINE_READ(alarm_high, alarm_high)
DEFINE_READ(irq_enabled, enabled)

static void alarm_low_write(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.alarm = (uint64_t)r->s.alarm_high << 32 | a->value;
    r->s.armed = 1;
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void alarm_high_write(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.alarm_high = (uint32_t)a->value;
    spin_unlock_irqrestore(&r->lock, irq);
}

static void irq_enabled_write(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.enabled = a->value & 1;
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void clear_alarm_write(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    (void)a;
    r->s.armed = 0;
    spin_unlock_irqrestore(&r->lock, irq);
}

static uint64_t alarm_status_read(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);
    uint32_t armed;

    (void)a;
    look_locked(r);
    armed = r->s.armed;
    spin_unlock_irqrestore(&r->lock, irq);
    return armed;
}

static void clear_interrupt_write(void *dev, const struct vreg_access *a)
{
    struct vgoldfish_rtc *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    (void)a;
    r->s.pending = 0;
    update_line_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

#define ROW(off, rd, wr, id)                                                                     \
    {                                                                                            \
        .offset = (off), .count = 1, .size = 4, .widths = VREG_W32, .read = (rd), .write = (wr), \
        .name = (id)                                                                             \
    }

static const struct vreg rows[] = {
    ROW(0x00, time_low_read, time_low_write, "TIME_LOW"),
    ROW(0x04, time_high_read, time_high_write, "TIME_HIGH"),
    ROW(0x08, alarm_low_read, alarm_low_write, "ALARM_LOW"),
    ROW(0x0c, alarm_high_read, alarm_high_write, "ALARM_HIGH"),
    ROW(0x10, irq_enabled_read, irq_enabled_write, "IRQ_ENABLED"),
    ROW(0x14, NULL, clear_alarm_write, "CLEAR_ALARM"),
    ROW(0x18, alarm_status_read, NULL, "ALARM_STATUS"),
    ROW(0x1c, NULL, clear_interrupt_write, "CLEAR_INTERRUPT"),
};

// Beyond the registers the page is empty.
static enum io_result rtc_access(void *dev, struct io_access *a)
{
    struct vgoldfish_rtc *r = dev;

    if (a->offset >= REG_SIZE) {
        a->value = a->write ? a->value : 0;
        return IO_DONE;
    }
    return vreg_map_access(&r->map, r, a);
}

// ---- the device -------------------------------------------------------------------------------------------

static struct vgoldfish_rtc *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vgoldfish_rtc, vdev);
}

// Guest time goes on over a reset of the VM, and so does the clock: it is the battery-backed part.
static void rtc_reset(struct vdev *dev)
{
    struct vgoldfish_rtc *r = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&r->lock);
    uint64_t offset = r->s.offset;

    r->s = (struct rtc_state){.offset = offset};
    update_line_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void rtc_destroy(struct vdev *dev)
{
    struct vgoldfish_rtc *r = from_vdev(dev);

    (void)!io_bus_remove(&dev->vm->mmio, r->base);
    timer_cancel(&r->timer);
    list_remove(&dev->node);
    vreg_map_destroy(&r->map);
    pool_free(r, sizeof(*r));
}

static void rtc_describe(const struct vdev *dev, struct vdev_desc *out)
{
    static const char compatible[] = "google,goldfish-rtc";

    (void)dev;
    *out = (struct vdev_desc){.node = "rtc", .compatible = compatible, .compatible_len = sizeof(compatible)};
}

static void rtc_save(const struct vdev *dev, void *state)
{
    struct vgoldfish_rtc *r = container_of((struct vdev *)(uintptr_t)dev, struct vgoldfish_rtc, vdev);
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    memcpy(state, &r->s, sizeof(r->s));
    spin_unlock_irqrestore(&r->lock, irq);
}

static enum status rtc_load(struct vdev *dev, const void *state)
{
    struct vgoldfish_rtc *r = from_vdev(dev);
    struct rtc_state next;

    memcpy(&next, state, sizeof(next));
    if (next.armed > 1 || next.pending > 1 || next.enabled > 1 || next.reserved != 0) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s = next;
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "goldfish-rtc",
    .state_version = 1,
    .state_size = sizeof(struct rtc_state),
    .reset = rtc_reset,
    .destroy = rtc_destroy,
    .describe = rtc_describe,
    .save = rtc_save,
    .load = rtc_load,
};

enum status vgoldfish_rtc_create(struct vm *vm, const struct plan_device *p, uint64_t epoch,
                                 struct vdev **out)
{
    struct vgoldfish_rtc *r = pool_alloc(sizeof(*r));
    struct io_region region = {.base = p->base, .size = p->size, .access = rtc_access, .name = p->name};
    enum status st;

    if (!r) {
        return E_NOMEM;
    }
    st = vreg_map_create(&r->map, rows, ARRAY_SIZE(rows), REG_SIZE);
    if (st != OK) {
        goto out_free;
    }
    spin_init(&r->lock, LOCK_VDEV);
    timer_setup(&r->timer, timer_fired);
    r->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = p->name, .state = &r->s};
    r->line = (struct irq_line){.chip = vm->irqchip, .line = p->irq};
    r->base = p->base;
    r->s = (struct rtc_state){.offset = epoch * NS_PER_SECOND};
    region.dev = r;
    st = io_bus_add(&vm->mmio, &region, NULL);
    if (st != OK) {
        goto out_map;
    }
    list_push_back(&vm->devices, &r->vdev.node);
    *out = &r->vdev;
    return OK;

out_map:
    vreg_map_destroy(&r->map);
out_free:
    pool_free(r, sizeof(*r));
    return st;
}
