// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back (AMD APM vol. 2, 15.5). Called with interrupts masked; the global interrupt flag keeps them away
// between the two VMRUN needs: interrupts on, so that one that comes ends the guest's run.

    .text
// void svm_enter(uint64_t r[16], uint64_t guest_vmcb_pa, uint64_t host_vmcb_pa)
    .global svm_enter
    .type svm_enter, @function
    .balign 16
svm_enter:
    push    %rbp
    push    %rbx
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    %rdx                // the host's FS, GS, TR, LDTR and system-call registers
    push    %rdi
    clgi
    sti
    mov     %rsi, %rax
    mov     8*1(%rdi), %rcx
    mov     8*2(%rdi), %rdx
    mov     8*3(%rdi), %rbx
    mov     8*5(%rdi), %rbp
    mov     8*6(%rdi), %rsi
    mov     8*8(%rdi), %r8
    mov     8*9(%rdi), %r9
    mov     8*10(%rdi), %r10
    mov     8*11(%rdi), %r11
    mov     8*12(%rdi), %r12
    mov     8*13(%rdi), %r13
    mov     8*14(%rdi), %r14
    mov     8*15(%rdi), %r15
    mov     8*7(%rdi), %rdi
    vmload
    vmrun
    vmsave
    xchg    %rdi, (%rsp)        // r[] again; the guest's is on the stack
    mov     %rcx, 8*1(%rdi)
    mov     %rdx, 8*2(%rdi)
    mov     %rbx, 8*3(%rdi)
    mov     %rbp, 8*5(%rdi)
    mov     %rsi, 8*6(%rdi)
    mov     %r8, 8*8(%rdi)
    mov     %r9, 8*9(%rdi)
    mov     %r10, 8*10(%rdi)
    mov     %r11, 8*11(%rdi)
    mov     %r12, 8*12(%rdi)
    mov     %r13, 8*13(%rdi)
    mov     %r14, 8*14(%rdi)
    mov     %r15, 8*15(%rdi)
    pop     %rcx
    mov     %rcx, 8*7(%rdi)
    pop     %rax
    vmload
    cli
    stgi
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbx
    pop     %rbp
    ret
    .size svm_enter, . - svm_enter
