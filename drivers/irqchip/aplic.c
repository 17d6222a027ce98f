// SPDX-License-Identifier: Apache-2.0
//
// APLIC, the supervisor-level domain (RISC-V Advanced Interrupt Architecture 1.0, chapter 4): in direct mode
// it drives the harts' external interrupts itself, through one interrupt delivery control (IDC) for each;
// with an "msi-parent" it turns wires into messages for IMSICs.
#include "drivers/irqchip/aplic.h"

#include <inttypes.h>

#include "drivers/irqchip/riscv_ext.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

#define APLIC_DOMAINCFG 0x0000u
#define APLIC_SOURCECFG(source) (4u * (source))
#define APLIC_SETIP(source) (0x1c00u + (source) / 32 * 4)
#define APLIC_IN_CLRIP(source) (0x1d00u + (source) / 32 * 4) // read: the wires, active-high
#define APLIC_CLRIE(source) (0x1f00u + (source) / 32 * 4)
#define APLIC_SETIENUM 0x1edcu
#define APLIC_CLRIENUM 0x1fdcu
#define APLIC_SETIPNUM_LE 0x2000u
#define APLIC_GENMSI 0x3000u
#define APLIC_TARGET(source) (0x3000u + 4u * (source))
#define APLIC_IDC(index) (0x4000u + 32u * (index))
#define APLIC_SIZE_MIN 0x4000u
#define IDC_IDELIVERY 0x00u
#define IDC_ITHRESHOLD 0x08u
#define IDC_CLAIMI 0x1cu

#define DOMAINCFG_IE BIT64(8)
#define DOMAINCFG_DM BIT64(2)
#define SOURCECFG_EDGE_RISING 4u
#define SOURCECFG_LEVEL_HIGH 6u
#define TARGET_HART_SHIFT 18
#define TARGET_HART_MAX BIT64(14)
#define TARGET_PRIORITY 1u
#define CLAIMI_SOURCE(v) ((v) >> 16 & 0x3ff)
#define SOURCE_MAX (IRQ_MAX - RISCV_IRQ_SOURCE - 1)
#define GENMSI_BUSY BIT64(12)
#define GENMSI_WAIT_MAX 100000u
#define NO_IDC UINT32_MAX

static volatile void *aplic;
static const struct hw_desc *hardware;
static unsigned source_count;
static bool msi_mode;
static uint32_t idc_of[CPU_MAX];

static bool source_exists(unsigned source)
{
    return source > 0 && source <= source_count;
}

// Active-high is all that the trigger says; a source that another domain owns reads back as zero.
static bool set_source(unsigned source, enum irq_trigger trigger)
{
    mmio_write32(aplic, APLIC_CLRIENUM, source);
    mmio_write32(aplic, APLIC_SOURCECFG(source),
                 trigger == IRQ_EDGE ? SOURCECFG_EDGE_RISING : SOURCECFG_LEVEL_HIGH);
    return mmio_read32(aplic, APLIC_SOURCECFG(source)) != 0;
}

// ---- for the IMSIC driver ----

bool aplic_msi_configure(unsigned source, enum irq_trigger trigger, unsigned hart_index, unsigned id)
{
    if (!aplic || !msi_mode || !source_exists(source) || hart_index >= TARGET_HART_MAX ||
        !set_source(source, trigger)) {
        return false;
    }
    mmio_write32(aplic, APLIC_TARGET(source), hart_index << TARGET_HART_SHIFT | id);
    return true;
}

void aplic_msi_enable(unsigned source, bool on)
{
    if (aplic && msi_mode && source_exists(source)) {
        mmio_write32(aplic, on ? APLIC_SETIENUM : APLIC_CLRIENUM, source);
    }
}

void aplic_msi_send(unsigned hart_index, unsigned id)
{
    if (!aplic || !msi_mode) {
        return;
    }
    mmio_write32(aplic, APLIC_GENMSI, hart_index << TARGET_HART_SHIFT | id);
    for (unsigned i = 0; i < GENMSI_WAIT_MAX && (mmio_read32(aplic, APLIC_GENMSI) & GENMSI_BUSY); i++) {
    }
}

// Writing the number of a level-triggered source should take effect only while it is asserted (4.7); QEMU
// before 9 does not look, hence the second condition.
void aplic_msi_retrigger(unsigned source)
{
    if (aplic && msi_mode && source_exists(source) &&
        mmio_read32(aplic, APLIC_SOURCECFG(source)) == SOURCECFG_LEVEL_HIGH &&
        (mmio_read32(aplic, APLIC_IN_CLRIP(source)) >> source % 32 & 1)) {
        mmio_write32(aplic, APLIC_SETIPNUM_LE, source);
    }
}

// ---- direct mode ----

static unsigned aplic_claim(void)
{
    uint32_t top = mmio_read32(aplic, APLIC_IDC(idc_of[this_cpu()->index]) + IDC_CLAIMI);

    return top ? RISCV_IRQ_SOURCE + CLAIMI_SOURCE(top) : IRQ_NONE;
}

// A claim is all there is: a level that stays makes it pending again.
static void aplic_complete(unsigned irq)
{
    (void)irq;
}

static void aplic_enable(unsigned irq)
{
    if (source_exists(irq - RISCV_IRQ_SOURCE)) {
        mmio_write32(aplic, APLIC_SETIENUM, irq - RISCV_IRQ_SOURCE);
    }
}

static void aplic_disable(unsigned irq)
{
    if (source_exists(irq - RISCV_IRQ_SOURCE)) {
        mmio_write32(aplic, APLIC_CLRIENUM, irq - RISCV_IRQ_SOURCE);
    }
}

static enum status aplic_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;

    if (!source_exists(source) || cpu >= CPU_MAX) {
        return E_RANGE;
    }
    if (idc_of[cpu] == NO_IDC) {
        return E_STATE;
    }
    if (!set_source(source, trigger)) {
        return E_UNSUPPORTED;
    }
    mmio_write32(aplic, APLIC_TARGET(source), idc_of[cpu] << TARGET_HART_SHIFT | TARGET_PRIORITY);
    return OK;
}

static bool aplic_is_pending(unsigned irq)
{
    unsigned source = irq - RISCV_IRQ_SOURCE;

    return source_exists(source) && (mmio_read32(aplic, APLIC_SETIP(source)) >> source % 32 & 1);
}

// The IDC of a hart is the place of its supervisor external interrupt in "interrupts-extended".
static enum status aplic_init_cpu(void)
{
    struct hw_cpu_irq line;
    uint32_t found = NO_IDC;

    for (unsigned i = 0; i < TARGET_HART_MAX && hw_cpu_irq(hardware, i, &line); i++) {
        if (line.cpu_hw_id == this_cpu()->hw_id && line.irq == RISCV_CAUSE_EXTERNAL) {
            found = i;
        }
    }
    if (found == NO_IDC || APLIC_IDC(found + 1) > hardware->regs[0].size) {
        log_err("%s: no delivery control for hart %" PRIu64, hardware->name, this_cpu()->hw_id);
        return E_NOENT;
    }
    idc_of[this_cpu()->index] = found;
    mmio_write32(aplic, APLIC_IDC(found) + IDC_ITHRESHOLD, 0); // all priorities
    mmio_write32(aplic, APLIC_IDC(found) + IDC_IDELIVERY, 1);
    return OK;
}

static const struct riscv_ext_ops aplic_ops = {
    .name = "APLIC",
    .init_cpu = aplic_init_cpu,
    .claim = aplic_claim,
    .complete = aplic_complete,
    .enable = aplic_enable,
    .disable = aplic_disable,
    .configure = aplic_configure,
    .is_pending = aplic_is_pending,
};

// ---- probe ----

// The machine-level domain is the firmware's: its lines go to cause 11, or it hands sources to children.
static bool is_ours(const struct hw_desc *hw)
{
    struct hw_cpu_irq line;
    uint32_t child;

    if (hw_prop_u32(hw, "riscv,children", &child)) {
        return false;
    }
    return msi_mode || (hw_cpu_irq(hw, 0, &line) && line.irq == RISCV_CAUSE_EXTERNAL);
}

static enum status aplic_probe(const struct hw_desc *hw)
{
    uint32_t parent, count = 0;

    if (aplic) {
        return E_UNSUPPORTED; // one is enough
    }
    msi_mode = hw_prop_u32(hw, "msi-parent", &parent);
    if (!is_ours(hw)) {
        return E_UNSUPPORTED;
    }
    if (hw->reg_count < 1 || hw->regs[0].size < APLIC_SIZE_MIN ||
        !hw_prop_u32(hw, "riscv,num-sources", &count) || count == 0) {
        log_err("%s: no registers, or riscv,num-sources is missing or wrong", hw->name);
        return E_CORRUPT;
    }
    aplic = mmio_map(hw->regs[0].base, hw->regs[0].size);
    if (!aplic) {
        return E_NOMEM;
    }
    hardware = hw;
    source_count = count <= SOURCE_MAX ? count : SOURCE_MAX;
    for (unsigned cpu = 0; cpu < CPU_MAX; cpu++) {
        idc_of[cpu] = NO_IDC;
    }
    for (unsigned source = 0; source <= source_count; source += 32) {
        mmio_write32(aplic, APLIC_CLRIE(source), UINT32_MAX);
    }
    mmio_write32(aplic, APLIC_DOMAINCFG, DOMAINCFG_IE | (msi_mode ? DOMAINCFG_DM : 0));
    if (!msi_mode) {
        riscv_ext_set(&aplic_ops);
    }
    log_info("%s: APLIC, %u sources, %s", hw->name, source_count, msi_mode ? "by messages" : "direct");
    return OK;
}

static const char *const aplic_ids[] = {"riscv,aplic", NULL};

static const struct driver aplic_driver = {
    .name = "aplic",
    .class = DRIVER_IRQCHIP,
    .ids = aplic_ids,
    .probe = aplic_probe,
};

DRIVER_DEFINE(aplic_driver);
