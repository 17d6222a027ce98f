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
    mov $0xFEE00000, %ebx
    // case letters: printed by string output
    mov $'A', %ebp
    cmpl $0, 0x30(%ebx)           // version is not zero
    je bad
    inc %ebp                      // B: write, or, read of TPR
    movl $0x20, 0x80(%ebx)
    orl $0x10, 0x80(%ebx)
    mov 0x80(%ebx), %eax
    cmp $0x30, %eax
    jne bad
    inc %ebp                      // C: movsd from the APIC to memory
    lea 0x80(%ebx), %esi
    mov $0x190000, %edi
    movsl
    cmpl $0x30, 0x190000
    jne bad
    cmp $0x190004, %edi
    jne bad
    inc %ebp                      // D: push, pop
    pushl 0x80(%ebx)
    pop %eax
    cmp $0x30, %eax
    jne bad
    inc %ebp                      // E: nothing there: all ones
    mov 0xD0000000, %eax
    cmp $-1, %eax
    jne bad
    movl $0, 0xD0000000
    inc %ebp                      // F: rep stos onto nothing, more than one batch
    mov $0xD0000000, %edi
    mov $200, %ecx
    rep stosl
    cmp $0xD0000320, %edi
    jne bad
    test %ecx, %ecx
    jnz bad
    inc %ebp                      // G: xchg, cmpxchg on TPR
    mov $0x40, %eax
    xchg %eax, 0x80(%ebx)
    cmp $0x30, %eax
    jne bad
    mov $0x40, %eax
    mov $0x50, %ecx
    lock cmpxchg %ecx, 0x80(%ebx)
    jne bad
    cmpl $0x50, 0x80(%ebx)
    jne bad
    inc %ebp                      // H: I/O APIC, version
    mov $0xFEC00000, %edx
    movl $1, (%edx)
    mov 0x10(%edx), %eax
    cmp $-1, %eax
    je bad
    movl $0, 0x80(%ebx)
    inc %ebp                      // I: page crossing instruction
    jmp cross
done:
    mov $ok, %esi
    jmp say
    verdict
ok: .ascii "MMIO is OK\r\n"
failed: .ascii "FAILED ?. \r\n"
.balign 4096
    .skip 4093
cross:
    movl $0x12345678, 0x190000
    cmpl $0, 0x80(%ebx)
    jmp cross2
.balign 4096
    .skip 4092
cross2:
    orl $0x60, 0x80(%ebx)          // 7 bytes from the last 4 of the page
    cmpl $0x60, 0x80(%ebx)
    jne bad
    inc %ebp                      // J: the end of a segment, in the midst of string input
    lgdt gdtr
    lidt idtr
    mov $gp, %eax
    mov %ax, idt + 13 * 8
    shr $16, %eax
    mov %ax, idt + 13 * 8 + 6
    mov $0x18, %eax
    mov %eax, %es
    mov $0xFFE, %edi
    mov $4, %ecx
    mov $0xE000, %edx
    mov $1f, %esi
    rep insb
    jmp bad
1:  cmp $2, %ecx
    jne bad
    cmp $0x1000, %edi
    jne bad
    cmpw $-1, 0x190FFE
    jne bad
    inc %ebp                      // K: a read-only segment
    mov $0x20, %eax
    mov %eax, %es
    xor %edi, %edi
    mov $1f, %esi
    insb
    jmp bad
1:  inc %ebp                      // L: a segment that expands down
    mov $0x28, %eax
    mov %eax, %es
    mov $0x1001, %edi
    mov $3, %ecx
    mov $1f, %esi
    std
    rep insb
    jmp bad
1:  cld
    cmp $1, %ecx
    jne bad
    cmp $0xFFF, %edi
    jne bad
    mov $0x10, %eax
    mov %eax, %es
    jmp done
gp: add $4, %esp                  // goes to %esi
    mov %esi, (%esp)
    iret
.balign 8
gdt: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
    .quad 0x0040931900000FFF     // 4 KiB at 0x190000
    .quad 0x00CF91190000FFFF     // read-only
    .quad 0x0040971900000FFF     // from 0x1000 on
gdtr: .word 6 * 8 - 1
    .long gdt
idtr: .word 16 * 8 - 1
    .long idt
idt: .rept 16
    .quad 0x00008E0000080000
    .endr
