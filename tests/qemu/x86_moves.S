// SPDX-License-Identifier: Apache-2.0
//
// A guest that does the same MOV to or from a device several times in a row, which is carried out without decoding it again, in
// all its forms; and MOVs that are rewritten, or replaced through the page tables, in between. The device is the I/O APIC's
// select register. Says "MOVE is OK", or "FAILED" and the letter of the case. Linked at 1 MiB, entered in 32-bit mode.
#include "x86_guest.inc"

.code32
.globl _start
_start:
    mov $0x180000, %esp
    cld
    identity_tables          // virtual 4 MiB is the page that case J changes
    go_long long

.code64
    .macro times n, insn:vararg
    mov $\n, %ecx
7:  \insn
    dec %ecx
    jnz 7b
    .endm
    // RAX begins with all ones each time
    .macro load_is value, insn:vararg
    mov $3, %ecx
7:  mov $-1, %rax
    \insn
    mov $\value, %rdx
    cmp %rdx, %rax
    jne bad
    dec %ecx
    jnz 7b
    .endm
    .macro next
    inc %ebp
    .endm

long:
    flat_segments
    mov $0xFEC00000, %ebx
    mov $'A', %ebp
    times 5, mov %ecx, (%rbx)
    load_is 1, mov (%rbx), %eax
    next                     // B: smaller than the register
    load_is 0xFFFFFFFFFFFFFF01, movb (%rbx), %al
    load_is 0xFFFFFFFFFFFF0001, movw (%rbx), %ax
    load_is 1, movq (%rbx), %rax
    next                     // C: extended
    load_is 1, movzbl (%rbx), %eax
    load_is 0xFFFFFFFFFFFF0001, movzbw (%rbx), %ax
    load_is 1, movzwl (%rbx), %eax
    times 2, movb $0x85, (%rbx)
    load_is 0xFFFFFFFFFFFFFF85, movsbq (%rbx), %rax
    next                     // D: a high byte's register, and one that only looks like it
    mov $0x500, %eax
    times 3, movb %ah, (%rbx)
    load_is 5, mov (%rbx), %eax
    mov $0x106, %esi
    times 3, movb %sil, (%rbx)
    load_is 6, mov (%rbx), %eax
    load_is 0xFFFFFFFFFFFF06FF, movb (%rbx), %ah
    next                     // E: immediate values
    times 3, movl $7, (%rbx)
    load_is 7, mov (%rbx), %eax
    times 3, movb $9, (%rbx)
    load_is 9, mov (%rbx), %eax
    next                     // F: addresses
    lea -0x18(%rbx), %rdi
    mov $4, %esi
    load_is 9, mov 8(%rdi, %rsi, 4), %eax
    mov $10, %r8d
    times 3, mov %r8d, 8(%rdi, %rsi, 4)
    load_is 10, mov (%rbx), %eax
    next                     // G: a segment with a base
    mov $0xC0000100, %ecx
    mov %ebx, %eax
    xor %edx, %edx
    wrmsr
    load_is 10, mov %fs:0, %eax
    next                     // H: to the next register, by the same instruction
    movl $1, (%rbx)
    mov %rbx, %rdi
    mov $2, %ecx
1:  mov (%rdi), %eax
    add $0x10, %rdi
    dec %ecx
    jnz 1b
    cmp $0x170020, %eax      // version
    jne bad
    next                     // I: rewritten each time
    mov $3, %ecx
1:  movl $0x10, (%rbx)
    incb 1b + 2
    dec %ecx
    jnz 1b
    load_is 0x12, mov (%rbx), %eax
    next                     // J: another page of code at the same address
    mov $template, %esi
    mov $0x600000, %edi
    mov $template_end - template, %ecx
    rep movsb
    mov $template, %esi
    mov $0x800000, %edi
    mov $template_end - template, %ecx
    rep movsb
    movb $0x22, 0x800002
    mov $0x400000, %esi
    movl $0x600083, 0x202010
    call *%rsi
    call *%rsi
    movl $0x800083, 0x202010
    invlpg (%rsi)
    call *%rsi
    load_is 0x22, mov (%rbx), %eax
    mov $ok, %esi
    jmp say
template:
    movl $0x21, (%rbx)
    ret
template_end:
    verdict
ok: .ascii "MOVE is OK\r\n"
failed: .ascii "FAILED  . \r\n"
