// SPDX-License-Identifier: Apache-2.0
//
// A guest that reaches devices by many kinds of instructions and checks what comes of it, registers and page faults included.
// It says "MMIO is OK", or "FAILED" and the letter of the case. Linked at 1 MiB, entered in 32-bit mode without paging.
#include "x86_guest.inc"

.code32
.globl _start
_start:
    mov $0x180000, %esp
    cld
    identity_tables
    // va 16 MiB: 4 KiB pages
    movl $0x204003, 0x202040
    movl $0x300003, 0x204000
    movl $0x301001, 0x204010
    // pages 4 and 5 of that: code in two pages that are not neighbours
    movl $0x305003, 0x204020
    movl $0x303003, 0x204028
    go_long long
.code64
long:
    flat_segments
    gate 14, pf
    gate 1, db
    lidt idtr
    mov $0xFEE00000, %ebx
    mov $'A', %ebp
    movl $0x30, 0x80(%rbx)
    mov 0x80(%rbx), %r9d
    cmp $0x30, %r9
    jne bad
    inc %ebp                 // B: to a mapped page
    mov $0x1000000, %edi
    lea 0x80(%rbx), %rsi
    movsl
    cmpl $0x30, 0x300000
    jne bad
    cmpl $0x300063, 0x204000 // accessed and dirty
    jne bad
    inc %ebp                 // C: not present
    mov $0x1001000, %edi
    lea 0x80(%rbx), %rsi
    xor %r12d, %r12d
    mov $0x1001000, %r13d
    mov $2, %r14d
    lea 2f, %r15
    movsl
2:  cmp $1, %r12d
    jne bad
    inc %ebp                 // D: read-only
    mov $0x1002010, %edi
    lea 0x80(%rbx), %rsi
    mov $0x1002010, %r13d
    mov $3, %r14d
    lea 2f, %r15
    movsl
2:  cmp $2, %r12d
    jne bad
    cmp $0x1002010, %edi
    jne bad
    inc %ebp                 // E: a read across the mapped and the missing page leaves nothing behind
    mov $0x1000FFE, %edi
    lea 0x80(%rbx), %rsi
    mov $0x1001000, %r13d
    mov $2, %r14d
    lea 2f, %r15
    movsl
2:  cmp $3, %r12d
    jne bad
    cmpw $0, 0x300FFE
    jne bad
    inc %ebp                 // F: an instruction in two pages
    mov $0x305FFB, %edi
    mov $code, %esi
    mov $5, %ecx
    rep movsb
    mov $0x303000, %edi
    mov $3, %ecx
    rep movsb
    mov $0x1004FFB, %eax
    call *%rax
    cmpl $0x70, 0x80(%rbx)
    jne bad
    inc %ebp                 // G: rep movsl from the APIC, down
    std
    mov $0x1000010, %edi
    lea 0x80(%rbx), %rsi
    mov $1, %ecx
    rep movsl
    cld
    cmpl $0x70, 0x300010
    jne bad
    inc %ebp                 // H: single steps, one after each instruction and each element of a string
    mov $0x1000020, %edi
    lea 0x80(%rbx), %rsi
    mov $3, %ecx
    mov $0x3FD, %edx
    xor %r10d, %r10d
    pushfq
    orq $0x100, (%rsp)
    popfq
    mov 0x80(%rbx), %eax
    in %dx, %al
    rep movsl
1:  nop
    cmp $5, %r10d
    jne bad
    cmp $1b, %r9
    jne bad
    test %ecx, %ecx
    jnz bad
    mov %dr6, %rax
    bt $14, %rax
    jnc bad
    inc %ebp                 // I: SSE's moves
    mov %cr4, %rax
    or $0x200, %rax
    mov %rax, %cr4
    mov $0x40, %eax
    movd %eax, %xmm3
    movd %xmm3, 0x80(%rbx)
    movups 0xC0000(%rbx), %xmm15
    movups %xmm15, 0x1000100
    cmpl $0x40, 0x80(%rbx)
    jne bad
    cmpq $-1, 0x300108
    jne bad
    movd %xmm3, %ecx
    cmp $0x40, %ecx
    jne bad
    inc %ebp                 // J: comparisons
    lea 0x80(%rbx), %rdi
    mov %edi, %esi
    scasl
    jne bad
    lea 0x80(%rbx), %rdi
    mov $1, %ecx
    repe cmpsl
    jne bad
    mov $ok, %esi
    jmp say
code: .byte 0x83,0x8B,0x80,0,0, 0,0x40,0xC3
    verdict
db: inc %r10d
    mov (%rsp), %r9
    cmp $5, %r10d
    jne 1f
    andq $~0x100, 16(%rsp)
1:  iretq
pf: inc %r12d
    mov %cr2, %rax
    cmp %r13, %rax
    jne bad
    pop %rax
    cmp %r14, %rax
    jne bad
    mov %r15, (%rsp)
    iretq
ok: .ascii "MMIO is OK\r\n"
failed: .ascii "FAILED ?. \r\n"
