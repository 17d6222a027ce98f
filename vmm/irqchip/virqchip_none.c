// SPDX-License-Identifier: Apache-2.0
//
// See virqchip_none.h.
#include "vmm/irqchip/virqchip_none.h"

void virqchip_no_vcpu_line(struct virqchip *chip, unsigned vcpu, unsigned line, bool level)
{
    (void)chip;
    (void)vcpu;
    (void)line;
    (void)level;
}

void virqchip_nothing(struct virqchip *chip, unsigned vcpu)
{
    (void)chip;
    (void)vcpu;
}

void virqchip_swap_nothing(struct virqchip *chip, unsigned from, struct virqchip *next, unsigned to)
{
    (void)chip;
    (void)from;
    (void)next;
    (void)to;
}

bool virqchip_no_forward(struct virqchip *chip, unsigned vcpu, unsigned line, unsigned host_irq)
{
    (void)chip;
    (void)vcpu;
    (void)line;
    (void)host_irq;
    return false;
}

void virqchip_no_sgi(struct virqchip *chip, unsigned vcpu, unsigned which, uint64_t value)
{
    (void)chip;
    (void)vcpu;
    (void)which;
    (void)value;
}
