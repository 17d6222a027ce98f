// SPDX-License-Identifier: Apache-2.0
//
// A guest that works its local APIC hard, as a page and as MSRs: priorities by CR8, interrupts to itself, a level-triggered one, the
// timer. It says "APIC is OK", or "FAILED" and the letter of the case; how often it had to leave for that, the hypervisor counts.
// Linked at 1 MiB, entered in 32-bit mode without paging.
#define ROUNDS 300
#define PRIORITIES 5000
#include "x86_guest.inc"

.code32
.globl _start
_start:
    mov $0x180000, %esp
    cld
    identity_tables
    go_long long
// r14 interrupts have come since it was 0.
.macro came n
    nop
    nop
    cmp $\n, %r14d
    jne bad
.endm
.macro cr8 n
    mov $\n, %eax
    mov %rax, %cr8
.endm
.macro x2write reg, value
    mov $0x800 + \reg, %ecx
    mov $\value, %eax
    xor %edx, %edx
    wrmsr
.endm
.macro x2is reg, value
    mov $0x800 + \reg, %ecx
    rdmsr
    cmp $\value, %eax
    jne bad
.endm
.code64
long:
    flat_segments
    gate 0x50, by_page
    gate 0x61, by_msr
    gate 0x72, level
    gate 0x83, by_msr
    lidt idtr
    mov $0xFEE00000, %ebx
    movl $0x1FF, 0xF0(%rbx)
    sti
    mov $'A', %ebp           // A: CR8 holds it back, and lets it in at once; it is seen in IRR, ISR and PPR
    mov $ROUNDS, %r15d
1:  xor %r14d, %r14d
    cr8 5
    movl $0x44050, 0x300(%rbx)
    came 0
    cmpl $0x10000, 0x220(%rbx)
    jne bad
    cr8 4
    came 1
    cmpl $0x40, 0x80(%rbx)
    jne bad
    cmpl $0, 0x220(%rbx)
    jne bad
    dec %r15d
    jnz 1b
    inc %ebp                 // B: likewise by its own register
    xor %r14d, %r14d
    movl $0x5F, 0x80(%rbx)
    movl $0x44050, 0x300(%rbx)
    came 0
    cmpl $0x5F, 0xA0(%rbx)
    jne bad
    movl $0x4F, 0x80(%rbx)
    came 1
    inc %ebp                 // C: priorities without anybody waiting
    mov $PRIORITIES, %ecx
1:  mov %ecx, %eax
    and $15, %eax
    mov %rax, %cr8
    mov %cr8, %rdx
    cmp %eax, %edx
    jne bad
    dec %ecx
    jnz 1b
    cr8 0
    inc %ebp                 // D: the UART's line stays high until the third time: each end is told to the I/O APIC
    xor %r14d, %r14d
    mov $0xFEC00000, %esi
    movl $0x18, (%rsi)
    movl $0x8072, 0x10(%rsi)
    mov $0x3F9, %edx
    mov $2, %al
    out %al, %dx
    came 3
    movl $0x18, (%rsi)
    movl $0x10000, 0x10(%rsi)
    inc %ebp                 // E: the other mode: identity, and what waits comes along
    cr8 6
    xor %r14d, %r14d
    movl $0x44061, 0x300(%rbx)
    mov $0x1B, %ecx
    rdmsr
    or $0x400, %eax
    wrmsr
    x2is 0x02, 0
    x2is 0x0D, 1
    x2is 0x08, 0x60
    x2is 0x23, 2
    came 0
    cr8 5
    came 1
    inc %ebp                 // F: as A, by MSRs
    mov $ROUNDS, %r15d
1:  xor %r14d, %r14d
    x2write 0x08, 0x60
    x2write 0x3F, 0x61
    came 0
    x2is 0x0A, 0x60
    x2write 0x08, 0x5F
    came 1
    dec %r15d
    jnz 1b
    inc %ebp                 // G: the timer ends HLT
    x2write 0x08, 0
    x2write 0x3E, 0xB
    x2write 0x32, 0x83
    mov $10, %r15d
1:  xor %r14d, %r14d
    cli
    x2write 0x38, 20000
    sti
    hlt
    came 1
    dec %r15d
    jnz 1b
    mov $ok, %esi
    mov $13, %ecx
    jmp 2f
bad: mov %ebp, failed + 7
    mov $failed, %esi
    mov $9, %ecx
2:  mov $0x3F8, %edx
    rep outsb
    hlt
    jmp . - 1
by_page:
    cmpl $0x10000, 0x120(%rbx)
    jne bad
    inc %r14d
    movl $0, 0xB0(%rbx)
    iretq
by_msr:
    push %rcx
    push %rdx
    push %rax
    inc %r14d
    x2write 0x0B, 0
    pop %rax
    pop %rdx
    pop %rcx
    iretq
level:
    inc %r14d
    cmp $3, %r14d
    jne 1f
    xor %eax, %eax
    out %al, %dx
1:  movl $0, 0xB0(%rbx)
    iretq
ok: .ascii "\nAPIC is OK\n\n"
failed: .ascii "FAILED _\n"
