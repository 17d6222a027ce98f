// SPDX-License-Identifier: Apache-2.0
//
// Into the guest and back. cpu/vectors.S has stored what C may clobber and the return state into the guest_frame at sp
// and branches here with a0 = frame, a1 = scause. The handlers answer with an enum exit_action:
//   0 EXIT_RESUME   back to the guest
//   1 EXIT_FULL     store the callee-saved registers too, then call exit_full()
//   2 EXIT_LEAVE    return from arch_vcpu_run()
// Frame layout: struct guest_frame; below it on the stack lie the host's callee-saved registers.
#include <asm-offsets.h>

#define HOST_SAVED 112 // ra, s0-s11
#define CAUSE_MASK 63  // CAUSE_COUNT of virt/exit.h
#define SPP 0x100      // sstatus.SPP and hstatus.SPVP

    .text
    .global guest_trap, guest_irq
guest_trap:
    andi    t0, a1, CAUSE_MASK
    lla     t1, exit_handlers
    slli    t0, t0, 3
    add     t0, t0, t1
    ld      t0, 0(t0)
    li      a2, 0               // not all registers are in the frame
    jalr    t0
    bnez    a0, 3f
resume:
    ld      a1, FRAME_VCPU(sp)
    lw      a2, VCPU_REQUESTS(a1)
    bnez    a2, 2f
    ld      t1, FRAME_HSTATUS(sp)
    ld      t0, FRAME_PC(sp)
    li      t3, SPP
    andi    t2, t1, SPP
    csrw    sepc, t0
    csrw    hstatus, t1
    csrc    sstatus, t3
    csrs    sstatus, t2         // FS and VS stay as they are
    csrw    sscratch, sp
    ld      ra, 8*1(sp)
    ld      tp, 8*4(sp)
    ld      t0, 8*5(sp)
    ld      t1, 8*6(sp)
    ld      t2, 8*7(sp)
    ld      a0, 8*10(sp)
    ld      a1, 8*11(sp)
    ld      a2, 8*12(sp)
    ld      a3, 8*13(sp)
    ld      a4, 8*14(sp)
    ld      a5, 8*15(sp)
    ld      a6, 8*16(sp)
    ld      a7, 8*17(sp)
    ld      t3, 8*28(sp)
    ld      t4, 8*29(sp)
    ld      t5, 8*30(sp)
    ld      t6, 8*31(sp)
    ld      sp, 8*2(sp)
    sret

2:  mv      a0, sp
    call    exit_requests
    beqz    a0, resume
3:  addi    a0, a0, -1
    sd      gp, 8*3(sp)
    sd      s0, 8*8(sp)
    sd      s1, 8*9(sp)
    sd      s2, 8*18(sp)
    sd      s3, 8*19(sp)
    sd      s4, 8*20(sp)
    sd      s5, 8*21(sp)
    sd      s6, 8*22(sp)
    sd      s7, 8*23(sp)
    sd      s8, 8*24(sp)
    sd      s9, 8*25(sp)
    sd      s10, 8*26(sp)
    sd      s11, 8*27(sp)
    bnez    a0, leave
    mv      a0, sp
    call    exit_full
    bnez    a0, leave
resume_full:
    ld      gp, 8*3(sp)
    ld      s0, 8*8(sp)
    ld      s1, 8*9(sp)
    ld      s2, 8*18(sp)
    ld      s3, 8*19(sp)
    ld      s4, 8*20(sp)
    ld      s5, 8*21(sp)
    ld      s6, 8*22(sp)
    ld      s7, 8*23(sp)
    ld      s8, 8*24(sp)
    ld      s9, 8*25(sp)
    ld      s10, 8*26(sp)
    ld      s11, 8*27(sp)
    j       resume

guest_irq:
    ld      a0, FRAME_VCPU(sp)
    ld      t0, VCPU_UP(a0)
    ld      t0, UP_HOST_IRQ(t0)
    jalr    t0
    lbu     t0, vtimer_by_host
    beqz    t0, resume
    ld      a0, FRAME_VCPU(sp)
    call    vtimer_poll
    j       resume

leave:
    mv      a0, sp
    call    exit_leave          // copies the frame into the vCPU
    addi    sp, sp, FRAME_SIZE
    ld      ra, 0(sp)
    ld      s0, 8(sp)
    ld      s1, 16(sp)
    ld      s2, 24(sp)
    ld      s3, 32(sp)
    ld      s4, 40(sp)
    ld      s5, 48(sp)
    ld      s6, 56(sp)
    ld      s7, 64(sp)
    ld      s8, 72(sp)
    ld      s9, 80(sp)
    ld      s10, 88(sp)
    ld      s11, 96(sp)
    addi    sp, sp, HOST_SAVED
    ret

// void arch_vcpu_run(struct arch_vcpu *av)
    .global arch_vcpu_run
    .type arch_vcpu_run, %function
arch_vcpu_run:
    addi    sp, sp, -HOST_SAVED
    sd      ra, 0(sp)
    sd      s0, 8(sp)
    sd      s1, 16(sp)
    sd      s2, 24(sp)
    sd      s3, 32(sp)
    sd      s4, 40(sp)
    sd      s5, 48(sp)
    sd      s6, 56(sp)
    sd      s7, 64(sp)
    sd      s8, 72(sp)
    sd      s9, 80(sp)
    sd      s10, 88(sp)
    sd      s11, 96(sp)
    addi    sp, sp, -FRAME_SIZE
    mv      a1, sp
    call    exit_enter          // fills the frame from the vCPU
    j       resume_full
