// SPDX-License-Identifier: Apache-2.0
//
// MC146818: index and data port, the date in registers (data sheet, "Address map" and "Registers").
//
// The date is guest time plus an offset. While register B's SET bit is up the registers stand still, in `held`; dropping it makes
// them the date. A write to a register of the date without SET does the same at once.
#include "vmm/devices/vcmos.h"

#include <string.h>

#include "kernel/lib/date.h"
#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/devices/vclock.h"
#include "vmm/devices/vports.h"

#define MEMORY_SIZE 128u
#define INDEX_MASK 0x7Fu // bit 7 masks the NMI, which does not exist
#define UPDATE_HZ 1000u
#define UPDATE_BEGIN 998u // of UPDATE_HZ: "update in progress" in the last 2 ms of a second

#define REG_A 0x0Au
#define REG_B 0x0Bu
#define REG_C 0x0Cu
#define REG_D 0x0Du

#define A_UPDATING 0x80u
#define A_INITIAL 0x26u // 32.768 kHz, 1024 Hz
#define B_SET 0x80u
#define B_INTERRUPTS 0x78u // periodic, alarm, update; square wave
#define B_BINARY 0x04u
#define B_24_HOURS 0x02u
#define C_UPDATED 0x10u
#define D_VALID 0x80u
#define PM_BIT 0x80u

// What the guest can see; everything that is saved.
struct cmos_state {
    uint64_t offset;  // seconds since 1970 at guest time 0, mod 2^64
    uint64_t told;    // guest second up to which register C has told
    struct date held; // while B_SET
    uint8_t index;
    uint8_t reserved[7]; // 0
    uint8_t memory[MEMORY_SIZE];
};

struct vcmos {
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct cmos_state s;
    struct vports ports;
};

// ---- registers of the date --------------------------------------------------------------------------------

static uint64_t guest_seconds(const struct vcmos *c)
{
    return vclock_count(c->vdev.vm, 1);
}

static bool is_set(const struct vcmos *c)
{
    return c->s.memory[REG_B] & B_SET;
}

static struct date date_now(const struct vcmos *c)
{
    return is_set(c) ? c->s.held : date_from_seconds(guest_seconds(c) + c->s.offset);
}

static uint8_t encode(const struct vcmos *c, unsigned v)
{
    return (uint8_t)(c->s.memory[REG_B] & B_BINARY ? v : v % 10 | v / 10 % 10 << 4);
}

static uint8_t decode(const struct vcmos *c, unsigned v)
{
    return (uint8_t)(c->s.memory[REG_B] & B_BINARY ? v : (v & 15) + (v >> 4) * 10);
}

static uint8_t encode_hour(const struct vcmos *c, unsigned hour)
{
    if (c->s.memory[REG_B] & B_24_HOURS) {
        return encode(c, hour);
    }
    return encode(c, (hour + 11) % 12 + 1) | (hour >= 12 ? PM_BIT : 0);
}

static uint8_t decode_hour(const struct vcmos *c, uint8_t v)
{
    if (c->s.memory[REG_B] & B_24_HOURS) {
        return decode(c, v);
    }
    return (uint8_t)(decode(c, v & (uint8_t)~PM_BIT) % 12 + (v & PM_BIT ? 12 : 0));
}

enum field {
    SECOND,
    MINUTE,
    HOUR,
    WEEKDAY,
    DAY,
    MONTH,
    YEAR,
    CENTURY,
    NO_FIELD
};

static enum field field_of(unsigned index)
{
    static const uint8_t fields[] = {SECOND,   NO_FIELD, MINUTE, NO_FIELD, HOUR,
                                     NO_FIELD, WEEKDAY,  DAY,    MONTH,    YEAR};

    if (index == VCMOS_CENTURY) {
        return CENTURY;
    }
    return index < sizeof(fields) ? fields[index] : NO_FIELD;
}

static uint8_t field_read(const struct vcmos *c, enum field field)
{
    const struct date d = date_now(c);
    const unsigned values[] = {
        [SECOND] = d.second, [MINUTE] = d.minute, [HOUR] = d.hour,        [WEEKDAY] = date_weekday(&d),
        [DAY] = d.day,       [MONTH] = d.month,   [YEAR] = d.year % 100u, [CENTURY] = d.year / 100u};

    return field == HOUR ? encode_hour(c, d.hour) : encode(c, values[field]);
}

static void set_date(struct vcmos *c, const struct date *d)
{
    c->s.offset = date_to_seconds(d) - guest_seconds(c);
}

// The day of the week follows from the date: what is written is not kept.
static void field_write(struct vcmos *c, enum field field, uint8_t raw)
{
    struct date d = date_now(c);
    uint8_t *const places[] = {[SECOND] = &d.second, [MINUTE] = &d.minute, [HOUR] = &d.hour,
                               [WEEKDAY] = NULL,     [DAY] = &d.day,       [MONTH] = &d.month};
    uint8_t v = field == HOUR ? decode_hour(c, raw) : decode(c, raw);

    if (field == YEAR) {
        d.year = (uint16_t)(d.year / 100 * 100 + v % 100);
    } else if (field == CENTURY) {
        d.year = (uint16_t)(v % 100 * 100 + d.year % 100);
    } else if (places[field]) {
        *places[field] = v;
    }
    if (is_set(c)) {
        c->s.held = d;
    } else {
        set_date(c, &d);
    }
}

