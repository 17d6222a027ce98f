// SPDX-License-Identifier: Apache-2.0
//
// All FP/SIMD registers filled with a pattern and compared with it: see guests/lib/guest.h.
    .arch_extension fp
    .arch_extension simd
    .altmacro

    .macro fill_one n
    add     x1, x0, #\n
    dup     v\n\().2d, x1
    .endm

    .macro check_one n
    add     x1, x0, #\n
    umov    x2, v\n\().d[0]
    umov    x3, v\n\().d[1]
    eor     x2, x2, x1
    eor     x3, x3, x1
    orr     x4, x4, x2
    orr     x4, x4, x3
    .endm

    .macro each_register do
    .set    i, 0
    .rept   32
    \do     %i
    .set    i, i + 1
    .endr
    .endm

    .section .text.fp, "ax"
    .globl fp_fill
fp_fill:
    mrs     x1, cpacr_el1
    orr     x1, x1, #(3 << 20)      // FPEN: no trap
    msr     cpacr_el1, x1
    isb
    each_register fill_one
    ret

    .globl fp_check
fp_check:
    mov     x4, #0
    each_register check_one
    cmp     x4, #0
    cset    w0, eq
    ret
