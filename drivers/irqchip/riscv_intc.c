// SPDX-License-Identifier: Apache-2.0
//
// The local interrupts of a hart as the host's root interrupt controller (RISC-V Privileged Architecture, 10.1.3): timer,
// software interrupts as IPIs through the firmware (SBI IPI), external interrupts from the PLIC or APLIC behind it.
//
// Numbers: 0 to 15 local interrupts by cause, 16 on IPIs, 32 + n source n of the external controller.
#include <asm/csr.h>
#include <asm/sbi.h>

#include "kernel/cpu/cpu.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"

#define LOCAL_COUNT 16u
#define IPI_BASE 16u
#define EXTERNAL_BASE 32u

static enum status intc_init_cpu(void)
{
    csr_write(sie, BIT64(IRQ_SSI));
    csr_clear(sip, BIT64(IRQ_SSI));
    return OK;
}

// One bit serves all IPIs: kernel/irq keeps which ones.
static unsigned intc_ack(void)
{
    uint64_t pending = csr_read(sip) & csr_read(sie);

    if (pending & BIT64(IRQ_SSI)) {
        csr_clear(sip, BIT64(IRQ_SSI));
        return IPI_BASE;
    }
    if (pending & BIT64(IRQ_STI)) {
        return IRQ_STI;
    }
    return IRQ_NONE;
}

static void intc_eoi(unsigned irq)
{
    (void)irq;
}

static void intc_enable(unsigned irq)
{
    if (irq < LOCAL_COUNT) {
        csr_set(sie, BIT64(irq));
    }
}

static void intc_disable(unsigned irq)
{
    if (irq < LOCAL_COUNT) {
        csr_clear(sie, BIT64(irq));
    }
}

static enum status intc_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    (void)trigger;
    (void)cpu;
    return irq < EXTERNAL_BASE ? OK : E_UNSUPPORTED;
}

static void intc_set_active(unsigned irq, bool active)
{
    (void)irq;
    (void)active;
}

static bool intc_is_pending(unsigned irq)
{
    return irq < LOCAL_COUNT && (csr_read(sip) & BIT64(irq));
}

static void intc_send_ipi(unsigned cpu, unsigned ipi)
{
    (void)ipi;
    atomic_thread_fence(memory_order_seq_cst); // what the receiver is to see comes before the interrupt
    sbi_call(SBI_EXT_IPI, 0, 1, cpu_get(cpu)->hw_id, 0);
}

static const struct irqchip_ops intc_ops = {
    .name = "hart-local",
    .init_cpu = intc_init_cpu,
    .ack = intc_ack,
    .eoi = intc_eoi,
    .deactivate = intc_eoi,
    .enable = intc_enable,
    .disable = intc_disable,
    .configure = intc_configure,
    .set_active = intc_set_active,
    .is_pending = intc_is_pending,
    .send_ipi = intc_send_ipi,
    .ipi_base = IPI_BASE,
    .percpu_limit = EXTERNAL_BASE,
};

static enum status intc_probe(const struct hw_desc *hw)
{
    (void)hw;
    irq_set_chip(&intc_ops);
    return OK;
}

static const char *const intc_ids[] = {"riscv,plic0", "sifive,plic-1.0.0", "riscv,aplic", "riscv,imsics", NULL};

static const struct driver intc_driver = {
    .name = "riscv_intc",
    .class = DRIVER_IRQCHIP,
    .ids = intc_ids,
    .probe = intc_probe,
};

DRIVER_DEFINE(intc_driver);
