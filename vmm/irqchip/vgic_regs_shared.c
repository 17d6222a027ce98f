// SPDX-License-Identifier: Apache-2.0
//
// Per-interrupt registers (Arm IHI 0069, 12.9 and 12.11), the same code for distributor and redistributors: a
// row function finds the block its register stands for and hands an operation and a mask to one place.
//
// A redistributor access by another vCPU than its owner is posted and applied when the owner flushes next;
// reading it shows what is posted already.
#include "kernel/irq/irq.h"
#include "vmm/irqchip/vgic_state.h"

// What a register access is about: a block, and the vCPU that owns it when it is private.
struct place {
    struct vgic *vgic;
    struct vgic_block *block;
    struct vgic_cpu *cpu; // NULL: SPIs
    unsigned number;
    uint32_t valid;
    bool foreign; // private interrupts of another vCPU than the accessing one
};

// `number` is the block's; false when there are no such interrupts here: RAZ/WI.
static bool place_find(struct place *p, void *dev, unsigned number, unsigned vcpu)
{
    struct vgic_frame *f = dev;

    p->vgic = f->vgic;
    p->number = number;
    if (f->cpu) {
        p->cpu = f->cpu;
        p->block = &f->cpu->priv;
        p->valid = UINT32_MAX;
        p->foreign = f->cpu->index != vcpu;
        return number == 0;
    }
    if (number == 0 && f->vgic->v2) { // banked
        p->cpu = &f->vgic->cpus[vcpu];
        p->block = &p->cpu->priv;
        p->valid = UINT32_MAX;
        p->foreign = false;
        return true;
    }
    if (number == 0 || number >= f->vgic->block_count) { // SGIs and PPIs live in the redistributors
        return false;
    }
    p->cpu = NULL;
    p->block = &f->vgic->spi[number - 1];
    p->valid = vgic_block_valid(number);
    p->foreign = false;
    return true;
}

void vgic_unlink(struct vgic_block *b, unsigned irq)
{
    uint32_t m = vgic_bit(irq);
    unsigned host_irq = b->host_irq[irq & 31];
    const struct irqchip_ops *chip = irq_chip();

    if (!(b->linked & m)) {
        return;
    }
    b->linked &= ~m;
    if (!chip) {
        return;
    }
    if (irq < VGIC_PRIVATE) {
        chip->set_active(host_irq, false);
    } else {
        chip->deactivate(host_irq);
    }
}

// A forwarded interrupt that waits in the block loses its cause: its physical interrupt may fire again.
static void unlink_waiting(struct vgic_block *b, unsigned base, uint32_t mask)
{
    for (uint32_t left = b->linked & ~b->in_lr & mask; left; left &= left - 1) {
        vgic_unlink(b, base + (unsigned)__builtin_ctz(left));
    }
}

uint32_t vgic_block_apply(struct vgic_block *b, unsigned base, enum vgic_op op, uint32_t mask)
{
    uint32_t in_lr = b->in_lr & mask;

    switch (op) {
    case VGIC_ENABLE:
        b->enabled |= mask;
        break;
    case VGIC_DISABLE:
        b->enabled &= ~mask;
        return in_lr; // what waits in the block simply stays there
    case VGIC_PEND:
        b->latched |= mask;
        b->drop_pending &= ~mask;
        break;
    case VGIC_UNPEND:
        b->latched &= ~mask;
        b->drop_pending |= in_lr;
        unlink_waiting(b, base, mask);
        return in_lr;
    case VGIC_ACTIVATE:
        b->active |= mask;
        b->set_active |= in_lr;
        b->drop_active &= ~mask;
        return mask;
    case VGIC_DEACTIVATE:
        b->active &= ~mask;
        b->drop_active |= in_lr;
        b->set_active &= ~mask;
        break;
    case VGIC_GROUP1:
        b->group |= mask;
        break;
    case VGIC_GROUP0:
        b->group &= ~mask;
        break;
    case VGIC_EDGE:
        b->edge |= mask;
        break;
    case VGIC_LEVEL:
        b->edge &= ~mask;
        break;
    case VGIC_OP_COUNT:
    default:
        return 0;
    }
    return (in_lr | vgic_pending_bits(b)) & mask;
}

void vgic_block_reset(struct vgic_block *b, bool is_private)
{
    *b = (struct vgic_block){.edge = is_private ? 0xffffu : 0}; // SGIs are edge-triggered for ever
}

// Leaves `op` on `mask` for the owner; its inverse, if posted before, is taken back.
static void post_op(struct vgic_cpu *cpu, enum vgic_op op, uint32_t mask)
{
    atomic_fetch_and_explicit(&cpu->post[op ^ 1u], ~mask, memory_order_relaxed);
    atomic_fetch_or_explicit(&cpu->post[op], mask, memory_order_relaxed);
    vgic_post(cpu, VGIC_EV_POST);
}

