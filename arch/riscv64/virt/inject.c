// SPDX-License-Identifier: Apache-2.0
//
// Exceptions and interrupts that the hypervisor gives to the guest.
#include <stdatomic.h>

#include "arch/riscv64/virt/exit.h"

#define TVEC_MODE MASK64(0, 2)

// As the hart would have trapped to VS-mode (RISC-V Privileged Architecture, 18.6.1, table "Value of mcause..", and 10.1.1).
void inject(struct guest_frame *f, uint64_t cause, uint64_t tval)
{
    uint64_t s = csr_read(vsstatus);

    s &= ~(SSTATUS_SPP | SSTATUS_SPIE);
    s |= frame_in_kernel(f) ? SSTATUS_SPP : 0;
    s |= s & SSTATUS_SIE ? SSTATUS_SPIE : 0;
    csr_write(vsstatus, s & ~SSTATUS_SIE);
    csr_write(vsepc, f->pc);
    csr_write(vscause, cause);
    csr_write(vstval, tval);
    f->pc = csr_read(vstvec) & ~TVEC_MODE;
    f->hstatus |= HSTATUS_SPVP;
}

void irq_post(struct arch_vcpu *av, unsigned irq)
{
    atomic_fetch_or_explicit(&av->irq_edge, 1u << irq, memory_order_release);
}

void irq_level(struct arch_vcpu *av, unsigned irq, bool level)
{
    uint64_t bit = BIT64(irq + 1); // a VS-level interrupt's number is the guest's plus one

    if (!av->loaded) {
        av->csr.hvip = level ? av->csr.hvip | bit : av->csr.hvip & ~bit;
    } else if (level) {
        csr_set(hvip, bit);
    } else {
        csr_clear(hvip, bit);
    }
}

void irq_sync(struct arch_vcpu *av)
{
    uint32_t edges;

    if (!atomic_load_explicit(&av->irq_edge, memory_order_relaxed)) {
        return;
    }
    edges = atomic_exchange_explicit(&av->irq_edge, 0, memory_order_acquire);
    csr_set(hvip, (uint64_t)edges << 1);
}

void arch_vcpu_set_irq(struct arch_vcpu *av, uint32_t lines)
{
    irq_level(av, IRQ_SEI, lines & VCPU_LINE_IRQ);
    if (av->loaded) {
        aia_line(lines & VCPU_LINE_IRQ);
    }
}
