// SPDX-License-Identifier: Apache-2.0
//
// Constants for the assembler files; the Makefile turns the marked lines of this file's assembly into a header.
#include "arch/cpu.h"
#include "arch/x86_64/boot/boot.h"
#include "arch/x86_64/cpu/trap.h"
#include "arch/x86_64/svm/svm_local.h"

#define DEFINE(name, value) asm volatile("\n.ascii \"->" #name " %0\"" ::"i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    DEFINE(HOST_VECTOR, offsetof(struct host_frame, vector));
    DEFINE(HOST_RIP_AT_SAVE, offsetof(struct host_frame, rip) - offsetof(struct host_frame, r11));
    DEFINE(PERCPU_VECTOR, offsetof(struct percpu, vector));
    DEFINE(PERCPU_NOTE_ONLY, offsetof(struct percpu, note_only));
    DEFINE(CONTEXT_RSP, offsetof(struct arch_context, rsp));
    DEFINE(CONTEXT_RBX, offsetof(struct arch_context, rbx));
    DEFINE(CONTEXT_RBP, offsetof(struct arch_context, rbp));
    DEFINE(CONTEXT_R12, offsetof(struct arch_context, r12));
    DEFINE(CONTEXT_R13, offsetof(struct arch_context, r13));
    DEFINE(CONTEXT_R14, offsetof(struct arch_context, r14));
    DEFINE(CONTEXT_R15, offsetof(struct arch_context, r15));
    DEFINE(VCPU_R, offsetof(struct arch_vcpu, r));
    DEFINE(SVM_VMCB_PA, offsetof(struct svm_vcpu, vmcb_pa));
    DEFINE(SVM_HOST_VMCB, offsetof(struct svm_vcpu, host_vmcb));
    DEFINE(SECONDARY_CR3, offsetof(struct secondary_boot, cr3));
    DEFINE(SECONDARY_STACK, offsetof(struct secondary_boot, stack_top));
    DEFINE(SECONDARY_INDEX, offsetof(struct secondary_boot, index));
}
