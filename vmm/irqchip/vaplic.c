// SPDX-License-Identifier: Apache-2.0
//
// The virtual APLIC: one supervisor-level domain without children, message delivery only (AIA 1.0, chapter
// 4).
//
// A source becomes pending by its wire or by software; as soon as it is pending, enabled and the domain is
// on, it is sent and no longer pending. A level that stays asserted is sent again only when software asks
// (setipnum).
#include "vmm/irqchip/vaia_state.h"

#define DOMAINCFG_FIXED 0x80000004u // DM: messages, always
#define DOMAINCFG_IE 0x100u
#define SOURCECFG_DELEGATE 0x400u
#define TARGET_HART_SHIFT 18u
#define TARGET_HART_MASK 0x3fffu
#define TARGET_ID_MASK 0x7ffu

enum source_mode {
    MODE_INACTIVE = 0,
    MODE_DETACHED = 1,
    MODE_EDGE_RISING = 4,
    MODE_EDGE_FALLING = 5,
    MODE_LEVEL_HIGH = 6,
    MODE_LEVEL_LOW = 7
};

uint8_t vaplic_mode(uint32_t sourcecfg)
{
    uint32_t mode = sourcecfg & 7;

    return sourcecfg & SOURCECFG_DELEGATE || mode == 2 || mode == 3 ? MODE_INACTIVE : (uint8_t)mode;
}

uint32_t vaplic_target(const struct vaia *v, uint32_t value)
{
    uint32_t hart = value >> TARGET_HART_SHIFT & TARGET_HART_MASK;

    (void)v;
    return hart << TARGET_HART_SHIFT | (value & TARGET_ID_MASK & (VAIA_IDS - 1)); // no guest files
}

static bool is_level(const struct vaplic *p, unsigned source)
{
    return p->mode[source] >= MODE_LEVEL_HIGH;
}

// The wire as the source's mode sees it (4.5.2).
static bool rectified(const struct vaplic *p, unsigned source)
{
    bool level = (p->level[source / 32] & vaia_bit(source)) != 0;

    if (p->mode[source] < MODE_EDGE_RISING) {
        return false;
    }
    return p->mode[source] & 1 ? !level : level;
}

static void send_locked(struct vaia *v, uint32_t target, unsigned self)
{
    vimsic_deliver_locked(v, target >> TARGET_HART_SHIFT & TARGET_HART_MASK, target & TARGET_ID_MASK, self);
}

void vaplic_forward_locked(struct vaia *v, unsigned source, unsigned self)
{
    struct vaplic *p = &v->aplic;
    const unsigned w = source / 32;

    if (p->enabled && (p->pending[w] & p->enable[w] & vaia_bit(source))) {
        p->pending[w] &= ~vaia_bit(source);
        send_locked(v, p->target[source], self);
    }
}

static void forward_all_locked(struct vaia *v, unsigned self)
{
    for (unsigned source = 1; source < VAIA_SOURCES; source++) {
        vaplic_forward_locked(v, source, self);
    }
}

void vaplic_set_line(struct virqchip *chip, unsigned line, bool level)
{
    struct vaia *v = vaia_of(chip);
    struct vaplic *p = &v->aplic;
    const uint32_t m = vaia_bit(line);
    irq_state_t irq;

    if (line == 0 || line >= VAIA_SOURCES) {
        return;
    }
    irq = spin_lock_irqsave(&v->lock);
    if (((p->level[line / 32] & m) != 0) != level) {
        p->level[line / 32] ^= m;
        if (rectified(p, line)) {
            p->pending[line / 32] |= m;
            vaplic_forward_locked(v, line, VAIA_NOBODY);
        } else if (is_level(p, line)) {
            p->pending[line / 32] &= ~m;
        }
    }
    spin_unlock_irqrestore(&v->lock, irq);
}

// ---- what the guest writes ----

static bool active(const struct vaplic *p, unsigned source)
{
    return source > 0 && source < VAIA_SOURCES && p->mode[source] != MODE_INACTIVE;
}

// By software: a level-triggered source only while its wire says so (4.7).
static void set_pending_locked(struct vaia *v, unsigned source, unsigned self)
{
    struct vaplic *p = &v->aplic;

    if (active(p, source) && (!is_level(p, source) || rectified(p, source))) {
        p->pending[source / 32] |= vaia_bit(source);
        vaplic_forward_locked(v, source, self);
    }
}

static void clear_pending_locked(struct vaia *v, unsigned source, unsigned self)
{
    (void)self;
    if (active(&v->aplic, source)) {
        v->aplic.pending[source / 32] &= ~vaia_bit(source);
    }
}

static void set_enable_locked(struct vaia *v, unsigned source, unsigned self)
{
    if (active(&v->aplic, source)) {
        v->aplic.enable[source / 32] |= vaia_bit(source);
        vaplic_forward_locked(v, source, self);
    }
}

static void clear_enable_locked(struct vaia *v, unsigned source, unsigned self)
{
    (void)self;
    if (active(&v->aplic, source)) {
        v->aplic.enable[source / 32] &= ~vaia_bit(source);
    }
}

typedef void (*source_op)(struct vaia *v, unsigned source, unsigned self);

static void op_by_mask(struct vaia *v, const struct vreg_access *a, source_op op)
{
    spin_lock(&v->lock);
    for (uint32_t left = (uint32_t)a->value; left && a->index < VAIA_WORDS; left &= left - 1) {
        op(v, a->index * 32 + (unsigned)__builtin_ctz(left), a->vcpu);
    }
    spin_unlock(&v->lock);
}

