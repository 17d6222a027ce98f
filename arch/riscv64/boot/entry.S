// SPDX-License-Identifier: Apache-2.0
//
// From the boot loader to C: the RISC-V Image header (Documentation/arch/riscv/boot-image-header.rst), page tables, MMU.
// Everything before the jump to the linked address runs wherever the image was put. All addresses are relative to pc.
//
// satp is written with stvec at the linked address: the next fetch, from a physical address that is not mapped, goes
// there. A mode that the hart lacks leaves satp as it was, and execution goes on: then the next smaller one is tried.
#include <asm-offsets.h>
#include "linker/riscv64.h"

#define SATP_SV48 9
#define SATP_SV39 8

    .option norvc
    .section .head, "ax"
    .global image_header
image_header:
    j       boot_entry      // code0
    nop                     // code1
    .quad   0x200000        // text_offset
    .quad   image_size      // with .bss
    .quad   0               // flags: little endian
    .long   2               // version 0.2
    .long   0
    .quad   0
    .ascii  "RISCV\0\0\0"
    .ascii  "RSC\x05"
    .long   0

// a0 = hart, a1 = device tree; kept in s0, s1. s2 = address the image runs at now.
boot_entry:
    csrw    sie, zero
    csrci   sstatus, 2
    csrw    satp, zero
    lla     t0, boot_taken
    li      t1, 1
    amoor.w.aq t1, t1, (t0)
    bnez    t1, late_hart
    mv      s0, a0
    mv      s1, a1
    lla     s2, image_header
    lla     sp, boot_stack_top
    lla     t0, no_hypervisor
    csrw    stvec, t0
    csrr    t1, hstatus     // illegal without the H extension
    lla     t0, bss_start
    lla     t1, bss_end
1:  bgeu    t0, t1, 2f
    sd      zero, (t0)
    sd      zero, 8(t0)
    sd      zero, 16(t0)
    sd      zero, 24(t0)
    sd      zero, 32(t0)
    sd      zero, 40(t0)
    sd      zero, 48(t0)
    sd      zero, 56(t0)
    addi    t0, t0, 64
    j       1b
2:  li      s3, IMAGE_VA
    sub     s3, s3, s2
    lla     t0, boot_virtual
    add     s4, t0, s3
    li      s5, 4           // levels
    li      s6, SATP_SV48
try_mode:
    mv      a0, s2
    mv      a1, s1
    mv      a2, s5
    li      s8, 0           // end of the frame-pointer chain
    mv      s7, s0
    mv      s0, zero
    call    boot_map        // returns the root table
    mv      s0, s7
    csrw    stvec, s4
    srli    a0, a0, 12
    slli    t0, s6, 60
    or      a0, a0, t0
    sfence.vma
    csrw    satp, a0
    nop
    li      s5, 3
    li      t0, SATP_SV39
    beq     s6, t0, 3f
    mv      s6, t0
    j       try_mode
3:  wfi                     // no paging at all
    j       3b

    .balign 4
no_hypervisor:
    lla     sp, boot_stack_top
    call    boot_say_no_h
1:  wfi
    j       1b

// Another hart at the image's start: a boot loader handed over more than one, or the firmware lost a race (OpenSBI before
// 1.3 lets a hart run before it has noted where to). It waits until somebody wants to start it. a0 = hart.
late_hart:
    lla     t0, secondaries_known
    lw      t1, (t0)
    fence   r, r
    beqz    t1, late_hart
    addi    t4, a0, 1
    lla     a1, secondary_boots
    li      t2, SECONDARY_MAX
1:  ld      t3, SECONDARY_ID(a1)
    beq     t3, t4, 2f
    addi    a1, a1, SECONDARY_SIZE
    addi    t2, t2, -1
    bnez    t2, 1b
    j       late_hart
2:  fence   r, r
    // fall through

// Secondary harts start here (SBI HSM), MMU off, a1 = physical address of their struct secondary_boot.
    .balign 4
    .global secondary_entry
secondary_entry:
    csrw    sie, zero
    csrci   sstatus, 2
    ld      t0, SECONDARY_SATP(a1)
    ld      t1, SECONDARY_ENTRY(a1)
    ld      s3, SECONDARY_STACK(a1)
    ld      s4, SECONDARY_INDEX(a1)
    csrw    stvec, t1
    sfence.vma
    csrw    satp, t0
1:  wfi
    j       1b

// Not in .bss, which the first hart clears while another may look.
    .data
    .balign 4
    .global secondaries_known
boot_taken:
    .long   0
secondaries_known:
    .long   0

    .text
    .balign 4
boot_virtual:
    sfence.vma
    lla     sp, boot_stack_top
    mv      a0, s2
    mv      a1, s1
    mv      a2, s0
    mv      a3, s5
    mv      s0, zero
    mv      ra, zero
    tail    boot_main

    .balign 4
    .global secondary_virtual
secondary_virtual:
    sfence.vma
    mv      sp, s3
    mv      a0, s4
    mv      s0, zero
    mv      ra, zero
    tail    kernel_secondary_main
