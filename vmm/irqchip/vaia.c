// SPDX-License-Identifier: Apache-2.0
//
// The virtual AIA as an object: creation, reset, the operations table, save and restore.
#include "vmm/irqchip/vaia.h"

#include <stdatomic.h>
#include <string.h>

#include "kernel/mm/pool.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vaia_state.h"
#include "vmm/irqchip/virqchip_none.h"

#define SAVED_VERSION 1u

struct vaia_saved {
    uint32_t version, size;
    uint32_t hart_count, reserved;
    struct vaplic aplic;
    struct irq_file files[];
};

static enum status vaia_send_msi(struct virqchip *chip, uint32_t device_id, uint64_t address, uint32_t data)
{
    struct vaia *v = vaia_of(chip);
    uint64_t off = address - v->imsic_base;
    irq_state_t irq;

    (void)device_id;
    if (address < v->imsic_base || off / VAIA_FILE_SIZE >= chip->vcpu_count || off % VAIA_FILE_SIZE != 0) {
        return E_RANGE;
    }
    irq = spin_lock_irqsave(&v->lock);
    vimsic_deliver_locked(v, (unsigned)(off / VAIA_FILE_SIZE), data, VAIA_NOBODY);
    spin_unlock_irqrestore(&v->lock, irq);
    return OK;
}

static void vaia_flush(struct virqchip *chip, unsigned vcpu)
{
    if (vcpu < chip->vcpu_count) {
        // Pairs with the release in vimsic_update_locked(): a later change notifies again.
        bool output = atomic_load_explicit(&vaia_of(chip)->harts[vcpu].output, memory_order_acquire);

        arch_vcpu_set_irq(&chip->vm->vcpus[vcpu]->arch, output ? VCPU_LINE_IRQ : 0);
    }
}

// Wires are wiring: they outlive a reset.
static void clear_locked(struct vaia *v)
{
    struct vaplic fresh = {0};

    memcpy(fresh.level, v->aplic.level, sizeof(fresh.level));
    v->aplic = fresh;
    for (unsigned i = 0; i < v->chip.vcpu_count; i++) {
        v->harts[i].file = (struct irq_file){0};
        atomic_store_explicit(&v->harts[i].output, false, memory_order_relaxed);
    }
}

static void vaia_reset(struct virqchip *chip)
{
    struct vaia *v = vaia_of(chip);
    irq_state_t irq = spin_lock_irqsave(&v->lock);

    clear_locked(v);
    spin_unlock_irqrestore(&v->lock, irq);
}

// ---- save and restore ----

static uint32_t saved_size(const struct virqchip *chip)
{
    return (uint32_t)(sizeof(struct vaia_saved) + chip->vcpu_count * sizeof(struct irq_file));
}

static uint32_t vaia_save(const struct virqchip *chip, void *buf, uint32_t size)
{
    struct vaia *v = (struct vaia *)(uintptr_t)chip;
    struct vaia_saved *out = buf;
    irq_state_t irq;

    if (!buf || size < saved_size(chip)) {
        return saved_size(chip);
    }
    irq = spin_lock_irqsave(&v->lock);
    *out = (struct vaia_saved){.version = SAVED_VERSION,
                               .size = saved_size(chip),
                               .hart_count = chip->vcpu_count,
                               .aplic = v->aplic};
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        out->files[i] = v->harts[i].file;
    }
    spin_unlock_irqrestore(&v->lock, irq);
    return saved_size(chip);
}

// Every value is clamped to what a guest could have brought about.
static void aplic_restore_locked(struct vaia *v, const struct vaplic *in)
{
    struct vaplic *p = &v->aplic;

    p->enabled = in->enabled != 0;
    for (unsigned source = 1; source < VAIA_SOURCES; source++) {
        const uint32_t m = vaia_bit(source);
        const unsigned w = source / 32;

        p->mode[source] = vaplic_mode(in->mode[source]);
        p->level[w] = (p->level[w] & ~m) | (in->level[w] & m);
        if (p->mode[source]) {
            p->target[source] = vaplic_target(v, in->target[source]);
            p->pending[w] |= in->pending[w] & m;
            p->enable[w] |= in->enable[w] & m;
        }
    }
}

