// SPDX-License-Identifier: Apache-2.0
//
// The vCPU contract on riscv64: reset state, and the registers that move only when another vCPU takes the core.
#include "arch/vcpu.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <asm/isa.h>
#include <asm/virt.h>

#include "arch/mmu.h"
#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/virt_local.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"

#define REG_PC 32u
#define REG_STATUS 33u
#define REG_RA 1u
#define REG_SP 2u
#define REG_A0 10u
#define REG_A1 11u
#define NOWHERE UINT32_MAX

enum status arch_vcpu_create(struct arch_vcpu *av, struct arch_vm *vm, unsigned index,
                             const struct vcpu_upcalls *up)
{
    if (index >= ARCH_VM_HARTS_MAX) {
        return E_RANGE;
    }
    memset(av, 0, sizeof(*av));
    av->vm = vm;
    av->up = up;
    av->index = index;
    av->cpu = NOWHERE;
    if (fpv_create(av) != OK) {
        return E_NOMEM;
    }
    if (vtimer_create(av) != OK) {
        fpv_destroy(av);
        return E_NOMEM;
    }
    vm->harts[index] = av;
    vm->present |= BIT64(index);
    return OK;
}

void arch_vcpu_destroy(struct arch_vcpu *av)
{
    vtimer_destroy(av);
    fpv_destroy(av);
    av->vm->present &= ~BIT64(av->index);
    av->vm->harts[av->index] = NULL;
    memset(av, 0, sizeof(*av)); // registers of a guest do not linger
}

uint64_t arch_vcpu_hw_id(const struct arch_vcpu *av)
{
    return av->index;
}

// Cycles, time and instructions, as firmware leaves it: kernels rely on user programs being able to read the time.
#define COUNTERS_FOR_USERS 7u

void arch_vcpu_reset(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    uint64_t vtw = av->start.hstatus & HSTATUS_VTW;

    av->start = (struct guest_frame){
        .x = {[REG_A0] = av->index, [REG_A1] = entry->arg},
        .pc = entry->pc,
        .hstatus = HSTATUS_SPV | HSTATUS_SPVP | HSTATUS_VSXL_64 | vtw,
        .vcpu = av,
    };
    memset(&av->csr, 0, sizeof(av->csr));
    fpv_reset(av);
    av->csr.vsstatus = SSTATUS_UXL_64;
    av->csr.scounteren = COUNTERS_FOR_USERS;
    av->csr.vstimecmp = UINT64_MAX;
    atomic_store(&av->irq_edge, 0);
    vtimer_unwatch(av);
}

static void csrs_save(struct guest_csrs *s)
{
    s->vsstatus = csr_read(vsstatus);
    s->vsie = csr_read(vsie);
    s->vstvec = csr_read(vstvec);
    s->vsscratch = csr_read(vsscratch);
    s->vsepc = csr_read(vsepc);
    s->vscause = csr_read(vscause);
    s->vstval = csr_read(vstval);
    s->vsatp = csr_read(vsatp);
    s->scounteren = csr_read(scounteren);
    s->senvcfg = csr_read(senvcfg);
    s->hvip = csr_read(hvip);
    if (isa_has(ISA_SSAIA)) {
        aia_save(s);
    }
}

static void csrs_load(const struct guest_csrs *s)
{
    csr_write(vsstatus, s->vsstatus);
    csr_write(vsie, s->vsie);
    csr_write(vstvec, s->vstvec);
    csr_write(vsscratch, s->vsscratch);
    csr_write(vsepc, s->vsepc);
    csr_write(vscause, s->vscause);
    csr_write(vstval, s->vstval);
    csr_write(vsatp, s->vsatp);
    csr_write(scounteren, s->scounteren);
    csr_write(senvcfg, s->senvcfg);
    csr_write(hvip, s->hvip);
}

