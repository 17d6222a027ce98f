// SPDX-License-Identifier: Apache-2.0
//
// The PLIC behind the harts' external interrupt (RISC-V PLIC Specification 1.0.0).
//
// Which context belongs to which hart says the device tree ("interrupts-extended": the n-th entry is context
// n), nothing is assumed. Every source has priority 1 and every context the threshold 0. A source is enabled
// in the context of one CPU, the one it was configured for. The enable words of a context are shared by all
// its sources: they change under a lock.
#include <inttypes.h>

#include "drivers/irqchip/riscv_ext.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/sync/spinlock.h"

#define PLIC_PRIORITY(source) (4u * (source))
#define PLIC_PENDING(source) (0x1000u + (source) / 32 * 4)
#define PLIC_ENABLE(context, source) (0x2000u + 0x80u * (context) + (source) / 32 * 4)
#define PLIC_THRESHOLD(context) (0x200000u + 0x1000u * (context))
#define PLIC_CLAIM(context) (PLIC_THRESHOLD(context) + 4u)
#define PLIC_SOURCE_MAX (IRQ_MAX - RISCV_IRQ_SOURCE - 1)
#define PLIC_CONTEXT_MAX 15872u
#define NO_CONTEXT UINT32_MAX

static volatile void *plic;
static unsigned source_count; // sources 1 to this
static uint32_t context_of[CPU_MAX];
static uint8_t home[PLIC_SOURCE_MAX + 1]; // CPU of a source that was configured
static struct spinlock lock = SPINLOCK_INIT(LOCK_IRQCHIP);
static const struct hw_desc *hardware;

static unsigned plic_claim(void)
{
    uint32_t source = mmio_read32(plic, PLIC_CLAIM(context_of[this_cpu()->index]));

    return source ? RISCV_IRQ_SOURCE + source : IRQ_NONE;
}

// A completion for a source that is not enabled here is ignored by the PLIC: kernel/irq may have switched it
// off.
static void plic_complete(unsigned irq)
{
    mmio_write32(plic, PLIC_CLAIM(context_of[this_cpu()->index]), irq - RISCV_IRQ_SOURCE);
}

static void set_enable(unsigned irq, bool on)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;
    uint32_t context;
    size_t reg;
    irq_state_t state;

    if (source == 0 || source > source_count) {
        return;
    }
    context = context_of[home[source]];
    if (context == NO_CONTEXT) {
        return;
    }
    reg = PLIC_ENABLE(context, source);
    state = spin_lock_irqsave(&lock);
    if (on) {
        mmio_write32(plic, reg, mmio_read32(plic, reg) | UINT32_C(1) << source % 32);
    } else {
        mmio_write32(plic, reg, mmio_read32(plic, reg) & ~(UINT32_C(1) << source % 32));
    }
    spin_unlock_irqrestore(&lock, state);
}

static void plic_enable(unsigned irq)
{
    set_enable(irq, true);
}

// One that is in flight is completed first: it could not be afterwards.
static void plic_disable(unsigned irq)
{
    plic_complete(irq);
    set_enable(irq, false);
}

static enum status plic_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;

    (void)trigger; // wired into its gateways
    if (source == 0 || source > source_count || cpu >= CPU_MAX) {
        return E_RANGE;
    }
    if (context_of[cpu] == NO_CONTEXT) {
        return E_STATE;
    }
    home[source] = (uint8_t)cpu;
    mmio_write32(plic, PLIC_PRIORITY(source), 1);
    return OK;
}

static bool plic_is_pending(unsigned irq)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;

    return source > 0 && source <= source_count &&
           (mmio_read32(plic, PLIC_PENDING(source)) >> source % 32 & 1);
}

// The context whose line goes to this hart's supervisor external interrupt.
static uint32_t find_context(uint64_t hart)
{
    struct hw_cpu_irq line;

    for (unsigned i = 0; i < PLIC_CONTEXT_MAX && hw_cpu_irq(hardware, i, &line); i++) {
        if (line.cpu_hw_id == hart && line.irq == RISCV_CAUSE_EXTERNAL) {
            return i;
        }
    }
    return NO_CONTEXT;
}

static enum status plic_init_cpu(void)
{
    unsigned cpu = this_cpu()->index;
    uint32_t context = find_context(this_cpu()->hw_id);

    if (context == NO_CONTEXT || PLIC_CLAIM(context) + 4 > hardware->regs[0].size) {
        log_err("%s: no context for hart %" PRIu64, hardware->name, this_cpu()->hw_id);
        return E_NOENT;
    }
    context_of[cpu] = context;
    for (unsigned source = 0; source <= source_count; source += 32) {
        mmio_write32(plic, PLIC_ENABLE(context, source), 0);
    }
    mmio_write32(plic, PLIC_THRESHOLD(context), 0);
    return OK;
}

static const struct riscv_ext_ops plic_ops = {
    .name = "PLIC",
    .init_cpu = plic_init_cpu,
    .claim = plic_claim,
    .complete = plic_complete,
    .enable = plic_enable,
    .disable = plic_disable,
    .configure = plic_configure,
    .is_pending = plic_is_pending,
};

static enum status plic_probe(const struct hw_desc *hw)
{
    uint32_t count = 0;

    if (hw->reg_count < 1 || hw->regs[0].size < PLIC_CLAIM(0) + 4 || !hw_prop_u32(hw, "riscv,ndev", &count) ||
        count == 0 || count > PLIC_SOURCE_MAX) {
        log_err("%s: no registers, or riscv,ndev is missing or wrong", hw->name);
        return E_CORRUPT;
    }
    plic = mmio_map(hw->regs[0].base, hw->regs[0].size);
    if (!plic) {
        return E_NOMEM;
    }
    hardware = hw;
    source_count = count;
    for (unsigned cpu = 0; cpu < CPU_MAX; cpu++) {
        context_of[cpu] = NO_CONTEXT;
    }
    for (unsigned source = 1; source <= source_count; source++) {
        mmio_write32(plic, PLIC_PRIORITY(source), 0);
    }
    riscv_ext_set(&plic_ops);
    log_info("%s: PLIC, %u sources", hw->name, source_count);
    return OK;
}

static const char *const plic_ids[] = {"sifive,plic-1.0.0", "riscv,plic0", NULL};

static const struct driver plic_driver = {
    .name = "plic",
    .class = DRIVER_IRQCHIP,
    .ids = plic_ids,
    .probe = plic_probe,
};

DRIVER_DEFINE(plic_driver);
