// SPDX-License-Identifier: Apache-2.0
//
// HPET: register table, main counter, comparators (IA-PC HPET 1.0a, 2.3).
//
// Nothing counts: the main counter is guest time plus an offset, and each timer knows at which count of guest time its comparator
// will be met next. One host timer waits for the earliest of them; it is only a hint to look again.
#include "vmm/devices/vhpet.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/vreg.h"
#include "vmm/devices/vclock.h"
#include "vmm/devices/vpit.h"

#define TIMERS 3u
#define PERIOD_FS UINT64_C(10000000)
#define EVENT_MIN (VHPET_HZ / 10000) // 100 us

#define CAP_REVISION 1u
#define CAP_64_BITS BIT64(13)
#define CAP_LEGACY BIT64(15)
#define CAP_VENDOR UINT64_C(0x8086)
#define CAPABILITIES \
    (CAP_REVISION | (TIMERS - 1) << 8 | CAP_64_BITS | CAP_LEGACY | CAP_VENDOR << 16 | PERIOD_FS << 32)

#define CONFIG_ENABLE 1u
#define CONFIG_LEGACY 2u

#define TIMER_LEVEL BIT64(1)
#define TIMER_INTERRUPTS BIT64(2)
#define TIMER_PERIODIC BIT64(3)
#define TIMER_CAP_PERIODIC BIT64(4)
#define TIMER_CAP_64_BITS BIT64(5)
#define TIMER_SET_VALUE BIT64(6)
#define TIMER_32_BITS BIT64(8)
#define TIMER_ROUTE(config) ((unsigned)((config) >> 9 & 31))
#define TIMER_ROUTES (BIT64(10) | BIT64(11))
#define TIMER_FIRST_ROUTE 10u
#define TIMER_CONSTANT (TIMER_CAP_PERIODIC | TIMER_CAP_64_BITS | TIMER_ROUTES << 32)
#define TIMER_WRITABLE \
    (TIMER_LEVEL | TIMER_INTERRUPTS | TIMER_PERIODIC | TIMER_SET_VALUE | TIMER_32_BITS | MASK64(9, 5))

#define PIN_NONE UINT32_MAX
#define PIN_TIMER 2u // legacy replacement
#define PIN_RTC 8u

struct comparator {
    uint64_t config;
    uint64_t value; // of the main counter
    uint64_t period;
    uint64_t due; // count of guest time at which it is met next, VCLOCK_NEVER: not at all
};

// What the guest can see; everything that is saved.
struct vhpet_state {
    struct comparator timers[TIMERS];
    uint64_t offset; // enabled: main counter less the count of guest time; else the main counter
    uint32_t config;
    uint32_t status; // one bit for each timer
};

struct vhpet {
    struct vreg_map map; // first: the access path finds it without an offset
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct vhpet_state s;
    uint32_t driven[TIMERS]; // the pin that a timer holds high, or PIN_NONE
    struct timer timer;
    struct vdev *pit;
};

static uint64_t now_count(const struct vhpet *h)
{
    return vclock_count(h->vdev.vm, VHPET_HZ);
}

static bool is_enabled(const struct vhpet *h)
{
    return h->s.config & CONFIG_ENABLE;
}

static uint64_t main_counter(const struct vhpet *h, uint64_t now)
{
    return h->s.offset + (is_enabled(h) ? now : 0);
}

// ---- interrupts -------------------------------------------------------------------------------------------

static uint32_t pin_of(const struct vhpet *h, unsigned n)
{
    static const uint32_t legacy[TIMERS] = {PIN_TIMER, PIN_RTC, PIN_NONE};
    bool replaced = (h->s.config & CONFIG_LEGACY) && legacy[n] != PIN_NONE;

    return replaced ? legacy[n] : TIMER_ROUTE(h->s.timers[n].config);
}

static void drive(const struct vhpet *h, uint32_t pin, bool level)
{
    const struct irq_line line = {.chip = h->vdev.vm->irqchip, .line = pin};

    irq_line_set(&line, level);
}

static bool is_driven(const struct vhpet *h, uint32_t pin)
{
    for (unsigned n = 0; n < TIMERS; n++) {
        if (h->driven[n] == pin) {
            return true;
        }
    }
    return false;
}

