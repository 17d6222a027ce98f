// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back. cpu/vectors.S has stored x0-x18, x30 and the return state into the guest_frame at SP and
// branches here with x0 = frame, x1 = ESR_EL2. The C dispatchers answer with an enum exit_action:
//   0 EXIT_RESUME   back to the guest
//   1 EXIT_FULL     store the callee-saved registers too, then call exit_full()
//   2 EXIT_LEAVE    return from arch_vcpu_run()
// Frame layout: struct guest_frame; below it on the stack lie the host's callee-saved registers.
#include <asm-offsets.h>

#define ESR_EC_SHIFT 26
#define HOST_SAVED 96 // x19-x30

    .text
    .global guest_sync, guest_irq, guest_serror
guest_sync:
    adrp    x3, exit_handlers
    lsr     w4, w1, #ESR_EC_SHIFT
    add     x3, x3, :lo12:exit_handlers
    ldr     x3, [x3, x4, lsl #3]
    mov     w2, #0              // not all registers are in the frame
    blr     x3
    cbz     w0, resume
    b       3f

guest_irq:
    ldr     x0, [sp, #FRAME_VCPU]
    ldr     x1, [x0, #VCPU_UP]
    ldr     x1, [x1, #UP_HOST_IRQ]
    blr     x1
resume:
    ldr     x1, [sp, #FRAME_VCPU]
    ldr     w2, [x1, #VCPU_REQUESTS]
    cbnz    w2, 2f
resume_now:
    ldp     x0, x1, [sp, #FRAME_PC]
    msr     elr_el2, x0
    msr     spsr_el2, x1
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldr     x18, [sp, #144]
    ldr     x30, [sp, #240]
    ldp     x0, x1, [sp]
    eret

2:  mov     x0, x1
    ldr     x2, [x1, #VCPU_UP]
    ldr     x2, [x2, #UP_REQUESTS]
    blr     x2
    cbz     w0, resume
3:  cmp     w0, #1
    stp     x19, x20, [sp, #152]
    stp     x21, x22, [sp, #168]
    stp     x23, x24, [sp, #184]
    stp     x25, x26, [sp, #200]
    stp     x27, x28, [sp, #216]
    str     x29, [sp, #232]
    b.ne    leave
    mov     x0, sp
    bl      exit_full
    cbnz    w0, leave
resume_full:
    ldp     x19, x20, [sp, #152]
    ldp     x21, x22, [sp, #168]
    ldp     x23, x24, [sp, #184]
    ldp     x25, x26, [sp, #200]
    ldp     x27, x28, [sp, #216]
    ldr     x29, [sp, #232]
    b       resume

guest_serror:
    bl      exit_serror
    cbnz    w0, 3b
    b       resume

leave:
    mov     x0, sp
    bl      exit_leave          // copies the frame into the vCPU
    add     sp, sp, #FRAME_SIZE
    ldp     x19, x20, [sp]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    add     sp, sp, #HOST_SAVED
    ret

// void arch_vcpu_run(struct arch_vcpu *av)
    .global arch_vcpu_run
    .type arch_vcpu_run, %function
arch_vcpu_run:
    bti     c
    sub     sp, sp, #HOST_SAVED
    stp     x19, x20, [sp]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    sub     sp, sp, #FRAME_SIZE
    mov     x1, sp
    bl      exit_enter          // fills the frame from the vCPU
    b       resume_full
