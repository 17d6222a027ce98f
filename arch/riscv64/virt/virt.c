// SPDX-License-Identifier: Apache-2.0
//
// The virtualisation contract on riscv64: what the hypervisor extension of this machine can do, and turning it on
// (RISC-V Privileged Architecture, 18.2).
#include "arch/virt.h"

#include <stdio.h>
#include <string.h>

#include <asm/csr.h>
#include <asm/isa.h>

#include "arch/mmu.h"
#include "arch/riscv64/mmu/mmu.h"
#include "arch/riscv64/mmu/vmid.h"
#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/virt_local.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/mm/pt_format.h"

#define MODE_SV39X4 UINT64_C(8)
#define MODE_SV48X4 UINT64_C(9)
#define HGATP_MODE(v) ((v) >> SATP_MODE_SHIFT)
#define IPA_SV39X4 41u
#define IPA_SV48X4 50u

// The guest's own exceptions never come here. Guest-page faults, virtual instructions and calls are ours.
#define HEDELEG                                                                            \
    (BIT64(CAUSE_FETCH_MISALIGNED) | BIT64(CAUSE_ILLEGAL) | BIT64(CAUSE_BREAKPOINT) |      \
     BIT64(CAUSE_LOAD_MISALIGNED) | BIT64(CAUSE_STORE_MISALIGNED) | BIT64(CAUSE_ECALL_U) | \
     BIT64(CAUSE_FETCH_PAGE) | BIT64(CAUSE_LOAD_PAGE) | BIT64(CAUSE_STORE_PAGE))
#define HIDELEG (BIT64(IRQ_VSSI) | BIT64(IRQ_VSTI) | BIT64(IRQ_VSEI))

static struct {
    uint64_t mode;
    unsigned vmid_bits;
    uint64_t henvcfg;
} caps_found;

static const struct arch_vm *last_shared[CPU_MAX]; // which VM without a VMID of its own a CPU ran last

const struct pt_format *arch_host_pt_format(void)
{
    return mmu_levels() == 4 ? &pt_riscv_sv48 : &pt_riscv_sv39;
}

const struct pt_format *arch_guest_pt_format(void)
{
    return caps_found.mode == MODE_SV48X4 ? &pt_riscv_sv48x4 : &pt_riscv_sv39x4;
}

// hgatp is WARL: what does not stick is not there. Three levels serve 2 TiB, so Sv39x4 comes first.
static void probe_hgatp(void)
{
    csr_write(hgatp, MODE_SV39X4 << SATP_MODE_SHIFT | HGATP_VMID_MASK);
    if (HGATP_MODE(csr_read(hgatp)) != MODE_SV39X4) {
        csr_write(hgatp, MODE_SV48X4 << SATP_MODE_SHIFT | HGATP_VMID_MASK);
    }
    caps_found.mode = HGATP_MODE(csr_read(hgatp));
    caps_found.vmid_bits = (unsigned)__builtin_popcountll(csr_read(hgatp) & HGATP_VMID_MASK);
    mmu_set_vmid_bits(caps_found.vmid_bits);
    csr_write(hgatp, 0);
}

// What guests may use of these must be allowed in henvcfg; where the firmware keeps a bit from us, it stays 0. CBO.INVAL
// flushes: no guest may throw away what was written to memory before it was given to it.
static const struct {
    enum isa_ext ext;
    uint64_t enable;
} by_henvcfg[] = {
    {ISA_SSTC, HENVCFG_STCE},
    {ISA_SVPBMT, HENVCFG_PBMTE},
    {ISA_ZICBOM, HENVCFG_CBIE_FLUSH | HENVCFG_CBCFE},
    {ISA_ZICBOZ, HENVCFG_CBZE},
};

static uint64_t henvcfg_wanted(void)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(by_henvcfg); i++) {
        v |= isa_has(by_henvcfg[i].ext) ? by_henvcfg[i].enable : 0;
    }
    return v;
}

// The register came with privileged architecture 1.12, as did the extensions that it is for.
static void probe_henvcfg(void)
{
    if (henvcfg_wanted()) {
        csr_write(henvcfg, henvcfg_wanted());
        caps_found.henvcfg = csr_read(henvcfg) & henvcfg_wanted();
    }
    vtimer_by_host = !(caps_found.henvcfg & HENVCFG_STCE);
}

static bool guest_may_use(enum isa_ext ext)
{
    for (unsigned i = 0; i < ARRAY_SIZE(by_henvcfg); i++) {
        if (by_henvcfg[i].ext == ext) {
            return (caps_found.henvcfg & by_henvcfg[i].enable) == by_henvcfg[i].enable;
        }
    }
    return isa_has(ext);
}

