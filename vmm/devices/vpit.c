// SPDX-License-Identifier: Apache-2.0
//
// 8254: programming, counting, the interrupt of channel 0, and port 61h.
//
// Nothing counts: a channel knows when it started, and what it shows follows from the time. The timer of channel 0 is only a hint
// to look again.
#include "vmm/devices/vpit.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/devices/vclock.h"
#include "vmm/devices/vports.h"

#define CHANNELS 3u
#define SPEAKER_CHANNEL 2u
#define PORT_CONTROL (VPIT_PORT + 3)
#define COUNT_NONE 2u              // valid in every mode; not seen before a count is written
#define EDGE_MIN (VPIT_HZ / 10000) // 100 us

#define CONTROL_BCD 0x01u
#define CONTROL_MODE(v) ((v) >> 1 & 7u)
#define CONTROL_ACCESS(v) ((v) >> 4 & 3u)
#define CONTROL_CHANNEL(v) ((v) >> 6)
#define READ_BACK 3u          // in place of a channel
#define READ_BACK_COUNT 0x20u // low: latch
#define READ_BACK_STATUS 0x10u
#define STATUS_OUT 0x80u
#define STATUS_NULL 0x40u

#define ACCESS_LATCH 0u
#define ACCESS_LOW 1u
#define ACCESS_HIGH 2u
#define ACCESS_BOTH 3u

#define SPEAKER_GATE 0x01u
#define SPEAKER_KEPT 0x0Fu
#define SPEAKER_REFRESH 0x10u
#define SPEAKER_OUT 0x20u
#define REFRESH_TICKS 18u // 15 us

enum mode {
    TERMINAL_COUNT,
    ONE_SHOT,
    RATE,
    SQUARE,
    STROBE,
    TRIGGERED_STROBE
};

struct channel {
    uint64_t start;  // VPIT_HZ ticks of guest time; while paused: ticks counted
    uint32_t count;  // 1 to 0x10000, decimal 10000
    uint16_t latch;  // while latched: what is read
    uint8_t mode;    // enum mode
    uint8_t access;  // ACCESS_LOW to ACCESS_BOTH
    uint8_t bcd;     // 0 or 1
    uint8_t latched; // bytes of `latch` still to read: 0 to 2
    uint8_t status;  // latched status
    uint8_t has_status;
    uint8_t read_high; // the next byte read, or written, is the high one
    uint8_t write_high;
    uint8_t low;       // written, waits for the high byte
    uint8_t loaded;    // a count was written since the control word
    uint8_t triggered; // runs, or waits for its gate (ONE_SHOT, TRIGGERED_STROBE)
    uint8_t paused;    // by its gate
    uint8_t reserved[2];
};

// What the guest can see; everything that is saved.
struct vpit_state {
    struct channel channels[CHANNELS];
    uint64_t edge; // tick at which channel 0's output rises next, VCLOCK_NEVER: not at all
    uint8_t speaker;
    uint8_t muted;
    uint8_t reserved[6];
};

struct vpit {
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct vpit_state s;
    bool line_level;
    struct irq_line line;
    struct timer timer;
    struct vports ports[2];
};

static uint64_t now_ticks(const struct vpit *p)
{
    return vclock_count(p->vdev.vm, VPIT_HZ);
}

// ---- counting ---------------------------------------------------------------------------------------------

static bool gate(const struct vpit *p, const struct channel *c)
{
    return c != &p->s.channels[SPEAKER_CHANNEL] || (p->s.speaker & SPEAKER_GATE);
}

static bool is_periodic(const struct channel *c)
{
    return c->mode == RATE || c->mode == SQUARE;
}

static bool runs(const struct channel *c)
{
    return c->loaded && c->triggered;
}

static uint64_t elapsed(const struct channel *c, uint64_t now)
{
    return c->paused ? c->start : now - c->start;
}

static uint32_t high_ticks(const struct channel *c)
{
    return c->mode == SQUARE ? (c->count + 1) / 2 : c->count - 1;
}

static bool output(const struct channel *c, uint64_t now)
{
    uint64_t t = elapsed(c, now);

    if (c->mode == TERMINAL_COUNT) {
        return runs(c) && t >= c->count;
    }
    if (!runs(c)) {
        return true;
    }
    if (is_periodic(c)) {
        return c->paused || t % c->count < high_ticks(c);
    }
    return c->mode == ONE_SHOT ? t >= c->count : t != c->count;
}