static void op_by_number(struct vaia *v, uint32_t source, unsigned self, source_op op)
{
    if (source < VAIA_SOURCES) {
        spin_lock(&v->lock);
        op(v, source, self);
        spin_unlock(&v->lock);
    }
}

#define DEFINE_OP(name, op)                                             \
    static void name##_write(void *dev, const struct vreg_access *a)    \
    {                                                                   \
        op_by_mask(dev, a, op);                                         \
    }                                                                   \
                                                                        \
    static void name##num_write(void *dev, const struct vreg_access *a) \
    {                                                                   \
        op_by_number(dev, (uint32_t)a->value, a->vcpu, op);             \
    }

DEFINE_OP(setip, set_pending_locked)
DEFINE_OP(clrip, clear_pending_locked)
DEFINE_OP(setie, set_enable_locked)
DEFINE_OP(clrie, clear_enable_locked)

static void setipnum_be_write(void *dev, const struct vreg_access *a)
{
    op_by_number(dev, __builtin_bswap32((uint32_t)a->value), a->vcpu, set_pending_locked);
}

static uint64_t setip_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    return a->index < VAIA_WORDS ? __atomic_load_n(&v->aplic.pending[a->index], __ATOMIC_RELAXED) : 0;
}

static uint64_t setie_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    return a->index < VAIA_WORDS ? __atomic_load_n(&v->aplic.enable[a->index], __ATOMIC_RELAXED) : 0;
}

static uint64_t in_clrip_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;
    uint32_t bits = 0;

    spin_lock(&v->lock);
    for (unsigned i = 0; i < 32 && a->index < VAIA_WORDS; i++) {
        bits |= rectified(&v->aplic, a->index * 32 + i) ? UINT32_C(1) << i : 0;
    }
    spin_unlock(&v->lock);
    return bits;
}

static uint64_t domaincfg_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    (void)a;
    return DOMAINCFG_FIXED | (v->aplic.enabled ? DOMAINCFG_IE : 0);
}

static void domaincfg_write(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    spin_lock(&v->lock);
    v->aplic.enabled = (a->value & DOMAINCFG_IE) != 0;
    forward_all_locked(v, a->vcpu);
    spin_unlock(&v->lock);
}

static uint64_t sourcecfg_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    return v->aplic.mode[a->index + 1];
}

// An inactive source has nothing: no pending bit, no enable, no target (4.5.2).
static void sourcecfg_write(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;
    struct vaplic *p = &v->aplic;
    const unsigned source = a->index + 1;
    const uint32_t m = vaia_bit(source);

    spin_lock(&v->lock);
    p->mode[source] = vaplic_mode((uint32_t)a->value);
    if (p->mode[source] == MODE_INACTIVE) {
        p->pending[source / 32] &= ~m;
        p->enable[source / 32] &= ~m;
        p->target[source] = 0;
    } else if (is_level(p, source)) {
        p->pending[source / 32] &= ~m;
        p->pending[source / 32] |= rectified(p, source) ? m : 0;
        vaplic_forward_locked(v, source, a->vcpu);
    }
    spin_unlock(&v->lock);
}

static uint64_t target_read(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    return v->aplic.target[a->index + 1];
}

static void target_write(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    spin_lock(&v->lock);
    if (active(&v->aplic, a->index + 1)) {
        v->aplic.target[a->index + 1] = vaplic_target(v, (uint32_t)a->value);
    }
    spin_unlock(&v->lock);
}

static void genmsi_write(void *dev, const struct vreg_access *a)
{
    struct vaia *v = dev;

    spin_lock(&v->lock);
    send_locked(v, vaplic_target(v, (uint32_t)a->value), a->vcpu);
    spin_unlock(&v->lock);
}

#define ROW(off, n, rd, wr, id)                                                                    \
    {                                                                                              \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, .read = (rd), .write = (wr), \
        .name = (id)                                                                               \
    }

// Table 4.1. Machine-level registers and sources that do not exist have no row: they read as zero.
static const struct vreg rows[] = {
    ROW(0x0000, 1, domaincfg_read, domaincfg_write, "domaincfg"),
    ROW(0x0004, VAIA_SOURCES - 1, sourcecfg_read, sourcecfg_write, "sourcecfg"),
    ROW(0x1c00, 32, setip_read, setip_write, "setip"),
    ROW(0x1cdc, 1, NULL, setipnum_write, "setipnum"),
    ROW(0x1d00, 32, in_clrip_read, clrip_write, "in_clrip"),
    ROW(0x1ddc, 1, NULL, clripnum_write, "clripnum"),
    ROW(0x1e00, 32, setie_read, setie_write, "setie"),
    ROW(0x1edc, 1, NULL, setienum_write, "setienum"),
    ROW(0x1f00, 32, NULL, clrie_write, "clrie"),
    ROW(0x1fdc, 1, NULL, clrienum_write, "clrienum"),
    ROW(0x2000, 1, NULL, setipnum_write, "setipnum_le"),
    ROW(0x2004, 1, NULL, setipnum_be_write, "setipnum_be"),
    ROW(0x3000, 1, NULL, genmsi_write, "genmsi"),
    ROW(0x3004, VAIA_SOURCES - 1, target_read, target_write, "target"),
};

enum status vaplic_map_create(struct vreg_map *map)
{
    return vreg_map_create(map, rows, ARRAY_SIZE(rows), VAIA_APLIC_SIZE);
}

enum io_result vaplic_access(void *dev, struct io_access *a)
{
    struct vaia *v = dev;

    return vreg_map_access(&v->aplic_map, v, a);
}
