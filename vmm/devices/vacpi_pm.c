// SPDX-License-Identifier: Apache-2.0
//
// ACPI PM1a registers and PM timer: a block of 12 ports, read as one picture and written by half-words.
#include "vmm/devices/vacpi_pm.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/devices/vclock.h"

#define BLOCK_SIZE_BYTES 12u
#define OFFSET_STATUS 0u
#define OFFSET_ENABLE 2u
#define OFFSET_CONTROL (VACPI_PM_CONTROL - VACPI_PM_EVENT)
#define OFFSET_TIMER (VACPI_PM_TIMER - VACPI_PM_EVENT)

#define TIMER_CARRY 0x0001u // in status and enable
#define ENABLE_KEPT 0x0721u // timer, global, buttons, RTC
#define CONTROL_SCI_EN 0x0001u
#define CONTROL_KEPT 0x1C03u // SLP_TYP, BM_RLD
#define CONTROL_SLP_EN 0x2000u
#define TIMER_BITS 24u
#define CARRY_TICKS BIT64(TIMER_BITS - 1)

// What the guest can see; everything that is saved.
struct pm_state {
    uint64_t carries; // changes of the timer's highest bit that were noted
    uint16_t status;
    uint16_t enable;
    uint16_t control;
    uint16_t reserved; // 0
};

struct vacpi_pm {
    struct vdev vdev;
    struct spinlock lock; // protects all below
    struct pm_state s;
    bool line_level;
    struct irq_line line;
    struct timer timer;
};

static uint64_t now_ticks(const struct vacpi_pm *p)
{
    return vclock_count(p->vdev.vm, VACPI_PM_TIMER_HZ);
}

static void update_line_locked(struct vacpi_pm *p)
{
    bool level = (p->s.status & p->s.enable) != 0;

    if (level != p->line_level) {
        p->line_level = level;
        irq_line_set(&p->line, level);
    }
}

// Notes the timer's carry; waits for the next one if the guest wants to hear of it.
static void look_locked(struct vacpi_pm *p)
{
    uint64_t carries = now_ticks(p) / CARRY_TICKS;

    if (carries != p->s.carries) {
        p->s.carries = carries;
        p->s.status |= TIMER_CARRY;
    }
    update_line_locked(p);
    if (p->s.enable & TIMER_CARRY) {
        vclock_arm(&p->timer, p->vdev.vm, (carries + 1) * CARRY_TICKS, VACPI_PM_TIMER_HZ);
    }
}

static void timer_fired(struct timer *t)
{
    struct vacpi_pm *p = container_of(t, struct vacpi_pm, timer);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    look_locked(p);
    spin_unlock_irqrestore(&p->lock, irq);
}

// ---- ports ------------------------------------------------------------------------------------------------

// `mask`: the bytes that are written.
static void status_write(struct vacpi_pm *p, uint16_t value, uint16_t mask)
{
    p->s.status &= (uint16_t) ~(value & mask);
}

static void enable_write(struct vacpi_pm *p, uint16_t value, uint16_t mask)
{
    p->s.enable = (uint16_t)(((p->s.enable & ~mask) | (value & mask)) & ENABLE_KEPT);
}

static void control_write(struct vacpi_pm *p, uint16_t value, uint16_t mask)
{
    p->s.control = (uint16_t)(((p->s.control & ~mask) | (value & mask)) & CONTROL_KEPT) | CONTROL_SCI_EN;
}

static const struct {
    uint8_t offset;
    void (*write)(struct vacpi_pm *p, uint16_t value, uint16_t mask);
} half_words[] = {
    {OFFSET_STATUS, status_write},
    {OFFSET_ENABLE, enable_write},
    {OFFSET_CONTROL, control_write},
};

static uint64_t pm_read(struct vacpi_pm *p, const struct io_access *a)
{
    uint8_t picture[BLOCK_SIZE_BYTES] = {0};
    uint64_t value = 0;
    irq_state_t irq = spin_lock_irqsave(&p->lock);
    uint32_t ticks = (uint32_t)(now_ticks(p) & MASK64(0, TIMER_BITS));

    if (a->offset < OFFSET_CONTROL) {
        look_locked(p);
    }
    memcpy(picture + OFFSET_STATUS, &p->s.status, sizeof(p->s.status));
    memcpy(picture + OFFSET_ENABLE, &p->s.enable, sizeof(p->s.enable));
    memcpy(picture + OFFSET_CONTROL, &p->s.control, sizeof(p->s.control));
    memcpy(picture + OFFSET_TIMER, &ticks, sizeof(ticks));
    spin_unlock_irqrestore(&p->lock, irq);
    memcpy(&value, picture + a->offset, a->size);
    return value;
}

