// SPDX-License-Identifier: Apache-2.0
//
// A vCPU's interface registers into and out of the hardware. While it is not loaded, hw.lr[] is the only
// copy; a list register that the guest has emptied keeps there what it was for: the next flush finishes it.
#include "kernel/irq/irq.h"
#include "vmm/irqchip/vgic_state.h"

// Would the CPU interface signal what this list register holds? Active priorities are known for five bits;
// with more, some may be signalled that are not: the guest then looks once more.
static bool signals(const struct vgic *g, const struct gic_virt_state *s, uint64_t v)
{
    const uint32_t vmcr = (uint32_t)s->vmcr;
    const bool group1 = (v & LR_GROUP1) != 0;
    unsigned priority = (unsigned)((v & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);
    uint32_t apr = g->hw->priority_bits() == 5 ? s->ap0r[0] | s->ap1r[0] : 0;

    return (v & VGIC_LR_STATE) == LR_PENDING && (vmcr & (group1 ? VMCR_GRP1 : VMCR_GRP0)) &&
           priority < vmcr >> VMCR_PMR_SHIFT &&
           (priority & vgic_group_mask(vmcr, group1)) < vgic_running_priority(apr);
}

__attribute__((noinline)) static bool any_signals(struct vgic_cpu *cpu, uint32_t lrs)
{
    struct vgic *g = cpu->frame.vgic;

    if (cpu->loaded) {
        g->hw->save(&cpu->hw); // masks and running priority as they are now
    }
    for (uint32_t left = lrs; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        uint64_t v = cpu->loaded ? g->hw->read_lr(n) : cpu->hw.lr[n];

        if (signals(g, &cpu->hw, v)) {
            return true;
        }
    }
    return false;
}

// On the vCPU's own CPU while it is loaded, by any thread while it is not.
bool vgic_pending(struct virqchip *chip, unsigned vcpu)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *cpu = &g->cpus[vcpu];
    uint32_t lrs = cpu->used;

    if (atomic_load_explicit(&cpu->events, memory_order_relaxed)) {
        return true; // perhaps: the flush finds out
    }
    if (lrs && cpu->loaded) {
        lrs &= ~(uint32_t)g->hw->elrsr();
    }
    return lrs && any_signals(cpu, lrs);
}

bool vgic_forwarded(struct virqchip *chip, unsigned vcpu, unsigned line)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *cpu = &g->cpus[vcpu];
    unsigned n;
    uint64_t v;

    if (!(cpu->priv.linked & vgic_bit(line)) || !(cpu->priv.in_lr & vgic_bit(line))) {
        return (cpu->priv.linked & vgic_bit(line)) != 0;
    }
    n = cpu->slot[line];
    v = cpu->loaded ? g->hw->read_lr(n) : cpu->hw.lr[n];
    return !(cpu->hw.lr[n] & LR_HW) || (v & VGIC_LR_STATE);
}

// The physical active state of linked per-CPU interrupts comes and goes with the vCPU. One whose list
// register the guest has emptied is inactive already.
__attribute__((noinline)) static void move_active(struct vgic_cpu *cpu, bool active)
{
    const struct irqchip_ops *chip = irq_chip();

    for (uint32_t left = cpu->priv.linked; left; left &= left - 1) {
        unsigned irq = (unsigned)__builtin_ctz(left);
        uint64_t v = cpu->priv.in_lr & vgic_bit(irq) ? cpu->hw.lr[cpu->slot[irq]] : 0;

        if (chip && (!(v & LR_HW) || v & VGIC_LR_STATE)) {
            chip->set_active(cpu->priv.host_irq[irq], active);
        }
    }
}

// A vCPU was reset while it was loaded on this CPU: nothing of what it left may reach who comes next.
static void clean(struct vgic_cpu *cpu)
{
    struct vgic *g = cpu->frame.vgic;
    const struct irqchip_ops *chip = irq_chip();

    if (g->emulated) { // the interface was reset with the rest of the vCPU
        vgic_cpuif_hide(false);
    } else {
        g->hw->write_hcr(0);
        for (unsigned n = 0; n < g->lr_count; n++) {
            g->hw->write_lr(n, 0);
        }
    }
    for (uint32_t left = cpu->stale_linked; left && chip; left &= left - 1) {
        chip->set_active(cpu->priv.host_irq[__builtin_ctz(left)], false);
    }
    cpu->stale = false;
    cpu->stale_linked = 0;
}

static void interface_load(struct vgic *g, struct vgic_cpu *cpu, uint32_t lrs)
{
    if (g->hw->load_all) {
        g->hw->load_all(&cpu->hw, lrs);
        return;
    }
    g->hw->load(&cpu->hw);
    for (; lrs; lrs &= lrs - 1) {
        g->hw->write_lr((unsigned)__builtin_ctz(lrs), cpu->hw.lr[__builtin_ctz(lrs)]);
    }
    g->hw->write_hcr(cpu->hw.hcr);
}