enum status arch_virt_probe(struct virt_caps *caps)
{
    caps->name = "HS-mode";
    probe_hgatp();
    if (caps_found.mode != MODE_SV39X4 && caps_found.mode != MODE_SV48X4) {
        snprintf(caps->text, sizeof(caps->text), "no G-stage translation");
        return E_UNSUPPORTED;
    }
    probe_henvcfg();
    caps->vmid_count = 1u << caps_found.vmid_bits;
    caps->ipa_bits = caps_found.mode == MODE_SV39X4 ? IPA_SV39X4 : IPA_SV48X4;
    snprintf(caps->text, sizeof(caps->text), "Sv%ux4 guest addresses, %u-bit VMIDs, guest timer %s",
             caps_found.mode == MODE_SV39X4 ? 39u : 48u, caps_found.vmid_bits,
             vtimer_by_host ? "emulated" : "direct");
    return OK;
}

enum status arch_virt_enable(void)
{
    csr_write(hstatus, HSTATUS_VSXL_64);
    csr_write(hedeleg, HEDELEG);
    csr_write(hideleg, HIDELEG);
    csr_write(hie, 0);
    csr_write(hvip, 0);
    csr_write(hgeie, 0);
    csr_write(hcounteren, COUNTEREN_CY | COUNTEREN_TM | COUNTEREN_IR);
    if (caps_found.henvcfg) {
        csr_write(henvcfg, caps_found.henvcfg);
    }
    aia_allow(NULL);
    if (!vtimer_by_host) {
        csr_write(vstimecmp, UINT64_MAX);
    }
    irq_files_init_cpu();
    vec_init_cpu();
    csr_write(hgatp, 0);
    asm volatile(".option push\n\t.option arch, +h\n\thfence.gvma\n\thfence.vvma\n\t.option pop" ::
                     : "memory");
    return OK;
}

enum status arch_vm_create(struct arch_vm *vm, hpa_t root, unsigned vmid)
{
    uint64_t hw = vmid_in_hardware(vmid, caps_found.vmid_bits);

    memset(vm, 0, sizeof(*vm));
    vm->has_aia = isa_has(ISA_SSAIA);
    vm->shared_vmid = vmid_is_shared(vmid, caps_found.vmid_bits);
    vm->hgatp = caps_found.mode << SATP_MODE_SHIFT | hw << HGATP_VMID_SHIFT | root.v >> PAGE_SHIFT;
    vm->htimedelta = 0 - arch_time_now();
    return OK;
}

void arch_vm_destroy(struct arch_vm *vm)
{
    for (unsigned i = 0; i < CPU_MAX; i++) {
        if (last_shared[i] == vm) {
            last_shared[i] = NULL;
        }
    }
    memset(vm, 0, sizeof(*vm));
}

bool vm_shares_vmid(const struct arch_vm *vm, unsigned cpu)
{
    if (!vm->shared_vmid || last_shared[cpu] == vm) {
        return false;
    }
    last_shared[cpu] = vm;
    asm volatile(".option push\n\t.option arch, +h\n\thfence.gvma\n\t.option pop" ::: "memory");
    return true;
}

static const char *guest_isa(void)
{
    static const enum isa_ext shown[] = {ISA_SSTC, ISA_SVINVAL, ISA_SVNAPOT, ISA_SVPBMT, ISA_ZBA,
                                         ISA_ZBB,  ISA_ZBC,     ISA_ZBS,     ISA_ZICBOM, ISA_ZICBOZ};
    static char text[160];
    int n = snprintf(text, sizeof(text), "rv64ima%sc%s_zicntr_zicsr_zifencei", isa_has(ISA_D) ? "fd" : "",
                     vec_offered() ? "v" : "");

    for (unsigned i = 0; i < ARRAY_SIZE(shown); i++) {
        if (guest_may_use(shown[i])) {
            n += snprintf(text + n, sizeof(text) - (size_t)n, "_%s", isa_name(shown[i]));
        }
    }
    return text;
}

void arch_guest_cpu_describe(struct guest_cpu_desc *out)
{
    *out = (struct guest_cpu_desc){
        .isa = guest_isa(),
        .mmu = mmu_levels() == 4 ? "riscv,sv48" : "riscv,sv39",
        .cbom_block = guest_may_use(ISA_ZICBOM) ? (uint32_t)isa_cbom_block() : 0,
        .cboz_block = guest_may_use(ISA_ZICBOZ) ? (uint32_t)isa_cboz_block() : 0,
        .can_aia = isa_has(ISA_SSAIA),
    };
}

void arch_vm_hide_irq_regs(struct arch_vm *vm)
{
    vm->has_aia = false;
}
