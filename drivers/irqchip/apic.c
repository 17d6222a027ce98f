// SPDX-License-Identifier: Apache-2.0
//
// The APICs of a PC as the root interrupt controller: each CPU's local APIC (Intel SDM vol. 3A, chapter 11) and the I/O APICs
// behind it (82093AA data sheet). Numbers: IRQ_TIMER and, from IRQ_IPI on, inter-processor interrupts of each CPU; IRQ_GSI + n
// is global system interrupt n. The interrupt's entry has noted the vector before it calls irq_dispatch().
#include "arch/cpu.h" // with it come the local APIC's registers
#include "kernel/dev/acpi.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/sync/spinlock.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define IOAPIC_VERSION 0x01
#define IOAPIC_TABLE 0x10 // two registers for each input
#define ENTRY_ACTIVE_LOW BIT64(13)
#define ENTRY_LEVEL BIT64(15)
#define ENTRY_MASKED BIT64(16)
#define ICR_FIXED 0x4000u
#define IRQ_GSI_END (IRQ_GSI + (VECTOR_GSI_END - VECTOR_GSI))
#define MSI_ADDRESS \
    0xFEE00000u // Intel SDM vol. 3A, 11.11: destination from bit 12 on; the data: fixed, edge, vector
#define PIC1_DATA 0x21
#define PIC2_DATA 0xA1

struct ioapic {
    volatile void *regs;
    uint32_t gsi_base, count;
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_IRQCHIP); // an I/O APIC's two registers
static struct ioapic ioapics[ACPI_IOAPICS_MAX];
static unsigned ioapic_count;
static unsigned next_message = IRQ_GSI_END - 1; // as an interrupt number

static uint32_t ioapic_read(const struct ioapic *io, uint32_t reg)
{
    mmio_write32(io->regs, IOREGSEL, reg);
    return mmio_read32(io->regs, IOWIN);
}

static void ioapic_write(const struct ioapic *io, uint32_t reg, uint32_t v)
{
    mmio_write32(io->regs, IOREGSEL, reg);
    mmio_write32(io->regs, IOWIN, v);
}

// The I/O APIC that has this interrupt as one of its inputs; NULL for those of each CPU, too.
static const struct ioapic *ioapic_of(unsigned irq, uint32_t *input)
{
    for (unsigned i = 0; irq >= IRQ_GSI && i < ioapic_count; i++) {
        *input = irq - IRQ_GSI - ioapics[i].gsi_base;
        if (irq - IRQ_GSI >= ioapics[i].gsi_base && *input < ioapics[i].count) {
            return &ioapics[i];
        }
    }
    return NULL;
}

// Messages have the vectors from the end of the global interrupts' downwards, as far as no I/O APIC has an input.
static bool is_message(unsigned irq)
{
    return irq >= next_message + 1 && irq < IRQ_GSI_END;
}

static void set_masked(unsigned irq, bool masked)
{
    uint32_t input = 0;
    const struct ioapic *io = ioapic_of(irq, &input);
    irq_state_t state;

    if (!io) {
        return;
    }
    state = spin_lock_irqsave(&lock);
    uint32_t low = ioapic_read(io, IOAPIC_TABLE + 2 * input);
    ioapic_write(io, IOAPIC_TABLE + 2 * input,
                 masked ? low | (uint32_t)ENTRY_MASKED : low & ~(uint32_t)ENTRY_MASKED);
    spin_unlock_irqrestore(&lock, state);
}

static enum status apic_init_cpu(void)
{
    return OK; // arch_cpu_init() has done it
}

static unsigned apic_ack(void)
{
    uint32_t vector = arch_irq_vector();

    if (vector == VECTOR_TIMER) {
        return IRQ_TIMER;
    }
    if (vector >= VECTOR_IPI && vector < VECTOR_IPI + IPI_COUNT) {
        return IRQ_IPI + (vector - VECTOR_IPI);
    }
    if (vector >= VECTOR_GSI && vector < VECTOR_GSI_END) {
        return IRQ_GSI + (vector - VECTOR_GSI);
    }
    if (vector ==
        VECTOR_NOTIFY) { // for a guest that is not there any more: what was posted waits for its next entry
        lapic_write(LAPIC_EOI, 0);
    }
    return IRQ_NONE; // the spurious one wants no EOI
}

static void apic_eoi(unsigned irq)
{
    (void)irq;
    lapic_write(LAPIC_EOI, 0);
}

static void apic_deactivate(unsigned irq)
{
    (void)irq;
}

static void apic_enable(unsigned irq)
{
    set_masked(irq, false);
}

static void apic_disable(unsigned irq)
{
    set_masked(irq, true);
}

// ISA interrupts have the polarity that the firmware says; PCI's are low when asserted.
static bool is_active_low(uint32_t gsi, enum irq_trigger trigger)
{
    for (unsigned i = 0; i < ACPI_ISA_IRQS; i++) {
        if (acpi_irqs()->isa[i].gsi == gsi) {
            return acpi_irqs()->isa[i].active_low;
        }
    }
    return trigger == IRQ_LEVEL;
}

static enum status apic_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    uint32_t input = 0;
    const struct ioapic *io = ioapic_of(irq, &input);
    uint64_t entry;
    irq_state_t state;

    if (irq < IRQ_GSI || is_message(irq)) {
        return OK;
    }
    if (!io || VECTOR_GSI + (irq - IRQ_GSI) >= VECTOR_GSI_END || cpu_get(cpu)->hw_id > 0xFF) {
        return E_UNSUPPORTED;
    }
    entry = (VECTOR_GSI + (irq - IRQ_GSI)) | ENTRY_MASKED | cpu_get(cpu)->hw_id << 56;
    entry |= trigger == IRQ_LEVEL ? ENTRY_LEVEL : 0;
    entry |= is_active_low(irq - IRQ_GSI, trigger) ? ENTRY_ACTIVE_LOW : 0;
    state = spin_lock_irqsave(&lock);
    ioapic_write(io, IOAPIC_TABLE + 2 * input, (uint32_t)entry);
    ioapic_write(io, IOAPIC_TABLE + 2 * input + 1, (uint32_t)(entry >> 32));
    spin_unlock_irqrestore(&lock, state);
    return OK;
}

// Nothing here can be active: that is a matter of the Arm controllers.
static void apic_set_active(unsigned irq, bool active)
{
    (void)irq;
    (void)active;
}

// Of the interrupts of this CPU, those that wait for it.
static bool apic_is_pending(unsigned irq)
{
    uint32_t vector = irq == IRQ_TIMER ? VECTOR_TIMER
                      : irq >= IRQ_GSI ? VECTOR_GSI + (irq - IRQ_GSI)
                                       : VECTOR_IPI + (irq - IRQ_IPI);

    return (lapic_read(LAPIC_IRR + (vector / 32) * 0x10) >> vector % 32 & 1) != 0;
}

static void apic_send_ipi(unsigned cpu, unsigned ipi)
{
    lapic_icr((uint32_t)cpu_get(cpu)->hw_id, ICR_FIXED | (VECTOR_IPI + ipi));
}

static enum status apic_msi_alloc(struct irq_msi *out)
{
    uint64_t cpu = this_cpu()->hw_id;
    uint32_t input;

    if (cpu > 0xFF) {
        return E_UNSUPPORTED;
    }
    if (next_message < IRQ_GSI + ACPI_ISA_IRQS || ioapic_of(next_message, &input)) {
        return E_NOMEM;
    }
    out->irq = next_message--;
    out->address = MSI_ADDRESS | cpu << 12;
    out->data = VECTOR_GSI + (out->irq - IRQ_GSI);
    return OK;
}

static const struct irqchip_ops apic_ops = {
    .name = "APIC",
    .init_cpu = apic_init_cpu,
    .ack = apic_ack,
    .eoi = apic_eoi,
    .deactivate = apic_deactivate,
    .enable = apic_enable,
    .disable = apic_disable,
    .configure = apic_configure,
    .set_active = apic_set_active,
    .is_pending = apic_is_pending,
    .send_ipi = apic_send_ipi,
    .msi_alloc = apic_msi_alloc,
    .ipi_base = IRQ_IPI,
    .percpu_limit = IRQ_GSI,
};

static enum status add_ioapic(uint64_t base, uint32_t gsi_base)
{
    struct ioapic *io = &ioapics[ioapic_count];

    *io = (struct ioapic){.regs = mmio_map(hpa(base), PAGE_SIZE), .gsi_base = gsi_base};
    if (!io->regs) {
        return E_NOMEM;
    }
    io->count = (ioapic_read(io, IOAPIC_VERSION) >> 16 & 0xFF) + 1;
    for (uint32_t i = 0; i < io->count; i++) {
        ioapic_write(io, IOAPIC_TABLE + 2 * i, (uint32_t)ENTRY_MASKED);
    }
    ioapic_count++;
    return OK;
}

static enum status apic_probe(const struct hw_desc *hw)
{
    const struct acpi_irqs *a = acpi_irqs();

    (void)hw;
    arch_port_write(PIC1_DATA, 1, 0xFF); // the 8259s stay silent
    arch_port_write(PIC2_DATA, 1, 0xFF);
    for (unsigned i = 0; i < a->ioapic_count; i++) {
        enum status s = add_ioapic(a->ioapics[i].base.v, a->ioapics[i].gsi_base);

        if (s != OK) {
            return s;
        }
    }
    if (ioapic_count == 0) {
        log_warn("no I/O APIC: only the CPUs' own interrupts work");
    }
    irq_set_chip(&apic_ops);
    return OK;
}

static const char *const apic_ids[] = {"acpi:apic", NULL};
static const struct driver apic_driver = {
    .name = "apic",
    .class = DRIVER_IRQCHIP,
    .ids = apic_ids,
    .probe = apic_probe,
};

DRIVER_DEFINE(apic_driver);
