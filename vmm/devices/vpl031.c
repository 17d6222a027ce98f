// SPDX-License-Identifier: Apache-2.0
//
// PL031 real-time clock: register table, match interrupt (Arm DDI 0224, chapter 3).
//
// RTCDR is vm_now() in seconds plus an offset that a write to RTCLR changes; it wraps at 2^32 as the real
// counter does. The match timer is only a hint to look again: whoever looks (timer, register access) decides
// by the counter. So the timer never has to be cancelled with the lock held, and a change of the guest's time
// does no harm.
#include "vmm/devices/vpl031.h"

#include <string.h>

#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"
#include "vmm/core/vreg.h"

#define REG_SIZE 0x1000u
#define RTCCR_EN 1u
#define INT_MATCH 1u

#define NO_MATCH UINT64_MAX

// What the guest can see; everything that is saved.
struct vpl031_state {
    // Guest time in seconds at which RTCDR reaches RTCMR; NO_MATCH when it has, or RTCMR was never set.
    uint64_t match;
    uint32_t offset; // RTCDR at guest time 0
    uint32_t lr;
    uint32_t mr;
    uint32_t imsc;
    uint32_t ris;
    uint32_t reserved; // 0
};

struct vpl031 {
    struct vreg_map map; // first: the access path finds it without an offset
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct vpl031_state s;
    bool line_level;
    struct irq_line line;
    struct timer timer;
    uint64_t base;
};

// ---- time -------------------------------------------------------------------------------------------------

static uint64_t guest_seconds(const struct vpl031 *r)
{
    return vm_now(r->vdev.vm) / arch_time_hz();
}

// Notes a match that has come and drives the line. Returns the match still to wait for, NO_MATCH when there
// is none.
static uint64_t update_locked(struct vpl031 *r)
{
    if (r->s.match != NO_MATCH && guest_seconds(r) >= r->s.match) {
        r->s.match = NO_MATCH;
        r->s.ris = INT_MATCH;
    }
    bool level = (r->s.ris & r->s.imsc) != 0;

    if (level != r->line_level) {
        r->line_level = level;
        irq_line_set(&r->line, level);
    }
    return r->s.match;
}

static void rematch_locked(struct vpl031 *r)
{
    uint64_t now = guest_seconds(r);

    r->s.match = now + (uint32_t)(r->s.mr - (r->s.offset + (uint32_t)now));
}

// Looks at the time and arms the timer for what is still to come. The lock also keeps two CPUs from arming it
// at once; timer_set() never waits for a callback, so the callback may wait for us.
static void look_locked(struct vpl031 *r)
{
    uint64_t match = update_locked(r);

    if (match != NO_MATCH) {
        timer_set(&r->timer, match * arch_time_hz() + r->vdev.vm->time_offset);
    }
}

