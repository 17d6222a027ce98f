// SPDX-License-Identifier: Apache-2.0
//
// Entry of a tiny guest: EL1, MMU off, x0 = device tree or 0. The image runs at whatever 4 KiB-aligned address it was
// put: the few absolute addresses (tables of pointers) are relocated here (R_AARCH64_RELATIVE, AAELF64 5.7.16).

    .equ    LINK_BASE, 0x40080000   // guest.ld checks it

    .section .text.start, "ax"
    .globl _start
_start:
    mrs     x20, cntpct_el0
    movz    xzr, #0x4c04            // for tools/bench_plugin
    msr     daifset, #0xf
    adrp    x1, stack_end
    add     x1, x1, :lo12:stack_end
    mov     sp, x1

    // The difference between where we run and where we were linked.
    adr     x2, _start
    ldr     x3, =LINK_BASE
    sub     x4, x2, x3
    adrp    x5, rela_start
    add     x5, x5, :lo12:rela_start
    adrp    x6, rela_end
    add     x6, x6, :lo12:rela_end
1:  cmp     x5, x6
    b.hs    2f
    ldp     x7, x8, [x5]            // r_offset, r_info
    ldr     x9, [x5, #16]           // r_addend
    add     x5, x5, #24
    cmp     w8, #1027               // R_AARCH64_RELATIVE
    b.ne    1b
    add     x9, x9, x4
    str     x9, [x7, x4]
    b       1b

2:  adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el1, x1
    isb
    adrp    x1, entry_ticks
    str     x20, [x1, #:lo12:entry_ticks]
    mov     x29, xzr
    mov     x30, xzr
    bl      guest_start
3:  wfi
    b       3b
    .ltorg

// Where firmware starts a further CPU: x0 = its struct cpu_start.
    .section .text.secondary, "ax"
    .globl secondary_start
secondary_start:
    msr     daifset, #0xf
    adrp    x1, vectors
    add     x1, x1, :lo12:vectors
    msr     vbar_el1, x1
    isb
    ldp     x1, x2, [x0]
    ldr     x0, [x0, #16]
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    br      x2

// One slot of the table: save everything in a struct trap_frame, call guest_trap(frame, slot).
.macro vector slot
    .balign 128
    sub     sp, sp, #272
    stp     x0, x1, [sp, #0]
    mov     x0, #\slot
    b       trap_common
.endm

    .section .text.vectors, "ax"
    .balign 2048
    .globl vectors
vectors:
    .irp slot, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    vector  \slot
    .endr
    .balign 128

trap_common:
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x1, elr_el1
    stp     x30, x1, [sp, #240]
    mrs     x1, spsr_el1
    str     x1, [sp, #256]
    mov     x1, x0
    mov     x0, sp
    bl      guest_trap
    ldp     x30, x1, [sp, #240]
    msr     elr_el1, x1
    ldr     x1, [sp, #256]
    msr     spsr_el1, x1
    ldp     x28, x29, [sp, #224]
    ldp     x26, x27, [sp, #208]
    ldp     x24, x25, [sp, #192]
    ldp     x22, x23, [sp, #176]
    ldp     x20, x21, [sp, #160]
    ldp     x18, x19, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp, #0]
    add     sp, sp, #272
    eret

    .section .bss.stack, "aw", %nobits
    .balign 16
    .space  16384
stack_end:
