// SPDX-License-Identifier: Apache-2.0
//
// All vector registers filled with a pattern and compared with it: see guests/lib/guest.h. Where the CPU has AVX it is
// switched on, and the upper halves count, too (Intel SDM vol. 1, 13.3).
    .altmacro

    .equ    CPUID1_XSAVE_AVX, 1 << 26 | 1 << 28
    .equ    CR4_OSXSAVE, 1 << 18
    .equ    XCR0_ALL, 7                 // x87, SSE, AVX

    .macro fill_one n
    lea     \n(%rdi), %rax
    movq    %rax, %xmm\n
    .endm

    .macro fill_upper n
    vinsertf128 $1, %xmm\n, %ymm\n, %ymm\n
    .endm

    .macro check_one n
    lea     \n(%rdi), %rax
    movq    %xmm\n, %rcx
    xor     %rax, %rcx
    or      %rcx, %rdx
    .endm

    .macro check_upper n
    vextractf128 $1, %ymm\n, (%rsp)
    lea     \n(%rdi), %rax
    xor     (%rsp), %rax
    or      %rax, %rdx
    .endm

    .macro each_register do
    .set    i, 0
    .rept   16
    \do     %i
    .set    i, i + 1
    .endr
    .endm

    .section .text.fp, "ax"
// ZF: no AVX. Else it is on afterwards.
avx_on:
    push    %rbx
    mov     $1, %eax
    xor     %ecx, %ecx
    cpuid
    pop     %rbx
    and     $CPUID1_XSAVE_AVX, %ecx
    cmp     $CPUID1_XSAVE_AVX, %ecx
    jne     1f
    mov     %cr4, %rax
    or      $CR4_OSXSAVE, %rax
    mov     %rax, %cr4
    xor     %ecx, %ecx
    xor     %edx, %edx
    mov     $XCR0_ALL, %eax
    xsetbv
    or      %eax, %eax
    ret
1:  xor     %eax, %eax
    ret

    .globl fp_fill
fp_fill:
    call    avx_on
    setnz   has_avx(%rip)
    each_register fill_one
    cmpb    $0, has_avx(%rip)
    je      1f
    each_register fill_upper
1:  ret

// What fp_fill() switched on is still on: nothing here repairs it.
    .globl fp_check
fp_check:
    xor     %edx, %edx
    each_register check_one
    cmpb    $0, has_avx(%rip)
    je      1f
    sub     $16, %rsp
    each_register check_upper
    add     $16, %rsp
1:  xor     %eax, %eax
    test    %rdx, %rdx
    sete    %al
    ret

    .section .bss.fp, "aw", %nobits
has_avx:
    .skip   1

    .section .note.GNU-stack, "", %progbits
