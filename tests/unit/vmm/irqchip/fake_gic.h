// SPDX-License-Identifier: Apache-2.0
//
// A fake machine for tests of the virtual GIC: list registers as the hardware behaves (Arm IHI 0069, chapter
// 6), the guest's IAR, EOIR and DIR on top of them (both EOI modes, binary point), physical interrupts with a
// line and an active bit, and a small VM around them. Each vCPU runs on the physical CPU of fake.on[vcpu].
#pragma once

#include <stdlib.h>
#include <string.h>

#include "drivers/irqchip/gic_virt.h"
#include "kernel/irq/irq.h"
#include "vmm/core/vcpu.h"
#include "vmm/core/vm.h"
#include "vmm/irqchip/vgic.h"
#include "vmm/irqchip/vgic_state.h"

#define FAKE_CPUS 20
#define FAKE_GICD UINT64_C(0x08000000)
#define FAKE_GICR UINT64_C(0x080a0000)
#define FAKE_SPURIOUS 1023u
#define FAKE_IDLE_PRIORITY 0x100u
#define FAKE_STATE (LR_PENDING | LR_ACTIVE)

struct fake_cpu {
    uint64_t lr[GIC_LR_MAX];
    uint32_t hcr;
    uint64_t vmcr;
    uint32_t apr;              // bit n: priority 8n is running
    bool line[32], active[32]; // physical per-CPU interrupts
    unsigned lr_writes;
};

static struct {
    struct fake_cpu cpu[FAKE_CPUS];
    unsigned lrs, current;
    unsigned on[FAKE_CPUS]; // vCPU's physical CPU
    bool request[FAKE_CPUS];
    unsigned maintenance, notifies, asks, swaps;
    bool stuck; // a maintenance condition that would not go away
    struct vm vm;
    struct vcpu vcpu[FAKE_CPUS], *vcpus[FAKE_CPUS];
    struct virqchip *chip;
} fake;

static inline struct fake_cpu *fake_here(void)
{
    return &fake.cpu[fake.current];
}

static inline unsigned fake_lr_count(void)
{
    return fake.lrs;
}

static inline unsigned fake_priority_bits(void)
{
    return 5;
}

static inline uint64_t fake_read_lr(unsigned n)
{
    return fake_here()->lr[n];
}

static inline void fake_write_lr(unsigned n, uint64_t value)
{
    fake_here()->lr[n] = value;
    fake_here()->lr_writes++;
}

static inline uint64_t fake_elrsr(void)
{
    uint64_t empty = 0;

    for (unsigned n = 0; n < fake.lrs; n++) {
        uint64_t v = fake_here()->lr[n];

        if (!(v & FAKE_STATE) && ((v & LR_HW) || !(v & LR_EOI_MAINT))) {
            empty |= BIT64(n);
        }
    }
    return empty;
}

static inline uint64_t fake_eisr(void)
{
    uint64_t eoi = 0;

    for (unsigned n = 0; n < fake.lrs; n++) {
        uint64_t v = fake_here()->lr[n];

        if (!(v & FAKE_STATE) && !(v & LR_HW) && (v & LR_EOI_MAINT)) {
            eoi |= BIT64(n);
        }
    }
    return eoi;
}

static inline uint32_t fake_read_hcr(void)
{
    return fake_here()->hcr;
}

static inline void fake_write_hcr(uint32_t value)
{
    fake_here()->hcr = value;
}

static inline void fake_load(const struct gic_virt_state *state)
{
    fake_here()->vmcr = state->vmcr;
    fake_here()->apr = state->ap1r[0];
}

static inline void fake_save(struct gic_virt_state *state)
{
    state->vmcr = fake_here()->vmcr;
    state->ap1r[0] = fake_here()->apr;
}

static inline bool fake_swap(struct gic_virt_state *from, uint32_t used, const struct gic_virt_state *to)
{
    if (used & ~(uint32_t)fake_elrsr()) {
        return false;
    }
    fake_save(from);
    fake_load(to);
    fake_here()->hcr = to->hcr;
    fake.swaps++;
    return true;
}

