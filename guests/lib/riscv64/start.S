// SPDX-License-Identifier: Apache-2.0
//
// Entry of a tiny guest: S-mode, satp off, a0 = hart, a1 = device tree or 0. The image runs at whatever 4 KiB-aligned
// address it was put: the few absolute addresses (tables of pointers) are relocated here (R_RISCV_RELATIVE, psABI 8.5).

    .equ    LINK_BASE, 0x80200000   // guest.ld checks it
    .equ    FRAME, 272              // struct trap_frame

    .option norvc
    .section .text.start, "ax"
    .globl _start
_start:
    lla     t0, 1f
    csrw    stvec, t0               // a machine that does not let us read the counter traps to the next line
    li      s2, 0
    csrr    s2, cycle
    .balign 4
1:  slti    zero, zero, 0x4c4       // for tools/bench_plugin
    csrw    sie, zero
    csrci   sstatus, 2
    mv      s0, a0
    mv      s1, a1
    lla     sp, stack_end

    // The difference between where we run and where we were linked.
    lla     t0, _start
    li      t1, LINK_BASE
    sub     t0, t0, t1
    lla     t1, rela_start
    lla     t2, rela_end
1:  bgeu    t1, t2, 2f
    ld      t3, 0(t1)               // r_offset
    lw      t4, 8(t1)               // type of r_info
    ld      t5, 16(t1)              // r_addend
    addi    t1, t1, 24
    addi    t4, t4, -3              // R_RISCV_RELATIVE
    bnez    t4, 1b
    add     t3, t3, t0
    add     t5, t5, t0
    sd      t5, (t3)
    j       1b

2:  lla     t0, entry_ticks
    sd      s2, (t0)
    lla     t0, trap_entry
    csrw    stvec, t0
    mv      a0, s1
    mv      a1, s0
    mv      s0, zero
    mv      ra, zero
    call    guest_start
3:  wfi
    j       3b

// Where firmware starts a further hart: a0 = hart, a1 = its struct cpu_start.
    .globl secondary_start
secondary_start:
    csrw    sie, zero
    csrci   sstatus, 2
    lla     t0, trap_entry
    csrw    stvec, t0
    ld      sp, 0(a1)
    ld      t0, 8(a1)
    ld      a0, 16(a1)
    mv      s0, zero
    mv      ra, zero
    jr      t0

    .balign 4
trap_entry:
    addi    sp, sp, -FRAME
    sd      x1, 8(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    sd      x\n, 8*\n(sp)
    .endr
    addi    t0, sp, FRAME
    sd      t0, 16(sp)
    csrr    t0, sepc
    sd      t0, 256(sp)
    csrr    t0, sstatus
    sd      t0, 264(sp)
    mv      a0, sp
    csrr    a1, scause
    call    guest_trap
    ld      t0, 256(sp)
    csrw    sepc, t0
    ld      t0, 264(sp)
    csrw    sstatus, t0
    ld      x1, 8(sp)
    .irp n, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    ld      x\n, 8*\n(sp)
    .endr
    addi    sp, sp, FRAME
    sret

    .section .bss.stack, "aw", %nobits
    .balign 16
    .space  16384
stack_end:
