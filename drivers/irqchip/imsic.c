// SPDX-License-Identifier: Apache-2.0
//
// IMSICs, the harts' receivers of messages (RISC-V Advanced Interrupt Architecture 1.0, chapter 3), alone or
// behind an APLIC that sends them.
//
// Identity 1 is the IPI, identity 1 + n source n of the APLIC. All of them are enabled in every hart's file:
// what is off is off at the APLIC. A hart's files are pages in a row, the supervisor's first, then those for
// guests.
#include <inttypes.h>

#include "drivers/irqchip/aplic.h"
#include "drivers/irqchip/imsic_csr.h"
#include "drivers/irqchip/imsic_virt.h"
#include "drivers/irqchip/riscv_ext.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

#define IPI_ID 1u
#define ID_OF_SOURCE(source) (IPI_ID + (source))
#define STOPEI_ID(v) ((unsigned)((v) >> 16) & 0x7ff)
#define SETEIPNUM_LE 0u
#define GUEST_INDEX_BITS_MAX 6u
#define HART_INDEX_BITS_MAX 14u

static const struct hw_desc *hardware;
static unsigned id_count;
static unsigned guest_bits, hart_bits, group_bits, group_shift;
static volatile void *page_of[CPU_MAX];
static hpa_t address_of[CPU_MAX];

static unsigned imsic_claim(void)
{
    unsigned id = STOPEI_ID(imsic_csr_swap(CSR_STOPEI, 0));

    if (id == 0) {
        return IRQ_NONE;
    }
    return id == IPI_ID ? RISCV_IRQ_IPI : RISCV_IRQ_SOURCE + id - IPI_ID;
}

static void imsic_complete(unsigned irq)
{
    aplic_msi_retrigger(irq - RISCV_IRQ_SOURCE);
}

static void imsic_enable(unsigned irq)
{
    aplic_msi_enable(irq - RISCV_IRQ_SOURCE, true);
}

static void imsic_disable(unsigned irq)
{
    aplic_msi_enable(irq - RISCV_IRQ_SOURCE, false);
}

// The hart's number as an APLIC's target register wants it (4.9.1): its place in the group, the group above.
static unsigned hart_index(unsigned cpu)
{
    uint64_t page = address_of[cpu].v >> PAGE_SHIFT;
    uint64_t hart = page >> guest_bits & MASK64(0, hart_bits);
    uint64_t group = group_bits ? address_of[cpu].v >> group_shift & MASK64(0, group_bits) : 0;

    return (unsigned)(group << hart_bits | hart);
}

// Does what the APLIC sends arrive? OpenSBI before 1.2 forgets to tell it where the files are. Found out
// once, with the last identity, whose message is taken back; interrupts masked, so nobody sees it.
static bool messages_arrive(void)
{
    static enum {
        UNKNOWN,
        ARRIVE,
        LOST
    } known;
    uint64_t bit = BIT64(id_count % 64);

    if (known == UNKNOWN) {
        irq_state_t state = arch_irq_save();

        aplic_msi_send(hart_index(this_cpu()->index), id_count);
        known = imsic_read(IMSIC_EIP(id_count)) & bit ? ARRIVE : LOST;
        imsic_write(IMSIC_EIP(id_count), imsic_read(IMSIC_EIP(id_count)) & ~bit);
        arch_irq_restore(state);
    }
    if (known == LOST) {
        log_warn("%s: the APLIC's messages do not arrive (firmware too old?)", hardware->name);
    }
    return known == ARRIVE;
}

static enum status imsic_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;

    if (cpu >= CPU_MAX || ID_OF_SOURCE(source) > id_count) {
        return E_RANGE;
    }
    if (!page_of[cpu]) {
        return E_STATE;
    }
    if (!messages_arrive()) {
        return E_UNSUPPORTED;
    }
    return aplic_msi_configure(source, trigger, hart_index(cpu), ID_OF_SOURCE(source)) ? OK : E_UNSUPPORTED;
}

static bool imsic_is_pending(unsigned irq)
{
    unsigned id = ID_OF_SOURCE(irq - RISCV_IRQ_SOURCE);

    return id <= id_count && (imsic_read(IMSIC_EIP(id)) >> id % 64 & 1);
}

static void imsic_send_ipi(unsigned cpu)
{
    if (cpu < CPU_MAX && page_of[cpu]) {
        mmio_write32(page_of[cpu], SETEIPNUM_LE, IPI_ID);
    }
}

// Files lie in the order of "interrupts-extended", through all register ranges (binding riscv,imsics).
static bool find_file(unsigned index, hpa_t *out)
{
    uint64_t stride = PAGE_SIZE << guest_bits;
    uint64_t off = index * stride;

    for (unsigned i = 0; i < hardware->reg_count; i++) {
        if (off < hardware->regs[i].size) {
            *out = hpa(hardware->regs[i].base.v + off);
            return hardware->regs[i].size - off >= stride;
        }
        off -= align_up(hardware->regs[i].size, stride);
    }
    return false;
}

