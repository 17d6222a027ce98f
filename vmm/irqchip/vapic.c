// SPDX-License-Identifier: Apache-2.0
//
// The virtual APICs as one interrupt controller: who gets a message (Intel SDM vol. 3A, 11.6.2, 11.12.10), INIT and start-up,
// life.
#include "vmm/irqchip/vapic.h"

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vapic_state.h"
#include "vmm/irqchip/virqchip_none.h"

#define VCPUS_MAX 255u
#define BROADCAST_8 0xFFu
#define DFR_FLAT 0xF0000000u
#define MSI_BASE 0xFEE00000u
#define SIPI_SHIFT 12
#define MODE_REAL 2 // struct vcpu_entry.mode of x86_64

// ---- routing ----------------------------------------

static bool matches_logical(const struct vlapic *a, const struct vapic_message *m)
{
    uint32_t mda = m->destination;

    if (vlapic_is_x2apic(a)) {
        // An 8-bit destination addresses the first cluster.
        return (m->wide ? mda >> 16 : 0) == a->index >> 4 && (mda >> (a->index & 15) & 1);
    }
    mda &= 0xFF;
    if ((a->regs.dfr & DFR_FLAT) == DFR_FLAT) {
        return (a->regs.ldr >> 24 & mda) != 0;
    }
    return a->regs.ldr >> 28 == mda >> 4 && (a->regs.ldr >> 24 & mda & 0xF);
}

static bool is_broadcast(const struct vapic_message *m)
{
    return m->destination == (m->wide ? UINT32_MAX : BROADCAST_8);
}

static bool is_for(const struct vlapic *a, const struct vapic_message *m)
{
    if (is_broadcast(m)) {
        return true;
    }
    return m->logical ? matches_logical(a, m) : a->index == m->destination;
}

// Not an interrupt: these are few.
__attribute__((noinline)) static void give_command(struct vapic *v, unsigned index,
                                                   const struct vapic_message *m, uint32_t sender)
{
    struct vcpu *vcpu = v->chip.vm->vcpus[index];
    const struct vcpu_entry start = {
        .pc = (uint64_t)m->vector << SIPI_SHIFT, .hw_id = index, .mode = MODE_REAL};

    switch (m->mode) {
    case MODE_INIT:
        if (index != sender) {
            vcpu_park(vcpu);
        }
        break;
    case MODE_STARTUP:
        // One that runs, or is being started, ignores it.
        if (index != sender) {
            (void)!vcpu_start(vcpu, &start);
        }
        break;
    case MODE_NMI:
        if (vcpu->state != VCPU_OFF) {
            vlapic_post_nmi(&v->lapics[index]);
        }
        break;
    default:
        break; // SMI, ExtINT: nobody here takes them
    }
}

void vapic_give(struct vapic *v, unsigned index, const struct vapic_message *m, uint32_t sender)
{
    if (m->mode == MODE_FIXED || m->mode == MODE_LOWEST) {
        vlapic_post(&v->lapics[index], m->vector, m->level, sender);
    } else {
        give_command(v, index, m, sender);
    }
}

// One of several: the first that is switched on, which is as good a choice as any (11.6.2.4).
static void give_one(struct vapic *v, const struct vapic_message *m, uint32_t sender)
{
    for (unsigned i = 0; i < v->chip.vcpu_count; i++) {
        if (is_for(&v->lapics[i], m) && vlapic_is_enabled(&v->lapics[i])) {
            vapic_give(v, i, m, sender);
            return;
        }
    }
}

void vapic_deliver(struct vapic *v, const struct vapic_message *m, uint32_t sender)
{
    if (m->mode == MODE_LOWEST) {
        give_one(v, m, sender);
        return;
    }
    if (!m->logical && !is_broadcast(m)) { // most are: APIC IDs are indices
        if (m->destination < v->chip.vcpu_count) {
            vapic_give(v, m->destination, m, sender);
        }
        return;
    }
    for (unsigned i = 0; i < v->chip.vcpu_count; i++) {
        if (is_for(&v->lapics[i], m)) {
            vapic_give(v, i, m, sender);
        }
    }
}

// ---- operations ----------------------------------------

static void vapic_set_line(struct virqchip *chip, unsigned line, bool level)
{
    vioapic_set_line(vapic_of(chip), line, level);
}

static enum status vapic_send_msi(struct virqchip *chip, uint32_t device_id, uint64_t address, uint32_t data)
{
    struct vapic_message m = {
        .vector = (uint8_t)data,
        .mode = data >> 8 & 7,
        .logical = address >> 2 & 1,
        .destination = address >> 12 & 0xFF,
    };

    (void)device_id;
    if ((address & ~UINT64_C(0xFFFFF)) != MSI_BASE || (m.mode > MODE_LOWEST && m.mode != MODE_NMI)) {
        return E_INVAL;
    }
    vapic_deliver(vapic_of(chip), &m, VAPIC_NOBODY);
    return OK;
}

