// SPDX-License-Identifier: Apache-2.0
//
// The trap entry. sscratch is 0 while the hypervisor runs and the vCPU thread's struct guest_frame while a guest does,
// which tells the two apart. Traps from guests go on in virt/exit_asm.S with what C may clobber already stored.
#include <asm-offsets.h>

#define HOST_FRAME 176 // ra, t0-t6, a0-a7, s0 chain, sepc, sstatus
#define HOST_PC 128
#define HOST_STATUS 136
#define HOST_FP 160 // s0 and ra as a frame record
#define SSTATUS_SPP 0x100
#define SSTATUS_SPIE 0x20
#define SSTATUS_VS 0x600

    .section .vectors, "ax"
    .balign 4
    .global trap_vector
trap_vector:
    csrrw   sp, sscratch, sp
    beqz    sp, from_host
    sd      ra, 8*1(sp)
    sd      tp, 8*4(sp)
    sd      t0, 8*5(sp)
    sd      t1, 8*6(sp)
    sd      t2, 8*7(sp)
    sd      a0, 8*10(sp)
    sd      a1, 8*11(sp)
    sd      a2, 8*12(sp)
    sd      a3, 8*13(sp)
    sd      a4, 8*14(sp)
    sd      a5, 8*15(sp)
    sd      a6, 8*16(sp)
    sd      a7, 8*17(sp)
    sd      t3, 8*28(sp)
    sd      t4, 8*29(sp)
    sd      t5, 8*30(sp)
    sd      t6, 8*31(sp)
    ld      tp, FRAME_HOST_TP(sp)
    csrrw   t0, sscratch, zero
    csrr    t1, sepc
    csrr    t2, hstatus             // sstatus.SPP is the same as SPVP here
    csrr    a1, scause
    sd      t0, 8*2(sp)
    sd      t1, FRAME_PC(sp)
    sd      t2, FRAME_HSTATUS(sp)
    mv      a0, sp
    bltz    a1, 1f
    j       guest_trap
1:  j       guest_irq

// Bit 14 of a good stack pointer is set: stacks lie in the upper half of 32 KiB slots. sscratch lends a register.
from_host:
    csrrw   sp, sscratch, sp
    addi    sp, sp, -HOST_FRAME
    csrw    sscratch, t0
    slli    t0, sp, 49
    bgez    t0, stack_overflow
    csrrw   t0, sscratch, zero
    sd      t0, 8(sp)
    sd      ra, 0(sp)
    sd      t1, 16(sp)
    sd      t2, 24(sp)
    sd      t3, 32(sp)
    sd      t4, 40(sp)
    sd      t5, 48(sp)
    sd      t6, 56(sp)
    sd      a0, 64(sp)
    sd      a1, 72(sp)
    sd      a2, 80(sp)
    sd      a3, 88(sp)
    sd      a4, 96(sp)
    sd      a5, 104(sp)
    sd      a6, 112(sp)
    sd      a7, 120(sp)
    csrr    t0, sepc
    csrr    t1, sstatus
    sd      t0, HOST_PC(sp)
    sd      t1, HOST_STATUS(sp)
    sd      s0, HOST_FP(sp)         // a frame record: backtraces go through the trap
    sd      t0, HOST_FP+8(sp)
    addi    s0, sp, HOST_FRAME
    csrr    a1, scause
    bltz    a1, host_irq
    mv      a0, sp
    csrr    a2, stval
    call    trap_host_sync          // returns only when it has repaired the frame
    j       host_return
host_irq:
    call    irq_dispatch
host_return:
    ld      t0, HOST_PC(sp)
    ld      t1, HOST_STATUS(sp)
    csrw    sepc, t0
    // Only the privilege and interrupt state go back: FS and VS describe the registers as they are now.
    li      t2, SSTATUS_SPIE
    csrc    sstatus, t2
    and     t1, t1, t2
    ori     t1, t1, SSTATUS_SPP
    csrs    sstatus, t1
    li      t2, 0x80                // hstatus.SPV: stay in HS
    csrc    hstatus, t2
    ld      s0, HOST_FP(sp)
    ld      ra, 0(sp)
    ld      t0, 8(sp)
    ld      t1, 16(sp)
    ld      t2, 24(sp)
    ld      t3, 32(sp)
    ld      t4, 40(sp)
    ld      t5, 48(sp)
    ld      t6, 56(sp)
    ld      a0, 64(sp)
    ld      a1, 72(sp)
    ld      a2, 80(sp)
    ld      a3, 88(sp)
    ld      a4, 96(sp)
    ld      a5, 104(sp)
    ld      a6, 112(sp)
    ld      a7, 120(sp)
    addi    sp, sp, HOST_FRAME
    sret

