// SPDX-License-Identifier: Apache-2.0
//
// A virtual CPU of x86_64: the part that AMD's and Intel's extensions have in common. What they keep of a guest themselves
// (VMCB, VMCS) is behind `vendor`; virt/ops.h reaches it.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm;
struct vcpu_upcalls;
struct x86_decoded;

enum x86_reg {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R15 = 15,
    X86_REG_COUNT
};

#define X86_MTRR_VARIABLE 8
#define X86_MTRR_FIXED 11

// Model-specific registers that are only remembered: nothing that the hypervisor does depends on them.
struct x86_msrs {
    uint64_t mtrr_default, mtrr_fixed[X86_MTRR_FIXED];
    uint64_t mtrr_base[X86_MTRR_VARIABLE], mtrr_mask[X86_MTRR_VARIABLE];
    uint64_t misc_enable, tsc_aux, tsc_adjust;
    uint64_t kvm_time, kvm_steal;
};

#define ARCH_VCPU_TIMERS_TELL 1 // see arch/vcpu.h

struct arch_vcpu {
    _Atomic uint32_t requests; // bits owned by vmm/core; looked at before every entry
    uint64_t done;             // exits that ended without an upcall
    uint32_t index;            // APIC ID
    struct arch_vm *vm;
    const struct vcpu_upcalls *up;
    void *vendor;
    uint64_t r[X86_REG_COUNT]; // while outside the guest
    uint64_t xcr0;
    void *fp;                    // XSAVE area
    struct x86_decoded *decoded; // virt/mmio.c
    struct x86_msrs msr;
    uint32_t irq_lines; // of arch_vcpu_set_irq()
    uint32_t flushed;   // vm->flush_count as of its last entry
    bool loaded, trap_idle;
    bool window; // X86_EXIT_WINDOW is wanted
};
