// SPDX-License-Identifier: Apache-2.0
//
// All SSE registers filled with a pattern and compared with it: see guests/lib/guest.h.
    .altmacro

    .macro fill_one n
    lea     \n(%rdi), %rax
    movq    %rax, %xmm\n
    .endm

    .macro check_one n
    lea     \n(%rdi), %rax
    movq    %xmm\n, %rcx
    xor     %rax, %rcx
    or      %rcx, %rdx
    .endm

    .macro each_register do
    .set    i, 0
    .rept   16
    \do     %i
    .set    i, i + 1
    .endr
    .endm

    .section .text.fp, "ax"
    .globl fp_fill
fp_fill:
    each_register fill_one
    ret

    .globl fp_check
fp_check:
    xor     %edx, %edx
    each_register check_one
    xor     %eax, %eax
    test    %rdx, %rdx
    sete    %al
    ret

    .section .note.GNU-stack, "", %progbits
