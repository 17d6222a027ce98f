// SPDX-License-Identifier: Apache-2.0
//
// The local interrupts of a hart as the host's root interrupt controller (RISC-V Privileged Architecture,
// 10.1.3): timer, software interrupts as IPIs through the firmware (SBI IPI), guest external interrupts, and
// external interrupts from what stands behind cause 9 (riscv_ext.h).
//
// Numbers: 0 to 15 local interrupts by cause, 16 on IPIs, 32 + n source n of the external controller.
#include <stdatomic.h>

#include "arch/cpu.h" // with it come the names of CSRs
#include "drivers/irqchip/riscv_ext.h"
#include "kernel/cpu/cpu.h"

#define LOCAL_COUNT 16u
#define SBI_EXT_IPI 0x735049u // "sPI"

static const struct riscv_ext_ops *ext; // NULL: no external interrupts

static enum status intc_init_cpu(void)
{
    csr_write(sie, BIT64(IRQ_SSI));
    csr_clear(sip, BIT64(IRQ_SSI));
    if (!ext) {
        return OK;
    }
    csr_set(sie, BIT64(IRQ_SEI));
    return ext->init_cpu();
}

// One bit serves all IPIs: kernel/irq keeps which ones.
static unsigned intc_ack(void)
{
    uint64_t pending = csr_read(sip) & csr_read(sie);

    if (pending & BIT64(IRQ_SSI)) {
        csr_clear(sip, BIT64(IRQ_SSI));
        return RISCV_IRQ_IPI;
    }
    if (pending & BIT64(IRQ_STI)) {
        return IRQ_STI;
    }
    if ((pending & BIT64(IRQ_SEI)) && ext) {
        unsigned irq = ext->claim();

        if (irq != IRQ_NONE) {
            return irq;
        }
    }
    return csr_read(hip) & csr_read(hie) & BIT64(IRQ_SGEI) ? IRQ_SGEI : IRQ_NONE;
}

static void intc_eoi(unsigned irq)
{
    if (irq >= RISCV_IRQ_SOURCE && ext) {
        ext->complete(irq);
    }
}

static void intc_deactivate(unsigned irq)
{
    (void)irq;
}

static void intc_enable(unsigned irq)
{
    if (irq == IRQ_SGEI) {
        csr_set(hie, BIT64(IRQ_SGEI));
    } else if (irq < LOCAL_COUNT) {
        csr_set(sie, BIT64(irq));
    } else if (irq >= RISCV_IRQ_SOURCE && ext) {
        ext->enable(irq);
    }
}

static void intc_disable(unsigned irq)
{
    if (irq == IRQ_SGEI) {
        csr_clear(hie, BIT64(IRQ_SGEI));
    } else if (irq < LOCAL_COUNT) {
        csr_clear(sie, BIT64(irq));
    } else if (irq >= RISCV_IRQ_SOURCE && ext) {
        ext->disable(irq);
    }
}

static enum status intc_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    if (irq < RISCV_IRQ_SOURCE) {
        return OK;
    }
    return ext ? ext->configure(irq, trigger, cpu) : E_UNSUPPORTED;
}

// Nothing here can be active: that is a matter of the Arm controllers.
static void intc_set_active(unsigned irq, bool active)
{
    (void)irq;
    (void)active;
}

static bool intc_is_pending(unsigned irq)
{
    if (irq >= RISCV_IRQ_SOURCE) {
        return ext && ext->is_pending(irq);
    }
    return irq < LOCAL_COUNT && ((csr_read(sip) | csr_read(hip)) & BIT64(irq));
}

// SBI 2.0, 7.1: one hart.
static void sbi_send_ipi(uint64_t hart)
{
    register uint64_t a0 asm("a0") = 1;
    register uint64_t a1 asm("a1") = hart;
    register uint64_t a6 asm("a6") = 0;
    register uint64_t a7 asm("a7") = SBI_EXT_IPI;

    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
}

static void intc_send_ipi(unsigned cpu, unsigned ipi)
{
    (void)ipi;
    atomic_thread_fence(memory_order_seq_cst); // what the receiver is to see comes before the interrupt
    if (ext && ext->send_ipi) {
        ext->send_ipi(cpu);
    } else {
        sbi_send_ipi(cpu_get(cpu)->hw_id);
    }
}

static struct irqchip_ops intc_ops = {
    .name = "hart-local",
    .init_cpu = intc_init_cpu,
    .ack = intc_ack,
    .eoi = intc_eoi,
    .deactivate = intc_deactivate,
    .enable = intc_enable,
    .disable = intc_disable,
    .configure = intc_configure,
    .set_active = intc_set_active,
    .is_pending = intc_is_pending,
    .send_ipi = intc_send_ipi,
    .ipi_base = RISCV_IRQ_IPI,
    .percpu_limit = RISCV_IRQ_SOURCE,
};

void riscv_ext_set(const struct riscv_ext_ops *ops)
{
    ext = ops;
    intc_ops.name = ops->name;
    irq_set_chip(&intc_ops);
}