// Returns the list registers that were not empty.
static uint32_t interface_put(struct vgic *g, struct vgic_cpu *cpu)
{
    uint32_t live;

    if (g->hw->put) {
        return g->hw->put(&cpu->hw, cpu->used);
    }
    live = cpu->used & ~(uint32_t)g->hw->elrsr();
    g->hw->save(&cpu->hw);
    for (uint32_t left = live; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);

        cpu->hw.lr[n] = g->hw->read_lr(n);
        g->hw->write_lr(n, 0);
    }
    g->hw->write_hcr(0);
    return live;
}

// The list registers that hold something, of a vCPU that is not loaded.
static inline uint32_t full_lrs(const struct vgic_cpu *cpu)
{
    uint32_t lrs = 0;

    for (uint32_t left = cpu->used; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);

        lrs |= cpu->hw.lr[n] & VGIC_LR_STATE ? vgic_bit(n) : 0;
    }
    return lrs;
}

void vgic_load(struct virqchip *chip, unsigned vcpu)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *cpu = &g->cpus[vcpu];

    if (cpu->loaded) {
        return;
    }
    if (cpu->stale) {
        clean(cpu);
    }
    if (g->emulated) {
        vgic_cpuif_hide(true);
    }
    interface_load(g, cpu, full_lrs(cpu));
    cpu->loaded = true;
    if (cpu->priv.linked) {
        move_active(cpu, true);
    }
    if (atomic_load_explicit(&cpu->events, memory_order_relaxed)) {
        vgic_post(cpu, VGIC_EV_LOOK);
    }
}

// The guest has emptied these list registers: what they still say is what they were for.
static inline void note_emptied(struct vgic_cpu *cpu, uint32_t lrs)
{
    for (uint32_t left = lrs; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        uint64_t v = cpu->hw.lr[n];

        cpu->hw.lr[n] = v & ~VGIC_LR_STATE;
        if ((v & LR_HW) && vgic_lr_irq(v) < VGIC_PRIVATE) {
            cpu->priv.linked &= ~vgic_bit(vgic_lr_irq(v)); // deactivated, and the physical one with it
        }
    }
}

void vgic_put(struct virqchip *chip, unsigned vcpu)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *cpu = &g->cpus[vcpu];
    uint32_t live, look = 0;

    if (cpu->stale) {
        clean(cpu);
    }
    if (!cpu->loaded) {
        return;
    }
    if (cpu->hw.hcr & HCR_LRENPIE) {
        cpu->eoi_count += g->hw->read_hcr() >> VGIC_EOI_COUNT_SHIFT & VGIC_EOI_COUNT_MASK;
        look |= cpu->eoi_count ? VGIC_EV_LOOK : 0;
    }
    live = interface_put(g, cpu);
    note_emptied(cpu, cpu->used & ~live);
    for (; live; live &= live - 1) {
        // Ended, and this was to be told: its maintenance interrupt will not come any more.
        look |= cpu->hw.lr[__builtin_ctz(live)] & VGIC_LR_STATE ? 0 : VGIC_EV_LOOK;
    }
    if (g->emulated) {
        vgic_cpuif_hide(false);
    }
    cpu->fast = 0;
    if (cpu->priv.linked) {
        move_active(cpu, false);
    }
    cpu->loaded = false;
    if (look) {
        atomic_fetch_or_explicit(&cpu->events, look, memory_order_relaxed);
    }
}

__attribute__((noinline)) static void swap_parts(struct vgic_cpu *a, struct vgic_cpu *b)
{
    vgic_put(&a->frame.vgic->chip, a->index);
    vgic_load(&b->frame.vgic->chip, b->index);
}

// Nothing in the list registers, nothing new for who comes: all that moves is the interface.
static inline bool is_plain(const struct vgic_cpu *a, const struct vgic_cpu *b)
{
    return a->mode == VGIC_MODE_LOADED && b->mode == 0 && !(a->hw.hcr & HCR_LRENPIE) && !b->priv.linked &&
           !atomic_load_explicit(&b->events, memory_order_relaxed) && !full_lrs(b);
}

void vgic_swap(struct virqchip *chip, unsigned from, struct virqchip *next, unsigned to)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *a = &g->cpus[from], *b = &vgic_of(next)->cpus[to];

    if (__builtin_expect(!is_plain(a, b) || !g->hw->swap(&a->hw, a->used, &b->hw), false)) {
        swap_parts(a, b);
        return;
    }
    a->fast = 0;
    a->loaded = false;
    b->loaded = true;
    note_emptied(a, a->used);
    if (__builtin_expect(a->priv.linked != 0, false)) {
        move_active(a, false);
    }
}
