// SPDX-License-Identifier: Apache-2.0
//
// Between the files of arch/x86_64/svm.
#pragma once

#include "arch/x86_64/svm/vmcb.h"
#include "arch/x86_64/virt/ops.h"

// Until the CPU has left its handler, the guest gets no other NMI (APM 15.22: what the hardware does not do for injected ones).
enum svm_nmi {
    SVM_NMI_OPEN,
    SVM_NMI_BLOCKED,
    SVM_NMI_RETURNING // at the IRET that ends it, or past it
};

struct svm_vcpu {
    struct vmcb *vmcb;
    hpa_t vmcb_pa, host_vmcb; // for VMLOAD and VMSAVE: its own, and that of the CPU where it is loaded
    uint32_t generation;      // of its ASID; 0: none
    unsigned cpu;             // where that is
    uint64_t dr[4];           // debug addresses, while they are not in the CPU
    bool debugs;              // they are, and the guest gets at them without an exit
    uint8_t nmi;              // enum svm_nmi
    bool stepping;            // over an instruction before which no NMI can go in
    bool guest_steps;         // as the guest itself had TF
    uint64_t iret_rip;
};

// The guest wants debug registers that are away.
#define SVM_IS_DR_EXIT(code) ((code) >= VMEXIT_DR_FIRST && (code) <= VMEXIT_DR_LAST)

// svm_enter.S: into the guest; an exit goes on in svm_left().
void svm_enter(struct arch_vcpu *av, struct x86_exit *out, struct svm_vcpu *sv);

// svm_exit.c: what an exit leaves to be done, and the exit in neutral words. Instructions whose length the hardware does not
// tell have that of their plain form: a prefixed one harms only its guest.
void svm_left(struct arch_vcpu *av, struct x86_exit *out);

// svm.c: the guest gets at the debug registers from now on.
void svm_debug_take(struct svm_vcpu *sv);
// QEMU's TCG: see svm.c.
extern bool svm_loses_irqs;

// svm_nmi.c
bool svm_can_nmi(const struct arch_vcpu *av);
void svm_want_nmi(struct arch_vcpu *av);
void svm_nmi_injected(struct svm_vcpu *sv);
void svm_nmi_exit(struct svm_vcpu *sv, struct x86_exit *out); // after an IRET's exit, or any while `stepping`

// svm_regs.c
uint64_t svm_get(const struct arch_vcpu *av, enum x86_field f);
void svm_set(struct arch_vcpu *av, enum x86_field f, uint64_t v);
void svm_get_segment(const struct arch_vcpu *av, enum x86_segment s, struct x86_seg *out);
void svm_get_code(const struct arch_vcpu *av, struct x86_code *out);
void svm_set_segment(struct arch_vcpu *av, enum x86_segment s, const struct x86_seg *in);
bool svm_get_msr(const struct arch_vcpu *av, uint32_t msr, uint64_t *out);
bool svm_set_msr(struct arch_vcpu *av, uint32_t msr, uint64_t v);
