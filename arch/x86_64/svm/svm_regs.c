// SPDX-License-Identifier: Apache-2.0
//
// A guest's registers in its VMCB.
#include "arch/x86_64/svm/svm_local.h"

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176

static struct vmcb_save *save_of(const struct arch_vcpu *av)
{
    return &((const struct svm_vcpu *)av->vendor)->vmcb->save;
}

// Where a register is, and which of its bits are the guest's: it does not see that its EFER has SVME set, which VMRUN wants.
static const struct field {
    uint16_t offset;
    uint64_t mask, always;
} fields[X86_FIELD_COUNT] = {
    [X86_RIP] = {offsetof(struct vmcb, save.rip), UINT64_MAX, 0},
    [X86_RFLAGS] = {offsetof(struct vmcb, save.rflags), UINT64_MAX, 0},
    [X86_CR0] = {offsetof(struct vmcb, save.cr0), UINT64_MAX, 0},
    [X86_CR2] = {offsetof(struct vmcb, save.cr2), UINT64_MAX, 0},
    [X86_CR3] = {offsetof(struct vmcb, save.cr3), UINT64_MAX, 0},
    [X86_CR4] = {offsetof(struct vmcb, save.cr4), UINT64_MAX, 0},
    [X86_EFER] = {offsetof(struct vmcb, save.efer), ~(uint64_t)EFER_SVME, EFER_SVME},
    [X86_CR8] = {offsetof(struct vmcb, control.v_intr), V_TPR, 0},
};

static uint64_t *field_of(const struct arch_vcpu *av, const struct field *f)
{
    return (uint64_t *)((uintptr_t)((const struct svm_vcpu *)av->vendor)->vmcb + f->offset);
}

uint64_t svm_get(const struct arch_vcpu *av, enum x86_field f)
{
    return *field_of(av, &fields[f]) & fields[f].mask;
}

void svm_set(struct arch_vcpu *av, enum x86_field f, uint64_t v)
{
    uint64_t *to = field_of(av, &fields[f]), mask = fields[f].mask;

    *to = (*to & ~mask) | (v & mask) | fields[f].always;
}

static struct vmcb_seg *segment_of(const struct arch_vcpu *av, enum x86_segment seg)
{
    static const uint16_t segments[X86_SEGMENT_COUNT] = {
        [X86_ES] = offsetof(struct vmcb_save, es),     [X86_CS] = offsetof(struct vmcb_save, cs),
        [X86_SS] = offsetof(struct vmcb_save, ss),     [X86_DS] = offsetof(struct vmcb_save, ds),
        [X86_FS] = offsetof(struct vmcb_save, fs),     [X86_GS] = offsetof(struct vmcb_save, gs),
        [X86_LDTR] = offsetof(struct vmcb_save, ldtr), [X86_TR] = offsetof(struct vmcb_save, tr),
        [X86_GDTR] = offsetof(struct vmcb_save, gdtr), [X86_IDTR] = offsetof(struct vmcb_save, idtr),
    };

    return (struct vmcb_seg *)((uintptr_t)save_of(av) + segments[seg]);
}

void svm_get_segment(const struct arch_vcpu *av, enum x86_segment s, struct x86_seg *out)
{
    const struct vmcb_seg *seg = segment_of(av, s);

    *out = (struct x86_seg){
        .base = seg->base, .limit = seg->limit, .selector = seg->selector, .attr = seg->attr};
    if (s == X86_SS) { // SYSRET leaves the descriptor's level as it was
        out->attr = (uint16_t)((out->attr & ~0x60u) | (unsigned)save_of(av)->cpl << 5);
    }
}

void svm_set_segment(struct arch_vcpu *av, enum x86_segment s, const struct x86_seg *in)
{
    *segment_of(av, s) =
        (struct vmcb_seg){.base = in->base, .limit = in->limit, .selector = in->selector, .attr = in->attr};
    if (s == X86_SS) {
        ((struct svm_vcpu *)av->vendor)->vmcb->save.cpl = in->attr >> 5 & 3;
    }
}

void svm_get_code(const struct arch_vcpu *av, struct x86_code *out)
{
    const struct vmcb_save *s = save_of(av);

    out->rip = s->rip;
    out->flags = s->rflags;
    out->cr3 = s->cr3;
    out->cr4 = s->cr4;
    out->efer = s->efer;
    out->cs_attr = s->cs.attr;
}

static uint64_t *msr_of(const struct arch_vcpu *av, uint32_t msr)
{
    struct vmcb_save *s = save_of(av);

    switch (msr) {
    case MSR_SYSENTER_CS:
        return &s->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &s->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &s->sysenter_eip;
    case MSR_PAT:
        return &s->g_pat;
    case MSR_STAR:
        return &s->star;
    case MSR_LSTAR:
        return &s->lstar;
    case MSR_CSTAR:
        return &s->cstar;
    case MSR_SFMASK:
        return &s->sfmask;
    case MSR_FS_BASE:
        return (uint64_t *)(uintptr_t)((uintptr_t)&s->fs + offsetof(struct vmcb_seg, base));
    case MSR_GS_BASE:
        return (uint64_t *)(uintptr_t)((uintptr_t)&s->gs + offsetof(struct vmcb_seg, base));
    case MSR_KERNEL_GS_BASE:
        return &s->kernel_gs_base;
    default:
        return NULL;
    }
}

bool svm_get_msr(const struct arch_vcpu *av, uint32_t msr, uint64_t *out)
{
    const uint64_t *p = msr_of(av, msr);

    *out = p ? *p : 0;
    return p != NULL;
}

bool svm_set_msr(struct arch_vcpu *av, uint32_t msr, uint64_t v)
{
    uint64_t *p = msr_of(av, msr);

    if (p) {
        *p = v;
    }
    return p != NULL;
}
