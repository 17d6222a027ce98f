// SPDX-License-Identifier: Apache-2.0
//
// The interrupt descriptor table's entries, the context switch, and accesses that may fault. Nothing here runs outside ring 0,
// so no entry looks where it came from. Frames: AMD APM vol. 2, 8.9.3.
#include <asm-offsets.h>
#include <asm/regs.h>

#define FIRST_INTERRUPT 32
#define RFLAGS_IF_BIT 9
// Exceptions that push an error code: 8, 10-14, 17, 21, 29, 30.
#define HAS_ERROR 0x60227D00

    .section .vectors, "ax"
    .balign 16
    .global vector_stubs
vector_stubs:
    .set    vector, 0
    .rept   256
    .balign 16
    .if     vector >= FIRST_INTERRUPT
    pushq   $0
    pushq   $vector
    jmp     .Linterrupt_entry
    .else
    .if     !((HAS_ERROR >> vector) & 1)
    pushq   $0
    .endif
    pushq   $vector
    jmp     .Lexception_entry
    .endif
    .set    vector, vector + 1
    .endr

// Stores what C may clobber, then a frame record: backtraces go through the trap.
    .macro save
    push    %rax
    push    %rcx
    push    %rdx
    push    %rsi
    push    %rdi
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    pushq   HOST_RIP_AT_SAVE(%rsp)
    push    %rbp
    mov     %rsp, %rbp
    .endm

.Lexception_entry:
    save
    mov     %rsp, %rdi
    call    trap_host           // returns only when it has repaired the frame
    jmp     .Lhost_return
.Linterrupt_entry:
    cmpl    $0, %gs:PERCPU_NOTE_ONLY
    jne     note_interrupt
    save
    mov     HOST_VECTOR(%rsp), %rax
    mov     %rax, %gs:PERCPU_VECTOR
    call    irq_dispatch
.Lhost_return:
    pop     %rbp
    add     $8, %rsp
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rdi
    pop     %rsi
    pop     %rdx
    pop     %rcx
    pop     %rax
    add     $16, %rsp           // vector and error code
    iretq

// Of a guest that was left because of it: back with interrupts masked, so that no second one comes.
note_interrupt:
    popq    %gs:PERCPU_VECTOR
    add     $8, %rsp
    btrq    $RFLAGS_IF_BIT, 16(%rsp)
    iretq

    .text
// void arch_context_switch(struct arch_context *from, struct arch_context *to)
    .global arch_context_switch
    .type arch_context_switch, @function
arch_context_switch:
    mov     %rsp, CONTEXT_RSP(%rdi)
    mov     %rbx, CONTEXT_RBX(%rdi)
    mov     %rbp, CONTEXT_RBP(%rdi)
    mov     %r12, CONTEXT_R12(%rdi)
    mov     %r13, CONTEXT_R13(%rdi)
    mov     %r14, CONTEXT_R14(%rdi)
    mov     %r15, CONTEXT_R15(%rdi)
    mov     CONTEXT_RSP(%rsi), %rsp
    mov     CONTEXT_RBX(%rsi), %rbx
    mov     CONTEXT_RBP(%rsi), %rbp
    mov     CONTEXT_R12(%rsi), %r12
    mov     CONTEXT_R13(%rsi), %r13
    mov     CONTEXT_R14(%rsi), %r14
    mov     CONTEXT_R15(%rsi), %r15
    ret
    .size arch_context_switch, . - arch_context_switch

// First switch to a thread: rbx = entry, r12 = argument.
    .global context_start
    .type context_start, @function
context_start:
    mov     %r12, %rdi
    call    *%rbx
    ud2
    .size context_start, . - context_start

// A faulting instruction at `insn` goes on at `target` instead (cpu/trap.c).
    .macro fixup insn, target
    .pushsection .rodata.trap_fixups, "a"
    .quad   \insn, \target
    .popsection
    .endm

    .section .rodata.trap_fixups, "a"
    .balign 8
    .global trap_fixups, trap_fixups_end
trap_fixups:
    .text

// bool probe_access(volatile uint32_t *va, uint32_t *value, bool write)
    .global probe_access
    .type probe_access, @function
probe_access:
    test    %dl, %dl
    jz      1f
    mov     (%rsi), %eax
2:  mov     %eax, (%rdi)
    jmp     3f
1:  mov     (%rdi), %eax
    mov     %eax, (%rsi)
3:  mov     $1, %eax
    ret
    fixup   2b, .Laccess_failed
    fixup   1b, .Laccess_failed
    .size probe_access, . - probe_access

// bool probe_rdmsr(uint32_t msr, uint64_t *out)
    .global probe_rdmsr
    .type probe_rdmsr, @function
probe_rdmsr:
    mov     %edi, %ecx
1:  rdmsr
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, (%rsi)
    mov     $1, %eax
    ret
    fixup   1b, .Laccess_failed
    .size probe_rdmsr, . - probe_rdmsr

.Laccess_failed:
    xor     %eax, %eax
    ret

    .section .rodata.trap_fixups, "a"
trap_fixups_end:
