// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back (AMD APM vol. 2, 15.5). Called with interrupts masked; the global interrupt flag keeps them away
// between the two VMRUN needs: interrupts on, so that one that comes ends the guest's run.
#include <asm-offsets.h>

#include "arch/x86_64/virt/enter_regs.inc"

    .text
// void svm_enter(struct arch_vcpu *av, struct x86_exit *out, struct svm_vcpu *sv): goes on in svm_left(av, out)
    .global svm_enter
    .type svm_enter, @function
    .balign 16
svm_enter:
    host_regs_push
    push    %rsi
    pushq   SVM_HOST_VMCB(%rdx) // the host's FS, GS, TR, LDTR and system-call registers
    push    %rdi
    clgi
    sti
    mov     SVM_VMCB_PA(%rdx), %rax
    guest_regs_load VCPU_R
    vmload
    vmrun
    vmsave
    guest_regs_store VCPU_R
    pop     %rax
    vmload
    cli
    stgi
    pop     %rsi
    host_regs_pop
    jmp     svm_left
    .size svm_enter, . - svm_enter
