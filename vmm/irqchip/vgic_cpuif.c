// SPDX-License-Identifier: Apache-2.0
//
// A GICv2 CPU interface in software, for hosts whose own cannot be given to a guest: list registers in
// memory behind the same operations as the hardware's, so that everything above them is one code. What the
// guest does with them is in vgic_cpuif_regs.c; the interrupt is signalled by HCR_EL2.VI or VF
// (arch_vcpu_set_irq()).
//
// A hardware-linked list register means here: the guest's deactivation deactivates the physical interrupt
// by software.
#include "kernel/cpu/cpu.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vgic_state.h"

#define CPUIF_PRIORITY_BITS 5u
#define IDLE_PRIORITY 0x100u
#define LR_ALL ((uint32_t)MASK64(0, GIC_LR_MAX))

// Whose interface the operations mean on each CPU. Its own CPU only.
static struct vgic_cpu *here[CPU_MAX];

static struct vgic_cpu *loaded_cpu(void)
{
    return here[this_cpu()->index];
}

static struct vgic_cpuif *loaded_if(void)
{
    return &loaded_cpu()->cpuif;
}

unsigned vgic_running_priority(uint32_t apr)
{
    return apr ? (unsigned)__builtin_ctz(apr) << (8 - CPUIF_PRIORITY_BITS) : IDLE_PRIORITY;
}

// The bits of a priority that preemption looks at (IHI 0048, 3.3.3).
uint8_t vgic_group_mask(uint32_t vmcr, bool group1)
{
    unsigned bpr = vmcr >> VMCR_BPR0_SHIFT & 7;
    const unsigned least = 7 - CPUIF_PRIORITY_BITS;

    if (group1 && !(vmcr & VMCR_CBPR)) {
        bpr = vmcr >> VMCR_BPR1_SHIFT & 7;
        bpr = bpr ? bpr - 1 : 0;
    }
    bpr = bpr < least ? least : bpr;
    return (uint8_t)(0xffu << (bpr + 1));
}

static unsigned lr_priority(uint64_t lr)
{
    return (unsigned)((lr & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);
}

static unsigned find_best(const struct vgic_cpuif *s)
{
    unsigned best = GIC_LR_MAX, best_priority = s->vmcr >> VMCR_PMR_SHIFT;

    for (uint32_t left = s->pending & ~s->active; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        uint64_t v = s->lr[n];

        if (lr_priority(v) < best_priority && (s->vmcr & (v & LR_GROUP1 ? VMCR_GRP1 : VMCR_GRP0))) {
            best = n;
            best_priority = lr_priority(v);
        }
    }
    return best;
}

void vgic_cpuif_set_vmcr(struct vgic_cpuif *s, uint32_t vmcr)
{
    s->vmcr = vmcr;
    s->group_mask[0] = vgic_group_mask(vmcr, false);
    s->group_mask[1] = vgic_group_mask(vmcr, true);
}

// The lines for the best pending interrupt, when its priority lets it preempt.
static uint32_t lines_for(const struct vgic_cpuif *s, uint64_t v)
{
    bool group1 = (v & LR_GROUP1) != 0;

    if (!(s->hcr & HCR_EN) ||
        (s->apr && (lr_priority(v) & s->group_mask[group1]) >= vgic_running_priority(s->apr))) {
        return 0;
    }
    return (s->vmcr & VMCR_FIQ_EN) && !group1 ? VCPU_LINE_FIQ : VCPU_LINE_IRQ;
}

void vgic_cpuif_update(struct vgic_cpu *cpu)
{
    struct vgic_cpuif *s = &cpu->cpuif;
    uint32_t lines = 0;

    s->best = s->pending ? find_best(s) : GIC_LR_MAX;
    if (s->best != GIC_LR_MAX) {
        lines = lines_for(s, s->lr[s->best]);
    }
    if (lines != s->lines) {
        s->lines = lines;
        arch_vcpu_set_irq(&cpu->frame.vgic->chip.vm->vcpus[cpu->index]->arch, lines);
    }
}

void vgic_cpuif_hide(bool hidden)
{
    const struct gic_virt_ops *host = gic_virt();

    if (host && host->hide) {
        host->hide(hidden);
    }
}

// ---- as the hardware does it ------------------------------------------------------------------------------

static unsigned lr_count(void)
{
    return GIC_LR_MAX;
}

static unsigned priority_bits(void)
{
    return CPUIF_PRIORITY_BITS;
}

static uint64_t read_lr(unsigned n)
{
    return loaded_if()->lr[n];
}

static void write_lr(unsigned n, uint64_t value)
{
    struct vgic_cpu *cpu = loaded_cpu();
    struct vgic_cpuif *s = &cpu->cpuif;
    const uint32_t bit = vgic_bit(n);

    s->lr[n] = value;
    s->pending = value & LR_PENDING ? s->pending | bit : s->pending & ~bit;
    s->active = value & LR_ACTIVE ? s->active | bit : s->active & ~bit;
    s->ended =
        !(value & (VGIC_LR_STATE | LR_HW)) && (value & LR_EOI_MAINT) ? s->ended | bit : s->ended & ~bit;
    vgic_cpuif_update(cpu);
}

static uint64_t elrsr(void)
{
    const struct vgic_cpuif *s = loaded_if();

    return LR_ALL & ~(s->pending | s->active | s->ended);
}

static uint64_t eisr(void)
{
    return loaded_if()->ended;
}

static uint32_t read_hcr(void)
{
    return loaded_if()->hcr;
}

static void write_hcr(uint32_t value)
{
    struct vgic_cpu *cpu = loaded_cpu();

    cpu->cpuif.hcr = value;
    vgic_cpuif_update(cpu);
}

// `state` is the `hw` of the vCPU that comes.
static void load(const struct gic_virt_state *state)
{
    struct vgic_cpu *cpu = (struct vgic_cpu *)((uintptr_t)state - offsetof(struct vgic_cpu, hw));

    here[this_cpu()->index] = cpu;
    cpu->cpuif = (struct vgic_cpuif){.apr = state->ap1r[0], .best = GIC_LR_MAX};
    vgic_cpuif_set_vmcr(&cpu->cpuif, (uint32_t)state->vmcr);
    arch_vcpu_set_irq(&cpu->frame.vgic->chip.vm->vcpus[cpu->index]->arch, 0);
}

static void save(struct gic_virt_state *state)
{
    const struct vgic_cpuif *s = loaded_if();

    state->vmcr = s->vmcr;
    state->ap1r[0] = s->apr;
}

const struct gic_virt_ops vgic_cpuif_ops = {
    .version = 2,
    .lr_count = lr_count,
    .priority_bits = priority_bits,
    .read_lr = read_lr,
    .write_lr = write_lr,
    .elrsr = elrsr,
    .eisr = eisr,
    .read_hcr = read_hcr,
    .write_hcr = write_hcr,
    .load = load,
    .save = save,
};
