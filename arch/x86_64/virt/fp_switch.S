// SPDX-License-Identifier: Apache-2.0
//
// The only instructions here that touch floating-point and vector registers: all of them at once, between two vCPUs.
    .text
// void fp_xsave(void *area, uint64_t mask)
    .global fp_xsave
    .type fp_xsave, @function
    .balign 16
fp_xsave:
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
    xsave64 (%rdi)
    ret
    .size fp_xsave, . - fp_xsave

// void fp_xrstor(const void *area, uint64_t mask)
    .global fp_xrstor
    .type fp_xrstor, @function
    .balign 16
fp_xrstor:
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
    xrstor64 (%rdi)
    ret
    .size fp_xrstor, . - fp_xrstor

    .global fp_fxsave
    .type fp_fxsave, @function
    .balign 16
fp_fxsave:
    fxsave64 (%rdi)
    ret
    .size fp_fxsave, . - fp_fxsave

    .global fp_fxrstor
    .type fp_fxrstor, @function
    .balign 16
fp_fxrstor:
    fxrstor64 (%rdi)
    ret
    .size fp_fxrstor, . - fp_fxrstor
