// SPDX-License-Identifier: Apache-2.0
//
// List registers: the way from a pending interrupt to the guest and back (Arm IHI 0069, chapter 6 and 12.4).
//
// They stay live in the hardware while a vCPU is loaded. A flush reads back those in use, settles each one
// against its block (enable, group, route, line may have changed), and offers what is new, by priority; when
// not everything fits, ICH_HCR_EL2.NPIE brings the vCPU back once the guest has taken what is there. An
// active interrupt may be pushed out by a pending one; its EOI then is only counted by the hardware
// (EOIcount, with LRENPIE).
#include "kernel/irq/irq.h"
#include "vmm/irqchip/vgic_state.h"

struct lr_state {
    bool pend, act;
    bool soft;      // pend came from `latched`
    bool hw;        // the guest's deactivation reaches the physical interrupt
    uint8_t source; // GICv2 SGI: its sender
};

void vgic_post(struct vgic_cpu *cpu, uint32_t events)
{
    struct virqchip *chip = &cpu->frame.vgic->chip;

    // Pairs with the exchange in flush(): what was changed before is seen by who takes the event.
    atomic_fetch_or_explicit(&cpu->events, events, memory_order_release);
    if (chip->notify) {
        chip->notify(chip->vm, cpu->index);
    }
}

static void make_ready(struct vgic_cpu *cpu, unsigned irq)
{
    atomic_fetch_or_explicit(&cpu->ready, vgic_bit(irq / 32), memory_order_relaxed);
}

uint16_t vgic_target(struct vgic *g, unsigned irq)
{
    const struct vgic_block *b = &g->spi[irq / 32 - 1];
    uint32_t m = vgic_bit(irq);

    if ((b->in_lr | b->active) & m) {
        return g->holder[irq - VGIC_PRIVATE];
    }
    return vgic_candidates(b, vgic_ctlr(g)) & m ? g->target[irq - VGIC_PRIVATE] : VGIC_NO_VCPU;
}

void vgic_spi_changed(struct vgic *g, unsigned block, uint32_t mask)
{
    uint16_t told = VGIC_NO_VCPU;

    for (; mask; mask &= mask - 1) {
        unsigned irq = block * 32 + (unsigned)__builtin_ctz(mask);
        uint16_t t = vgic_target(g, irq);

        if (t != VGIC_NO_VCPU && t != told) {
            make_ready(&g->cpus[t], irq);
            vgic_post(&g->cpus[t], VGIC_EV_LOOK);
            told = t;
        }
    }
}

void vgic_private_changed(struct vgic_cpu *cpu, uint32_t mask)
{
    if (mask) {
        make_ready(cpu, 0);
        vgic_post(cpu, VGIC_EV_LOOK);
    }
}

// ---- one list register ------------------------------------------------------------------------------------

static unsigned lr_irq(const struct vgic_cpu *cpu, unsigned n)
{
    return vgic_lr_irq(cpu->hw.lr[n]);
}

static void lr_write(struct vgic_cpu *cpu, unsigned n, uint64_t value)
{
    if (cpu->hw.lr[n] != value) {
        cpu->hw.lr[n] = value;
        cpu->frame.vgic->hw->write_lr(n, value);
    }
}

// A GICv2 SGI: the same, but one sender at a time; others wait in source[].
static uint64_t sgi_value(struct vgic_cpu *cpu, unsigned irq, struct lr_state *s)
{
    struct vgic_block *b = &cpu->priv;
    const uint32_t m = vgic_bit(irq);
    bool ok = (b->enabled & vgic_group_bits(b, vgic_ctlr(cpu->frame.vgic)) & m) != 0;
    unsigned source;

    if (s->pend && !ok) {
        vgic_sgi_return(cpu, irq, s->source);
        s->pend = false;
    }
    if (ok && !s->pend && !s->act && vgic_sgi_take(cpu, irq, &source)) {
        s->source = (uint8_t)source;
        s->pend = true;
    }
    s->soft = s->pend;
    s->hw = false;
    if (!s->pend && !s->act) {
        return 0;
    }
    return irq | (uint64_t)s->source << LR_SOURCE_SHIFT | (uint64_t)b->priority[irq] << LR_PRIORITY_SHIFT |
           (b->group & m ? LR_GROUP1 : 0) | (s->pend ? LR_PENDING : 0) | (s->act ? LR_ACTIVE : 0) |
           (b->latched & m ? LR_EOI_MAINT : 0);
}

