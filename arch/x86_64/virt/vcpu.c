// SPDX-License-Identifier: Apache-2.0
//
// The vCPU contract on x86_64: reset states, and what only a switch to another vCPU moves.
#include "arch/vcpu.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/x86_64/virt/entry_modes.h"
#include "arch/x86_64/virt/virt_local.h"
#include "kernel/mm/pool.h"

#define MSR_TSC_AUX 0xC0000103
#define CPUID81_EDX_RDTSCP BIT64(27)
#define APIC_IDS_MAX 255u // as long as there is no interrupt remapping
#define REG_PC 32u
#define REG_FLAGS 33u

static bool has_tsc_aux; // the same on all CPUs: asking takes long

static const char *const names[X86_REG_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                                 "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

enum status arch_vcpu_create(struct arch_vcpu *av, struct arch_vm *vm, unsigned index,
                             const struct vcpu_upcalls *up)
{
    if (index >= APIC_IDS_MAX) {
        return E_RANGE;
    }
    has_tsc_aux = (cpuid_read(0x80000001, 0).edx & CPUID81_EDX_RDTSCP) != 0;
    memset(av, 0, sizeof(*av));
    av->vm = vm;
    av->up = up;
    av->index = index;
    av->decoded = pool_alloc(sizeof(*av->decoded));
    if (!av->decoded) {
        return E_NOMEM;
    }
    memset(av->decoded, 0, sizeof(*av->decoded));
    if (fp_create(av) != OK) {
        goto out_decoded;
    }
    if (x86_ops->vcpu_create(av) != OK) {
        goto out_fp;
    }
    return OK;

out_fp:
    fp_destroy(av);
out_decoded:
    pool_free(av->decoded, sizeof(*av->decoded));
    return E_NOMEM;
}

void arch_vcpu_destroy(struct arch_vcpu *av)
{
    x86_ops->vcpu_destroy(av);
    fp_destroy(av);
    pool_free(av->decoded, sizeof(*av->decoded));
    memset(av, 0, sizeof(*av));
}

uint64_t arch_vcpu_hw_id(const struct arch_vcpu *av)
{
    return av->index;
}

void arch_vcpu_reset(struct arch_vcpu *av, const struct vcpu_entry *entry)
{
    memset(av->r, 0, sizeof(av->r));
    av->irq_lines = 0;
    av->window = false;
    x86_ops->vcpu_reset(av);
    x86_msrs_reset(av);
    fp_reset(av);
    av->r[X86_RDX] = cpuid_read(1, 0).eax; // after INIT: the processor's signature
    x86_enter_mode(av, entry);
}

void arch_vcpu_load(struct arch_vcpu *av)
{
    x86_ops->load(av);
    fp_load(av);
    if (has_tsc_aux) {
        wrmsr(MSR_TSC_AUX, av->msr.tsc_aux);
    }
    av->loaded = true;
}

uint64_t arch_vcpu_put(struct arch_vcpu *av)
{
    fp_put(av);
    x86_ops->put(av);
    av->loaded = false;
    return UINT64_MAX;
}

// The local APIC's timer is emulated (vmm/irqchip): it is nobody's business here.
uint64_t arch_vcpu_timer_deadline(const struct arch_vcpu *av, uint32_t ignore)
{
    (void)av;
    (void)ignore;
    return UINT64_MAX;
}

uint32_t arch_vcpu_timer_lines(const struct arch_vcpu *av)
{
    (void)av;
    return 0;
}

unsigned arch_vcpu_timer_irqs(const struct vcpu_timer_irq **out)
{
    *out = NULL;
    return 0;
}

void arch_vcpu_set_irq(struct arch_vcpu *av, uint32_t lines)
{
    av->irq_lines = lines | (av->irq_lines & VCPU_LINE_NMI);
}

void arch_vcpu_trap_idle(struct arch_vcpu *av, bool trap)
{
    av->trap_idle = trap;
}

uint64_t arch_vcpu_reg(const struct arch_vcpu *av, unsigned reg)
{
    switch (reg) {
    case REG_PC:
        return x86_ops->get(av, X86_RIP);
    case REG_FLAGS:
        return x86_ops->get(av, X86_RFLAGS);
    default:
        return reg < X86_REG_COUNT ? av->r[reg] : 0;
    }
}

// A frame pointer points at its record: previous frame pointer, return address.
const struct vcpu_frame_layout *arch_vcpu_frame_layout(void)
{
    static const struct vcpu_frame_layout layout = {
        .frame_reg = X86_RBP, .next_offset = 0, .return_offset = 8};

    return &layout;
}

bool arch_vcpu_translate(const struct arch_vcpu *av, gva_t va, gpa_t *out)
{
    return x86_guest_walk((struct arch_vcpu *)(uintptr_t)av, va.v, &out->v);
}

void arch_vcpu_dump(const struct arch_vcpu *av, void (*line)(void *ctx, const char *text), void *ctx)
{
    struct x86_seg cs;
    char text[112];

    x86_ops->get_segment(av, X86_CS, &cs);
    snprintf(text, sizeof(text), "rip  %016llx  cs  %04x (base %llx)  rflags %08llx",
             (unsigned long long)x86_ops->get(av, X86_RIP), cs.selector, (unsigned long long)cs.base,
             (unsigned long long)x86_ops->get(av, X86_RFLAGS));
    line(ctx, text);
    for (unsigned i = 0; i + 3 < X86_REG_COUNT + 1; i += 4) {
        snprintf(text, sizeof(text), "%-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx", names[i],
                 (unsigned long long)av->r[i], names[i + 1], (unsigned long long)av->r[i + 1], names[i + 2],
                 (unsigned long long)av->r[i + 2], names[i + 3], (unsigned long long)av->r[i + 3]);
        line(ctx, text);
    }
    snprintf(text, sizeof(text), "cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  efer %llx",
             (unsigned long long)x86_ops->get(av, X86_CR0), (unsigned long long)x86_ops->get(av, X86_CR2),
             (unsigned long long)x86_ops->get(av, X86_CR3), (unsigned long long)x86_ops->get(av, X86_CR4),
             (unsigned long long)x86_ops->get(av, X86_EFER));
    line(ctx, text);
    if (x86_ops->describe_apic && x86_ops->describe_apic(av, text, sizeof(text))) {
        line(ctx, text);
    }
}
