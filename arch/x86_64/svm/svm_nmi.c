// SPDX-License-Identifier: Apache-2.0
//
// Non-maskable interrupts of a guest. The hardware delivers an injected one, but does not keep others away until its handler
// has returned: software does, by the intercept of IRET. That exit comes before the instruction; when another NMI waits, the
// guest is made to do this one step by the trap flag. A guest whose IRET faults at that moment sees a trap flag that is not
// its own.
#include "arch/cpu.h"
#include "arch/x86_64/svm/svm_local.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"

#define FLAGS_TF BIT64(8)
#define DR6_BS BIT64(14)
#define SHADOW BIT64(0)

static struct svm_vcpu *svm_of(const struct arch_vcpu *av)
{
    return av->vendor;
}

static bool is_blocked(const struct svm_vcpu *sv)
{
    return sv->nmi == SVM_NMI_BLOCKED || (sv->nmi == SVM_NMI_RETURNING && sv->vmcb->save.rip == sv->iret_rip);
}

bool svm_can_nmi(const struct arch_vcpu *av)
{
    const struct svm_vcpu *sv = svm_of(av);
    const struct vmcb_control *c = &sv->vmcb->control;

    return !is_blocked(sv) && !sv->stepping && !(c->event_inject & EVENT_VALID) && !(c->shadow & SHADOW);
}

void svm_nmi_injected(struct svm_vcpu *sv)
{
    sv->nmi = SVM_NMI_BLOCKED;
    sv->vmcb->control.intercept3 |= (uint32_t)INTERCEPT_IRET;
}

// Something else is delivered first: an interrupt of the host's, to itself, ends the guest's run after that.
void svm_want_nmi(struct arch_vcpu *av)
{
    struct svm_vcpu *sv = svm_of(av);

    if (sv->vmcb->control.event_inject & EVENT_VALID) {
        ipi_kick(this_cpu()->index);
    } else if (sv->nmi != SVM_NMI_BLOCKED && !sv->stepping) {
        sv->stepping = true;
        sv->guest_steps = (sv->vmcb->save.rflags & FLAGS_TF) != 0;
        sv->vmcb->save.rflags |= FLAGS_TF;
    }
}

// The step is done: the guest hears of it if it wanted one itself. IRET has brought the guest's own flags.
static void stepped(struct svm_vcpu *sv, struct x86_exit *out)
{
    struct vmcb_save *s = &sv->vmcb->save;

    if (!sv->guest_steps) {
        s->rflags &= sv->nmi == SVM_NMI_RETURNING ? UINT64_MAX : ~FLAGS_TF;
        s->dr6 &= ~DR6_BS;
        out->kind = X86_EXIT_NOTHING;
    }
    sv->stepping = false;
    sv->nmi = SVM_NMI_OPEN;
}

void svm_nmi_exit(struct svm_vcpu *sv, struct x86_exit *out)
{
    if (out->reason == VMEXIT_IRET) {
        sv->nmi = SVM_NMI_RETURNING;
        sv->iret_rip = sv->vmcb->save.rip;
        sv->vmcb->control.intercept3 &= ~(uint32_t)INTERCEPT_IRET;
    } else if (out->reason == VMEXIT_EXCEPTION + X86_DB && (sv->vmcb->save.dr6 & DR6_BS)) {
        stepped(sv, out);
    }
}