// Works out what a list register should hold for `irq`, 0 for nothing, and moves the pending latch between
// block and list register accordingly.
static uint64_t lr_value(struct vgic_cpu *cpu, unsigned irq, struct lr_state *s)
{
    struct vgic *g = cpu->frame.vgic;
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);
    bool ok = (b->enabled & vgic_group_bits(b, vgic_ctlr(g)) & m) != 0 &&
              !atomic_load_explicit(&cpu->asleep, memory_order_relaxed) &&
              (irq < VGIC_PRIVATE || g->target[irq - VGIC_PRIVATE] == cpu->index);
    bool latch = (s->pend && s->soft) || (b->latched & m);
    bool level = (b->line & ~b->edge & m) != 0;
    uint64_t v;

    if (irq < 16 && g->v2) {
        return sgi_value(cpu, irq, s);
    }
    if (!s->hw && (b->linked & m)) {
        s->hw = !s->act;
        ok = ok && s->hw; // active as a software interrupt: the forwarded one waits for its deactivation
    }
    s->pend = ok && (latch || (level && !s->act));
    if (s->pend && s->act && s->hw) { // no such state for a linked interrupt
        vgic_unlink(b, irq);
        s->hw = false;
    }
    s->soft = s->pend && latch;
    if (s->pend) {
        b->latched &= ~m;
    } else if (latch) {
        b->latched |= m;
    }
    if (!s->pend && !s->act) {
        return 0;
    }
    v = irq | (uint64_t)b->priority[irq & 31] << LR_PRIORITY_SHIFT | (b->group & m ? LR_GROUP1 : 0) |
        (s->pend ? LR_PENDING : 0) | (s->act ? LR_ACTIVE : 0);
    if (s->hw) {
        v |= LR_HW | (uint64_t)b->host_irq[irq & 31] << LR_PINTID_SHIFT;
    } else if (vgic_pending_bits(b) & m) {
        v |= LR_EOI_MAINT; // will be pending again
    }
    return v;
}

// The list register's use ends; `irq` is in its block alone again, active or not as the block says.
static void lr_free(struct vgic_cpu *cpu, unsigned n, unsigned irq)
{
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    cpu->used &= ~vgic_bit(n);
    cpu->spi_lrs &= ~vgic_bit(n);
    cpu->soft &= ~vgic_bit(n);
    b->in_lr &= ~m;
    b->lr_pending &= ~m;
    b->set_active &= ~m;
    b->drop_active &= ~m;
    b->drop_pending &= ~m;
}

// The hardware says that the list register is empty: the guest has deactivated its interrupt.
unsigned vgic_lr_done(struct vgic_cpu *cpu, unsigned n)
{
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    if (!(b->set_active & m)) {
        b->active &= ~m;
    }
    if (cpu->hw.lr[n] & LR_HW) {
        b->linked &= ~m;
    }
    lr_free(cpu, n, irq);
    if (cpu->hw.lr[n] & LR_EOI_MAINT) {
        lr_write(cpu, n, 0); // ends the maintenance condition
    }
    cpu->hw.lr[n] = 0; // as good as empty; a new value always differs
    return irq;
}

// An interrupt left this vCPU's list registers: who has to look at it next?
static void route_again(struct vgic_cpu *cpu, unsigned irq)
{
    struct vgic *g = cpu->frame.vgic;

    if (irq < VGIC_PRIVATE || vgic_target(g, irq) == cpu->index) {
        make_ready(cpu, irq);
    } else {
        vgic_spi_changed(g, irq / 32, vgic_bit(irq));
    }
}