stack_overflow:
    csrw    sscratch, zero
    lla     sp, panic_stack_top
    csrr    a0, sepc
    csrr    a1, stval
    call    trap_stack_overflow

    .text
// void arch_context_switch(struct arch_context *from, struct arch_context *to)
    .global arch_context_switch
    .type arch_context_switch, %function
arch_context_switch:
    sd      ra, 0(a0)
    sd      sp, 8(a0)
    sd      s0, 16(a0)
    sd      s1, 24(a0)
    sd      s2, 32(a0)
    sd      s3, 40(a0)
    sd      s4, 48(a0)
    sd      s5, 56(a0)
    sd      s6, 64(a0)
    sd      s7, 72(a0)
    sd      s8, 80(a0)
    sd      s9, 88(a0)
    sd      s10, 96(a0)
    sd      s11, 104(a0)
    sd      gp, 112(a0)
    ld      ra, 0(a1)
    ld      sp, 8(a1)
    ld      s0, 16(a1)
    ld      s1, 24(a1)
    ld      s2, 32(a1)
    ld      s3, 40(a1)
    ld      s4, 48(a1)
    ld      s5, 56(a1)
    ld      s6, 64(a1)
    ld      s7, 72(a1)
    ld      s8, 80(a1)
    ld      s9, 88(a1)
    ld      s10, 96(a1)
    ld      s11, 104(a1)
    ld      gp, 112(a1)
    ret
    .size arch_context_switch, . - arch_context_switch

// First switch to a thread: s1 = entry, s2 = argument.
    .global context_start
    .type context_start, %function
context_start:
    mv      a0, s2
    mv      ra, zero
    jalr    s1
    ebreak
    .size context_start, . - context_start

// A faulting instruction at `insn` goes on at `target` instead (cpu/trap.c).
    .macro fixup insn, target
    .pushsection trap_fixups, "a"
    .quad   \insn, \target
    .popsection
    .endm

// bool probe_access(volatile uint32_t *va, uint32_t *value, bool write)
    .global probe_access
    .type probe_access, %function
probe_access:
    beqz    a2, 1f
    lw      a3, (a1)
2:  sw      a3, (a0)
    j       3f
1:  lw      a3, (a0)
    sw      a3, (a1)
3:  fence   rw, rw
    li      a0, 1
    ret
    fixup   2b, access_failed
    fixup   1b, access_failed
    .size probe_access, . - probe_access

// bool probe_stimecmp(void)
    .global probe_stimecmp
    .type probe_stimecmp, %function
probe_stimecmp:
1:  csrr    a0, 0x14D
    li      a0, 1
    ret
    fixup   1b, access_failed
    .size probe_stimecmp, . - probe_stimecmp

// bool probe_cbo_clean(const void *va), bool probe_cbo_zero(void *va): are the cache-block operations open to us?
    .global probe_cbo_clean, probe_cbo_zero
    .type probe_cbo_clean, %function
probe_cbo_clean:
1:  .insn   i 0x0F, 2, x0, a0, 1
    li      a0, 1
    ret
    fixup   1b, access_failed
    .size probe_cbo_clean, . - probe_cbo_clean
    .type probe_cbo_zero, %function
probe_cbo_zero:
1:  .insn   i 0x0F, 2, x0, a0, 4
    li      a0, 1
    ret
    fixup   1b, access_failed
    .size probe_cbo_zero, . - probe_cbo_zero

// bool probe_vlenb(uint64_t *out)
    .global probe_vlenb
    .type probe_vlenb, %function
probe_vlenb:
    li      a1, SSTATUS_VS
    csrs    sstatus, a1
1:  csrr    a2, 0xC22
    csrc    sstatus, a1
    sd      a2, (a0)
    li      a0, 1
    ret
    fixup   1b, access_failed
    .size probe_vlenb, . - probe_vlenb

// The guest's memory by its own two-stage translation and privilege (hstatus.SPVP). false when that faults.
    .option arch, +h
// bool guest_load64(uint64_t va, uint64_t *out)
    .global guest_load64
    .type guest_load64, %function
guest_load64:
1:  hlv.d   a2, (a0)
    sd      a2, (a1)
    li      a0, 1
    ret
    fixup   1b, access_failed
    .size guest_load64, . - guest_load64

access_failed:
    li      a0, 0
    ret
