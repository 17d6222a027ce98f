// SPDX-License-Identifier: Apache-2.0
//
// A virtual CPU of aarch64: what an exit saves, and what only a switch to another vCPU moves.
#pragma once

#include "kernel/lib/types.h"

struct arch_vm;
struct arch_vcpu;
struct vcpu_upcalls;

// On the vCPU thread's stack while it is inside arch_vcpu_run(). An exit stores x0-x18, x30 and the return state; the
// callee-saved registers are stored only for exits that ask for it (virt/exit.S).
struct guest_frame {
    uint64_t x[32]; // x[31] takes what is written to XZR; it is never read
    uint64_t pc, pstate;
    struct arch_vcpu *vcpu;
};

// In pairs, as virt/switch.S moves them.
struct guest_sysregs {
    uint64_t sctlr, cpacr, ttbr0, ttbr1, tcr, mair, amair, vbar, contextidr;
    uint64_t esr, far, afsr0, afsr1, par, elr, spsr, sp_el0, sp_el1;
    uint64_t tpidr_el0, tpidrro_el0, tpidr_el1, cntkctl, csselr, mdscr;
    uint64_t cntv_cval, cntp_cval, cntv_ctl, cntp_ctl;
};
_Static_assert(offsetof(struct guest_sysregs, par) == 13 * sizeof(uint64_t), "virt/switch.S");
_Static_assert(offsetof(struct guest_sysregs, cntp_ctl) == 27 * sizeof(uint64_t), "virt/switch.S");

struct guest_fp {
    __attribute__((aligned(16))) uint64_t v[32][2];
    uint64_t fpcr, fpsr;
};

#define ARCH_VCPU_TIMERS_TELL 1 // see arch/vcpu.h

struct arch_vcpu {
    _Atomic uint32_t requests; // bits owned by vmm/core; looked at before every entry
    uint64_t done;             // exits that ended without an upcall
    uint32_t trap_idle;
    struct arch_vm *vm;
    const struct vcpu_upcalls *up;
    struct guest_frame *frame; // NULL outside arch_vcpu_run()
    struct guest_frame start;  // registers while outside
    uint64_t hcr, vmpidr;
    struct guest_sysregs sys;
    uint64_t pac_keys[10];
    struct guest_fp fp;
    bool loaded;
    bool fp_live; // the CPU's FP registers hold its own; else `fp` does, and their use traps
};
