// SPDX-License-Identifier: Apache-2.0
//
// From the boot loader to C: the arm64 Image header (Documentation/arch/arm64/booting.rst), exception level, page
// tables, MMU. Everything before the jump to the linked address runs wherever the image was put, caches off.
#include <asm-offsets.h>
#include "linker/sections.h"

#define SCTLR_EL2_OFF 0x30C50830
#define BOOT_HCR 0x80000000 // RW: EL1 is AArch64

    .section .head, "ax"
    .global image_header
image_header:
    nop                     // code0
    b       boot_entry      // code1
    .quad   0               // text_offset
    .quad   image_size      // effective size, with .bss
    .quad   0xA             // flags: little endian, 4 KiB pages, anywhere in memory
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

// x0 = device tree; kept in x20. x19 = address the image runs at now.
boot_entry:
    msr     daifset, #0xF
    mov     x20, x0
    adr     x19, image_header
    mrs     x1, CurrentEL
    cmp     x1, #(3 << 2)
    b.eq    from_el3
    cmp     x1, #(2 << 2)
    b.ne    no_el2
at_el2:
    ldr     x1, =SCTLR_EL2_OFF
    msr     sctlr_el2, x1
    mov     x1, #BOOT_HCR
    msr     hcr_el2, x1
    isb
    // Throw away cache lines that a loader may have left over what we write with caches off, then clear .bss.
    adrp    x6, early_tables_end
    bl      boot_invalidate
    adrp    x1, bss_start
    add     x1, x1, :lo12:bss_start
    adrp    x2, bss_end
    add     x2, x2, :lo12:bss_end
    bl      boot_zero
    adrp    x1, boot_stack_top
    mov     sp, x1
    mov     x29, #0
    mov     x0, x19
    mov     x1, x20
    bl      boot_map                    // returns the root table
    mov     x21, x0
    adrp    x1, boot_tables
    add     x1, x1, :lo12:boot_tables
    ldr     x6, [x1, #EARLY_MAP_POOL_NEXT] // the tables in use end here
    bl      boot_invalidate
    ldr     x22, =boot_virtual
    b       mmu_on

boot_zero:                              // [x1, x2), 64-byte aligned
1:  cmp     x1, x2
    b.hs    2f
    stp     xzr, xzr, [x1]
    stp     xzr, xzr, [x1, #16]
    stp     xzr, xzr, [x1, #32]
    stp     xzr, xzr, [x1, #48]
    add     x1, x1, #64
    b       1b
2:  ret

// Data cache lines of what is used with caches off: .bss, the stack, page tables up to x6. All whole pages but for .bss,
// whose neighbours are clean.
boot_invalidate:
    mov     x5, x30
    adrp    x1, bss_start
    adrp    x2, bss_end + 4095
    bl      1f
    adrp    x1, boot_stack_bottom
    adrp    x2, boot_stack_top
    bl      1f
    adrp    x1, early_tables_start
    mov     x2, x6
    mov     x30, x5
1:                                      // [x1, x2)
    mrs     x3, ctr_el0
    ubfx    x3, x3, #16, #4
    mov     x4, #4
    lsl     x3, x4, x3
    sub     x4, x3, #1
    bic     x1, x1, x4
    dsb     sy
1:  .rept   4                           // a page is at least as long
    dc      ivac, x1
    add     x1, x1, x3
    .endr
    cmp     x1, x2
    b.lo    1b
    dsb     sy
    ret

// Entered at EL3 without firmware: hand everything that EL2 needs to the non-secure world, then go there.
from_el3:
    mov     x1, #0x531                  // NS, RES1, HCE, RW, secure instruction fetch off
    movk    x1, #0x3, lsl #16           // APK, API: no trap of pointer authentication
    msr     scr_el3, x1
    msr     cptr_el3, xzr
    adr     x1, el3_vectors
    msr     vbar_el3, x1
    mrs     x1, cntfrq_el0
    cbnz    x1, 1f
    ldr     x1, =62500000
    msr     cntfrq_el0, x1
1:  mrs     x1, id_aa64pfr0_el1
    ubfx    x1, x1, #24, #4
    cbz     x1, 2f
    mov     x1, #0xF                    // ICC_SRE_EL3: system registers, also for EL2
    msr     s3_6_c12_c12_5, x1
    isb
    msr     s3_4_c12_c9_5, x1           // ICC_SRE_EL2 likewise
2:  adrp    x1, boot_stack_top
    mov     sp, x1
    bl      boot_el3_gic
    mov     x1, #0x3C9                  // EL2h, everything masked
    msr     spsr_el3, x1
    adr     x1, at_el2
    msr     elr_el3, x1
    isb
    eret

// There is no firmware then: an SMC from EL2 is told "not supported" (SMCCC, Arm DEN0028, 5.2), so that PSCI calls fail.
    .balign 2048
el3_vectors:
    .skip   0x400                       // only synchronous exceptions from below are expected
    mov     x0, #-1
    eret

no_el2:
    adrp    x1, boot_stack_top
    mov     sp, x1
    bl      boot_say_no_el2
1:  wfi
    b       1b

    .section .idmap, "ax"
// x21 = root table, x22 = where to go on. Mapped at its own physical address as well.
    .global mmu_on
mmu_on:
    msr     ttbr0_el2, x21
    ldr     x1, mair_value
    msr     mair_el2, x1
    ldr     x1, tcr_value
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0xF                // PARange
    mov     x3, #5                      // at most 48 bits
    cmp     x2, x3
    csel    x2, x2, x3, lo
    bfi     x1, x2, #16, #3
    msr     tcr_el2, x1
    isb
    tlbi    alle2
    ic      iallu
    dsb     nsh
    isb
    ldr     x1, sctlr_value
    msr     sctlr_el2, x1
    isb
    br      x22

// A CPU out of a spin loop comes here, MMU off: it looks for its struct secondary_boot {root, stack, index, id} and waits
// until there is one. Several may share a loop's word, so that some come early.
    .global secondary_spin_entry
secondary_spin_entry:
    mrs     x1, mpidr_el1
    ldr     x2, mpidr_aff_value
    and     x1, x1, x2
    orr     x1, x1, #SECONDARY_READY_BITS
1:  adrp    x0, secondary_boots
    add     x0, x0, :lo12:secondary_boots
    mov     x2, #SECONDARY_COUNT
2:  ldr     x3, [x0, #SECONDARY_ID]
    cmp     x3, x1
    b.eq    3f
    add     x0, x0, #SECONDARY_SIZE
    subs    x2, x2, #1
    b.ne    2b
    wfe
    b       1b
3:  dmb     ld                          // the rest was written before

// Secondary CPUs start here, MMU off, x0 = physical address of their struct secondary_boot.
    .global secondary_entry
secondary_entry:
    msr     daifset, #0xF
    ldr     x1, sctlr_off_value
    msr     sctlr_el2, x1
    mov     x1, #BOOT_HCR
    msr     hcr_el2, x1
    isb
    ldp     x21, x23, [x0]
    ldr     x24, [x0, #16]
    ldr     x22, secondary_virtual_value
    b       mmu_on

    .balign 8
mair_value:      .quad 0x4404FF        // 0 normal write-back, 1 device nGnRE, 2 normal non-cacheable
tcr_value:       .quad 0x80803510        // RES1, SH0 inner, WBWA walks, T0SZ 16
sctlr_value:     .quad 0x30CD183D        // RES1, M A? C SA I WXN
sctlr_off_value: .quad SCTLR_EL2_OFF
mpidr_aff_value: .quad 0xFF00FFFFFF
secondary_virtual_value: .quad secondary_virtual

    .text
boot_virtual:
    bti     j
    ldr     x1, =boot_stack_top
    mov     sp, x1
    mov     x29, #0
    mov     x30, #0
    mov     x0, x19
    mov     x1, x20
    b       boot_main

secondary_virtual:
    bti     j
    mov     sp, x23
    mov     x29, #0
    mov     x30, #0
    mov     x0, x24
    b       kernel_secondary_main
