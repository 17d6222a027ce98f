// SPDX-License-Identifier: Apache-2.0
//
// The vCPU contract on aarch64: reset state, and the registers that move only when another vCPU takes the core.
#include "arch/vcpu.h"

#include <asm/sysreg.h>
#include <asm/virt.h>
#include <stdio.h>
#include <string.h>

#include "arch/aarch64/virt/fp.h"
#include "arch/time.h"

#define MPIDR_RES1 BIT64(31)
#define PAC_FIELDS (UINT64_C(0xFF00) << 20 | UINT64_C(0xFF) << 4) // GPA, GPI, APA, API of ID_AA64ISAR1
#define PAR_FAULT BIT64(0)
#define PAR_PA MASK64(12, 40)
#define CNT_CTL_ARMED (CNT_CTL_ENABLE | CNT_CTL_IMASK) // of these two, ENABLE alone
#define REG_SP 31u
#define REG_PC 32u
#define REG_PSTATE 33u

// Every trap that a guest's exits depend on; see the handlers in virt/. PTW: page tables in device memory are a fault,
// not a read of the device. TERR: the error records are the machine's.
#define HCR_GUEST                                                                                    \
    (HCR_VM | HCR_SWIO | HCR_PTW | HCR_FMO | HCR_IMO | HCR_AMO | HCR_FB | HCR_BSU_INNER | HCR_TID3 | \
     HCR_TSC | HCR_TIDCP | HCR_TACR | HCR_TSW | HCR_RW | HCR_TLOR | HCR_TERR)

void sysregs_save(struct guest_sysregs *s);
void sysregs_load(const struct guest_sysregs *s);

// vCPU n is Aff0 n % 16, Aff1 n / 16: an SGI addresses 16 CPUs of one Aff0 range (IHI 0069, 12.2.23).
static uint64_t vcpu_mpidr(unsigned index)
{
    return MPIDR_RES1 | (index % 16) | (uint64_t)(index / 16) << 8;
}

static bool has_pac(void)
{
    return (sysreg_read(id_aa64isar1_el1) & PAC_FIELDS) != 0 ||
           (sysreg_read(S3_0_C0_C6_2) & (UINT64_C(0xFF) << 8)) != 0;
}

enum status arch_vcpu_create(struct arch_vcpu *av, struct arch_vm *vm, unsigned index,
                             const struct vcpu_upcalls *up)
{
    memset(av, 0, sizeof(*av));
    av->vm = vm;
    av->up = up;
    av->vmpidr = vcpu_mpidr(index);
    av->hcr = HCR_GUEST | (has_pac() ? HCR_API | HCR_APK : 0);
    return OK;
}

void arch_vcpu_destroy(struct arch_vcpu *av)
{
    memset(av, 0, sizeof(*av)); // registers of a guest do not linger
}

uint64_t arch_vcpu_hw_id(const struct arch_vcpu *av)
{
    return av->vmpidr & MPIDR_AFF_MASK;
}

void arch_vcpu_reset(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    av->start = (struct guest_frame){
        .x = {entry->arg},
        .pc = entry->pc,
        .pstate = SPSR_DAIF | SPSR_EL1H,
        .vcpu = av,
    };
    memset(&av->sys, 0, sizeof(av->sys));
    memset(&av->fp, 0, sizeof(av->fp));
    memset(av->pac_keys, 0, sizeof(av->pac_keys));
    av->sys.sctlr = SCTLR_EL1_RESET;
    av->hcr &= ~(HCR_VI | HCR_VF);
}

// Name by encoding: the assembler of armv8-a does not know the key registers (Arm DDI 0487, D19.2.15 and on).
#define PAC_KEYS(op)                                                                                    \
    op(0, S3_0_C2_C1_0) op(1, S3_0_C2_C1_1) op(2, S3_0_C2_C1_2) op(3, S3_0_C2_C1_3) op(4, S3_0_C2_C2_0) \
        op(5, S3_0_C2_C2_1) op(6, S3_0_C2_C2_2) op(7, S3_0_C2_C2_3) op(8, S3_0_C2_C3_0) op(9, S3_0_C2_C3_1)
#define PAC_SAVE(i, name) av->pac_keys[i] = sysreg_read(name);
#define PAC_LOAD(i, name) sysreg_write(name, av->pac_keys[i]);