static void timer_fired(struct timer *t)
{
    struct vpl031 *r = container_of(t, struct vpl031, timer);
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

// ---- registers --------------------------------------------------------------------------------------------

static uint64_t dr_read(void *dev, const struct vreg_access *a)
{
    struct vpl031 *r = dev;

    return vreg_part(__atomic_load_n(&r->s.offset, __ATOMIC_RELAXED) + (uint32_t)guest_seconds(r), a);
}

#define DEFINE_READ(field)                                                   \
    static uint64_t field##_read(void *dev, const struct vreg_access *a)     \
    {                                                                        \
        struct vpl031 *r = dev;                                              \
                                                                             \
        return vreg_part(__atomic_load_n(&r->s.field, __ATOMIC_RELAXED), a); \
    }

DEFINE_READ(mr)
DEFINE_READ(lr)
DEFINE_READ(imsc)
DEFINE_READ(ris)

static uint64_t mis_read(void *dev, const struct vreg_access *a)
{
    return ris_read(dev, a) & imsc_read(dev, a);
}

static void mr_write(void *dev, const struct vreg_access *a)
{
    struct vpl031 *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.mr = (uint32_t)vreg_merge(r->s.mr, a);
    rematch_locked(r);
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void lr_write(void *dev, const struct vreg_access *a)
{
    struct vpl031 *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.lr = (uint32_t)vreg_merge(r->s.lr, a);
    __atomic_store_n(&r->s.offset, r->s.lr - (uint32_t)guest_seconds(r), __ATOMIC_RELAXED);
    if (r->s.match != NO_MATCH) {
        rematch_locked(r);
    }
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void imsc_write(void *dev, const struct vreg_access *a)
{
    struct vpl031 *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.imsc = (uint32_t)vreg_merge(r->s.imsc, a) & INT_MATCH;
    (void)update_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void icr_write(void *dev, const struct vreg_access *a)
{
    struct vpl031 *r = dev;
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s.ris &= ~((uint32_t)vreg_merge(0, a) & INT_MATCH);
    (void)update_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

#define W_ALL (VREG_W8 | VREG_W16 | VREG_W32)
#define ROW(off, rd, wr, id)                                                                               \
    {                                                                                                      \
        .offset = (off), .count = 1, .size = 4, .widths = W_ALL, .read = (rd), .write = (wr), .name = (id) \
    }
#define ROW_CONST(off, value, id)                                                               \
    {                                                                                           \
        .offset = (off), .count = 1, .size = 4, .widths = W_ALL, .reset = (value), .name = (id) \
    }

// Table 3-1. What the manual reserves (0x020-0xfdc) has no row: RAZ/WI, counted.
static const struct vreg rows[] = {
    ROW(0x000, dr_read, NULL, "RTCDR"),
    ROW(0x004, mr_read, mr_write, "RTCMR"),
    ROW(0x008, lr_read, lr_write, "RTCLR"),
    ROW_CONST(0x00c, RTCCR_EN, "RTCCR"), // once started it runs until reset; ours is started
    ROW(0x010, imsc_read, imsc_write, "RTCIMSC"),
    ROW(0x014, ris_read, NULL, "RTCRIS"),
    ROW(0x018, mis_read, NULL, "RTCMIS"),
    ROW(0x01c, NULL, icr_write, "RTCICR"),
    ROW_CONST(0xfe0, 0x31, "RTCPeriphID0"),
    ROW_CONST(0xfe4, 0x10, "RTCPeriphID1"),
    ROW_CONST(0xfe8, 0x04, "RTCPeriphID2"),
    ROW_CONST(0xfec, 0x00, "RTCPeriphID3"),
    ROW_CONST(0xff0, 0x0d, "RTCPCellID0"),
    ROW_CONST(0xff4, 0xf0, "RTCPCellID1"),
    ROW_CONST(0xff8, 0x05, "RTCPCellID2"),
    ROW_CONST(0xffc, 0xb1, "RTCPCellID3"),
};

static enum io_result vpl031_access(void *dev, struct io_access *a)
{
    struct vpl031 *r = dev;

    return vreg_map_access(&r->map, r, a);
}

// ---- the device -------------------------------------------------------------------------------------------

static struct vpl031 *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vpl031, vdev);
}

// Guest time goes on over a reset of the VM, and so does the clock: it is the battery-backed part.
static void vpl031_reset(struct vdev *dev)
{
    struct vpl031 *r = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&r->lock);
    uint32_t offset = r->s.offset;

    r->s = (struct vpl031_state){.match = NO_MATCH, .offset = offset};
    (void)update_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
}

static void vpl031_destroy(struct vdev *dev)
{
    struct vpl031 *r = from_vdev(dev);

    (void)!io_bus_remove(&dev->vm->mmio, r->base);
    timer_cancel(&r->timer);
    list_remove(&dev->node);
    vreg_map_destroy(&r->map);
    pool_free(r, sizeof(*r));
}

static void vpl031_describe(const struct vdev *dev, struct vdev_desc *out)
{
    static const char compatible[] = "arm,pl031\0arm,primecell";
    static const char clock_names[] = "apb_pclk";

    (void)dev;
    *out = (struct vdev_desc){.node = "pl031",
                              .compatible = compatible,
                              .compatible_len = sizeof(compatible),
                              .clocks = 1,
                              .clock_names = clock_names,
                              .clock_names_len = sizeof(clock_names)};
}

static void vpl031_save(const struct vdev *dev, void *state)
{
    struct vpl031 *r = container_of((struct vdev *)(uintptr_t)dev, struct vpl031, vdev);
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    memcpy(state, &r->s, sizeof(r->s));
    spin_unlock_irqrestore(&r->lock, irq);
}

static enum status vpl031_load(struct vdev *dev, const void *state)
{
    struct vpl031 *r = from_vdev(dev);
    struct vpl031_state next;

    memcpy(&next, state, sizeof(next));
    if (((next.imsc | next.ris) & ~INT_MATCH) != 0 || next.reserved != 0 ||
        (next.match != NO_MATCH && next.match > UINT64_MAX >> 31)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&r->lock);

    r->s = next;
    look_locked(r);
    spin_unlock_irqrestore(&r->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "pl031",
    .state_version = 1,
    .state_size = sizeof(struct vpl031_state),
    .reset = vpl031_reset,
    .destroy = vpl031_destroy,
    .describe = vpl031_describe,
    .save = vpl031_save,
    .load = vpl031_load,
};

enum status vpl031_create(struct vm *vm, const struct plan_device *p, uint64_t epoch, struct vdev **out)
{
    struct vpl031 *r = pool_alloc(sizeof(*r));

    if (!r) {
        return E_NOMEM;
    }
    enum status st = vreg_map_create(&r->map, rows, ARRAY_SIZE(rows), REG_SIZE);

    if (st != OK) {
        goto out_free;
    }
    spin_init(&r->lock, LOCK_VDEV);
    timer_setup(&r->timer, timer_fired);
    r->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = p->name, .state = &r->s};
    r->line = (struct irq_line){.chip = vm->irqchip, .line = p->irq};
    r->base = p->base;
    r->s = (struct vpl031_state){.match = NO_MATCH, .offset = (uint32_t)epoch};
    const struct io_region region = {
        .base = p->base, .size = p->size, .access = vpl031_access, .dev = r, .name = p->name};

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
