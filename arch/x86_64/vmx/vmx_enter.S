// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back (Intel SDM vol. 3C, 26 and 27). Called with interrupts masked; one that comes ends the guest's run
// and stays pending. Everything but the general registers is switched by the hardware.

#define VMCS_HOST_RSP_FIELD 0x6C14 // vmcs.h has it too

    .text
// bool vmx_enter(uint64_t r[16], bool launched): false when the entry itself failed
    .global vmx_enter, vmx_exit_entry
    .type vmx_enter, @function
    .balign 16
vmx_enter:
    push    %rbp
    push    %rbx
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    push    %rdi
    mov     $VMCS_HOST_RSP_FIELD, %eax
    vmwrite %rsp, %rax
    test    %sil, %sil          // the flag lives until the jump
    mov     8*0(%rdi), %rax
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
    jnz     1f
    vmlaunch
    jmp     2f
1:  vmresume
2:  pop     %rdi                // nothing has run
    xor     %eax, %eax
    jmp     3f

// The exit comes here, RSP as noted.
    .balign 16
vmx_exit_entry:
    xchg    %rdi, (%rsp)        // r[] again; the guest's is on the stack
    mov     %rax, 8*0(%rdi)
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
    mov     $1, %eax
3:  pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbx
    pop     %rbp
    ret
    .size vmx_enter, . - vmx_enter