// The square wave counts twice as fast, from the even count.
static uint32_t remaining(const struct channel *c, uint64_t now)
{
    uint32_t wrap = c->bcd ? 10000 : 0x10000;
    uint64_t t = elapsed(c, now);

    if (!runs(c)) {
        return c->loaded ? c->count % wrap : 0;
    }
    if (c->mode == RATE) {
        return (uint32_t)(c->count - t % c->count) % wrap;
    }
    if (c->mode == SQUARE) {
        uint32_t at = (uint32_t)(t % c->count), high = high_ticks(c);

        at = at < high ? at : at - high;
        return ((c->count & ~1u) - 2 * at) % wrap;
    }
    return (uint32_t)((c->count + wrap - t % wrap) % wrap);
}

static uint32_t to_bcd(uint32_t v)
{
    return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static uint32_t from_bcd(uint32_t v)
{
    return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

static uint16_t counter(const struct channel *c, uint64_t now)
{
    uint32_t left = remaining(c, now);

    return (uint16_t)(c->bcd ? to_bcd(left) : left);
}

// ---- the interrupt ----------------------------------------------------------------------------------------

// The first tick from `from` on at which the output rises.
static uint64_t next_edge(const struct channel *c, uint64_t from)
{
    uint64_t past = from > c->start ? from - c->start : 0;

    if (!runs(c) || c->mode == ONE_SHOT || c->mode == TRIGGERED_STROBE) { // channel 0's gate never rises
        return VCLOCK_NEVER;
    }
    if (is_periodic(c)) {
        return c->start + (past / c->count + (past % c->count != 0)) * c->count;
    }
    uint64_t at = c->start + c->count + (c->mode == STROBE);

    return at >= from ? at : VCLOCK_NEVER;
}

static void set_line_locked(struct vpit *p, bool level)
{
    if (level != p->line_level) {
        p->line_level = level;
        irq_line_set(&p->line, level);
    }
}

// Drives the line, with an edge if one was due, and waits for the next edge. Of periods the line shows the rising edges alone:
// nobody waits for the other.
static void look_locked(struct vpit *p, uint64_t now)
{
    const struct channel *c = &p->s.channels[0];
    bool due = now >= p->s.edge;

    if (due && !p->s.muted) {
        set_line_locked(p, false);
        set_line_locked(p, true);
    }
    if (due) {
        p->s.edge = next_edge(c, now + EDGE_MIN);
    }
    set_line_locked(p, !p->s.muted && (c->mode != TERMINAL_COUNT || output(c, now)));
    if (!p->s.muted) {
        vclock_arm(&p->timer, p->vdev.vm, p->s.edge, VPIT_HZ);
    }
}

static void timer_fired(struct timer *t)
{
    struct vpit *p = container_of(t, struct vpit, timer);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    look_locked(p, now_ticks(p));
    spin_unlock_irqrestore(&p->lock, irq);
}

// Channel 0 was programmed.
static void restarted_locked(struct vpit *p, uint64_t now)
{
    p->s.edge = next_edge(&p->s.channels[0], now + 1);
    look_locked(p, now);
}

// ---- ports ------------------------------------------------------------------------------------------------

static void load_count(struct vpit *p, struct channel *c, uint32_t value)
{
    bool triggers = c->mode != ONE_SHOT && c->mode != TRIGGERED_STROBE;
    uint64_t now = now_ticks(p);

    value = c->bcd ? from_bcd(value) : value;
    c->count = value ? value : c->bcd ? 10000 : 0x10000;
    if (is_periodic(c) && c->count == 1) {
        c->count = 2; // not allowed, figure 24
    }
    c->loaded = 1;
    if (triggers) {
        c->triggered = 1;
        c->paused = !gate(p, c);
        c->start = c->paused ? 0 : now;
    }
    if (c == &p->s.channels[0]) {
        restarted_locked(p, now);
    }
}

static void write_count_locked(struct vpit *p, struct channel *c, uint8_t value)
{
    if (c->access == ACCESS_BOTH && !c->write_high) {
        c->low = value;
        c->write_high = 1;
        return;
    }
    c->write_high = 0;
    load_count(p, c,
               c->access == ACCESS_LOW    ? value
               : c->access == ACCESS_HIGH ? (uint32_t)value << 8
                                          : (uint32_t)value << 8 | c->low);
}

static void latch_count(struct channel *c, uint64_t now)
{
    if (c->latched == 0) {
        c->latch = counter(c, now);
        c->latched = c->access == ACCESS_BOTH ? 2 : 1;
    }
}

static void latch_status(struct channel *c, uint64_t now)
{
    if (!c->has_status) {
        c->status = (uint8_t)((output(c, now) ? STATUS_OUT : 0) | (c->loaded ? 0 : STATUS_NULL) |
                              (uint32_t)c->access << 4 | (uint32_t)c->mode << 1 | c->bcd);
        c->has_status = 1;
    }
}

static void read_back_locked(struct vpit *p, uint8_t value)
{
    uint64_t now = now_ticks(p);

    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!(value >> (i + 1) & 1)) {
            continue;
        }
        if (!(value & READ_BACK_COUNT)) {
            latch_count(&p->s.channels[i], now);
        }
        if (!(value & READ_BACK_STATUS)) {
            latch_status(&p->s.channels[i], now);
        }
    }
}