static void lr_store(struct vgic_cpu *cpu, unsigned n, uint64_t value, const struct lr_state *s)
{
    unsigned irq = vgic_lr_irq(value);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    b->active = s->act ? b->active | m : b->active & ~m;
    b->lr_pending = s->pend ? b->lr_pending | m : b->lr_pending & ~m;
    cpu->soft = s->soft ? cpu->soft | vgic_bit(n) : cpu->soft & ~vgic_bit(n);
    lr_write(cpu, n, value);
}

// A forwarded level interrupt that the guest has not acknowledged loses its reason when the device lowered
// its line.
static bool cause_gone(const struct vgic_block *b, unsigned irq)
{
    const struct irqchip_ops *chip = irq_chip();

    return !(b->edge & vgic_bit(irq)) && chip && chip->is_pending && !chip->is_pending(b->host_irq[irq & 31]);
}

// Applies what registers asked for while the interrupt was in the list register.
static void apply_requests(struct vgic_block *b, unsigned irq, struct lr_state *s)
{
    const uint32_t m = vgic_bit(irq);
    bool unlink = false;

    if ((b->drop_active & m) && s->act) {
        s->act = false;
        unlink = s->hw;
    }
    if (s->pend && ((b->drop_pending & m) || (s->hw && cause_gone(b, irq)))) {
        s->pend = false;
        unlink = unlink || (s->hw && !s->act);
    }
    s->act = s->act || (b->set_active & m);
    b->drop_active &= ~m;
    b->drop_pending &= ~m;
    b->set_active &= ~m;
    if (unlink) {
        vgic_unlink(b, irq);
        s->hw = false;
    }
}

