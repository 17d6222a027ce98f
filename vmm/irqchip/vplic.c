// SPDX-License-Identifier: Apache-2.0
//
// The virtual PLIC: gateways, the choice of the best source, claim and completion.
//
// One lock guards everything but the contexts' outputs. A source is pending from the moment its gateway lets
// a request through until a claim takes it; from then until completion it is in flight and the gateway is
// closed. What changes a context's output is: its sources, enables, threshold, a claim. A vCPU's own access
// brings its line up to date at once; all others are told by notify() and look at their next flush.
#include "vmm/irqchip/vplic.h"

#include <stdatomic.h>
#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/virqchip_none.h"
#include "vmm/irqchip/vplic_state.h"

#define SAVED_VERSION 1u

static uint32_t source_bit(unsigned source)
{
    return UINT32_C(1) << source % 32;
}

// ---- choice -----------------------------------------------------------------------------------------------

// The highest priority wins, then the lowest number; priority 0 never interrupts. 0 when there is none.
static unsigned best_source(const struct vplic *p, const struct vplic_context *c, unsigned above)
{
    unsigned best = 0;

    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        for (uint32_t left = p->pending[w] & c->enable[w]; left; left &= left - 1) {
            unsigned source = w * 32 + vplic_lowest(left);

            if (p->priority[source] > above) {
                above = p->priority[source];
                best = source;
            }
        }
    }
    return best;
}

// Works out the context's output. True when it changed.
static bool output_changed(struct vplic *p, struct vplic_context *c)
{
    bool output = best_source(p, c, c->threshold) != 0;

    if (output == atomic_load_explicit(&c->output, memory_order_relaxed)) {
        return false;
    }
    atomic_store_explicit(&c->output, output, memory_order_release); // pairs with the load in vplic_flush()
    return true;
}

static void drive_own(struct vplic *p, const struct vplic_context *c)
{
    bool output = atomic_load_explicit(&c->output, memory_order_relaxed);

    arch_vcpu_set_irq(&p->chip.vm->vcpus[c->hart]->arch, output ? VCPU_LINE_IRQ : 0);
}

// `self` is the vCPU that makes the access, VPLIC_NOBODY when none does.
static void update_context_locked(struct vplic *p, struct vplic_context *c, unsigned self)
{
    if (!output_changed(p, c)) {
        return;
    }
    if (c->hart == self) {
        drive_own(p, c);
    } else if (p->chip.notify) {
        p->chip.notify(p->chip.vm, c->hart);
    }
}

// After the source became pending, stopped to be, or changed its priority.
static void source_changed_locked(struct vplic *p, unsigned source, unsigned self)
{
    for (unsigned i = 0; i < p->chip.vcpu_count; i++) {
        if (p->contexts[i].enable[source / 32] & source_bit(source)) {
            update_context_locked(p, &p->contexts[i], self);
        }
    }
}

// ---- gateways ---------------------------------------------------------------------------------------------

// A request goes through when none of this source is pending or in flight.
static void gateway_locked(struct vplic *p, unsigned source, unsigned self)
{
    const unsigned w = source / 32;
    const uint32_t m = source_bit(source);
    uint32_t asks = (p->edge[w] & p->latched[w]) | (~p->edge[w] & p->level[w]);

    if (!(asks & m) || ((p->pending[w] | p->in_flight[w]) & m)) {
        return;
    }
    p->latched[w] &= ~m;
    p->pending[w] |= m;
    source_changed_locked(p, source, self);
}

static void vplic_set_line(struct virqchip *chip, unsigned line, bool level)
{
    struct vplic *p = vplic_of(chip);
    const uint32_t m = source_bit(line);
    irq_state_t irq;

    if (line == 0 || line >= VPLIC_SOURCES) {
        return;
    }
    irq = spin_lock_irqsave(&p->lock);
    if (((p->level[line / 32] & m) != 0) != level) {
        p->level[line / 32] ^= m;
        if (level) {
            p->latched[line / 32] |= m & p->edge[line / 32];
            gateway_locked(p, line, VPLIC_NOBODY);
        }
    }
    spin_unlock_irqrestore(&p->lock, irq);
}