static void pm_write(struct vacpi_pm *p, const struct io_access *a)
{
    uint8_t bytes[BLOCK_SIZE_BYTES] = {0}, mask[BLOCK_SIZE_BYTES] = {0};
    irq_state_t irq = spin_lock_irqsave(&p->lock);
    bool off;

    memcpy(bytes + a->offset, &a->value, a->size);
    memset(mask + a->offset, UINT8_MAX, a->size);
    look_locked(p);
    for (unsigned i = 0; i < ARRAY_SIZE(half_words); i++) {
        unsigned at = half_words[i].offset;

        half_words[i].write(p, (uint16_t)(bytes[at] | bytes[at + 1] << 8),
                            (uint16_t)(mask[at] | mask[at + 1] << 8));
    }
    look_locked(p);
    off = bytes[OFFSET_CONTROL + 1] & CONTROL_SLP_EN >> 8;
    spin_unlock_irqrestore(&p->lock, irq);
    if (off) {
        vm_request_stop(p->vdev.vm, VM_STOP_POWEROFF);
    }
}

// The bus has checked that all bytes lie in the block.
static enum io_result pm_access(void *dev, struct io_access *a)
{
    if (a->write) {
        pm_write(dev, a);
    } else {
        a->value = pm_read(dev, a);
    }
    return IO_DONE;
}

// ---- the device -------------------------------------------------------------------------------------------

static struct vacpi_pm *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vacpi_pm, vdev);
}

static void state_reset(struct vacpi_pm *p)
{
    p->s = (struct pm_state){.control = CONTROL_SCI_EN, .carries = now_ticks(p) / CARRY_TICKS};
}

static void pm_reset(struct vdev *dev)
{
    struct vacpi_pm *p = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    state_reset(p);
    update_line_locked(p);
    spin_unlock_irqrestore(&p->lock, irq);
}

static void pm_destroy(struct vdev *dev)
{
    struct vacpi_pm *p = from_vdev(dev);

    (void)!io_bus_remove(&dev->vm->pio, VACPI_PM_EVENT);
    timer_cancel(&p->timer);
    list_remove(&dev->node);
    pool_free(p, sizeof(*p));
}

static void pm_save(const struct vdev *dev, void *state)
{
    struct vacpi_pm *p = container_of((struct vdev *)(uintptr_t)dev, struct vacpi_pm, vdev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    look_locked(p); // as load does
    memcpy(state, &p->s, sizeof(p->s));
    spin_unlock_irqrestore(&p->lock, irq);
}

static enum status pm_load(struct vdev *dev, const void *state)
{
    struct vacpi_pm *p = from_vdev(dev);
    struct pm_state next;

    memcpy(&next, state, sizeof(next));
    if ((next.status & ~TIMER_CARRY) || (next.enable & ~ENABLE_KEPT) || next.reserved != 0 ||
        (next.control & ~CONTROL_KEPT) || !(next.control & CONTROL_SCI_EN)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    p->s = next;
    look_locked(p);
    spin_unlock_irqrestore(&p->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "acpi-pm",
    .state_version = 1,
    .state_size = sizeof(struct pm_state),
    .reset = pm_reset,
    .destroy = pm_destroy,
    .save = pm_save,
    .load = pm_load,
};

enum status vacpi_pm_create(struct vm *vm, const struct irq_line *line, struct vdev **out)
{
    struct vacpi_pm *p = pool_alloc(sizeof(*p));
    enum status st;

    if (!p) {
        return E_NOMEM;
    }
    spin_init(&p->lock, LOCK_VDEV);
    timer_setup(&p->timer, timer_fired);
    p->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "acpi-pm", .state = &p->s};
    p->line = *line;
    p->line_level = false;
    state_reset(p);
    const struct io_region region = {.base = VACPI_PM_EVENT,
                                     .size = BLOCK_SIZE_BYTES,
                                     .access = pm_access,
                                     .dev = p,
                                     .name = p->vdev.name};

    st = io_bus_add(&vm->pio, &region, NULL);
    if (st != OK) {
        pool_free(p, sizeof(*p));
        return st;
    }
    list_push_back(&vm->devices, &p->vdev.node);
    *out = &p->vdev;
    return OK;
}