static void lr_settle(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->frame.vgic->hw->read_lr(n);
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    struct lr_state s = {.pend = (v & LR_PENDING) != 0,
                         .act = (v & LR_ACTIVE) != 0,
                         .soft = (cpu->soft & vgic_bit(n)) != 0,
                         .hw = (v & LR_HW) != 0,
                         .source = v & LR_HW ? 0 : (uint8_t)((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT)};

    cpu->hw.lr[n] = v;
    apply_requests(b, irq, &s);
    v = lr_value(cpu, irq, &s);
    if (v) {
        lr_store(cpu, n, v, &s);
        return;
    }
    b->active &= ~vgic_bit(irq);
    lr_free(cpu, n, irq);
    lr_write(cpu, n, 0);
    route_again(cpu, irq);
}

bool vgic_lr_lowered(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->frame.vgic->hw->read_lr(n);
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t requests = b->latched | b->linked | b->set_active | b->drop_active | b->drop_pending;

    if ((requests & vgic_bit(irq)) || (v & LR_HW) || (cpu->soft & vgic_bit(n))) {
        return false;
    }
    switch (v & VGIC_LR_STATE) {
    case LR_ACTIVE: // it will not come again
        b->active |= vgic_bit(irq);
        b->lr_pending &= ~vgic_bit(irq);
        cpu->hw.lr[n] = v;
        lr_write(cpu, n, v & ~LR_EOI_MAINT);
        return true;
    case LR_PENDING: // not acknowledged: it loses its cause
        lr_free(cpu, n, irq);
        cpu->hw.lr[n] = v;
        lr_write(cpu, n, 0);
        return true;
    default:
        return false;
    }
}

void vgic_lr_insert(struct vgic_cpu *cpu, unsigned n, unsigned irq)
{
    struct vgic_block *b = vgic_block_of(cpu, irq);
    struct lr_state s = {.act = (b->active & vgic_bit(irq)) != 0};
    uint64_t v = lr_value(cpu, irq, &s);

    if (!v) {
        return;
    }
    b->in_lr |= vgic_bit(irq);
    cpu->used |= vgic_bit(n);
    if (irq < VGIC_PRIVATE) {
        cpu->slot[irq] = (uint8_t)n;
    } else {
        cpu->spi_lrs |= vgic_bit(n);
        cpu->frame.vgic->holder[irq - VGIC_PRIVATE] = (uint16_t)cpu->index;
    }
    lr_store(cpu, n, v, &s);
}

// Takes an interrupt out of its list register to make room. The list register has just been settled.
static void lr_evict(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->hw.lr[n];
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);

    if (v & LR_PENDING && cpu->soft & vgic_bit(n)) {
        b->latched |= vgic_bit(irq);
        if (irq < 16 && cpu->frame.vgic->v2) {
            vgic_sgi_return(cpu, irq, (unsigned)((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT));
        }
    }
    if (v & LR_HW && v & LR_ACTIVE) {
        vgic_unlink(b, irq);
    }
    lr_free(cpu, n, irq);
    lr_write(cpu, n, 0);
}

// ---- what the guest did -----------------------------------------------------------------------------------

// The active interrupt without a list register that the guest's next EOI is about: the one of highest
// priority.
static bool deactivate_evicted(struct vgic_cpu *cpu)
{
    unsigned best = VGIC_INTID_LIMIT, best_priority = UINT8_MAX + 1u;

    for (uint32_t blocks = cpu->backlog; blocks; blocks &= blocks - 1) {
        unsigned base = (unsigned)__builtin_ctz(blocks) * 32;
        const struct vgic_block *b = vgic_block_of(cpu, base);

        for (uint32_t left = b->active & ~b->in_lr; left; left &= left - 1) {
            unsigned irq = base + (unsigned)__builtin_ctz(left);

            if (b->priority[irq & 31] < best_priority &&
                (irq < VGIC_PRIVATE || cpu->frame.vgic->holder[irq - VGIC_PRIVATE] == cpu->index)) {
                best = irq;
                best_priority = b->priority[irq & 31];
            }
        }
    }
    if (best == VGIC_INTID_LIMIT) {
        return false;
    }
    vgic_block_of(cpu, best)->active &= ~vgic_bit(best);
    route_again(cpu, best);
    return true;
}

static void fold_eoi_count(struct vgic_cpu *cpu)
{
    const struct gic_virt_ops *hw = cpu->frame.vgic->hw;
    uint32_t count = hw->read_hcr() >> VGIC_EOI_COUNT_SHIFT & VGIC_EOI_COUNT_MASK;

    if (count) {
        hw->write_hcr(cpu->hw.hcr); // counts from zero again
    }
    count += cpu->eoi_count;
    cpu->eoi_count = 0;
    while (count-- && deactivate_evicted(cpu)) {
    }
}

void vgic_sync(struct vgic_cpu *cpu)
{
    uint32_t used = cpu->used;

    cpu->fast = 0;
    if (used) {
        uint32_t empty = (uint32_t)cpu->frame.vgic->hw->elrsr() & used;

        for (uint32_t left = empty; left; left &= left - 1) {
            route_again(cpu, vgic_lr_done(cpu, (unsigned)__builtin_ctz(left)));
        }
        for (uint32_t left = used & ~empty; left; left &= left - 1) {
            lr_settle(cpu, (unsigned)__builtin_ctz(left));
        }
    }
    if (cpu->hw.hcr & HCR_LRENPIE) {
        fold_eoi_count(cpu);
    }
}

// ---- what the guest gets ----------------------------------------------------------------------------------

// The best candidates, at most as many as there are list registers, best first.
struct picks {
    unsigned count, limit;
    unsigned pending, active; // how many there were in all
    uint16_t irq[GIC_LR_MAX];
    uint16_t key[GIC_LR_MAX]; // priority; active interrupts come after all pending ones
};

#define PICK_ACTIVE 0x100u

static void pick(struct picks *p, unsigned irq, unsigned key)
{
    unsigned i = p->count;

    if (i == p->limit) {
        if (key >= p->key[i - 1]) {
            return;
        }
        i--;
    } else {
        p->count++;
    }
    for (; i > 0 && p->key[i - 1] > key; i--) {
        p->irq[i] = p->irq[i - 1];
        p->key[i] = p->key[i - 1];
    }
    p->irq[i] = (uint16_t)irq;
    p->key[i] = (uint16_t)key;
}

static void pick_block(struct vgic_cpu *cpu, struct picks *p, unsigned block)
{
    struct vgic *g = cpu->frame.vgic;
    const struct vgic_block *b = vgic_block_of(cpu, block * 32);
    uint32_t active = b->active & ~b->in_lr;

    for (uint32_t left = vgic_candidates(b, vgic_ctlr(g)) | active; left; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctz(left);
        unsigned irq = block * 32 + bit;
        bool act = (active >> bit & 1) != 0;

        if (block > 0 && (act ? g->holder : g->target)[irq - VGIC_PRIVATE] != cpu->index) {
            continue;
        }
        p->pending += !act;
        p->active += act;
        pick(p, irq, b->priority[bit] | (act ? PICK_ACTIVE : 0));
    }
}

// The list register to give up for a pending interrupt of priority `key`; GIC_LR_MAX: none. Pending ones of
// lower priority go first, then active ones of lower priority; if nothing else is pending, any active one, or
// the guest would never be offered this one.
static unsigned find_victim(const struct vgic_cpu *cpu, unsigned key)
{
    unsigned worst_pending = GIC_LR_MAX, worst_active = GIC_LR_MAX;
    unsigned pending_key = key, active_key = 0;
    bool any_pending = false;

    for (uint32_t left = cpu->used; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        unsigned k = (unsigned)((cpu->hw.lr[n] & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);

        if (cpu->hw.lr[n] & LR_ACTIVE) {
            if (worst_active == GIC_LR_MAX || k > active_key) {
                worst_active = n;
                active_key = k;
            }
            continue;
        }
        any_pending = true;
        if (k > pending_key) {
            worst_pending = n;
            pending_key = k;
        }
    }
    if (worst_pending != GIC_LR_MAX || (any_pending && active_key <= key)) {
        return worst_pending;
    }
    return worst_active;
}

// Puts one interrupt into a list register; false when there is no room for it.
static bool place(struct vgic_cpu *cpu, struct picks *p, unsigned i)
{
    uint32_t free = cpu->frame.vgic->lr_mask & ~cpu->used;
    unsigned n;

    if (free) {
        vgic_lr_insert(cpu, (unsigned)__builtin_ctz(free), p->irq[i]);
        return true;
    }
    if (p->key[i] & PICK_ACTIVE) {
        return false;
    }
    n = find_victim(cpu, p->key[i]);
    if (n == GIC_LR_MAX) {
        return false;
    }
    if (cpu->hw.lr[n] & LR_ACTIVE) {
        p->active++;
    } else {
        p->pending++;
    }
    cpu->backlog |= vgic_bit(lr_irq(cpu, n) / 32);
    lr_evict(cpu, n);
    vgic_lr_insert(cpu, n, p->irq[i]);
    return true;
}

static void refill(struct vgic_cpu *cpu, uint32_t blocks)
{
    struct picks p;
    uint32_t hcr = HCR_EN;

    p.limit = cpu->frame.vgic->lr_count;
    p.count = p.pending = p.active = 0; // the arrays hold nothing yet

    for (uint32_t left = blocks; left; left &= left - 1) {
        pick_block(cpu, &p, (unsigned)__builtin_ctz(left));
    }
    cpu->backlog = 0;
    for (unsigned i = 0; i < p.count && place(cpu, &p, i); i++) {
        if (p.key[i] & PICK_ACTIVE) {
            p.active--;
        } else {
            p.pending--;
        }
    }
    if (p.pending || p.active) {
        cpu->backlog |= blocks;
        hcr |= (p.pending ? HCR_NPIE : 0) | (p.active ? HCR_LRENPIE : 0);
        hcr |= p.active && cpu->frame.vgic->hw->traps_dir ? HCR_TDIR
                                                          : 0; // EOIcount does not say what DIR was about
    }
    if (hcr != cpu->hw.hcr) {
        cpu->hw.hcr = (uint32_t)hcr;
        cpu->frame.vgic->hw->write_hcr((uint32_t)hcr);
    }
}

// ---- posted by others -------------------------------------------------------------------------------------

static void apply_priorities(struct vgic_cpu *cpu)
{
    // Pairs with the release in vgic_regs_shared.c, post_priority().
    uint32_t mask = atomic_exchange_explicit(&cpu->prio_mask, 0, memory_order_acquire);

    for (; mask; mask &= mask - 1) {
        unsigned r = (unsigned)__builtin_ctz(mask);
        uint32_t value = atomic_load_explicit(&cpu->prio[r], memory_order_relaxed);

        for (unsigned i = 0; i < 4; i++) {
            cpu->priv.priority[r * 4 + i] = (uint8_t)(value >> (8 * i)) & cpu->frame.vgic->priority_mask;
        }
    }
}

static void apply_posts(struct vgic_cpu *cpu)
{
    struct vgic_block *b = &cpu->priv;
    uint32_t rises = atomic_exchange_explicit(&cpu->rises, 0, memory_order_relaxed);
    uint32_t mask;

    b->line = atomic_load_explicit(&cpu->lines, memory_order_relaxed);
    b->latched |= rises & b->edge;
    for (unsigned op = 0; op < VGIC_OP_COUNT; op++) {
        if (atomic_load_explicit(&cpu->post[op], memory_order_relaxed)) {
            mask = atomic_exchange_explicit(&cpu->post[op], 0, memory_order_relaxed);
            vgic_block_apply(b, 0, (enum vgic_op)op, mask);
        }
    }
    for (unsigned group = 0; group < 2; group++) {
        mask = atomic_exchange_explicit(&cpu->sgi[group], 0, memory_order_relaxed);
        b->latched |= group ? mask : mask & ~b->group;
    }
    apply_priorities(cpu);
    make_ready(cpu, 0);
}

// ---- entry points -----------------------------------------------------------------------------------------

static void flush(struct vgic_cpu *cpu)
{
    struct vgic *g = cpu->frame.vgic;
    // Pairs with the release in vgic_post().
    uint32_t events = atomic_exchange_explicit(&cpu->events, 0, memory_order_acquire);
    uint32_t ready;
    bool locked;

    if (events & VGIC_EV_POST) {
        apply_posts(cpu);
    }
    locked = ((atomic_load_explicit(&cpu->ready, memory_order_relaxed) | cpu->backlog) & ~1u) || cpu->spi_lrs;
    if (locked) {
        spin_lock(&g->lock);
    }
    vgic_sync(cpu);
    ready = atomic_exchange_explicit(&cpu->ready, 0, memory_order_relaxed) | cpu->backlog;
    if (!locked && (ready & ~1u)) {
        spin_lock(&g->lock);
        locked = true;
    }
    refill(cpu, ready);
    if (locked) {
        spin_unlock(&g->lock);
    }
}

void vgic_flush(struct virqchip *chip, unsigned vcpu)
{
    struct vgic_cpu *cpu = &vgic_of(chip)->cpus[vcpu];

    if (cpu->loaded && atomic_load_explicit(&cpu->events, memory_order_relaxed)) {
        flush(cpu);
    }
}

void vgic_maintenance(struct virqchip *chip, unsigned vcpu)
{
    struct vgic_cpu *cpu = &vgic_of(chip)->cpus[vcpu];

    if (cpu->loaded) {
        flush(cpu);
    }
}
