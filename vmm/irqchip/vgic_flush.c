// SPDX-License-Identifier: Apache-2.0
//
// Flushing a vCPU: the list registers in use are read back and settled against their blocks (enable, group,
// route, line may have changed), what others posted is applied, and what is new is offered, by priority. When
// not everything fits, ICH_HCR_EL2.NPIE brings the vCPU back once the guest has taken what is there. An
// active interrupt may be pushed out by a pending one; its EOI then is only counted by the hardware
// (EOIcount, with LRENPIE).
#include "vmm/irqchip/vgic_state.h"

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
    vgic_route_again(cpu, best);
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
            vgic_route_again(cpu, vgic_lr_done(cpu, (unsigned)__builtin_ctz(left)));
        }
        for (uint32_t left = used & ~empty; left; left &= left - 1) {
            vgic_lr_settle(cpu, (unsigned)__builtin_ctz(left));
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

// What had to go comes back into the queue, behind the one that it gave way to: it may be better than the next.
static void make_room(struct vgic_cpu *cpu, struct picks *p, unsigned n)
{
    uint64_t v = cpu->hw.lr[n];
    unsigned irq = vgic_lr_irq(v);
    unsigned key = (unsigned)((v & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);

    if (v & LR_ACTIVE) {
        p->active++;
        key |= PICK_ACTIVE;
    } else {
        p->pending++;
    }
    cpu->backlog |= vgic_bit(irq / 32);
    vgic_lr_evict(cpu, n);
    pick(p, irq, key);
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
    make_room(cpu, p, n);
    vgic_lr_insert(cpu, n, p->irq[i]);
    return true;
}

static void refill(struct vgic_cpu *cpu, uint32_t blocks)
{
    struct picks p;
    uint32_t hcr = cpu->frame.vgic->hcr;

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
    vgic_make_ready(cpu, 0);
}

// ---- entry points -----------------------------------------------------------------------------------------

// Pairs with the release in vgic_post().
static uint32_t take_events(struct vgic_cpu *cpu)
{
    return atomic_exchange_explicit(&cpu->events, 0, memory_order_acquire);
}

void vgic_look(void *arg)
{
    struct vgic_cpu *cpu = arg;
    uint32_t events = take_events(cpu);

    if (events & (VGIC_EV_POST | VGIC_EV_SGI)) {
        apply_posts(cpu);
    }
    spin_lock(&cpu->frame.vgic->lock);
    vgic_sync(cpu);
    spin_unlock(&cpu->frame.vgic->lock);
    if (events | atomic_load_explicit(&cpu->ready, memory_order_relaxed) | cpu->backlog) {
        vgic_post(cpu, VGIC_EV_LOOK); // what was released may have to be offered again
    }
}

static void flush(struct vgic_cpu *cpu, uint32_t events)
{
    struct vgic *g = cpu->frame.vgic;
    uint32_t ready;
    bool locked;

    if (events & (VGIC_EV_POST | VGIC_EV_SGI)) {
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
    uint32_t events;

    if (!cpu->loaded || !atomic_load_explicit(&cpu->events, memory_order_relaxed)) {
        return;
    }
    events = take_events(cpu);
    if (events == VGIC_EV_SGI) {
        vgic_sgi_offer(cpu);
    } else {
        flush(cpu, events);
    }
}

void vgic_maintenance(struct virqchip *chip, unsigned vcpu)
{
    struct vgic_cpu *cpu = &vgic_of(chip)->cpus[vcpu];

    if (cpu->loaded) {
        flush(cpu, take_events(cpu));
    }
}