static bool find_hart(uint64_t hart, hpa_t *out)
{
    struct hw_cpu_irq line;

    for (unsigned i = 0; i < BIT64(HART_INDEX_BITS_MAX) && hw_cpu_irq(hardware, i, &line); i++) {
        if (line.cpu_hw_id == hart && line.irq == RISCV_CAUSE_EXTERNAL) {
            return find_file(i, out);
        }
    }
    return false;
}

hpa_t imsic_guest_file(unsigned cpu, unsigned file)
{
    if (cpu >= CPU_MAX || !page_of[cpu] || file == 0 || file >= BIT64(guest_bits)) {
        return hpa(0);
    }
    return hpa(address_of[cpu].v + file * PAGE_SIZE);
}

unsigned imsic_guest_files(void)
{
    return hardware ? (unsigned)MASK64(0, guest_bits) : 0;
}

unsigned imsic_ids(void)
{
    return hardware ? id_count : 0;
}

static enum status imsic_init_cpu(void)
{
    unsigned cpu = this_cpu()->index;

    if (!find_hart(this_cpu()->hw_id, &address_of[cpu])) {
        log_err("%s: no file for hart %" PRIu64, hardware->name, this_cpu()->hw_id);
        return E_NOENT;
    }
    page_of[cpu] = mmio_map(address_of[cpu], PAGE_SIZE);
    if (!page_of[cpu]) {
        return E_NOMEM;
    }
    imsic_write(IMSIC_EIDELIVERY, 0);
    for (unsigned id = 0; id <= id_count; id += 64) {
        imsic_write(IMSIC_EIP(id), 0);
        imsic_write(IMSIC_EIE(id), UINT64_MAX); // identity 0 does not exist
    }
    imsic_write(IMSIC_EITHRESHOLD, 0); // all
    imsic_write(IMSIC_EIDELIVERY, 1);
    return OK;
}

static const struct riscv_ext_ops imsic_ops = {
    .name = "IMSIC",
    .init_cpu = imsic_init_cpu,
    .claim = imsic_claim,
    .complete = imsic_complete,
    .enable = imsic_enable,
    .disable = imsic_disable,
    .configure = imsic_configure,
    .is_pending = imsic_is_pending,
    .send_ipi = imsic_send_ipi,
};

static unsigned prop(const struct hw_desc *hw, const char *name, unsigned normal)
{
    uint32_t v;

    return hw_prop_u32(hw, name, &v) ? v : normal;
}

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;

    while (bits < 31 && 1u << bits < count) {
        bits++;
    }
    return bits;
}

static unsigned count_harts(const struct hw_desc *hw)
{
    struct hw_cpu_irq line;
    unsigned n = 0;

    while (n < BIT64(HART_INDEX_BITS_MAX) && hw_cpu_irq(hw, n, &line)) {
        n++;
    }
    return n;
}

static enum status imsic_probe(const struct hw_desc *hw)
{
    struct hw_cpu_irq line;
    unsigned ids = prop(hw, "riscv,num-ids", 0);

    if (hardware || !hw_cpu_irq(hw, 0, &line) || line.irq != RISCV_CAUSE_EXTERNAL) {
        return E_UNSUPPORTED; // the firmware's own
    }
    guest_bits = prop(hw, "riscv,guest-index-bits", 0);
    hart_bits = prop(hw, "riscv,hart-index-bits", bits_for(count_harts(hw)));
    group_bits = prop(hw, "riscv,group-index-bits", 0);
    group_shift = prop(hw, "riscv,group-index-shift", 24);
    if (hw->reg_count < 1 || ids < 63 || ids >= IMSIC_ID_LIMIT || guest_bits > GUEST_INDEX_BITS_MAX ||
        hart_bits > HART_INDEX_BITS_MAX || group_bits > 7 || group_shift < 24 || group_shift > 55) {
        log_err("%s: registers or identities that the specification does not allow", hw->name);
        return E_CORRUPT;
    }
    hardware = hw;
    id_count = ids;
    riscv_ext_set(&imsic_ops);
    log_info("%s: IMSIC, %u identities, %u guest files a hart", hw->name, id_count, imsic_guest_files());
    return OK;
}

static const char *const imsic_names[] = {"riscv,imsics", NULL};

static const struct driver imsic_driver = {
    .name = "imsic",
    .class = DRIVER_IRQCHIP,
    .ids = imsic_names,
    .probe = imsic_probe,
};

DRIVER_DEFINE(imsic_driver);
