# SPDX-License-Identifier: Apache-2.0
#
# All FP registers filled with a pattern and compared with it: see guests/lib/guest.h.
    .option arch, +d
    .altmacro

    .macro fill_one n
    addi    t0, a0, \n
    fmv.d.x f\n, t0
    .endm

    .macro check_one n
    addi    t0, a0, \n
    fmv.x.d t1, f\n
    xor     t1, t1, t0
    or      t2, t2, t1
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
    li      t0, 1 << 13             # sstatus.FS: Initial
    csrs    sstatus, t0
    each_register fill_one
    ret

    .globl fp_check
fp_check:
    li      t2, 0
    each_register check_one
    seqz    a0, t2
    ret