static void write_control_locked(struct vpit *p, uint8_t value)
{
    unsigned n = CONTROL_CHANNEL(value), mode = CONTROL_MODE(value);
    struct channel *c = &p->s.channels[n % CHANNELS];

    if (n == READ_BACK) {
        read_back_locked(p, value);
    } else if (CONTROL_ACCESS(value) == ACCESS_LATCH) {
        latch_count(c, now_ticks(p));
    } else {
        *c = (struct channel){.mode = (uint8_t)(mode > TRIGGERED_STROBE ? mode & 3 : mode),
                              .access = (uint8_t)CONTROL_ACCESS(value),
                              .bcd = value & CONTROL_BCD,
                              .count = COUNT_NONE};
        if (n == 0) {
            restarted_locked(p, now_ticks(p));
        }
    }
}

static uint8_t read_count_locked(struct vpit *p, struct channel *c)
{
    if (c->has_status) {
        c->has_status = 0;
        return c->status;
    }
    uint16_t value = c->latched ? c->latch : counter(c, now_ticks(p));
    bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);

    c->read_high = c->access == ACCESS_BOTH && !c->read_high;
    if (c->latched) {
        c->latched--;
    }
    return (uint8_t)(high ? value >> 8 : value);
}

static uint8_t pit_read(void *dev, uint16_t port)
{
    struct vpit *p = dev;
    uint8_t value = UINT8_MAX;
    irq_state_t irq;

    if (port == PORT_CONTROL) {
        return value;
    }
    irq = spin_lock_irqsave(&p->lock);
    value = read_count_locked(p, &p->s.channels[port - VPIT_PORT]);
    spin_unlock_irqrestore(&p->lock, irq);
    return value;
}

static void pit_write(void *dev, uint16_t port, uint8_t value)
{
    struct vpit *p = dev;
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    if (port == PORT_CONTROL) {
        write_control_locked(p, value);
    } else {
        write_count_locked(p, &p->s.channels[port - VPIT_PORT], value);
    }
    spin_unlock_irqrestore(&p->lock, irq);
}

static uint8_t speaker_read(void *dev, uint16_t port)
{
    struct vpit *p = dev;
    irq_state_t irq = spin_lock_irqsave(&p->lock);
    uint64_t now = now_ticks(p);
    uint8_t value = p->s.speaker;

    (void)port;
    value |= now / REFRESH_TICKS % 2 ? SPEAKER_REFRESH : 0;
    value |= output(&p->s.channels[SPEAKER_CHANNEL], now) ? SPEAKER_OUT : 0;
    spin_unlock_irqrestore(&p->lock, irq);
    return value;
}

// A rising gate starts anew what is periodic or waits for a trigger; the others only pause without it.
static void gate_changed(struct channel *c, bool open, uint64_t now)
{
    bool pauses = c->mode != ONE_SHOT && c->mode != TRIGGERED_STROBE;

    if (open && (!pauses || is_periodic(c))) {
        c->start = now;
        c->triggered = c->loaded;
        c->paused = 0;
    } else if (pauses && open == (c->paused != 0)) {
        c->start = now - c->start;
        c->paused = !open;
    }
}

