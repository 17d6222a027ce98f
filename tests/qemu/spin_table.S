// SPDX-License-Identifier: Apache-2.0
//
// A boot loader as boards without PSCI have it, for test_cpu_start.py: the other CPUs wait in a spin loop outside the
// kernel for an address in their word (Linux, Documentation/arch/arm64/booting.rst). QEMU's own PSCI is used only to bring
// them here. The words and RELEASE, FDT, KERNEL, CPUS come from the command line of the assembler.
    .text
    .global _start
_start:
    mov     x19, #1
1:  cmp     x19, #CPUS
    b.hs    2f
    ldr     x0, =0xC4000003             // CPU_ON
    and     x1, x19, #15                // 16 CPUs to a cluster
    lsr     x2, x19, #4
    orr     x1, x1, x2, lsl #8
    adr     x2, spin
    ldr     x3, =RELEASE
    .ifeq SHARED
    add     x3, x3, x19, lsl #3
    .endif
    smc     #0
    cbnz    x0, .                       // cannot be
    add     x19, x19, #1
    b       1b
2:  ldr     x0, =FDT
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    ldr     x4, =KERNEL
    br      x4

spin:                                   // x0 = its word
    mov     x1, x0
1:  wfe
    ldr     x2, [x1]
    cbz     x2, 1b
    mov     x0, xzr
    br      x2