// Makes the pins show the status of level-triggered timers. Two may share a pin: it is high for either.
static void update_lines_locked(struct vhpet *h)
{
    for (unsigned n = 0; n < TIMERS; n++) {
        uint64_t config = h->s.timers[n].config;
        bool level =
            is_enabled(h) && (config & TIMER_INTERRUPTS) && (config & TIMER_LEVEL) && (h->s.status >> n & 1);
        uint32_t old = h->driven[n], pin = level ? pin_of(h, n) : PIN_NONE;

        if (pin == old) {
            continue;
        }
        bool shared = is_driven(h, pin);

        h->driven[n] = pin;
        if (old != PIN_NONE && !is_driven(h, old)) {
            drive(h, old, false);
        }
        if (pin != PIN_NONE && !shared) {
            drive(h, pin, true);
        }
    }
}

static void pulse_locked(const struct vhpet *h, uint32_t pin)
{
    if (!is_driven(h, pin)) { // else it would not be seen
        drive(h, pin, true);
        drive(h, pin, false);
    }
}

// ---- comparators ------------------------------------------------------------------------------------------

static uint64_t mask_of(const struct comparator *c)
{
    return c->config & TIMER_32_BITS ? UINT32_MAX : UINT64_MAX;
}

// After a change of the counter or of the comparator: the next match, one round later if they are equal.
static void wait_locked(const struct vhpet *h, struct comparator *c, uint64_t now)
{
    uint64_t left = ((c->value - main_counter(h, now) - 1) & mask_of(c)) + 1;

    c->due = is_enabled(h) && left != 0 && left < VCLOCK_NEVER - now ? now + left : VCLOCK_NEVER;
}

// A match has come. A period counts on from it, without those that are over, or too near to wait for.
static void matched_locked(const struct vhpet *h, struct comparator *c, uint64_t now)
{
    uint64_t late = now - c->due + EVENT_MIN;

    if ((c->config & TIMER_PERIODIC) && c->period != 0) {
        uint64_t step = late / c->period * c->period;

        step = step > UINT64_MAX - c->period ? c->period : step + c->period;
        c->value = (c->value + step) & mask_of(c);
        c->due = step < VCLOCK_NEVER - c->due ? c->due + step : VCLOCK_NEVER;
    } else if (c->config & TIMER_PERIODIC) {
        c->due = VCLOCK_NEVER;
    } else {
        wait_locked(h, c, now);
    }
}

static void look_locked(struct vhpet *h)
{
    uint64_t now = now_count(h), next = VCLOCK_NEVER;

    for (unsigned n = 0; n < TIMERS; n++) {
        struct comparator *c = &h->s.timers[n];

        if (now >= c->due) {
            matched_locked(h, c, now);
            if (c->config & TIMER_LEVEL) {
                h->s.status |= 1u << n;
            } else if (c->config & TIMER_INTERRUPTS) {
                pulse_locked(h, pin_of(h, n));
            }
        }
        next = c->config & TIMER_INTERRUPTS ? min_u64(next, c->due) : next;
    }
    update_lines_locked(h);
    vclock_arm(&h->timer, h->vdev.vm, next, VHPET_HZ);
}

static void timer_fired(struct timer *t)
{
    struct vhpet *h = container_of(t, struct vhpet, timer);
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    look_locked(h);
    spin_unlock_irqrestore(&h->lock, irq);
}

static void wait_all_locked(struct vhpet *h, uint64_t now)
{
    for (unsigned n = 0; n < TIMERS; n++) {
        wait_locked(h, &h->s.timers[n], now);
    }
    look_locked(h);
}

// ---- registers --------------------------------------------------------------------------------------------

static uint64_t capabilities_read(void *dev, const struct vreg_access *a)
{
    (void)dev;
    return vreg_part(CAPABILITIES, a);
}

static uint64_t config_read(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;

    return vreg_part(__atomic_load_n(&h->s.config, __ATOMIC_RELAXED), a);
}

static void set_config_locked(struct vhpet *h, uint32_t config)
{
    uint64_t now = now_count(h), counter;

    look_locked(h);
    counter = main_counter(h, now);
    __atomic_store_n(&h->s.config, config, __ATOMIC_RELAXED);
    h->s.offset = counter - (is_enabled(h) ? now : 0);
    wait_all_locked(h, now);
}

// Whoever gets the timer's pin gets it low.
static void config_write(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    uint32_t config = (uint32_t)vreg_merge(config_read(dev, &(struct vreg_access){.size = 4}), a) &
                      (CONFIG_ENABLE | CONFIG_LEGACY);
    irq_state_t irq;

    if (h->pit && (config & CONFIG_LEGACY)) {
        vpit_mute(h->pit, true);
    }
    irq = spin_lock_irqsave(&h->lock);
    set_config_locked(h, config);
    spin_unlock_irqrestore(&h->lock, irq);
    if (h->pit && !(config & CONFIG_LEGACY)) {
        vpit_mute(h->pit, false);
    }
}

