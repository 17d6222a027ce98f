// SPDX-License-Identifier: Apache-2.0
//
// EL2 as the virtualisation extension: what it can do, its per-CPU set-up, and the per-VM registers.
#include "arch/virt.h"

#include <asm/sysreg.h>
#include <stdio.h>

#include "arch/aarch64/virt/idregs.h"
#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/mm/pt_format.h"

// VTCR_EL2 (Arm DDI 0487, D19.2.161)
#define VTCR_RES1 BIT64(31)
#define VTCR_TG0_4K UINT64_C(0)
#define VTCR_SH0_INNER (UINT64_C(3) << 12)
#define VTCR_ORGN0_WBWA (UINT64_C(1) << 10)
#define VTCR_IRGN0_WBWA (UINT64_C(1) << 8)
#define VTCR_SL0_LEVEL1 (UINT64_C(1) << 6)
#define VTCR_PS(range) ((uint64_t)(range) << 16)
#define VTCR_VS_16BIT BIT64(19)

#define PARANGE_40 2u // larger machines use it too: three levels of tables serve 1 TiB
#define PARANGE_36 1u

static const uint8_t pa_bits[] = {32, 36, 40, 42, 44, 48, 52};

static unsigned parange(void)
{
    return id_field(sysreg_read(id_aa64mmfr0_el1), 0);
}

static bool vmid_16bit(void)
{
    return id_field(sysreg_read(id_aa64mmfr1_el1), 4) == 2;
}

const struct pt_format *arch_host_pt_format(void)
{
    return &pt_arm64_stage1;
}

const struct pt_format *arch_guest_pt_format(void)
{
    return parange() >= PARANGE_40 ? &pt_arm64_stage2_40 : &pt_arm64_stage2_36;
}

// Features that virt/idregs.c keeps from guests: where the CPU says that it has them.
static void list_hidden(char *buf, size_t size)
{
    const uint64_t pfr0 = sysreg_read(id_aa64pfr0_el1);
    const uint64_t pfr1 = sysreg_read(id_aa64pfr1_el1);
    const uint64_t dfr0 = sysreg_read(id_aa64dfr0_el1);
    const struct {
        unsigned value;
        const char *name;
    } features[] = {
        {id_field(pfr0, 28), "RAS"},  {id_field(pfr0, 32), "SVE"},     {id_field(pfr0, 40), "MPAM"},
        {id_field(pfr0, 44), "AMU"},  {id_field(pfr1, 8), "MTE"},      {id_field(pfr1, 24), "SME"},
        {id_field(dfr0, 4), "trace"}, {id_field(dfr0, 8) % 15, "PMU"}, {id_field(dfr0, 32), "SPE"},
        {1, "breakpoints"}, // every CPU has two at least
    };
    size_t n = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(features) && n < size; i++) {
        if (features[i].value) {
            n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", features[i].name);
        }
    }
}

enum status arch_virt_probe(struct virt_caps *caps)
{
    unsigned range = parange();
    bool vmid16 = vmid_16bit();

    caps->name = "EL2";
    caps->vmid_count = vmid16 ? 65536 : 256;
    caps->ipa_bits = range >= PARANGE_40 ? 40 : 36;
    snprintf(caps->text, sizeof(caps->text), "%u-bit physical, %u-bit guest addresses, %u-bit VMIDs%s%s",
             range < ARRAY_SIZE(pa_bits) ? pa_bits[range] : 52u, caps->ipa_bits, vmid16 ? 16u : 8u,
             id_field(sysreg_read(id_aa64mmfr1_el1), 8) ? ", VHE (unused)" : "",
             sysreg_read(id_aa64isar1_el1) & UINT64_C(0xFF0) ? ", PAC" : "");
    if (range < PARANGE_36) {
        return E_UNSUPPORTED;
    }
    list_hidden(caps->hidden, sizeof(caps->hidden));
    idregs_init();
    return OK;
}

static uint64_t vtcr(void)
{
    bool large = parange() >= PARANGE_40;
    uint64_t bits = large ? 40 : 36;

    return VTCR_RES1 | VTCR_TG0_4K | VTCR_SH0_INNER | VTCR_ORGN0_WBWA | VTCR_IRGN0_WBWA | VTCR_SL0_LEVEL1 |
           VTCR_PS(large ? PARANGE_40 : PARANGE_36) | (vmid_16bit() ? VTCR_VS_16BIT : 0) | (64 - bits);
}

// Traps of later extensions, whose reset values are unknown: a register that guests are not to have must trap.
static void enable_newer_traps(void)
{
    uint64_t mmfr1 = sysreg_read(id_aa64mmfr1_el1);
    uint64_t pfr0 = sysreg_read(id_aa64pfr0_el1);

    if (id_field(mmfr1, 40)) { // HCX: all enables off
        sysreg_write(HCRX_EL2, 0);
    }
    if (id_field(sysreg_read(id_aa64mmfr0_el1), 56)) { // FGT: zero traps what came after it and nothing else
        sysreg_write(HFGRTR_EL2, 0);
        sysreg_write(HFGWTR_EL2, 0);
        sysreg_write(HFGITR_EL2, 0);
        sysreg_write(HDFGRTR_EL2, 0);
        sysreg_write(HDFGWTR_EL2, 0);
    }
    if (id_field(pfr0, 40)) { // MPAM
        sysreg_write(MPAM2_EL2, MPAM2_TRAP_EL1 | MPAM2_TRAP_EL0);
    }
    if (id_field(pfr0, 28)) { // RAS: nothing deferred for the first guest
        sysreg_write(VDISR_EL2, 0);
    }
}

enum status arch_virt_enable(void)
{
    uint64_t midr = sysreg_read(midr_el1);
    uint64_t hpmn = sysreg_read(mdcr_el2) & MDCR_HPMN_MASK;

    sysreg_write(vtcr_el2, vtcr());
    sysreg_write(vttbr_el2, 0);
    sysreg_write(vpidr_el2, midr);
    // Debug and performance registers trap; break- and watchpoints of guests do not exist (virt/sysreg.c, virt/idregs.c).
    sysreg_write(mdcr_el2,
                 hpmn | MDCR_TPMCR | MDCR_TPM | MDCR_TDA | MDCR_TDOSA | MDCR_TDRA | MDCR_TPMS | MDCR_TTRF);
    sysreg_write(cptr_el2, CPTR_EL2_GUEST | CPTR_EL2_TFP); // no vCPU's FP registers are there yet
    sysreg_write(hstr_el2, 0);
    enable_newer_traps();
    sysreg_write(cnthctl_el2, 3); // EL1PCTEN, EL1PCEN: both timers untrapped
    sysreg_write(cntv_ctl_el0, 0);
    sysreg_write(cntp_ctl_el0, 0);
    isb();
    asm volatile("tlbi alle1\n\tdsb nsh\n\tisb" ::: "memory");
    return OK;
}

enum status arch_vm_create(struct arch_vm *vm, hpa_t root, unsigned vmid)
{
    vm->vttbr = root.v | (uint64_t)vmid << 48;
    vm->cntvoff = arch_time_now();
    vm->no_icc = false;
    return OK;
}

void arch_guest_cpu_describe(struct guest_cpu_desc *out)
{
    *out = (struct guest_cpu_desc){0};
}

const struct irq_file_ops *arch_irq_files(void)
{
    return NULL;
}

const struct apic_page_ops *arch_apic_pages(void)
{
    return NULL;
}

void arch_vm_hide_irq_regs(struct arch_vm *vm)
{
    vm->no_icc = true;
}

void arch_vm_destroy(struct arch_vm *vm)
{
    *vm = (struct arch_vm){0};
}