// An SPI that is made active by a write is dealt with by the vCPU it is routed to. Lock held.
static void assign_holders(const struct place *p, uint32_t mask)
{
    for (uint32_t left = mask & ~(p->block->active | p->block->in_lr); left; left &= left - 1) {
        unsigned spi = (p->number - 1) * 32 + (unsigned)__builtin_ctz(left);

        p->vgic->holder[spi] = p->vgic->target[spi];
    }
}

static void operate_spi(const struct place *p, enum vgic_op op, uint32_t mask)
{
    spin_lock(&p->vgic->lock);
    if (op == VGIC_ACTIVATE) {
        assign_holders(p, mask);
    }
    vgic_spi_changed(p->vgic, p->number, vgic_block_apply(p->block, p->number * 32, op, mask));
    spin_unlock(&p->vgic->lock);
}

static void operate(const struct place *p, enum vgic_op op, uint32_t mask)
{
    mask &= p->valid;
    if (!mask) {
        return;
    }
    if (!p->cpu) {
        operate_spi(p, op, mask);
    } else if (p->foreign) {
        post_op(p->cpu, op, mask);
    } else {
        vgic_private_changed(p->cpu, vgic_block_apply(p->block, 0, op, mask));
    }
}

static void write_op(void *dev, const struct vreg_access *a, enum vgic_op op)
{
    struct place p;

    if (place_find(&p, dev, a->index, a->vcpu)) {
        operate(&p, op, (uint32_t)a->value);
    }
}

// GICv2: SGIs cannot be disabled, and are pending only by GICD_SGIR and GICD_SPENDSGIR.
static void write_op_no_sgi(void *dev, const struct vreg_access *a, enum vgic_op op)
{
    const struct vgic_frame *f = dev;
    struct place p;

    if (place_find(&p, dev, a->index, a->vcpu)) {
        p.valid &= f->vgic->v2 && a->index == 0 ? ~GIC_PRIVATE_SGIS : UINT32_MAX;
        operate(&p, op, (uint32_t)a->value);
    }
}

// A register whose bits are values and not commands: `set` for the ones, its inverse for the zeroes, among
// `affected`.
static void write_value(const struct place *p, enum vgic_op set, uint32_t ones, uint32_t affected)
{
    operate(p, set, ones & affected);
    operate(p, set ^ 1u, ~ones & affected);
}

// `bits` as they will be when the posted operations have been applied.
static uint32_t with_posts(const struct place *p, uint32_t bits, enum vgic_op set)
{
    if (p->foreign) {
        bits |= atomic_load_explicit(&p->cpu->post[set], memory_order_relaxed);
        bits &= ~atomic_load_explicit(&p->cpu->post[set ^ 1u], memory_order_relaxed);
    }
    return bits & p->valid;
}

uint64_t vgic_read_enabled(void *dev, const struct vreg_access *a)
{
    struct place p;

    return place_find(&p, dev, a->index, a->vcpu) ? with_posts(&p, p.block->enabled, VGIC_ENABLE) : 0;
}

uint64_t vgic_read_group(void *dev, const struct vreg_access *a)
{
    struct place p;

    return place_find(&p, dev, a->index, a->vcpu) ? with_posts(&p, p.block->group, VGIC_GROUP1) : 0;
}

void vgic_deactivate(struct vgic_cpu *cpu, unsigned irq)
{
    struct vgic *g = cpu->frame.vgic;
    struct place p = {.vgic = g, .cpu = cpu, .block = &cpu->priv, .valid = UINT32_MAX};

    if (irq >= VGIC_INTID_LIMIT || irq / 32 >= g->block_count) {
        return;
    }
    if (irq >= VGIC_PRIVATE) {
        p = (struct place){
            .vgic = g, .block = &g->spi[irq / 32 - 1], .number = irq / 32, .valid = UINT32_MAX};
    }
    operate(&p, VGIC_DEACTIVATE, vgic_bit(irq));
}

uint64_t vgic_read_pending(void *dev, const struct vreg_access *a)
{
    struct place p;

    return place_find(&p, dev, a->index, a->vcpu)
               ? vgic_see(p.vgic, p.cpu, p.number, a->vcpu).pending & p.valid
               : 0;
}

uint64_t vgic_read_active(void *dev, const struct vreg_access *a)
{
    struct place p;

    return place_find(&p, dev, a->index, a->vcpu)
               ? vgic_see(p.vgic, p.cpu, p.number, a->vcpu).active & p.valid
               : 0;
}

void vgic_write_enable(void *dev, const struct vreg_access *a)
{
    write_op(dev, a, VGIC_ENABLE);
}

void vgic_write_disable(void *dev, const struct vreg_access *a)
{
    write_op_no_sgi(dev, a, VGIC_DISABLE);
}