static uint64_t status_read(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    look_locked(h);
    uint64_t value = h->s.status;

    spin_unlock_irqrestore(&h->lock, irq);
    return vreg_part(value, a);
}

static void status_write(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    look_locked(h);
    h->s.status &= ~(uint32_t)vreg_merge(0, a);
    update_lines_locked(h);
    spin_unlock_irqrestore(&h->lock, irq);
}

static uint64_t counter_read(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    irq_state_t irq = spin_lock_irqsave(&h->lock);
    uint64_t value = main_counter(h, now_count(h));

    spin_unlock_irqrestore(&h->lock, irq);
    return vreg_part(value, a);
}

static void counter_write(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    irq_state_t irq = spin_lock_irqsave(&h->lock);
    uint64_t now = now_count(h);

    look_locked(h);
    h->s.offset = vreg_merge(main_counter(h, now), a) - (is_enabled(h) ? now : 0);
    wait_all_locked(h, now);
    spin_unlock_irqrestore(&h->lock, irq);
}

// A timer's block: configuration, comparator, and what would be its message.
#define BLOCK_CONFIG 0u
#define BLOCK_COMPARATOR 1u

// 0x20 bytes for each timer are four registers.
static struct comparator *block_timer(struct vhpet *h, const struct vreg_access *a)
{
    return &h->s.timers[a->index / 4];
}

static uint64_t timer_read(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    const struct comparator *c = block_timer(h, a);
    irq_state_t irq = spin_lock_irqsave(&h->lock);
    uint64_t value = 0;

    look_locked(h);
    if (a->index % 4 == BLOCK_CONFIG) {
        value = (c->config & ~TIMER_SET_VALUE) | TIMER_CONSTANT;
    } else if (a->index % 4 == BLOCK_COMPARATOR) {
        value = c->value & mask_of(c);
    }
    spin_unlock_irqrestore(&h->lock, irq);
    return vreg_part(value, a);
}

// A route that is not offered does not take (2.3.8).
static uint64_t checked_route(uint64_t config)
{
    bool offered = TIMER_ROUTES >> TIMER_ROUTE(config) & 1;

    return offered ? config : (config & ~MASK64(9, 5)) | (uint64_t)TIMER_FIRST_ROUTE << 9;
}

static void config_timer_locked(struct vhpet *h, struct comparator *c, const struct vreg_access *a)
{
    unsigned n = (unsigned)(c - h->s.timers);

    c->config = checked_route(vreg_merge(c->config, a) & TIMER_WRITABLE);
    c->value &= mask_of(c);
    c->period &= mask_of(c);
    if (!(c->config & TIMER_LEVEL)) {
        h->s.status &= ~(1u << n);
    }
}

// Periodic: the period; and the comparator itself after TIMER_SET_VALUE, until its last half is written.
static void comparator_write_locked(struct comparator *c, const struct vreg_access *a)
{
    unsigned bytes = c->config & TIMER_32_BITS ? 4 : 8;

    if (!(c->config & TIMER_PERIODIC) || (c->config & TIMER_SET_VALUE)) {
        c->value = vreg_merge(c->value, a) & mask_of(c);
    }
    if (c->config & TIMER_PERIODIC) {
        c->period = vreg_merge(c->period, a) & mask_of(c);
    }
    if (a->byte + a->size >= bytes) {
        c->config &= ~TIMER_SET_VALUE;
    }
}

static void timer_write(void *dev, const struct vreg_access *a)
{
    struct vhpet *h = dev;
    struct comparator *c = block_timer(h, a);
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    look_locked(h);
    if (a->index % 4 == BLOCK_CONFIG) {
        config_timer_locked(h, c, a);
    } else if (a->index % 4 == BLOCK_COMPARATOR) {
        comparator_write_locked(c, a);
    }
    wait_locked(h, c, now_count(h));
    look_locked(h);
    spin_unlock_irqrestore(&h->lock, irq);
}

#define W_ALL (VREG_W8 | VREG_W16 | VREG_W32 | VREG_W64)
#define ROW(off, n, rd, wr, id)                                                                              \
    {                                                                                                        \
        .offset = (off), .count = (n), .size = 8, .widths = W_ALL, .read = (rd), .write = (wr), .name = (id) \
    }

// Table 2. The rest is reserved and has no row.
static const struct vreg rows[] = {
    ROW(0x000, 1, capabilities_read, NULL, "GCAP_ID"),
    ROW(0x010, 1, config_read, config_write, "GEN_CONF"),
    ROW(0x020, 1, status_read, status_write, "GINTR_STA"),
    ROW(0x0F0, 1, counter_read, counter_write, "MAIN_CNT"),
    ROW(0x100, 4 * TIMERS, timer_read, timer_write, "TIMn"),
};

static enum io_result vhpet_access(void *dev, struct io_access *a)
{
    struct vhpet *h = dev;

    return vreg_map_access(&h->map, h, a);
}

// ---- the device -------------------------------------------------------------------------------------------

static struct vhpet *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vhpet, vdev);
}

static void state_reset(struct vhpet_state *s)
{
    *s = (struct vhpet_state){0};
    for (unsigned n = 0; n < TIMERS; n++) {
        s->timers[n] =
            (struct comparator){.config = checked_route(0), .value = UINT64_MAX, .due = VCLOCK_NEVER};
    }
}

// The PIT's reset gives it its pin back.
static void vhpet_reset(struct vdev *dev)
{
    struct vhpet *h = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    state_reset(&h->s);
    update_lines_locked(h);
    spin_unlock_irqrestore(&h->lock, irq);
}

static void vhpet_destroy(struct vdev *dev)
{
    struct vhpet *h = from_vdev(dev);

    (void)!io_bus_remove(&dev->vm->mmio, VHPET_BASE);
    timer_cancel(&h->timer);
    list_remove(&dev->node);
    vreg_map_destroy(&h->map);
    pool_free(h, sizeof(*h));
}

static void vhpet_save(const struct vdev *dev, void *state)
{
    struct vhpet *h = container_of((struct vdev *)(uintptr_t)dev, struct vhpet, vdev);
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    look_locked(h); // as load does
    memcpy(state, &h->s, sizeof(h->s));
    spin_unlock_irqrestore(&h->lock, irq);
}

static bool state_valid(const struct vhpet_state *s)
{
    for (unsigned n = 0; n < TIMERS; n++) {
        const struct comparator *c = &s->timers[n];

        if ((c->config & ~TIMER_WRITABLE) || checked_route(c->config) != c->config ||
            (c->value & ~mask_of(c)) || (c->period & ~mask_of(c)) ||
            (c->due != VCLOCK_NEVER && !(s->config & CONFIG_ENABLE))) {
            return false;
        }
    }
    return !(s->config & ~(CONFIG_ENABLE | CONFIG_LEGACY)) && s->status >> TIMERS == 0;
}

static enum status vhpet_load(struct vdev *dev, const void *state)
{
    struct vhpet *h = from_vdev(dev);
    struct vhpet_state next;

    memcpy(&next, state, sizeof(next));
    if (!state_valid(&next)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&h->lock);

    h->s = next;
    look_locked(h);
    spin_unlock_irqrestore(&h->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "hpet",
    .state_version = 1,
    .state_size = sizeof(struct vhpet_state),
    .reset = vhpet_reset,
    .destroy = vhpet_destroy,
    .save = vhpet_save,
    .load = vhpet_load,
};

enum status vhpet_create(struct vm *vm, struct vdev *pit, struct vdev **out)
{
    struct vhpet *h = pool_alloc(sizeof(*h));
    enum status st;

    if (!h) {
        return E_NOMEM;
    }
    st = vreg_map_create(&h->map, rows, ARRAY_SIZE(rows), VHPET_SIZE);
    if (st != OK) {
        goto out_free;
    }
    spin_init(&h->lock, LOCK_VDEV);
    timer_setup(&h->timer, timer_fired);
    h->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "hpet", .state = &h->s};
    h->pit = pit;
    memset(h->driven, 0xff, sizeof(h->driven)); // PIN_NONE
    state_reset(&h->s);
    const struct io_region region = {
        .base = VHPET_BASE, .size = VHPET_SIZE, .access = vhpet_access, .dev = h, .name = h->vdev.name};

    st = io_bus_add(&vm->mmio, &region, NULL);
    if (st != OK) {
        goto out_map;
    }
    list_push_back(&vm->devices, &h->vdev.node);
    *out = &h->vdev;
    return OK;

out_map:
    vreg_map_destroy(&h->map);
out_free:
    pool_free(h, sizeof(*h));
    return st;
}