// ---- ports ------------------------------------------------------------------------------------------------

static bool is_updating(const struct vcmos *c)
{
    return !is_set(c) && vclock_count(c->vdev.vm, UPDATE_HZ) % UPDATE_HZ >= UPDATE_BEGIN;
}

static uint8_t register_c(struct vcmos *c)
{
    uint64_t second = guest_seconds(c);
    bool updated = second != c->s.told && !is_set(c);

    c->s.told = second;
    return updated ? C_UPDATED : 0;
}

static uint8_t data_read(struct vcmos *c)
{
    enum field field = field_of(c->s.index);

    if (field != NO_FIELD) {
        return field_read(c, field);
    }
    switch (c->s.index) {
    case REG_A:
        return c->s.memory[REG_A] | (is_updating(c) ? A_UPDATING : 0);
    case REG_C:
        return register_c(c);
    case REG_D:
        return D_VALID;
    default:
        return c->s.memory[c->s.index];
    }
}

static void b_write(struct vcmos *c, uint8_t value)
{
    struct date d = date_now(c);
    bool was = is_set(c);

    c->s.memory[REG_B] = value;
    if (is_set(c)) {
        c->s.held = d;
    } else if (was) {
        set_date(c, &d);
    }
}

static void data_write(struct vcmos *c, uint8_t value)
{
    enum field field = field_of(c->s.index);

    if (field != NO_FIELD) {
        field_write(c, field, value);
    } else if (c->s.index == REG_B) {
        b_write(c, value);
    } else if (c->s.index == REG_A) {
        c->s.memory[REG_A] = value & (uint8_t)~A_UPDATING;
    } else if (c->s.index != REG_C && c->s.index != REG_D) {
        c->s.memory[c->s.index] = value;
    }
}

// The index cannot be read back.
static uint8_t cmos_read(void *dev, uint16_t port)
{
    struct vcmos *c = dev;
    uint8_t value = UINT8_MAX;
    irq_state_t irq = spin_lock_irqsave(&c->lock);

    if (port != VCMOS_PORT) {
        value = data_read(c);
    }
    spin_unlock_irqrestore(&c->lock, irq);
    return value;
}

static void cmos_write(void *dev, uint16_t port, uint8_t value)
{
    struct vcmos *c = dev;
    irq_state_t irq = spin_lock_irqsave(&c->lock);

    if (port == VCMOS_PORT) {
        c->s.index = value & INDEX_MASK;
    } else {
        data_write(c, value);
    }
    spin_unlock_irqrestore(&c->lock, irq);
}

static const struct vports_ops ports_ops = {.read = cmos_read, .write = cmos_write};

// ---- the device -------------------------------------------------------------------------------------------

static struct vcmos *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vcmos, vdev);
}

// Behind the battery: the date and the memory survive.
static void cmos_reset(struct vdev *dev)
{
    struct vcmos *c = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&c->lock);

    c->s.index = 0;
    b_write(c, c->s.memory[REG_B] & (uint8_t) ~(B_INTERRUPTS | B_SET));
    spin_unlock_irqrestore(&c->lock, irq);
}

static void cmos_destroy(struct vdev *dev)
{
    struct vcmos *c = from_vdev(dev);

    vports_remove(dev->vm, &c->ports, 1);
    list_remove(&dev->node);
    pool_free(c, sizeof(*c));
}

static void cmos_save(const struct vdev *dev, void *state)
{
    struct vcmos *c = container_of((struct vdev *)(uintptr_t)dev, struct vcmos, vdev);
    irq_state_t irq = spin_lock_irqsave(&c->lock);

    memcpy(state, &c->s, sizeof(c->s));
    spin_unlock_irqrestore(&c->lock, irq);
}

// Any date may be held: what is made of it is checked.
static enum status cmos_load(struct vdev *dev, const void *state)
{
    struct vcmos *c = from_vdev(dev);
    struct cmos_state next;

    memcpy(&next, state, sizeof(next));
    if (next.index > INDEX_MASK || (next.memory[REG_A] & A_UPDATING)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&c->lock);

    c->s = next;
    spin_unlock_irqrestore(&c->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "mc146818",
    .state_version = 1,
    .state_size = sizeof(struct cmos_state),
    .reset = cmos_reset,
    .destroy = cmos_destroy,
    .save = cmos_save,
    .load = cmos_load,
};

enum status vcmos_create(struct vm *vm, uint64_t epoch, struct vdev **out)
{
    struct vcmos *c = pool_alloc(sizeof(*c));
    enum status st;

    if (!c) {
        return E_NOMEM;
    }
    spin_init(&c->lock, LOCK_VDEV);
    c->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "rtc", .state = &c->s};
    c->ports = (struct vports){.ops = &ports_ops, .dev = c, .base = VCMOS_PORT, .count = 2};
    c->s = (struct cmos_state){.offset = epoch, .memory = {[REG_A] = A_INITIAL, [REG_B] = B_24_HOURS}};
    st = vports_add(vm, &c->ports, 1, c->vdev.name);
    if (st != OK) {
        pool_free(c, sizeof(*c));
        return st;
    }
    list_push_back(&vm->devices, &c->vdev.node);
    *out = &c->vdev;
    return OK;
}
