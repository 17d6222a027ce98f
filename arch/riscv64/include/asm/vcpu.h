// SPDX-License-Identifier: Apache-2.0
//
// A virtual CPU of riscv64: what an exit saves, and what only a switch to another vCPU moves.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm;
struct arch_vcpu;
struct vcpu_upcalls;
struct vtimer;

// On the vCPU thread's stack while it is inside arch_vcpu_run(). An exit stores ra, sp, tp, t0-t6, a0-a7 and the return
// state; the callee-saved registers (and gp, which the hypervisor does not use) are stored only for exits that ask for
// it (virt/exit_asm.S).
struct guest_frame {
    uint64_t x[32]; // by number; x[0] is 0
    uint64_t pc;
    uint64_t hstatus; // SPVP: VS or VU
    struct arch_vcpu *vcpu;
    uint64_t host_tp; // of the CPU where the vCPU is loaded
};

struct guest_csrs {
    uint64_t vsstatus, vsie, vstvec, vsscratch, vsepc, vscause, vstval, vsatp;
    uint64_t scounteren, senvcfg; // VS-mode uses the real ones
    uint64_t vstimecmp;           // with Sstc; without: the emulated deadline, in guest time
    uint64_t hvip;
    uint64_t vsiselect; // with Ssaia
};

struct guest_fp {
    uint64_t f[32];
    uint64_t fcsr;
};

// Of the size that the machine's vector registers have: `bytes` each.
struct guest_vec {
    uint64_t vstart, vtype, vl, vcsr;
    uint32_t bytes;
    _Alignas(16) uint8_t regs[];
};

#define ARCH_VCPU_TIMERS_TELL 0 // see arch/vcpu.h

struct arch_vcpu {
    _Atomic uint32_t requests; // bits owned by vmm/core; looked at before every entry
    uint64_t done;             // exits that ended without an upcall
    _Atomic uint32_t irq_edge; // by interrupt number: to be set in hvip, whoever posted it
    uint32_t index;            // hart id
    _Atomic uint32_t cpu;      // where it was loaded last: where its TLB entries are
    struct arch_vm *vm;
    const struct vcpu_upcalls *up;
    struct guest_frame *frame; // NULL outside arch_vcpu_run()
    struct guest_frame start;  // registers while outside
    struct guest_csrs csr;
    struct guest_fp fp;
    struct guest_vec *vec; // NULL: guests have no vector registers here
    uint32_t fp_cpu;       // the CPU whose FP registers are this vCPU's, if it still owns them (virt/fpv.c)
    uint32_t vec_cpu;      // the same for vector registers
    uint32_t file_cpu;     // whose guest interrupt file it has, when it has one (virt/irq_files.c)
    bool loaded;
    struct vtimer *vtimer; // virt/vtimer.c
};
