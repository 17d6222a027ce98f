// SPDX-License-Identifier: Apache-2.0
//
// The EL2 vector table and the entries for exceptions that the hypervisor itself takes. Traps from guests go on in
// virt/exit.S with their registers already on the vCPU thread's stack (struct guest_frame).
#include <asm-offsets.h>

#define HOST_FRAME 208 // x0-x18, x29, x30, elr, spsr

    .macro save_caller_saved base
    stp     x0, x1, [\base]
    stp     x2, x3, [\base, #16]
    stp     x4, x5, [\base, #32]
    stp     x6, x7, [\base, #48]
    stp     x8, x9, [\base, #64]
    stp     x10, x11, [\base, #80]
    stp     x12, x13, [\base, #96]
    stp     x14, x15, [\base, #112]
    stp     x16, x17, [\base, #128]
    .endm

    // One slot: 32 instructions. From a guest, SP points at its frame. An interrupt's handler needs neither argument.
    .macro guest_vector target, irq=0
    .balign 128
    save_caller_saved sp
    str     x18, [sp, #144]
    str     x30, [sp, #240]
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [sp, #FRAME_PC]
    .if !\irq
    mrs     x1, esr_el2
    mov     x0, sp
    .endif
    b       \target
    .endm

    // From EL2 with SP_EL2: bit 14 of a good stack pointer is set (stacks lie in the upper half of 32 KiB slots).
    .macro host_vector target
    .balign 128
    add     sp, sp, x0
    sub     x0, sp, x0
    tbz     x0, #14, stack_overflow
    sub     x0, sp, x0
    sub     sp, sp, x0
    sub     sp, sp, #HOST_FRAME
    save_caller_saved sp
    str     x18, [sp, #144]
    stp     x29, x30, [sp, #152]
    b       \target
    .endm

    .macro bad_vector number
    .balign 128
    mov     x0, #\number
    b       bad_exception
    .endm

    .section .vectors, "ax"
    .global el2_vectors
    .balign 2048
el2_vectors:
    bad_vector 0                // current EL with SP_EL0: never used
    bad_vector 1
    bad_vector 2
    bad_vector 3
    host_vector host_sync
    host_vector host_irq
    bad_vector 6
    host_vector host_serror
    guest_vector guest_sync
    guest_vector guest_irq, 1
    guest_vector guest_irq, 1    // FIQ: the controller gives none, treated alike
    guest_vector guest_serror
    guest_vector guest_sync     // AArch32 EL0 under an AArch64 EL1
    guest_vector guest_irq, 1
    guest_vector guest_irq, 1
    guest_vector guest_serror

// Near enough for a test-and-branch.
stack_overflow:
    ldr     x0, =panic_stack_top
    mov     sp, x0
    mrs     x0, elr_el2
    mrs     x1, far_el2
    b       trap_stack_overflow

    .text
host_irq:
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [sp, #168]
    mov     x29, sp
    bl      irq_dispatch
    b       host_return

host_sync:
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [sp, #168]
    mov     x0, sp
    mrs     x1, esr_el2
    mrs     x2, far_el2
    bl      trap_host_sync      // returns only when it has repaired the frame
host_return:
    ldp     x1, x2, [sp, #168]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldr     x18, [sp, #144]
    ldp     x29, x30, [sp, #152]
    ldp     x0, x1, [sp]
    add     sp, sp, #HOST_FRAME
    eret

host_serror:
    mrs     x1, elr_el2
    mrs     x0, esr_el2
    b       trap_host_serror

bad_exception:
    ldr     x1, =panic_stack_top
    mov     sp, x1
    mrs     x1, esr_el2
    mrs     x2, elr_el2
    b       trap_bad_vector

// void arch_context_switch(struct arch_context *from, struct arch_context *to)
    .global arch_context_switch
    .type arch_context_switch, %function
arch_context_switch:
    bti     c
    stp     x19, x20, [x0]
    stp     x21, x22, [x0, #16]
    stp     x23, x24, [x0, #32]
    stp     x25, x26, [x0, #48]
    stp     x27, x28, [x0, #64]
    stp     x29, x30, [x0, #80]
    mov     x2, sp
    str     x2, [x0, #CONTEXT_SP]
    ldp     x19, x20, [x1]
    ldp     x21, x22, [x1, #16]
    ldp     x23, x24, [x1, #32]
    ldp     x25, x26, [x1, #48]
    ldp     x27, x28, [x1, #64]
    ldp     x29, x30, [x1, #80]
    ldr     x2, [x1, #CONTEXT_SP]
    mov     sp, x2
    ret

// First switch to a thread: x19 = entry, x20 = argument.
    .global context_start
context_start:
    mov     x0, x20
    mov     x29, #0
    mov     x30, #0
    blr     x19
    brk     #0

// bool probe_access(volatile uint32_t *va, uint32_t *value, bool write): the faulting instruction is known by its label.
    .global probe_access
    .global probe_access_insn_write
    .global probe_access_insn_read
    .global probe_access_failed
probe_access:
    bti     c
    cbz     w2, 1f
    ldr     w3, [x1]
probe_access_insn_write:
    str     w3, [x0]
    b       2f
1:
probe_access_insn_read:
    ldr     w3, [x0]
    str     w3, [x1]
2:  dsb     sy
    mov     w0, #1
    ret
probe_access_failed:
    mov     w0, #0
    ret