static const struct gic_virt_ops fake_virt = {.version = 3,
                                              .lr_count = fake_lr_count,
                                              .priority_bits = fake_priority_bits,
                                              .read_lr = fake_read_lr,
                                              .write_lr = fake_write_lr,
                                              .elrsr = fake_elrsr,
                                              .eisr = fake_eisr,
                                              .read_hcr = fake_read_hcr,
                                              .write_hcr = fake_write_hcr,
                                              .load = fake_load,
                                              .save = fake_save,
                                              .traps_dir = true,
                                              .swap = fake_swap};

static inline void fake_set_active(unsigned irq, bool active)
{
    fake_here()->active[irq & 31] = active;
}

static inline void fake_deactivate(unsigned irq)
{
    fake_here()->active[irq & 31] = false;
}

static inline bool fake_is_pending(unsigned irq)
{
    return fake_here()->line[irq & 31];
}

static const struct irqchip_ops fake_chip = {.name = "fake",
                                             .set_active = fake_set_active,
                                             .deactivate = fake_deactivate,
                                             .is_pending = fake_is_pending,
                                             .percpu_limit = 32};

static inline void fake_notify(struct vm *vm, unsigned vcpu)
{
    (void)vm;
    fake.request[vcpu] = true;
    fake.notifies++;
}

static inline bool fake_ask(struct vm *vm, unsigned vcpu, void (*fn)(void *ctx), void *ctx)
{
    const unsigned here = fake.current;

    if (!vgic_of(vm->irqchip)->cpus[vcpu].loaded) {
        return false;
    }
    fake.current = fake.on[vcpu];
    fn(ctx);
    fake.current = here;
    fake.asks++;
    return true;
}

// ---- the guest's CPU interface ----------------------------------------------------------------------------

static inline unsigned fake_running(void)
{
    return fake_here()->apr ? (unsigned)__builtin_ctz(fake_here()->apr) * 8 : FAKE_IDLE_PRIORITY;
}

