// SPDX-License-Identifier: Apache-2.0
//
// Every form of load and store, with its text: 4 bytes and 44 bytes. x1 is the address, x2 the data.

    .arch armv8.5-a+memtag+fp+simd
    .section .rodata.forms, "a"
    .balign 8

.macro form text
    \text
9:  .ascii "\text"
    .zero 44 - (. - 9b)
.endm

    .globl forms_begin, forms_end
forms_begin:
    form "ldrb w2, [x1]"
    form "strb w2, [x1]"
    form "ldrh w2, [x1]"
    form "strh w2, [x1]"
    form "ldr w2, [x1]"
    form "str w2, [x1]"
    form "ldr x2, [x1]"
    form "str x2, [x1]"
    form "str xzr, [x1]"
    form "ldr xzr, [x1]"
    form "ldrsb w2, [x1]"
    form "ldrsb x2, [x1]"
    form "ldrsh x2, [x1]"
    form "ldrsw x2, [x1]"
    form "ldur w2, [x1, #0]"
    form "stur w2, [x1, #0]"
    form "ldr w2, [x1], #4"
    form "str w2, [x1], #4"
    form "ldr x2, [x1, #0]!"
    form "str x2, [x1, #0]!"
    form "ldrb w2, [x1], #1"
    form "ldrsh w2, [x1], #-2"
    form "ldr w2, [x1, xzr]"
    form "str w2, [x1, xzr]"
    form ".inst 0xb8404421"
    form ".inst 0xf8000c21"
    form "ldtr w2, [x1]"
    form "sttr w2, [x1]"
    form "ldp w2, w3, [x1]"
    form "stp w2, w3, [x1]"
    form "ldp x2, x3, [x1]"
    form "stp x2, x3, [x1]"
    form "ldp x2, x3, [x1], #16"
    form "stp x2, x3, [x1, #0]!"
    form "ldpsw x2, x3, [x1]"
    form "ldnp x2, x3, [x1]"
    form "stnp x2, x3, [x1]"
    form "ldr b0, [x1]"
    form "str b0, [x1]"
    form "ldr h0, [x1]"
    form "str h0, [x1]"
    form "ldr s0, [x1]"
    form "str s0, [x1]"
    form "ldr d0, [x1]"
    form "str d0, [x1]"
    form "ldr q0, [x1]"
    form "str q0, [x1]"
    form "ldr q0, [x1], #16"
    form "str q0, [x1, #0]!"
    form "ldp s0, s1, [x1]"
    form "stp s0, s1, [x1]"
    form "ldp q0, q1, [x1]"
    form "stp q0, q1, [x1], #32"
    form "ld1 {v0.16b}, [x1]"
    form "st1 {v0.16b}, [x1]"
    form "ld4 {v0.16b, v1.16b, v2.16b, v3.16b}, [x1]"
    form "st4 {v0.2s, v1.2s, v2.2s, v3.2s}, [x1], #32"
    form "ld1r {v0.4s}, [x1]"
    form "ldar w2, [x1]"
    form "stlr w2, [x1]"
    form "ldarb w2, [x1]"
    form "stlrh w2, [x1]"
    form "ldapr w2, [x1]"
    form "ldxr w2, [x1]"
    form "stxr w3, w2, [x1]"
    form "ldaxr x2, [x1]"
    form "stlxr w3, x2, [x1]"
    form "ldxp x2, x3, [x1]"
    form "stxp w4, x2, x3, [x1]"
    form "ldaxp w2, w3, [x1]"
    form "ldadd w2, w3, [x1]"
    form "swp x2, x3, [x1]"
    form "ldclral w2, w3, [x1]"
    form "stumax x2, [x1]"
    form "cas w2, w3, [x1]"
    form "casal x2, x3, [x1]"
    form "casp x2, x3, x4, x5, [x1]"
    form "prfm pldl1keep, [x1]"
    form "prfm pstl1keep, [x1]"
    form "dc zva, x1"
    form "dc ivac, x1"
    form "dc cvac, x1"
    form "dc cvau, x1"
    form "dc civac, x1"
    form "ic ivau, x1"
    form "at s1e1r, x1"
    form "at s1e0w, x1"
    form "stg x1, [x1]"
    form "ldg x2, [x1]"
    form "ldraa x2, [x1]"
forms_end:

// uint64_t run_code(code, address, value): everything a tested instruction may change is saved or does not matter.
    .section .text.run_code, "ax"
    .globl run_code
run_code:
    stp     x29, x30, [sp, #-16]!
    mov     x9, x0
    mov     x3, xzr
    mov     x4, xzr
    mov     x5, xzr
    blr     x9
    mov     x0, x2
    ldp     x29, x30, [sp], #16
    ret