void vplic_set_edge(struct virqchip *chip, unsigned source, bool edge)
{
    struct vplic *p = vplic_of(chip);
    irq_state_t irq;

    if (source == 0 || source >= VPLIC_SOURCES) {
        return;
    }
    irq = spin_lock_irqsave(&p->lock);
    p->edge[source / 32] &= ~source_bit(source);
    p->edge[source / 32] |= edge ? source_bit(source) : 0;
    p->latched[source / 32] &= p->edge[source / 32];
    gateway_locked(p, source, VPLIC_NOBODY);
    spin_unlock_irqrestore(&p->lock, irq);
}

// ---- what the guest does ----------------------------------------------------------------------------------

uint32_t vplic_claim(struct vplic_context *c, unsigned self)
{
    struct vplic *p = c->plic;
    unsigned source;

    spin_lock(&p->lock);
    // The threshold holds back the notification, not the claim (chapter 9: a claim takes the highest pending
    // source).
    source = best_source(p, c, 0);
    if (source != 0) {
        p->pending[source / 32] &= ~source_bit(source);
        p->in_flight[source / 32] |= source_bit(source);
        p->holder[source] = (uint16_t)(c->hart + 1);
        if (p->enabled_by[source] > 1) {
            source_changed_locked(p, source, self);
        } else {
            update_context_locked(p, c, self);
        }
    }
    spin_unlock(&p->lock);
    return source;
}

// Silently ignored unless the source is in flight and enabled here (chapter 10). The context that claimed it
// may complete it even after its enable was taken away: an operating system that moves an interrupt to
// another hart does that.
void vplic_complete(struct vplic_context *c, uint32_t source, unsigned self)
{
    struct vplic *p = c->plic;
    const uint32_t m = source_bit(source);
    const unsigned w = source / 32;

    if (source == 0 || source >= VPLIC_SOURCES) {
        return;
    }
    spin_lock(&p->lock);
    if ((p->in_flight[w] & m) && ((c->enable[w] & m) || p->holder[source] == c->hart + 1)) {
        p->in_flight[w] &= ~m;
        p->holder[source] = 0;
        gateway_locked(p, source, self);
    }
    spin_unlock(&p->lock);
}

void vplic_write_enable(struct vplic_context *c, unsigned word, uint32_t value, unsigned self)
{
    struct vplic *p = c->plic;
    uint32_t changed;

    if (word >= VPLIC_WORDS) {
        return;
    }
    spin_lock(&p->lock);
    value &= vplic_valid(word);
    changed = value ^ c->enable[word];
    c->enable[word] = value;
    for (; changed; changed &= changed - 1) {
        unsigned source = word * 32 + vplic_lowest(changed);

        p->enabled_by[source] = (uint16_t)(p->enabled_by[source] + (value & source_bit(source) ? 1 : -1));
    }
    update_context_locked(p, c, self);
    spin_unlock(&p->lock);
}

void vplic_write_priority(struct vplic *p, unsigned source, uint32_t value, unsigned self)
{
    spin_lock(&p->lock);
    p->priority[source] = (uint8_t)(value & VPLIC_PRIORITY_MAX);
    if (p->pending[source / 32] & source_bit(source)) {
        source_changed_locked(p, source, self);
    }
    spin_unlock(&p->lock);
}

void vplic_write_threshold(struct vplic_context *c, uint32_t value, unsigned self)
{
    struct vplic *p = c->plic;

    spin_lock(&p->lock);
    c->threshold = (uint8_t)(value & VPLIC_PRIORITY_MAX);
    update_context_locked(p, c, self);
    spin_unlock(&p->lock);
}

// ---- operations -------------------------------------------------------------------------------------------

static void vplic_flush(struct virqchip *chip, unsigned vcpu)
{
    struct vplic *p = vplic_of(chip);

    if (vcpu < chip->vcpu_count) {
        // Pairs with the release in output_changed(): a later change notifies again.
        bool output = atomic_load_explicit(&p->contexts[vcpu].output, memory_order_acquire);

        arch_vcpu_set_irq(&chip->vm->vcpus[vcpu]->arch, output ? VCPU_LINE_IRQ : 0);
    }
}