void arch_vcpu_load(struct arch_vcpu *av)
{
    unsigned cpu = this_cpu()->index;

    if (av->frame) {
        av->frame->host_tp = (uint64_t)(uintptr_t)this_cpu();
    }
    csr_write(hgatp, av->vm->hgatp);
    csr_write(htimedelta, av->vm->htimedelta);
    csrs_load(&av->csr);
    if (isa_has(ISA_SSAIA)) {
        aia_load(av);
    }
    vtimer_load(av);
    fpv_take(av, cpu);
    // A vCPU that comes from another core finds here what it left long ago: its own fences did not reach it.
    if (vm_shares_vmid(av->vm, cpu) || av->cpu != cpu) {
        atomic_store_explicit(&av->cpu, cpu, memory_order_relaxed);
        // Pairs with the one in virt/sbi_smp.c: that sees us here, or we see the page tables it fences for.
        atomic_thread_fence(memory_order_seq_cst);
        arch_tlb_flush_guest_local();
    }
    av->loaded = true;
    irq_sync(av);
}

uint64_t arch_vcpu_put(struct arch_vcpu *av)
{
    uint64_t deadline;

    csrs_save(&av->csr);
    deadline = vtimer_put(av);
    csr_write(hvip, 0);
    if (csr_read(sstatus) & (SSTATUS_FS | SSTATUS_VS)) {
        fpv_leave(av);
    }
    av->loaded = false;
    return deadline;
}

void arch_vcpu_trap_idle(struct arch_vcpu *av, bool trap)
{
    struct guest_frame *f = av->frame ? av->frame : &av->start;

    f->hstatus = trap ? f->hstatus | HSTATUS_VTW : f->hstatus & ~HSTATUS_VTW;
}

unsigned arch_vcpu_timer_irqs(const struct vcpu_timer_irq **out)
{
    *out = NULL; // the hart delivers a guest's timer to the guest; where it cannot, virt/vtimer.c does
    return 0;
}

// Any local interrupt that the guest has enabled, as WFI sees it.
uint32_t arch_vcpu_timer_lines(const struct arch_vcpu *av)
{
    const bool loaded = av->loaded;
    uint64_t hvip = loaded ? csr_read(hvip) : av->csr.hvip;
    uint64_t enabled = loaded ? csr_read(vsie) : av->csr.vsie;
    uint64_t pending = hvip >> 1 | atomic_load_explicit(&av->irq_edge, memory_order_acquire);

    return (pending & enabled) != 0 || ((enabled & BIT64(IRQ_STI)) && vtimer_expired(av));
}

static const struct guest_frame *frame_of(const struct arch_vcpu *av)
{
    return av->frame ? av->frame : &av->start;
}

uint64_t arch_vcpu_reg(const struct arch_vcpu *av, unsigned reg)
{
    const struct guest_frame *f = frame_of(av);

    switch (reg) {
    case REG_PC:
        return f->pc;
    case REG_STATUS:
        return f->hstatus & HSTATUS_SPVP; // where sstatus has SPP
    default:
        return reg < 32 ? f->x[reg] : 0;
    }
}

void arch_vcpu_dump(const struct arch_vcpu *av, void (*line)(void *ctx, const char *text), void *ctx)
{
    static const char *const names[32] = {
        "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
        "a6",   "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    const struct guest_frame *f = frame_of(av);
    char text[100];

    snprintf(text, sizeof(text), "pc   %016llx  mode %s  ra   %016llx", (unsigned long long)f->pc,
             frame_in_kernel(f) ? "VS" : "VU", (unsigned long long)f->x[REG_RA]);
    line(ctx, text);
    for (unsigned i = 2; i < 32; i += 3) {
        snprintf(text, sizeof(text), "%-4s %016llx  %-4s %016llx  %-4s %016llx", names[i],
                 (unsigned long long)f->x[i], names[i + 1], (unsigned long long)f->x[i + 1],
                 i + 2 < 32 ? names[i + 2] : "", (unsigned long long)f->x[i + 2 < 32 ? i + 2 : 0]);
        line(ctx, text);
    }
    if (av->loaded) {
        snprintf(text, sizeof(text), "vscause %llx  vstval %016llx  vsepc %016llx",
                 (unsigned long long)csr_read(vscause), (unsigned long long)csr_read(vstval),
                 (unsigned long long)csr_read(vsepc));
        line(ctx, text);
        snprintf(text, sizeof(text), "vsstatus %llx  vsatp %016llx  vsie %llx  hip %llx",
                 (unsigned long long)csr_read(vsstatus), (unsigned long long)csr_read(vsatp),
                 (unsigned long long)csr_read(vsie), (unsigned long long)csr_read(hip));
        line(ctx, text);
    }
}
