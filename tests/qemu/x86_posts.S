// SPDX-License-Identifier: Apache-2.0
//
// Two CPUs in x2APIC mode: the first sends interrupts to the second, which counts them. First that one computes with interrupts
// allowed, then it sleeps until the next comes, at any distance; two of different priority in a row are two. It says "POSTS is
// OK", or "FAILED" and the letter of the case. Linked at 1 MiB, entered in 32-bit mode without paging; the second CPU stays in real
// mode.
#define COMPUTING 3000
#define SLEEPING 1500
#define START 0x8000
#define COUNT 0x7000
#define SLEEPS 0x7004
#define UP 0x7008
.code32
.macro x2write reg, low, high=0
    mov $0x800 + \reg, %ecx
    mov $\low, %eax
    mov $\high, %edx
    wrmsr
.endm
.macro x2on
    mov $0x1B, %ecx
    rdmsr
    or $0xC00, %eax
    wrmsr
    x2write 0x0F, 0x1FF
.endm
// The count becomes \n more, or this is the end.
.macro await n
    add $\n, %ebx
    mov $100000000, %ecx
1:  cmp COUNT, %ebx
    je 2f
    dec %ecx
    jnz 1b
    jmp bad
2:
.endm
.globl _start
_start:
    mov $0x180000, %esp
    cld
    xor %eax, %eax
    mov %eax, COUNT
    mov %eax, SLEEPS
    mov %eax, UP
    mov $second, %esi
    mov $START, %edi
    mov $second_end - second, %ecx
    rep movsb
    movl $START + handler - second, 4 * 0x50
    movl $START + handler - second, 4 * 0x61
    x2on
    mov $'A', %ebp           // A: it starts
    x2write 0x30, 0x4500, 1
    x2write 0x30, 0x4608, 1
    mov $100000000, %ecx
1:  cmpl $1, UP
    je 1f
    dec %ecx
    jnz 1b
    jmp bad
1:  xor %ebx, %ebx
    inc %ebp                 // B: while it computes
    mov $COMPUTING, %edi
3:  x2write 0x30, 0x4050, 1
    await 1
    dec %edi
    jnz 3b
    inc %ebp                 // C: two
    mov $COMPUTING, %edi
3:  x2write 0x30, 0x4050, 1
    x2write 0x30, 0x4061, 1
    await 2
    dec %edi
    jnz 3b
    movl $1, SLEEPS
    inc %ebp                 // D: when it sleeps, or is about to
    mov $SLEEPING, %edi
3:  x2write 0x30, 0x4050, 1
    await 1
    mov %edi, %ecx
    and $255, %ecx
    inc %ecx
1:  dec %ecx
    jnz 1b
    dec %edi
    jnz 3b
    mov $ok, %esi
    mov $14, %ecx
    jmp 2f
bad: mov %ebp, %eax
    movb %al, failed + 8
    mov $failed, %esi
    mov $10, %ecx
2:  mov $0x3F8, %edx
    rep outsb
1:  cli
    hlt
    jmp 1b
.code16
second:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7C00, %sp
    x2on
    movl $1, UP
    sti
1:  cmpw $0, SLEEPS
    je 1b
    hlt
    jmp 1b
handler:
    push %eax
    push %ecx
    push %edx
    lock incl COUNT
    x2write 0x0B, 0
    pop %edx
    pop %ecx
    pop %eax
    iret
second_end:
ok: .ascii "\nPOSTS is OK\n\n"
failed: .ascii "\nFAILED _\n"