static bool vplic_pending(struct virqchip *chip, unsigned vcpu)
{
    return vcpu < chip->vcpu_count &&
           atomic_load_explicit(&vplic_of(chip)->contexts[vcpu].output, memory_order_acquire);
}

// Device levels and triggers are wiring: they outlive a reset.
static void clear_locked(struct vplic *p)
{
    memset(p->priority, 0, sizeof(p->priority));
    memset(p->pending, 0, sizeof(p->pending));
    memset(p->in_flight, 0, sizeof(p->in_flight));
    memset(p->latched, 0, sizeof(p->latched));
    memset(p->holder, 0, sizeof(p->holder));
    memset(p->enabled_by, 0, sizeof(p->enabled_by));
    for (unsigned i = 0; i < p->chip.vcpu_count; i++) {
        struct vplic_context *c = &p->contexts[i];

        memset(c->enable, 0, sizeof(c->enable));
        c->threshold = 0;
        atomic_store_explicit(&c->output, false, memory_order_relaxed);
    }
}

static void all_gateways_locked(struct vplic *p)
{
    for (unsigned source = 1; source < VPLIC_SOURCES; source++) {
        gateway_locked(p, source, VPLIC_NOBODY);
    }
}

static void vplic_reset(struct virqchip *chip)
{
    struct vplic *p = vplic_of(chip);
    irq_state_t irq = spin_lock_irqsave(&p->lock);

    clear_locked(p);
    all_gateways_locked(p);
    spin_unlock_irqrestore(&p->lock, irq);
}

static enum status no_msi(struct virqchip *chip, uint32_t device_id, uint64_t address, uint32_t data)
{
    (void)chip;
    (void)device_id;
    (void)address;
    (void)data;
    return E_UNSUPPORTED;
}

// ---- save and restore -------------------------------------------------------------------------------------

static uint32_t saved_size(const struct virqchip *chip)
{
    return (uint32_t)(sizeof(struct vplic_saved) + chip->vcpu_count * sizeof(struct vplic_saved_context));
}

static uint32_t vplic_save(const struct virqchip *chip, void *buf, uint32_t size)
{
    struct vplic *p = (struct vplic *)(uintptr_t)chip;
    struct vplic_saved *out = buf;
    irq_state_t irq;

    if (!buf || size < saved_size(chip)) {
        return saved_size(chip);
    }
    irq = spin_lock_irqsave(&p->lock);
    *out = (struct vplic_saved){
        .version = SAVED_VERSION, .size = saved_size(chip), .hart_count = chip->vcpu_count};
    memcpy(out->priority, p->priority, sizeof(out->priority));
    memcpy(out->pending, p->pending, sizeof(out->pending));
    memcpy(out->in_flight, p->in_flight, sizeof(out->in_flight));
    memcpy(out->latched, p->latched, sizeof(out->latched));
    memcpy(out->level, p->level, sizeof(out->level));
    memcpy(out->edge, p->edge, sizeof(out->edge));
    memcpy(out->holder, p->holder, sizeof(out->holder));
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        out->contexts[i] = (struct vplic_saved_context){.threshold = p->contexts[i].threshold};
        memcpy(out->contexts[i].enable, p->contexts[i].enable, sizeof(out->contexts[i].enable));
    }
    spin_unlock_irqrestore(&p->lock, irq);
    return saved_size(chip);
}

static void context_restore_locked(struct vplic *p, struct vplic_context *c,
                                   const struct vplic_saved_context *in)
{
    c->threshold = (uint8_t)(in->threshold & VPLIC_PRIORITY_MAX);
    for (unsigned source = 1; source < VPLIC_SOURCES; source++) {
        uint32_t bit = in->enable[source / 32] & source_bit(source);

        c->enable[source / 32] |= bit;
        p->enabled_by[source] = (uint16_t)(p->enabled_by[source] + (bit ? 1 : 0));
    }
}

