// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 5: the virtualisation extension and the per-VM part.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#include <asm/virt.h> // struct arch_vm

struct virt_caps {
    unsigned ipa_bits;   // guest physical address bits that a stage-2 / EPT table can translate here
    unsigned vmid_count; // address-space identifiers, including 0 which is never given to a guest
    const char *name;    // "EL2", "HS-mode", "SVM", "VMX"
    char text[128];      // features in one line for the banner
    char hidden
        [128]; // what the CPU has and guests are not shown, because nothing of it is virtualised; may be empty
};

// Finds out what this machine can do. Boot CPU. E_UNSUPPORTED when there is no virtualisation: the text then says why.
enum status arch_virt_probe(struct virt_caps *caps);

// Turns virtualisation on for this CPU. Every CPU, interrupts masked.
enum status arch_virt_enable(void);

// Per-VM state: `root` is the guest page table's root, `vmid` its identifier. vCPU or worker thread.
enum status arch_vm_create(struct arch_vm *vm, hpa_t root, unsigned vmid);
void arch_vm_destroy(struct arch_vm *vm);

// The VM's interrupt controller has no CPU registers: those that the machine may have are undefined for the guest, and no
// feature register tells of them. Before a vCPU runs.
void arch_vm_hide_irq_regs(struct arch_vm *vm);

// What firmware tables tell a guest of its CPUs; what an architecture's tables do not have stays NULL or 0. After
// arch_virt_probe().
struct guest_cpu_desc {
    const char *isa;     // riscv64: "rv64imafdc_zicsr_...", what a guest may use
    const char *mmu;     // riscv64: "riscv,sv48", the largest stage-1 table
    uint32_t cbom_block; // riscv64: bytes that Zicbom and Zicboz work on, 0 without them
    uint32_t cboz_block;
    // riscv64: its harts have the CSRs of an interrupt file (Ssaia), so that a guest's can be emulated.
    bool can_aia;
};
void arch_guest_cpu_describe(struct guest_cpu_desc *out);
