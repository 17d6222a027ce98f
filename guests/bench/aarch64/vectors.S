// SPDX-License-Identifier: Apache-2.0
//
// Vector tables of the interrupt measurements: only the interrupt slot from EL1 is used, and every handler's length is
// known to the caller (bench_ops.h). They may use x9-x12 and own x20-x23.
    .macro bench_table name
    .section .text.vectors.\name, "ax"
    .balign 2048
    .globl \name
\name:
    .rept   5
    b       .
    .balign 128
    .endr
    .endm

// Counts in x20. Four instructions, all after the first one's start.
    bench_table vectors_count
    mrs     x9, S3_0_C12_C12_0      // ICC_IAR1_EL1
    msr     S3_0_C12_C12_1, x9      // ICC_EOIR1_EL1
    add     x20, x20, #1
    eret
    .balign 2048

// The virtual timer: stops it. Six instructions.
    bench_table vectors_timer
    mrs     x9, S3_0_C12_C12_0
    msr     cntv_ctl_el0, xzr
    isb
    msr     S3_0_C12_C12_1, x9
    add     x20, x20, #1
    eret
    .balign 2048

// Reads the counter into x21 after as many instructions as x22 says: x22 points into the sled.
    bench_table vectors_sled
    br      x22
    .globl sled_start
sled_start:
    .rept   16
    nop
    .endr
    .globl sled_end
sled_end:
    mrs     x21, cntvct_el0
    mrs     x9, S3_0_C12_C12_0
    msr     cntv_ctl_el0, xzr
    isb
    msr     S3_0_C12_C12_1, x9
    add     x20, x20, #1
    eret
    .balign 2048

// A second CPU's first instruction: x0 = top of its stack.
    .section .text.second, "ax"
    .globl second_entry
second_entry:
    msr     daifset, #0xf
    mov     sp, x0
    b       second_main