// Every value is clamped to what a guest could have brought about.
static void restore_locked(struct vplic *p, const struct vplic_saved *in)
{
    clear_locked(p);
    for (unsigned w = 0; w < VPLIC_WORDS; w++) {
        const uint32_t valid = vplic_valid(w);

        p->edge[w] = in->edge[w] & valid;
        p->level[w] = in->level[w] & valid;
        p->in_flight[w] = in->in_flight[w] & valid;
        p->pending[w] = in->pending[w] & valid & ~p->in_flight[w];
        p->latched[w] = in->latched[w] & p->edge[w];
    }
    for (unsigned source = 1; source < VPLIC_SOURCES; source++) {
        bool in_flight = (p->in_flight[source / 32] & source_bit(source)) != 0;

        p->priority[source] = in->priority[source] & VPLIC_PRIORITY_MAX;
        p->holder[source] = in_flight && in->holder[source] <= p->chip.vcpu_count ? in->holder[source] : 0;
    }
    for (unsigned i = 0; i < p->chip.vcpu_count; i++) {
        context_restore_locked(p, &p->contexts[i], &in->contexts[i]);
    }
    all_gateways_locked(p);
    for (unsigned i = 0; i < p->chip.vcpu_count; i++) {
        update_context_locked(p, &p->contexts[i], VPLIC_NOBODY);
    }
}

// E_UNSUPPORTED: another version. E_CORRUPT: not the size it says. E_INVAL: of a machine of another shape.
static enum status vplic_restore(struct virqchip *chip, const void *buf, uint32_t size)
{
    struct vplic *p = vplic_of(chip);
    const struct vplic_saved *in = buf;
    irq_state_t irq;

    if (size < sizeof(*in) || in->size != size) {
        return E_CORRUPT;
    }
    if (in->version != SAVED_VERSION) {
        return E_UNSUPPORTED;
    }
    if (in->hart_count != chip->vcpu_count || size != saved_size(chip)) {
        return E_INVAL;
    }
    irq = spin_lock_irqsave(&p->lock);
    restore_locked(p, in);
    spin_unlock_irqrestore(&p->lock, irq);
    return OK;
}

// ---- life -------------------------------------------------------------------------------------------------

static void vplic_free(struct vplic *p)
{
    vplic_maps_destroy(p);
    pool_free(p, sizeof(*p) + p->chip.vcpu_count * sizeof(p->contexts[0]));
}

static void vplic_destroy(struct virqchip *chip)
{
    struct vplic *p = vplic_of(chip);

    // Absent only when the bus has gone already; nothing else can be done about it either.
    (void)!io_bus_remove(&chip->vm->mmio, p->base);
    vplic_free(p);
}

static const struct virqchip_ops vplic_ops = {
    .name = "vplic",
    .reset = vplic_reset,
    .destroy = vplic_destroy,
    .set_line = vplic_set_line,
    .set_vcpu_line = virqchip_no_vcpu_line,
    .send_msi = no_msi,
    .load = virqchip_nothing,
    .put = virqchip_nothing,
    .swap = virqchip_swap_nothing,
    .flush = vplic_flush,
    .maintenance = virqchip_nothing,
    .pending = vplic_pending,
    .forward = virqchip_no_forward,
    .send_sgi = virqchip_no_sgi,
    .save = vplic_save,
    .restore = vplic_restore,
};

enum status vplic_create(struct vm *vm, uint64_t base, uint64_t size, struct virqchip **out)
{
    const unsigned harts = vm->vcpu_count;
    struct io_region region = {.base = base, .size = size, .access = vplic_access, .name = "plic"};
    struct vplic *p;
    enum status st;

    if (harts == 0 || harts > VPLIC_HART_MAX || size < VPLIC_SIZE(harts)) {
        return E_INVAL;
    }
    p = pool_alloc(sizeof(*p) + harts * sizeof(p->contexts[0]));
    if (!p) {
        return E_NOMEM;
    }
    p->chip = (struct virqchip){.ops = &vplic_ops, .vm = vm, .vcpu_count = harts};
    p->base = base;
    spin_init(&p->lock, LOCK_VGIC_DIST);
    for (unsigned i = 0; i < harts; i++) {
        p->contexts[i].plic = p;
        p->contexts[i].hart = i;
    }
    region.dev = p;
    st = vplic_maps_create(p);
    if (st == OK) {
        st = io_bus_add(&vm->mmio, &region, NULL);
    }
    if (st != OK) {
        vplic_free(p);
        return st;
    }
    arch_vm_hide_irq_regs(&vm->arch);
    *out = &p->chip;
    return OK;
}
