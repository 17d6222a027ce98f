// SPDX-License-Identifier: Apache-2.0
//
// memcpy, memmove, memset in general registers: the string instructions, which every CPU of the last decade runs by lines.
    .text
    .global memcpy
    .type memcpy, @function
memcpy:
    mov     %rdi, %rax
    mov     %rdx, %rcx
    shr     $3, %rcx
    rep movsq
    mov     %edx, %ecx
    and     $7, %ecx
    rep movsb
    ret
    .size memcpy, . - memcpy

// Backwards only when the destination begins inside the source.
    .global memmove
    .type memmove, @function
memmove:
    mov     %rdi, %rax
    sub     %rsi, %rax
    cmp     %rdx, %rax
    jae     memcpy
    mov     %rdi, %rax
    mov     %rdx, %rcx
    lea     -1(%rdi, %rdx), %rdi
    lea     -1(%rsi, %rdx), %rsi
    std
    rep movsb
    cld
    ret
    .size memmove, . - memmove

    .global memset
    .type memset, @function
memset:
    mov     %rdi, %r8
    movzbl  %sil, %eax
    movabs  $0x0101010101010101, %rcx
    imul    %rcx, %rax
    mov     %rdx, %rcx
    shr     $3, %rcx
    rep stosq
    mov     %edx, %ecx
    and     $7, %ecx
    rep stosb
    mov     %r8, %rax
    ret
    .size memset, . - memset
