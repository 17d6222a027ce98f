// SPDX-License-Identifier: Apache-2.0
//
// The handler of the interrupt measurements: see bench_ops.h.
    .section .text.vectors, "ax"
    .balign 16
    .globl  vectors_stamp
vectors_stamp:
    rdtsc
    shl     $32, %rdx
    or      %rdx, %rax
    mov     %rax, %r13
    mov     $0x80B, %ecx            // end of interrupt
    xor     %eax, %eax
    xor     %edx, %edx
    wrmsr
    inc     %r14
    iretq

    .section .note.GNU-stack, "", %progbits