static void restore_locked(struct vaia *v, const struct vaia_saved *in)
{
    clear_locked(v);
    aplic_restore_locked(v, &in->aplic);
    for (unsigned i = 0; i < v->chip.vcpu_count; i++) {
        struct irq_file *f = &v->harts[i].file;

        *f = in->files[i];
        f->pending[0] &= ~UINT64_C(1);
        f->enable[0] &= ~UINT64_C(1);
        f->delivery = f->delivery == 1;
        f->threshold &= VAIA_IDS - 1;
        vimsic_update_locked(v, i, VAIA_NOBODY);
    }
    for (unsigned source = 1; source < VAIA_SOURCES; source++) {
        vaplic_forward_locked(v, source, VAIA_NOBODY);
    }
}

// E_UNSUPPORTED: another version. E_CORRUPT: not the size it says. E_INVAL: of a machine of another shape.
static enum status vaia_restore(struct virqchip *chip, const void *buf, uint32_t size)
{
    struct vaia *v = vaia_of(chip);
    const struct vaia_saved *in = buf;
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
    irq = spin_lock_irqsave(&v->lock);
    restore_locked(v, in);
    spin_unlock_irqrestore(&v->lock, irq);
    return OK;
}

// ---- life ----

static void vaia_free(struct vaia *v)
{
    vreg_map_destroy(&v->aplic_map);
    pool_free(v, sizeof(*v) + v->chip.vcpu_count * sizeof(v->harts[0]));
}

static void vaia_destroy(struct virqchip *chip)
{
    struct vaia *v = vaia_of(chip);

    (void)!io_bus_remove(&chip->vm->mmio, v->aplic_base);
    (void)!io_bus_remove(&chip->vm->mmio, v->imsic_base);
    vaia_free(v);
}

static const struct virqchip_ops vaia_ops = {
    .name = "vaia",
    .reset = vaia_reset,
    .destroy = vaia_destroy,
    .set_line = vaplic_set_line,
    .set_vcpu_line = virqchip_no_vcpu_line,
    .send_msi = vaia_send_msi,
    .load = vimsic_load,
    .put = vimsic_put,
    .flush = vaia_flush,
    .maintenance = virqchip_nothing,
    .pending = vimsic_pending,
    .forward = virqchip_no_forward,
    .send_sgi = virqchip_no_sgi,
    .sysreg = vimsic_sysreg,
    .save = vaia_save,
    .restore = vaia_restore,
};

static enum status regions_add(struct vaia *v, struct vm *vm)
{
    struct io_region aplic = {
        .base = v->aplic_base, .size = VAIA_APLIC_SIZE, .access = vaplic_access, .dev = v, .name = "aplic"};
    struct io_region imsic = {.base = v->imsic_base,
                              .size = (uint64_t)vm->vcpu_count * VAIA_FILE_SIZE,
                              .access = vimsic_access,
                              .dev = v,
                              .name = "imsic"};
    enum status st = io_bus_add(&vm->mmio, &aplic, NULL);

    if (st != OK) {
        return st;
    }
    st = io_bus_add(&vm->mmio, &imsic, NULL);
    if (st != OK) {
        (void)!io_bus_remove(&vm->mmio, aplic.base);
    }
    return st;
}

enum status vaia_create(struct vm *vm, uint64_t aplic_base, uint64_t imsic_base, struct virqchip **out)
{
    const unsigned harts = vm->vcpu_count;
    struct vaia *v;
    enum status st;

    if (harts == 0 || harts > VAIA_HART_MAX) {
        return E_INVAL;
    }
    v = pool_alloc(sizeof(*v) + harts * sizeof(v->harts[0]));
    if (!v) {
        return E_NOMEM;
    }
    v->chip = (struct virqchip){.ops = &vaia_ops, .vm = vm, .vcpu_count = harts};
    v->files = arch_irq_files();
    v->aplic_base = aplic_base;
    v->imsic_base = imsic_base;
    spin_init(&v->lock, LOCK_VGIC_DIST);
    st = vaplic_map_create(&v->aplic_map);
    if (st == OK) {
        st = regions_add(v, vm);
    }
    if (st != OK) {
        vaia_free(v);
        return st;
    }
    *out = &v->chip;
    return OK;
}
