// SPDX-License-Identifier: Apache-2.0
//
// A guest that asks for what VMX lets the hypervisor answer: CR0, CR4, CR8, debug exceptions, registers and instructions that
// are not there. It says "REGS is OK", or "FAILED" and the letter of the case. Linked at 1 MiB, entered in 32-bit mode
// without paging.
#include "x86_guest.inc"

.code32
.globl _start
_start:
    mov $0x180000, %esp
    cld
    identity_tables
    go_long long, 0x20             // without NE as well: a change that the hypervisor carries out
// The instructions must end in exception `n`.
.macro faults n, insn:vararg
    xor %r12d, %r12d
    lea 77f(%rip), %r15
    \insn
77: cmp $\n, %r12d
    jne bad
.endm
.code64
long:
    flat_segments
    gate 1, db
    gate 2, nmi
    gate 6, ud
    gate 13, gp
    gate 0x45, irq
    lidt idtr
    mov $'A', %ebp           // A: the caller's NE is gone, paging is on
    mov %cr0, %rax
    and $0x80000021, %eax
    cmp $0x80000001, %eax
    jne bad
    inc %ebp                 // B: CR8
    mov $5, %eax
    mov %rax, %cr8
    mov %cr8, %r9
    cmp $5, %r9
    jne bad
    inc %ebp                 // C: is the local APIC's task priority
    mov $0xFEE00000, %ebx
    cmpl $0x50, 0x80(%rbx)
    jne bad
    inc %ebp                 // D: and has four bits
    mov $0x10, %eax
    faults 13, mov %rax, %cr8
    inc %ebp                 // E: caches off, as far as the guest sees, and on
    mov %cr0, %rdi
    mov %rdi, %rax
    or $0x60000020, %rax
    mov %rax, %cr0
    mov %cr0, %rcx
    cmp %rax, %rcx
    jne bad
    mov %rdi, %cr0
    inc %ebp                 // F: write-through alone is none
    mov %rdi, %rax
    or $0x20000000, %rax
#ifndef TCG                      // which lets this pass, and the next two
    faults 13, mov %rax, %cr0
#endif
    inc %ebp                 // G: paging does not end in 64-bit code
    mov %rdi, %rax
    btr $31, %rax
#ifndef TCG
    faults 13, mov %rax, %cr0
#endif
    inc %ebp                 // H: no VMX in CR4, CPUID, as an instruction
    mov %cr4, %rax
    bt $13, %rax
    jc bad
    bts $13, %rax
#ifndef TCG
    faults 13, mov %rax, %cr4
#endif
    mov $1, %eax
    cpuid
    bt $5, %ecx
    jc bad
    faults 6, .byte 0x0F, 0x01, 0xC2
    inc %ebp                 // I: an MSR that is not there
    mov $0x12345, %ecx
    faults 13, rdmsr
    inc %ebp                 // J: a single step
    pushfq
    orq $0x100, (%rsp)
    xor %r12d, %r12d
    lea 1f(%rip), %r15
    popfq
    nop
1:  cmp $1, %r12d
    jne bad
    mov %dr6, %rax
    bt $14, %rax
    jnc bad
    inc %ebp                 // K: a breakpoint
    xor %eax, %eax
    mov %rax, %dr6
    lea 2f(%rip), %rax
    mov %rax, %dr0
    mov $0x402, %eax
    mov %rax, %dr7
    xor %r12d, %r12d
    lea 3f(%rip), %r15
2:  nop
    jmp bad
3:  cmp $1, %r12d
    jne bad
    mov %dr6, %rax
    bt $0, %rax
    jnc bad
    mov $0x400, %eax
    mov %rax, %dr7
    inc %ebp                 // L: CR8 holds back an interrupt of its class, and lets it in
    mov $0xFEE00000, %ebx
    movl $0x1FF, 0xF0(%rbx)
    xor %r13d, %r13d
    mov $4, %eax
    mov %rax, %cr8
    sti
    movl $0x40045, 0x300(%rbx)
    xor %eax, %eax
    cpuid
    mov $0xFEE00000, %ebx
    test %r13d, %r13d
    jnz bad
    mov $3, %eax
    mov %rax, %cr8
    nop
    cmp $1, %r13d
    jne bad
    cli
    inc %ebp                 // M: the register of the local APIC is read by CR8, also into R9
    movl $0x73, 0x80(%rbx)
    mov %cr8, %r9
    cmp $7, %r9
    jne bad
    movl $0, 0x80(%rbx)
    inc %ebp                 // N: an NMI in spite of IF; a second one waits for the end of its handler
    xor %r14d, %r14d
    movl $0, 0x310(%rbx)
    movl $0x400, 0x300(%rbx)
    nop
    cmp $2, %r14d
    jne bad
    test %r12d, %r12d
    jz bad
    inc %ebp                 // O: the I/O APIC's, from the PIT, ends HLT with interrupts masked
    mov $0xFEC00000, %ecx
    movl $0x14, (%rcx)
    movl $0x400, 0x10(%rcx)
    mov $0x30, %al
    out %al, $0x43
    mov $0xFF, %al
    out %al, $0x40
    out %al, $0x40
    hlt
    cmp $3, %r14d
    jne bad
    mov $ok, %esi
    jmp say
    verdict
gp: mov $13, %r12d
    add $8, %rsp
    jmp back
ud: mov $6, %r12d
    jmp back
irq:
    inc %r13d
    movl $0, 0xB0(%rbx)
    iretq
nmi:
    inc %r14d
    cmp $1, %r14d
    jne 1f
    movl $0x400, 0x300(%rbx)
    push %rbx
    xor %eax, %eax
    cpuid
    pop %rbx
    xor %r12d, %r12d
    cmp $1, %r14d
    sete %r12b               // still the first one's
1:  iretq
db: mov $1, %r12d
back:
    mov %r15, (%rsp)
    movq $2, 16(%rsp)
    iretq
ok: .ascii "REGS is OK\r\n"
failed: .ascii "FAILED ?. \r\n"