static void speaker_write(void *dev, uint16_t port, uint8_t value)
{
    struct vpit *p = dev;
    irq_state_t irq = spin_lock_irqsave(&p->lock);
    uint8_t changed = p->s.speaker ^ value;

    (void)port;
    p->s.speaker = value & SPEAKER_KEPT;
    if (changed & SPEAKER_GATE) {
        gate_changed(&p->s.channels[SPEAKER_CHANNEL], value & SPEAKER_GATE, now_ticks(p));
    }
    spin_unlock_irqrestore(&p->lock, irq);
}

static const struct vports_ops pit_ops = {.read = pit_read, .write = pit_write};
static const struct vports_ops speaker_ops = {.read = speaker_read, .write = speaker_write};

// ---- the device -------------------------------------------------------------------------------------------

static struct vpit *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vpit, vdev);
}

void vpit_mute(struct vdev *dev, bool muted)
{
    struct vpit *p = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    p->s.muted = muted;
    look_locked(p, now_ticks(p));
    spin_unlock_irqrestore(&p->lock, irq);
}

static void state_reset(struct vpit_state *s)
{
    *s = (struct vpit_state){.edge = VCLOCK_NEVER};
    for (unsigned i = 0; i < CHANNELS; i++) {
        s->channels[i].access = ACCESS_BOTH;
        s->channels[i].count = COUNT_NONE;
    }
}

static void vpit_reset(struct vdev *dev)
{
    struct vpit *p = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    state_reset(&p->s);
    set_line_locked(p, false);
    spin_unlock_irqrestore(&p->lock, irq);
}

static void vpit_destroy(struct vdev *dev)
{
    struct vpit *p = from_vdev(dev);

    vports_remove(dev->vm, p->ports, ARRAY_SIZE(p->ports));
    timer_cancel(&p->timer);
    list_remove(&dev->node);
    pool_free(p, sizeof(*p));
}

static void vpit_save(const struct vdev *dev, void *state)
{
    struct vpit *p = container_of((struct vdev *)(uintptr_t)dev, struct vpit, vdev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    look_locked(p, now_ticks(p)); // as load does
    memcpy(state, &p->s, sizeof(p->s));
    spin_unlock_irqrestore(&p->lock, irq);
}

static bool channel_valid(const struct channel *c, uint64_t now)
{
    bool flags =
        (c->bcd | c->has_status | c->read_high | c->write_high | c->loaded | c->triggered | c->paused) <= 1;

    return flags && c->mode <= TRIGGERED_STROBE && c->access >= ACCESS_LOW && c->access <= ACCESS_BOTH &&
           c->latched <= 2 && c->count >= 1 && c->count <= (c->bcd ? 15u * 1111 : 0x10000u) &&
           c->start <= now && (c->count > 1 || !is_periodic(c));
}

static enum status vpit_load(struct vdev *dev, const void *state)
{
    struct vpit *p = from_vdev(dev);
    struct vpit_state next;
    uint64_t now = now_ticks(p);

    memcpy(&next, state, sizeof(next));
    for (unsigned i = 0; i < CHANNELS; i++) {
        if (!channel_valid(&next.channels[i], now)) {
            return E_CORRUPT;
        }
    }
    if ((next.speaker & ~SPEAKER_KEPT) || next.muted > 1 || next.channels[0].paused) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    p->s = next;
    look_locked(p, now);
    spin_unlock_irqrestore(&p->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "8254",
    .state_version = 1,
    .state_size = sizeof(struct vpit_state),
    .reset = vpit_reset,
    .destroy = vpit_destroy,
    .save = vpit_save,
    .load = vpit_load,
};

enum status vpit_create(struct vm *vm, const struct irq_line *line, struct vdev **out)
{
    struct vpit *p = pool_alloc(sizeof(*p));
    enum status st;

    if (!p) {
        return E_NOMEM;
    }
    spin_init(&p->lock, LOCK_VDEV);
    timer_setup(&p->timer, timer_fired);
    p->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "pit", .state = &p->s};
    p->line = *line;
    p->line_level = false;
    p->ports[0] = (struct vports){.ops = &pit_ops, .dev = p, .base = VPIT_PORT, .count = 4};
    p->ports[1] = (struct vports){.ops = &speaker_ops, .dev = p, .base = VPIT_PORT_SPEAKER, .count = 1};
    state_reset(&p->s);
    st = vports_add(vm, p->ports, ARRAY_SIZE(p->ports), p->vdev.name);
    if (st != OK) {
        pool_free(p, sizeof(*p));
        return st;
    }
    list_push_back(&vm->devices, &p->vdev.node);
    *out = &p->vdev;
    return OK;
}