void vgic_write_pend(void *dev, const struct vreg_access *a)
{
    write_op_no_sgi(dev, a, VGIC_PEND);
}

void vgic_write_unpend(void *dev, const struct vreg_access *a)
{
    write_op_no_sgi(dev, a, VGIC_UNPEND);
}

void vgic_write_activate(void *dev, const struct vreg_access *a)
{
    write_op(dev, a, VGIC_ACTIVATE);
}

void vgic_write_deactivate(void *dev, const struct vreg_access *a)
{
    write_op(dev, a, VGIC_DEACTIVATE);
}

void vgic_write_group(void *dev, const struct vreg_access *a)
{
    struct place p;

    if (place_find(&p, dev, a->index, a->vcpu)) {
        write_value(&p, VGIC_GROUP1, (uint32_t)a->value, UINT32_MAX);
    }
}

// ICFGR: two bits an interrupt, of which the upper one says "edge". Sixteen interrupts a register.
uint64_t vgic_read_config(void *dev, const struct vreg_access *a)
{
    struct place p;
    uint32_t edges, value = 0;

    if (!place_find(&p, dev, a->index / 2, a->vcpu)) {
        return 0;
    }
    edges = with_posts(&p, p.block->edge, VGIC_EDGE) >> (a->index & 1 ? 16 : 0);
    for (unsigned i = 0; i < 16; i++) {
        value |= (edges >> i & 1) << (2 * i + 1);
    }
    return value;
}

void vgic_write_config(void *dev, const struct vreg_access *a)
{
    struct place p;
    unsigned shift = a->index & 1 ? 16 : 0;
    uint32_t edges = 0;

    if (!place_find(&p, dev, a->index / 2, a->vcpu) || (p.cpu && shift == 0)) { // SGIs: fixed
        return;
    }
    for (unsigned i = 0; i < 16; i++) {
        edges |= (uint32_t)(a->value >> (2 * i + 1) & 1) << i;
    }
    write_value(&p, VGIC_EDGE, edges << shift, UINT32_C(0xffff) << shift);
}

// IPRIORITYR: a byte an interrupt, four a register, byte accesses too.
uint64_t vgic_read_priority(void *dev, const struct vreg_access *a)
{
    struct place p;
    uint32_t value;

    if (!place_find(&p, dev, a->index / 8, a->vcpu)) {
        return 0;
    }
    if (p.foreign && (atomic_load_explicit(&p.cpu->prio_mask, memory_order_acquire) >> a->index & 1)) {
        value = atomic_load_explicit(&p.cpu->prio[a->index], memory_order_relaxed);
    } else {
        value = p.block->priority_word[a->index % 8];
    }
    return value >> (8 * a->byte);
}

// Best effort as all foreign accesses: two vCPUs that write different bytes of one register at once may lose
// one.
static void post_priority(struct vgic_cpu *cpu, const struct vreg_access *a, uint32_t old)
{
    uint32_t mask = (a->size == 4 ? UINT32_MAX : 0xffu) << (8 * a->byte);

    old = (old & ~mask) | ((uint32_t)a->value << (8 * a->byte) & mask);
    atomic_store_explicit(&cpu->prio[a->index], old, memory_order_relaxed);
    // Pairs with the acquire in vgic_flush.c, apply_priorities().
    atomic_fetch_or_explicit(&cpu->prio_mask, UINT32_C(1) << a->index, memory_order_release);
    vgic_post(cpu, VGIC_EV_POST);
}

static uint32_t store_priority(const struct place *p, const struct vreg_access *a)
{
    struct vgic_block *b = p->block;
    uint32_t *word = &b->priority_word[a->index % 8];
    unsigned shift = 8 * a->byte;
    uint32_t mask = (a->size == 4 ? UINT32_MAX : 0xffu) << shift;
    uint32_t touched = (a->size == 4 ? 0xfu : 1u) << ((a->index % 8) * 4 + a->byte);
    uint32_t exists = p->vgic->priority_mask * UINT32_C(0x01010101);

    *word = (*word & ~mask) | ((uint32_t)a->value << shift & mask & exists);
    return touched & (b->in_lr | vgic_pending_bits(b));
}

void vgic_write_priority(void *dev, const struct vreg_access *a)
{
    struct place p;

    if (!place_find(&p, dev, a->index / 8, a->vcpu)) {
        return;
    }
    if (!p.cpu) {
        spin_lock(&p.vgic->lock);
        vgic_spi_changed(p.vgic, p.number, store_priority(&p, a));
        spin_unlock(&p.vgic->lock);
    } else if (p.foreign) {
        struct vreg_access whole = {.index = a->index, .size = 4, .vcpu = a->vcpu};

        post_priority(p.cpu, a, (uint32_t)vgic_read_priority(dev, &whole));
    } else {
        vgic_private_changed(p.cpu, store_priority(&p, a));
    }
}
