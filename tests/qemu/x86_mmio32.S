// SPDX-License-Identifier: Apache-2.0
//
// A guest that reaches devices by many kinds of instructions and checks what comes of it, registers and page faults included.
// It says "MMIO is OK", or "FAILED" and the letter of the case. Linked at 1 MiB, entered in 32-bit mode without paging.
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
bad:
    mov $failed, %esi
    mov %ebp, %eax
    mov %al, 7(%esi)
say:
    mov $0x3F8, %dx
    mov $12, %ecx
    rep outsb
1:  cli
    hlt
    jmp 1b
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
    jmp done
