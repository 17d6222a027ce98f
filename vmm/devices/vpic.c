// SPDX-License-Identifier: Apache-2.0
//
// The 8259A pair that never delivers: its initialisation sequence, masks and trigger modes.
#include "vmm/devices/vpic.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/vm.h"
#include "vmm/devices/vports.h"

#define CHIPS 2u
#define ICW1 0x10u // in a write to the first port; others are operation commands
#define ICW1_ICW4 0x01u
#define ICW1_SINGLE 0x02u

struct chip {
    uint8_t mask;
    uint8_t expects; // the initialisation word that the second port takes next: 2 to 4; 0: the mask
    uint8_t icw1;
    uint8_t trigger;
};

// What the guest can see; everything that is saved.
struct pic_state {
    struct chip chips[CHIPS];
};

struct vpic {
    struct vdev vdev;
    struct spinlock lock; // protects `s`
    struct pic_state s;
    struct vports ports[3];
};

// The timer, the keyboard, the cascade, the clock and the coprocessor are edges.
static const uint8_t trigger_kept[CHIPS] = {0xF8, 0xDE};

static struct chip *chip_at(struct vpic *p, uint16_t port)
{
    return &p->s.chips[port >= VPIC_PORT_SECOND];
}

// The first port gives requests or interrupts in service, and a poll's answer: none of them ever.
static uint8_t pic_read(void *dev, uint16_t port)
{
    struct vpic *p = dev;

    return port & 1 ? __atomic_load_n(&chip_at(p, port)->mask, __ATOMIC_RELAXED) : 0;
}

static void second_port_write(struct chip *c, uint8_t value)
{
    switch (c->expects) {
    case 2:
        c->expects = c->icw1 & ICW1_SINGLE ? 4 : 3;
        break;
    case 3:
        c->expects = 4;
        break;
    case 4:
        c->expects = 0;
        break;
    default:
        __atomic_store_n(&c->mask, value, __ATOMIC_RELAXED);
    }
    if (c->expects == 4 && !(c->icw1 & ICW1_ICW4)) {
        c->expects = 0;
    }
}

static void pic_write(void *dev, uint16_t port, uint8_t value)
{
    struct vpic *p = dev;
    struct chip *c = chip_at(p, port);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    if (port & 1) {
        second_port_write(c, value);
    } else if (value & ICW1) {
        *c = (struct chip){.expects = 2, .icw1 = value, .trigger = c->trigger};
    }
    spin_unlock_irqrestore(&p->lock, irq);
}

static uint8_t trigger_read(void *dev, uint16_t port)
{
    struct vpic *p = dev;

    return __atomic_load_n(&p->s.chips[port - VPIC_PORT_TRIGGER].trigger, __ATOMIC_RELAXED);
}

static void trigger_write(void *dev, uint16_t port, uint8_t value)
{
    struct vpic *p = dev;
    unsigned n = port - VPIC_PORT_TRIGGER;
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    __atomic_store_n(&p->s.chips[n].trigger, value & trigger_kept[n], __ATOMIC_RELAXED);
    spin_unlock_irqrestore(&p->lock, irq);
}

static const struct vports_ops chip_ops = {.read = pic_read, .write = pic_write};
static const struct vports_ops trigger_ops = {.read = trigger_read, .write = trigger_write};

static struct vpic *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vpic, vdev);
}

static void pic_reset(struct vdev *dev)
{
    struct vpic *p = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    p->s = (struct pic_state){0};
    spin_unlock_irqrestore(&p->lock, irq);
}

static void pic_destroy(struct vdev *dev)
{
    struct vpic *p = from_vdev(dev);

    vports_remove(dev->vm, p->ports, ARRAY_SIZE(p->ports));
    list_remove(&dev->node);
    pool_free(p, sizeof(*p));
}

static void pic_save(const struct vdev *dev, void *state)
{
    struct vpic *p = container_of((struct vdev *)(uintptr_t)dev, struct vpic, vdev);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    memcpy(state, &p->s, sizeof(p->s));
    spin_unlock_irqrestore(&p->lock, irq);
}

static enum status pic_load(struct vdev *dev, const void *state)
{
    struct vpic *p = from_vdev(dev);
    struct pic_state next;

    memcpy(&next, state, sizeof(next));
    for (unsigned i = 0; i < CHIPS; i++) {
        const struct chip *c = &next.chips[i];

        if (c->expects == 1 || c->expects > 4 || (c->trigger & ~trigger_kept[i])) {
            return E_CORRUPT;
        }
    }
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    p->s = next;
    spin_unlock_irqrestore(&p->lock, irq);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "8259",
    .state_version = 1,
    .state_size = sizeof(struct pic_state),
    .reset = pic_reset,
    .destroy = pic_destroy,
    .save = pic_save,
    .load = pic_load,
};

enum status vpic_create(struct vm *vm, struct vdev **out)
{
    struct vpic *p = pool_alloc(sizeof(*p));
    enum status st;

    if (!p) {
        return E_NOMEM;
    }
    spin_init(&p->lock, LOCK_VDEV);
    p->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = "pic", .state = &p->s};
    p->ports[0] = (struct vports){.ops = &chip_ops, .dev = p, .base = VPIC_PORT_FIRST, .count = 2};
    p->ports[1] = (struct vports){.ops = &chip_ops, .dev = p, .base = VPIC_PORT_SECOND, .count = 2};
    p->ports[2] = (struct vports){.ops = &trigger_ops, .dev = p, .base = VPIC_PORT_TRIGGER, .count = 2};
    p->s = (struct pic_state){0};
    st = vports_add(vm, p->ports, ARRAY_SIZE(p->ports), p->vdev.name);
    if (st != OK) {
        pool_free(p, sizeof(*p));
        return st;
    }
    list_push_back(&vm->devices, &p->vdev.node);
    *out = &p->vdev;
    return OK;
}
