// SPDX-License-Identifier: Apache-2.0
//
// Constants for the assembler files; the Makefile turns the marked lines of this file's assembly into a header.
#include <asm/vcpu.h>

#include "arch/cpu.h"
#include "arch/riscv64/boot/boot.h"
#include "arch/vcpu.h"

#define DEFINE(name, value) asm volatile("\n.ascii \"->" #name " %0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEFINE(FRAME_PC, offsetof(struct guest_frame, pc));
    DEFINE(FRAME_HSTATUS, offsetof(struct guest_frame, hstatus));
    DEFINE(FRAME_VCPU, offsetof(struct guest_frame, vcpu));
    DEFINE(FRAME_HOST_TP, offsetof(struct guest_frame, host_tp));
    DEFINE(FRAME_SIZE, (sizeof(struct guest_frame) + 15) & ~15ul);
    DEFINE(VCPU_REQUESTS, offsetof(struct arch_vcpu, requests));
    DEFINE(VCPU_UP, offsetof(struct arch_vcpu, up));
    DEFINE(UP_HOST_IRQ, offsetof(struct vcpu_upcalls, host_irq));
    DEFINE(SECONDARY_SATP, offsetof(struct secondary_boot, satp));
    DEFINE(SECONDARY_ENTRY, offsetof(struct secondary_boot, entry));
    DEFINE(SECONDARY_STACK, offsetof(struct secondary_boot, stack_top));
    DEFINE(SECONDARY_INDEX, offsetof(struct secondary_boot, index));
    DEFINE(SECONDARY_ID, offsetof(struct secondary_boot, id));
    DEFINE(SECONDARY_SIZE, sizeof(struct secondary_boot));
    DEFINE(SECONDARY_MAX, SECONDARY_MAX);
    DEFINE(FP_FCSR, offsetof(struct guest_fp, fcsr));
    DEFINE(VEC_VSTART, offsetof(struct guest_vec, vstart));
    DEFINE(VEC_VTYPE, offsetof(struct guest_vec, vtype));
    DEFINE(VEC_VL, offsetof(struct guest_vec, vl));
    DEFINE(VEC_VCSR, offsetof(struct guest_vec, vcsr));
    DEFINE(VEC_REGS, offsetof(struct guest_vec, regs));
}