static void vapic_flush(struct virqchip *chip, unsigned vcpu)
{
    vlapic_flush(&vapic_of(chip)->lapics[vcpu]);
}

static bool vapic_pending(struct virqchip *chip, unsigned vcpu)
{
    return vlapic_has_pending(&vapic_of(chip)->lapics[vcpu]);
}

static int vapic_acknowledge(struct virqchip *chip, unsigned vcpu)
{
    return vlapic_take(&vapic_of(chip)->lapics[vcpu]);
}

static bool vapic_sysreg(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                         uint64_t clear, uint64_t *old)
{
    (void)clear; // an MSR is written whole
    return vlapic_msr(&vapic_of(chip)->lapics[vcpu], number, write, set, old);
}

static void vapic_started(struct virqchip *chip, unsigned vcpu)
{
    vlapic_init(&vapic_of(chip)->lapics[vcpu]);
}

static void vapic_reset(struct virqchip *chip)
{
    struct vapic *v = vapic_of(chip);

    vioapic_reset(v);
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        vlapic_reset(&v->lapics[i]);
    }
}

// ---- life ----------------------------------------

static void vapic_free(struct vapic *v)
{
    vapic_page_detach(v);
    pool_free(v, sizeof(*v) + v->chip.vcpu_count * sizeof(v->lapics[0]));
}

static void vapic_destroy(struct virqchip *chip)
{
    struct vapic *v = vapic_of(chip);

    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        vlapic_timer_reset(&v->lapics[i]);
    }
    // Absent only when the bus has gone already; nothing else can be done about it either.
    (void)!io_bus_remove(&chip->vm->mmio, v->lapic_base);
    (void)!io_bus_remove(&chip->vm->mmio, v->ioapic_base);
    vapic_free(v);
}

#define COMMON_OPS                                                                                \
    .name = "vapic", .reset = vapic_reset, .destroy = vapic_destroy, .set_line = vapic_set_line,  \
    .set_vcpu_line = virqchip_no_vcpu_line, .send_msi = vapic_send_msi, .load = virqchip_nothing, \
    .put = virqchip_nothing, .swap = virqchip_swap_nothing, .maintenance = virqchip_nothing,      \
    .forward = virqchip_no_forward, .send_sgi = virqchip_no_sgi, .started = vapic_started

static const struct virqchip_ops software_ops = {
    COMMON_OPS,
    .flush = vapic_flush,
    .pending = vapic_pending,
    .sysreg = vapic_sysreg,
    .acknowledge = vapic_acknowledge,
};

static const struct virqchip_ops page_ops = {
    COMMON_OPS,
    .flush = vapic_page_flush,
    .pending = vapic_page_pending,
    .sysreg = vapic_page_sysreg,
    .acknowledge = vapic_page_acknowledge,
};

static enum status add_regions(struct vapic *v)
{
    struct io_region lapic = {v->lapic_base, VLAPIC_SIZE, v->pages ? vapic_page_access : vlapic_access, v,
                              "local APIC"};
    struct io_region ioapic = {v->ioapic_base, VIOAPIC_SIZE,
                               v->pages ? vapic_page_ioapic_access : vioapic_access, v, "I/O APIC"};
    enum status s = io_bus_add(&v->chip.vm->mmio, &lapic, NULL);

    if (s != OK) {
        return s;
    }
    s = io_bus_add(&v->chip.vm->mmio, &ioapic, NULL);
    if (s != OK) {
        (void)!io_bus_remove(&v->chip.vm->mmio, v->lapic_base);
    }
    return s;
}

enum status vapic_create(struct vm *vm, uint64_t lapic_base, uint64_t ioapic_base, struct virqchip **out)
{
    const unsigned count = vm->vcpu_count;
    struct vapic *v;
    enum status s;

    if (count == 0 || count > VCPUS_MAX) {
        return E_INVAL;
    }
    v = pool_alloc(sizeof(*v) + count * sizeof(v->lapics[0]));
    if (!v) {
        return E_NOMEM;
    }
    v->chip = (struct virqchip){.ops = &software_ops, .vm = vm, .vcpu_count = count};
    v->lapic_base = lapic_base;
    v->ioapic_base = ioapic_base;
    v->pages = NULL;
    v->access_page = NULL;
    spin_init(&v->lock, LOCK_VGIC_DIST);
    for (unsigned i = 0; i < count; i++) {
        v->lapics[i].apic = v;
        v->lapics[i].index = i;
        v->lapics[i].vcpu = vm->vcpus[i];
        vlapic_timer_init(&v->lapics[i]);
        vlapic_reset(&v->lapics[i]);
    }
    vioapic_reset(v);
    s = vapic_page_attach(v);
    if (s == OK) {
        v->chip.ops = v->pages ? &page_ops : &software_ops;
        s = add_regions(v);
    }
    if (s != OK) {
        vapic_free(v);
        return s;
    }
    *out = &v->chip;
    return OK;
}
