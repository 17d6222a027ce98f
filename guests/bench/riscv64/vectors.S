// SPDX-License-Identifier: Apache-2.0
//
// Trap handlers of the interrupt measurements; every handler's length is known to the caller (bench_ops.h). They own s4
// and s5 and may use t0.
    .option norvc
    .section .text.vectors, "ax"

// Counts in s4. Three instructions.
    .balign 4
    .globl  vectors_ipi
vectors_ipi:
    csrci   sip, 2
    addi    s4, s4, 1
    sret

// Says in s5 when it was entered, and stops the timer.
    .globl  vectors_timer
vectors_timer:
    csrr    s5, cycle
    li      t0, -1
    csrw    0x14d, t0               // stimecmp
    addi    s4, s4, 1
    sret

// A second hart's first instruction: a1 = top of its stack.
    .globl  second_entry
second_entry:
    csrci   sstatus, 2
    mv      sp, a1
    j       second_main
