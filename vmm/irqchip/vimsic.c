// SPDX-License-Identifier: Apache-2.0
//
// The virtual IMSIC: interrupt files in software (AIA 1.0, chapter 3).
#include <stdatomic.h>

#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vaia_state.h"

#define SETEIPNUM_LE 0u
#define SETEIPNUM_BE 4u

// What siselect selects.
#define EIDELIVERY 0x70u
#define EITHRESHOLD 0x72u
#define EIP_FIRST 0x80u
#define EIE_FIRST 0xc0u
#define SELECT_END 0x100u

#define TOPEI(id) ((uint64_t)(id) << 16 | (id))

// The lowest number wins. 0 when there is none.
static unsigned top_identity(const struct irq_file *f)
{
    for (unsigned w = 0; w < VAIA_FILE_WORDS; w++) {
        uint64_t ready = f->pending[w] & f->enable[w];

        if (ready) {
            unsigned id = w * 64 + (unsigned)__builtin_ctzll(ready);
            return f->threshold && id >= f->threshold ? 0 : id;
        }
    }
    return 0;
}

void vimsic_update_locked(struct vaia *v, unsigned hart, unsigned self)
{
    struct vaia_hart *h = &v->harts[hart];
    bool output = !h->in_hardware && h->file.delivery && top_identity(&h->file) != 0;

    if (output == atomic_load_explicit(&h->output, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&h->output, output, memory_order_release); // pairs with the load in vaia_flush()
    if (hart == self) {
        arch_vcpu_set_irq(&v->chip.vm->vcpus[hart]->arch, output ? VCPU_LINE_IRQ : 0);
    } else if (v->chip.notify) {
        v->chip.notify(v->chip.vm, hart);
    }
}

void vimsic_deliver_locked(struct vaia *v, unsigned hart, unsigned id, unsigned self)
{
    if (hart >= v->chip.vcpu_count || id == 0 || id >= VAIA_IDS) {
        return;
    }
    if (v->harts[hart].in_hardware) {
        v->files->post(&v->chip.vm->vcpus[hart]->arch, id);
        return;
    }
    v->harts[hart].file.pending[id / 64] |= BIT64(id % 64);
    vimsic_update_locked(v, hart, self);
}

// ---- files of the machine ----

void vimsic_load(struct virqchip *chip, unsigned vcpu)
{
    struct vaia *v = vaia_of(chip);
    struct vaia_hart *h = &v->harts[vcpu];

    if (!v->files) {
        return;
    }
    spin_lock(&v->lock);
    if (v->files->load(&chip->vm->vcpus[vcpu]->arch, &h->file)) {
        h->in_hardware = true;
        atomic_store_explicit(&h->output, false, memory_order_relaxed);
    }
    spin_unlock(&v->lock);
}

// What has arrived and was not taken wakes the vCPU when it sleeps.
void vimsic_put(struct virqchip *chip, unsigned vcpu)
{
    struct vaia *v = vaia_of(chip);
    struct vaia_hart *h = &v->harts[vcpu];

    if (!v->files) {
        return;
    }
    spin_lock(&v->lock);
    if (h->in_hardware) {
        v->files->save(&chip->vm->vcpus[vcpu]->arch, &h->file);
        h->in_hardware = false;
        vimsic_update_locked(v, vcpu, VAIA_NOBODY);
    }
    spin_unlock(&v->lock);
}

bool vimsic_pending(struct virqchip *chip, unsigned vcpu)
{
    struct vaia *v = vaia_of(chip);

    if (vcpu >= chip->vcpu_count) {
        return false;
    }
    // Only its own thread, which asks here, loads and unloads it.
    if (v->harts[vcpu].in_hardware) {
        return v->files->pending(&chip->vm->vcpus[vcpu]->arch);
    }
    return atomic_load_explicit(&v->harts[vcpu].output, memory_order_acquire);
}

// A page for each vCPU; only the two message registers exist, and they are written with 32 bits (3.5).
enum io_result vimsic_access(void *dev, struct io_access *a)
{
    struct vaia *v = dev;
    unsigned hart = (unsigned)(a->offset / VAIA_FILE_SIZE);
    uint64_t reg = a->offset % VAIA_FILE_SIZE;
    uint32_t id = (uint32_t)a->value;

    if (a->size != 4 || a->offset % 4 != 0) {
        return IO_BAD;
    }
    if (!a->write) {
        a->value = 0;
        return IO_DONE;
    }
    if (reg == SETEIPNUM_LE || reg == SETEIPNUM_BE) {
        spin_lock(&v->lock);
        vimsic_deliver_locked(v, hart, reg == SETEIPNUM_BE ? __builtin_bswap32(id) : id, a->vcpu);
        spin_unlock(&v->lock);
    }
    return IO_DONE;
}

// ---- CSRs ----

static uint64_t merge(uint64_t old, uint64_t set, uint64_t clear)
{
    return (old & ~clear) | set;
}

// An array of 64 bits to each even number; odd ones do not exist for 64-bit harts (2.1).
static bool array_access(uint64_t *words, unsigned index, const uint64_t set_clear[2], uint64_t *old)
{
    unsigned w = index / 2;

    if (index & 1) {
        return false;
    }
    if (w >= VAIA_FILE_WORDS) {
        *old = 0;
        return true;
    }
    *old = words[w];
    words[w] = merge(words[w], set_clear[0], set_clear[1]) & (w == 0 ? ~UINT64_C(1) : UINT64_MAX);
    return true;
}

static bool sireg_access(struct irq_file *f, unsigned select, const uint64_t set_clear[2], uint64_t *old)
{
    if (select >= EIE_FIRST && select < SELECT_END) {
        return array_access(f->enable, select - EIE_FIRST, set_clear, old);
    }
    if (select >= EIP_FIRST && select < EIE_FIRST) {
        return array_access(f->pending, select - EIP_FIRST, set_clear, old);
    }
    if (select == EIDELIVERY) {
        uint64_t value;

        *old = f->delivery;
        value = merge(*old, set_clear[0], set_clear[1]);
        f->delivery = value <= 1 ? (uint32_t)value : f->delivery;
        return true;
    }
    if (select == EITHRESHOLD) {
        *old = f->threshold;
        f->threshold = (uint32_t)merge(*old, set_clear[0], set_clear[1]) & (VAIA_IDS - 1);
        return true;
    }
    return false;
}

// Reading tells the top identity, writing anything claims it (3.10).
static void stopei_access(struct irq_file *f, bool write, uint64_t *old)
{
    unsigned id = top_identity(f);

    *old = TOPEI(id);
    if (write) {
        f->pending[id / 64] &= ~BIT64(id % 64);
    }
}

bool vimsic_sysreg(struct virqchip *chip, unsigned vcpu, unsigned number, bool write, uint64_t set,
                   uint64_t clear, uint64_t *old)
{
    struct vaia *v = vaia_of(chip);
    const uint64_t set_clear[2] = {write ? set : 0, write ? clear : 0};
    struct irq_file *f;
    bool known = true;

    if (vcpu >= chip->vcpu_count) {
        return false;
    }
    if (v->harts[vcpu].in_hardware) {
        return false; // what the machine's file does not know either
    }
    f = &v->harts[vcpu].file;
    spin_lock(&v->lock);
    if ((number & 0xfff) == VAIA_CSR_STOPEI) {
        stopei_access(f, write, old);
    } else if ((number & 0xfff) == VAIA_CSR_SIREG) {
        known = sireg_access(f, number >> 16, set_clear, old);
    } else {
        known = false;
    }
    if (known && write) {
        vimsic_update_locked(v, vcpu, vcpu);
    }
    spin_unlock(&v->lock);
    return known;
}