// The FP registers are a vCPU's own from its first FP instruction after a load, which traps, until the next put.
void fp_use(struct arch_vcpu *av)
{
    if (!av->fp_live) {
        sysreg_write(cptr_el2, CPTR_EL2_GUEST);
        isb();
        fp_load(&av->fp);
        av->fp_live = true;
    }
}

__attribute__((noinline)) static void fp_put(struct arch_vcpu *av)
{
    fp_save(&av->fp);
    sysreg_write(cptr_el2, CPTR_EL2_GUEST | CPTR_EL2_TFP);
    av->fp_live = false;
}

static uint64_t hcr_of(const struct arch_vcpu *av)
{
    return av->hcr | (av->trap_idle ? HCR_TWI : 0);
}

// The entry into the guest synchronises; who uses its translation before says so himself.
void arch_vcpu_load(struct arch_vcpu *av)
{
    const struct arch_vm *vm = av->vm;
    uint64_t hcr = hcr_of(av);

    av->loaded = true;
    sysreg_write(hcr_el2, hcr);
    sysreg_write(vttbr_el2, vm->vttbr);
    sysreg_write(vmpidr_el2, av->vmpidr);
    sysreg_write(cntvoff_el2, vm->cntvoff);
    if (hcr & HCR_API) {
        PAC_KEYS(PAC_LOAD)
    }
    sysregs_load(&av->sys); // last: a jump, on the way of every switch
}

static uint64_t deadline_of(uint64_t ctl, uint64_t when)
{
    return (ctl & CNT_CTL_ARMED) == CNT_CTL_ENABLE ? when : UINT64_MAX;
}

// The virtual timer's, by the physical counter.
static uint64_t virtual_deadline(const struct arch_vcpu *av, uint64_t ctl, uint64_t cval)
{
    uint64_t physical, when = deadline_of(ctl, cval);

    return __builtin_add_overflow(when, av->vm->cntvoff, &physical) ? UINT64_MAX : physical;
}

uint64_t arch_vcpu_put(struct arch_vcpu *av)
{
    const struct guest_sysregs *s = &av->sys;
    uint64_t next = UINT64_MAX;

    if (av->hcr & HCR_API) {
        PAC_KEYS(PAC_SAVE)
    }
    if (__builtin_expect(av->fp_live, false)) {
        fp_put(av);
    }
    av->loaded = false;
    sysregs_save(&av->sys);
    // ISTATUS: it has expired.
    if ((s->cntv_ctl & CNT_CTL_ARMED) == CNT_CTL_ENABLE) {
        next = s->cntv_ctl & CNT_CTL_ISTATUS ? 0 : virtual_deadline(av, s->cntv_ctl, s->cntv_cval);
    }
    if (__builtin_expect((s->cntp_ctl & CNT_CTL_ARMED) == CNT_CTL_ENABLE, false)) {
        next = s->cntp_ctl & CNT_CTL_ISTATUS ? 0 : min_u64(next, s->cntp_cval);
    }
    return next;
}

uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore)
{
    const struct guest_sysregs *s = &av->sys;
    uint64_t v, p;

    if (av->loaded) {
        v = virtual_deadline(av, sysreg_read(cntv_ctl_el0), sysreg_read(cntv_cval_el0));
        p = deadline_of(sysreg_read(cntp_ctl_el0), sysreg_read(cntp_cval_el0));
    } else {
        v = virtual_deadline(av, s->cntv_ctl, s->cntv_cval);
        p = deadline_of(s->cntp_ctl, s->cntp_cval);
    }
    return min_u64(ignore & 1 ? UINT64_MAX : v, ignore & 2 ? UINT64_MAX : p);
}

__attribute__((noinline)) static uint32_t lines_in_memory(const struct arch_vcpu *av)
{
    const struct guest_sysregs *s = &av->sys;
    const uint64_t now = arch_time_now();

    return (uint32_t)(deadline_of(s->cntv_ctl, 0) == 0 && now - av->vm->cntvoff >= s->cntv_cval) |
           (uint32_t)(deadline_of(s->cntp_ctl, 0) == 0 && now >= s->cntp_cval) << 1;
}

