// SPDX-License-Identifier: Apache-2.0
//
// Operations of struct virqchip_ops (vmm/core/irq_line.h) for controllers that have nothing of the kind: no inputs of a vCPU,
// nothing to load, no interrupts forwarded by hardware, no "send SGI" register.
#pragma once

#include "vmm/core/irq_line.h"

void virqchip_no_vcpu_line(struct virqchip *chip, unsigned vcpu, unsigned line, bool level);
void virqchip_nothing(struct virqchip *chip, unsigned vcpu);
void virqchip_swap_nothing(struct virqchip *chip, unsigned from, struct virqchip *next, unsigned to);
bool virqchip_no_forward(struct virqchip *chip, unsigned vcpu, unsigned line, unsigned host_irq);
void virqchip_no_sgi(struct virqchip *chip, unsigned vcpu, unsigned which, uint64_t value);
