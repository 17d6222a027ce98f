// SPDX-License-Identifier: Apache-2.0
//
// The system registers of EL1 and EL0 that only a switch to another vCPU moves: struct guest_sysregs, two at a time, in
// the order of its members (Arm DDI 0487, D19.2). What is loaded takes effect with the ERET into the guest.
#include <asm-offsets.h>

    .text

    .macro save_pair at, a, b
    mrs     x1, \a
    mrs     x2, \b
    stp     x1, x2, [x0, #16 * \at]
    .endm

    .macro load_pair at, a, b
    ldp     x1, x2, [x0, #16 * \at]
    msr     \a, x1
    msr     \b, x2
    .endm

    .macro each_pair do
    \do     0, sctlr_el1, cpacr_el1
    \do     1, ttbr0_el1, ttbr1_el1
    \do     2, tcr_el1, mair_el1
    \do     3, amair_el1, vbar_el1
    \do     4, contextidr_el1, esr_el1
    \do     5, far_el1, afsr0_el1
    \do     6, afsr1_el1, par_el1
    \do     7, elr_el1, spsr_el1
    \do     8, sp_el0, sp_el1
    \do     9, tpidr_el0, tpidrro_el0
    \do     10, tpidr_el1, cntkctl_el1
    \do     11, csselr_el1, mdscr_el1
    // A timer may fire as soon as its control is written: the compare values come first.
    \do     12, cntv_cval_el0, cntp_cval_el0
    \do     13, cntv_ctl_el0, cntp_ctl_el0
    .endm

// void sysregs_save(struct guest_sysregs *s): also stops the guest's timers
    .global sysregs_save
    .type sysregs_save, %function
sysregs_save:
    bti     c
    each_pair save_pair
    msr     cntv_ctl_el0, xzr
    msr     cntp_ctl_el0, xzr
    ret
    .size sysregs_save, . - sysregs_save

// void sysregs_load(const struct guest_sysregs *s)
    .global sysregs_load
    .type sysregs_load, %function
sysregs_load:
    bti     c
    each_pair load_pair
    ret
    .size sysregs_load, . - sysregs_load