uint32_t arch_vcpu_timer_lines(const struct arch_vcpu *av)
{
    if (av->loaded) {
        const uint64_t mask = CNT_CTL_ENABLE | CNT_CTL_IMASK | CNT_CTL_ISTATUS;
        const uint64_t on = CNT_CTL_ENABLE | CNT_CTL_ISTATUS;

        return (uint32_t)((sysreg_read(cntv_ctl_el0) & mask) == on) |
               (uint32_t)((sysreg_read(cntp_ctl_el0) & mask) == on) << 1;
    }
    return lines_in_memory(av);
}

void arch_vcpu_trap_idle(struct arch_vcpu *av, bool trap)
{
    av->trap_idle = trap;
    if (av->loaded) {
        sysreg_write(hcr_el2, hcr_of(av));
    }
}

void arch_vcpu_set_irq(struct arch_vcpu *av, uint32_t lines)
{
    av->hcr = (av->hcr & ~(HCR_VI | HCR_VF)) | (lines & VCPU_LINE_IRQ ? HCR_VI : 0) |
              (lines & VCPU_LINE_FIQ ? HCR_VF : 0);
    if (av->loaded) {
        sysreg_write(hcr_el2, hcr_of(av));
    }
}

unsigned arch_vcpu_timer_irqs(const struct vcpu_timer_irq **out)
{
    // PPIs of the virtual and the physical EL1 timer (BSA, 3.7); guests know them by the same numbers.
    static const struct vcpu_timer_irq irqs[] = {{27, 27}, {30, 30}};

    *out = irqs;
    return ARRAY_SIZE(irqs);
}

static const struct guest_frame *frame_of(const struct arch_vcpu *av)
{
    return av->frame ? av->frame : &av->start;
}

uint64_t arch_vcpu_reg(const struct arch_vcpu *av, unsigned reg)
{
    const struct guest_frame *f = frame_of(av);
    bool el1h = (f->pstate & SPSR_EL_MASK) == SPSR_EL1H;

    switch (reg) {
    case REG_SP:
        if (av->loaded) {
            return el1h ? sysreg_read(sp_el1) : sysreg_read(sp_el0);
        }
        return el1h ? av->sys.sp_el1 : av->sys.sp_el0;
    case REG_PC:
        return f->pc;
    case REG_PSTATE:
        return f->pstate;
    default:
        return reg < REG_SP ? f->x[reg] : 0;
    }
}

const struct vcpu_frame_layout *arch_vcpu_frame_layout(void)
{
    // AAPCS64 6.4.6
    static const struct vcpu_frame_layout layout = {.frame_reg = 29, .next_offset = 0, .return_offset = 8};

    return &layout;
}

bool arch_vcpu_translate(const struct arch_vcpu *av, gva_t va, gpa_t *out)
{
    uint64_t saved, par;

    if (!av->loaded) {
        return false;
    }
    isb(); // it may just have been loaded
    saved = sysreg_read(par_el1);
    asm volatile("at s1e1r, %0\n\tisb" ::"r"(va.v) : "memory");
    par = sysreg_read(par_el1);
    sysreg_write(par_el1, saved);
    if (par & PAR_FAULT) {
        return false;
    }
    *out = gpa((par & PAR_PA) | (va.v & (PAGE_SIZE - 1)));
    return true;
}

void arch_vcpu_dump(const struct arch_vcpu *av, void (*line)(void *ctx, const char *text), void *ctx)
{
    const struct guest_frame *f = frame_of(av);
    char text[100];

    snprintf(text, sizeof(text), "pc %016llx  pstate %08llx  sp %016llx  lr %016llx",
             (unsigned long long)f->pc, (unsigned long long)f->pstate,
             (unsigned long long)arch_vcpu_reg(av, REG_SP), (unsigned long long)f->x[30]);
    line(ctx, text);
    for (unsigned i = 0; i < 30; i += 3) {
        snprintf(text, sizeof(text), "x%-2u %016llx  x%-2u %016llx  x%-2u %016llx", i,
                 (unsigned long long)f->x[i], i + 1, (unsigned long long)f->x[i + 1], i + 2,
                 (unsigned long long)f->x[i + 2]);
        line(ctx, text);
    }
    if (av->loaded) {
        snprintf(text, sizeof(text), "esr_el1 %08llx  far_el1 %016llx  elr_el1 %016llx",
                 (unsigned long long)sysreg_read(esr_el1), (unsigned long long)sysreg_read(far_el1),
                 (unsigned long long)sysreg_read(elr_el1));
        line(ctx, text);
    }
}
