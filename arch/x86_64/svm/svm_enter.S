// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back (AMD APM vol. 2, 15.5). Called with interrupts masked; the global interrupt flag keeps them away
// between the two VMRUN needs: interrupts on, so that one that comes ends the guest's run.
#include "arch/x86_64/virt/enter_regs.inc"

    .text
// void svm_enter(uint64_t r[16], uint64_t guest_vmcb_pa, uint64_t host_vmcb_pa)
    .global svm_enter
    .type svm_enter, @function
    .balign 16
svm_enter:
    host_regs_push
    push    %rdx                // the host's FS, GS, TR, LDTR and system-call registers
    push    %rdi
    clgi
    sti
    mov     %rsi, %rax
    guest_regs_load
    vmload
    vmrun
    vmsave
    guest_regs_store
    pop     %rax
    vmload
    cli
    stgi
    host_regs_pop
    ret
    .size svm_enter, . - svm_enter
