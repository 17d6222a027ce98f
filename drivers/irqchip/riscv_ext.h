// SPDX-License-Identifier: Apache-2.0
//
// What stands behind a hart's external interrupt (cause 9): a PLIC, an APLIC in direct mode, or an IMSIC with
// or without an APLIC that sends it messages. The root chip (riscv_intc.c) passes on what concerns external
// sources.
//
// Numbers here are the root's: RISCV_IRQ_SOURCE + source. All operations on the calling CPU, interrupts
// masked, unless said otherwise; kernel/irq/irq.h says the rest.
#pragma once

#include "kernel/dev/hw_desc.h"
#include "kernel/irq/irq.h"

#define RISCV_IRQ_IPI 16u                // IPIs: one software interrupt, or one message
#define RISCV_IRQ_SOURCE HW_RISCV_SOURCE // + number of the source
#define RISCV_CAUSE_EXTERNAL 9u

struct riscv_ext_ops {
    const char *name;
    enum status (*init_cpu)(void);
    unsigned (*claim)(void); // the next interrupt, RISCV_IRQ_IPI for an IPI, IRQ_NONE when there is none
    void (*complete)(unsigned irq);
    void (*enable)(unsigned irq); // any CPU
    void (*disable)(unsigned irq);
    enum status (*configure)(unsigned irq, enum irq_trigger trigger, unsigned cpu);
    bool (*is_pending)(unsigned irq);
    void (*send_ipi)(unsigned cpu); // NULL: the firmware does it
};

// Registers what drives the external interrupt and makes the root chip known to kernel/irq. At probe. Of an
// IMSIC and the APLIC in front of it, the IMSIC registers.
void riscv_ext_set(const struct riscv_ext_ops *ops);