// The bits of a list register's priority that preemption looks at (IHI 0069, 4.8.3); as the hardware has them, not as
// the code under test works them out.
static inline unsigned fake_group_priority(uint64_t lr)
{
    const uint64_t vmcr = fake_here()->vmcr;
    unsigned bpr0 = vmcr >> VMCR_BPR0_SHIFT & 7, bpr1 = vmcr >> VMCR_BPR1_SHIFT & 7;
    unsigned ignored =
        lr & LR_GROUP1 && !(vmcr & VMCR_CBPR) ? (bpr1 < 3 ? 3 : bpr1) : (bpr0 < 2 ? 2 : bpr0) + 1;

    return (unsigned)((lr & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT) >> ignored << ignored;
}

// The list register that the guest would acknowledge now; GIC_LR_MAX: none.
static inline unsigned fake_best(void)
{
    unsigned best = GIC_LR_MAX, best_priority = FAKE_IDLE_PRIORITY;

    for (unsigned n = 0; n < fake.lrs; n++) {
        uint64_t v = fake_here()->lr[n];
        unsigned priority = (unsigned)((v & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);

        if ((fake_here()->hcr & HCR_EN) && (v & FAKE_STATE) == LR_PENDING && priority < best_priority) {
            best = n;
            best_priority = priority;
        }
    }
    return best != GIC_LR_MAX && fake_group_priority(fake_here()->lr[best]) < fake_running() ? best
                                                                                             : GIC_LR_MAX;
}

static inline unsigned fake_iar(void)
{
    unsigned n = fake_best();
    uint64_t v;

    if (n == GIC_LR_MAX) {
        return FAKE_SPURIOUS;
    }
    v = fake_here()->lr[n];
    fake_here()->apr |= UINT32_C(1) << fake_group_priority(v) / 8;
    fake_here()->lr[n] = (v & ~LR_PENDING) | LR_ACTIVE;
    return (unsigned)(v & LR_VINTID_MASK);
}

// The end of an interrupt, wherever it is.
static inline void fake_deactivated(unsigned irq)
{
    struct fake_cpu *c = fake_here();

    for (unsigned n = 0; n < fake.lrs; n++) {
        if ((c->lr[n] & LR_ACTIVE) && (c->lr[n] & LR_VINTID_MASK) == irq) {
            c->lr[n] &= ~LR_ACTIVE;
            if (c->lr[n] & LR_HW) {
                c->active[(c->lr[n] & LR_PINTID_MASK) >> LR_PINTID_SHIFT & 31] = false;
            }
            return;
        }
    }
    if (c->hcr >> 27 < 31) {
        c->hcr += UINT32_C(1) << 27;
    }
}

static inline void fake_eoir(unsigned irq)
{
    struct fake_cpu *c = fake_here();

    c->apr &= c->apr - 1;
    if (!(c->vmcr & VMCR_EOIM)) {
        fake_deactivated(irq);
    }
}

static inline bool fake_maintenance_condition(void)
{
    struct fake_cpu *c = fake_here();
    bool pending = false;

    for (unsigned n = 0; n < fake.lrs; n++) {
        pending = pending || (c->lr[n] & FAKE_STATE) == LR_PENDING;
    }
    return (c->hcr & HCR_EN) &&
           (fake_eisr() || ((c->hcr & HCR_NPIE) && !pending) || ((c->hcr & HCR_LRENPIE) && c->hcr >> 27));
}

// ---- the hypervisor around it -----------------------------------------------------------------------------

static inline void fake_enter(unsigned vcpu)
{
    fake.current = fake.on[vcpu];
    while (fake.request[vcpu]) {
        fake.request[vcpu] = false;
        fake.chip->ops->flush(fake.chip, vcpu);
    }
}

// What follows every guest instruction that matters: maintenance interrupts, then requests.
static inline void fake_settle(unsigned vcpu)
{
    fake.current = fake.on[vcpu];
    if (fake_maintenance_condition()) {
        fake.maintenance++;
        fake.chip->ops->maintenance(fake.chip, vcpu);
        fake.stuck = fake.stuck || fake_maintenance_condition();
    }
    fake_enter(vcpu);
}

static inline unsigned fake_ack(unsigned vcpu)
{
    unsigned irq;

    fake_enter(vcpu);
    irq = fake_iar();
    fake_settle(vcpu);
    return irq;
}

static inline void fake_end(unsigned vcpu, unsigned irq)
{
    fake_enter(vcpu);
    fake_eoir(irq);
    fake_settle(vcpu);
}

// ICC_DIR_EL1: trapped, or done by the hardware.
static inline void fake_dir(unsigned vcpu, unsigned irq)
{
    fake_enter(vcpu);
    if (fake_here()->hcr & HCR_TDIR) {
        fake.chip->ops->send_sgi(fake.chip, vcpu, GIC_WHICH_DIR, irq);
    } else if (fake_here()->vmcr & VMCR_EOIM) {
        fake_deactivated(irq);
    }
    fake_settle(vcpu);
}

static inline enum io_result fake_access(unsigned vcpu, uint64_t addr, struct io_access *a)
{
    struct io_cache cache = {0};
    enum io_result r;

    a->vcpu = (uint16_t)vcpu;
    fake.current = fake.on[vcpu];
    r = io_bus_access(&fake.vm.mmio, &cache, addr, a);
    fake_settle(vcpu);
    return r;
}

static inline uint64_t fake_read(unsigned vcpu, uint64_t addr, unsigned size)
{
    struct io_access a = {.size = (uint8_t)size};

    return fake_access(vcpu, addr, &a) == IO_DONE ? a.value : UINT64_MAX;
}

static inline bool fake_write(unsigned vcpu, uint64_t addr, unsigned size, uint64_t value)
{
    struct io_access a = {.size = (uint8_t)size, .value = value, .write = true};

    return fake_access(vcpu, addr, &a) == IO_DONE;
}

static inline void fake_line(unsigned irq, bool level)
{
    fake.chip->ops->set_line(fake.chip, irq, level);
}

// Raises a physical per-CPU interrupt on the vCPU's CPU; the host forwards it unless it is active already.
static inline void fake_phys(unsigned vcpu, unsigned irq, bool level)
{
    fake.current = fake.on[vcpu];
    fake_here()->line[irq] = level;
}

static inline void fake_take_phys(unsigned vcpu)
{
    fake.current = fake.on[vcpu];
    for (unsigned irq = 16; irq < 32; irq++) {
        if (fake_here()->line[irq] && !fake_here()->active[irq]) {
            fake_here()->active[irq] = true;
            if (!fake.chip->ops->forward(fake.chip, vcpu, irq, irq)) {
                fake_here()->active[irq] = false;
            }
        }
    }
    fake_enter(vcpu);
}

static inline void fake_enter_all(void)
{
    for (unsigned v = 0; v < fake.chip->vcpu_count; v++) {
        fake_enter(v);
    }
}

// False when the controller cannot be made.
static inline bool fake_start(unsigned vcpus, unsigned lrs, unsigned spis)
{
    struct plan_gic plan = {.version = 3,
                            .gicd_base = FAKE_GICD,
                            .gicd_size = 0x10000,
                            .gicr_base = FAKE_GICR,
                            .gicr_size = (uint64_t)vcpus * 0x20000,
                            .spi_count = spis};

    memset(&fake, 0, sizeof(fake));
    fake.lrs = lrs;
    fake.vm.vcpu_count = vcpus;
    fake.vm.vcpus = fake.vcpus;
    for (unsigned v = 0; v < vcpus; v++) {
        fake.vcpus[v] = &fake.vcpu[v];
    }
    gic_virt_set(&fake_virt);
    irq_set_chip(&fake_chip);
    if (io_bus_init(&fake.vm.mmio) != OK || vgic_create(&fake.vm, &plan, &fake.chip) != OK) {
        return false;
    }
    fake.vm.irqchip = fake.chip;
    fake.chip->notify = fake_notify;
    fake.chip->ask = fake_ask;
    for (unsigned v = 0; v < vcpus; v++) {
        fake.on[v] = fake.current = v;
        fake.chip->ops->load(fake.chip, v);
        fake_here()->vmcr = VMCR_GRP0 | VMCR_GRP1 | UINT64_C(0xf8) << VMCR_PMR_SHIFT; // the guest's set-up
    }
    return true;
}

static inline void fake_stop(void)
{
    for (unsigned v = 0; v < fake.chip->vcpu_count; v++) {
        fake.current = fake.on[v];
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->destroy(fake.chip);
    io_bus_destroy(&fake.vm.mmio);
}

// ---- the guest's driver -----------------------------------------------------------------------------------

static inline uint64_t fake_gicr(unsigned vcpu, unsigned offset)
{
    return FAKE_GICR + (uint64_t)vcpu * 0x20000 + offset;
}

static inline uint64_t fake_reg(unsigned vcpu, unsigned irq, unsigned offset)
{
    return irq < 32 ? fake_gicr(vcpu, 0x10000 + offset) : FAKE_GICD + offset + irq / 32 * 4;
}

static inline bool fake_bit(unsigned vcpu, unsigned irq, unsigned offset)
{
    return (fake_read(vcpu, fake_reg(vcpu, irq, offset), 4) >> (irq & 31) & 1) != 0;
}

static inline void fake_set_bit(unsigned vcpu, unsigned irq, unsigned offset)
{
    fake_write(vcpu, fake_reg(vcpu, irq, offset), 4, UINT64_C(1) << (irq & 31));
}

static inline void fake_set_priority(unsigned vcpu, unsigned irq, unsigned priority)
{
    uint64_t base = irq < 32 ? fake_gicr(vcpu, 0x10400) : FAKE_GICD + 0x400;

    fake_write(vcpu, base + irq, 1, priority);
}

static inline void fake_set_edge(unsigned vcpu, unsigned irq, bool edge)
{
    uint64_t reg = irq < 32 ? fake_gicr(vcpu, 0x10c00) + irq / 16 * 4 : FAKE_GICD + 0xc00 + irq / 16 * 4;
    uint64_t bit = UINT64_C(2) << (irq % 16 * 2);
    uint64_t value = fake_read(vcpu, reg, 4);

    fake_write(vcpu, reg, 4, edge ? value | bit : value & ~bit);
}

// Group 1, enabled, priority.
static inline void fake_setup_irq(unsigned vcpu, unsigned irq, unsigned priority)
{
    uint64_t reg = fake_reg(vcpu, irq, 0x80);

    fake_write(vcpu, reg, 4, fake_read(vcpu, reg, 4) | UINT64_C(1) << (irq & 31));
    fake_set_priority(vcpu, irq, priority);
    fake_set_bit(vcpu, irq, 0x100);
}

static inline void fake_sgi(unsigned vcpu, unsigned irq, unsigned target)
{
    fake.current = fake.on[vcpu];
    fake.chip->ops->send_sgi(
        fake.chip, vcpu, 0, (uint64_t)irq << 24 | (uint64_t)(target / 16) << 16 | UINT64_C(1) << target % 16);
    fake_settle(vcpu);
}
