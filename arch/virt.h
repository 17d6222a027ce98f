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
    const char *options; // given: the hypervisor's command line; NULL: none
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

// A guest's interrupt file as it is kept in memory (riscv64 AIA, chapter 3): identities 1 to IRQ_FILE_IDS - 1 by bit.
#define IRQ_FILE_IDS 256u
#define IRQ_FILE_WORDS (IRQ_FILE_IDS / 64)
struct irq_file {
    uint64_t pending[IRQ_FILE_WORDS], enable[IRQ_FILE_WORDS]; // bit 0 of the first is no identity
    uint32_t delivery;                                        // eidelivery: 0 or 1
    uint32_t threshold; // eithreshold: identities from here on do not count; 0: all
};

// Interrupt files of the machine that a vCPU may have while it is loaded. load and save: on that CPU, interrupts masked; load
// is false where the CPU has none to give. post and pending: between the two. post: any CPU, not at the same time as
// save. pending: the vCPU's own thread, which is going to sleep when the answer is false and will be woken.
struct arch_vcpu;
struct irq_file_ops {
    bool (*load)(struct arch_vcpu *av, const struct irq_file *in);
    void (*save)(struct arch_vcpu *av, struct irq_file *out);
    void (*post)(struct arch_vcpu *av, unsigned id);
    bool (*pending)(struct arch_vcpu *av);
};
// NULL: this machine has none for guests.
const struct irq_file_ops *arch_irq_files(void);

// A guest's local APIC whose registers the hardware works on while the vCPU runs (x86_64; Intel SDM vol. 3C, chapter 29): a page
// with register r, its xAPIC offset / 16, in word APIC_PAGE_WORD(r). Everything on the vCPU's own CPU outside the guest,
// interrupts masked, or while it is loaded nowhere.
#define APIC_PAGE_WORD(r) (4 * (r))
#define APIC_VECTOR_WORDS 8u // 256 vectors by bit
enum apic_mode {
    APIC_OFF,
    APIC_MMIO, // xAPIC
    APIC_X2
};
enum apic_post {
    APIC_POST_REFUSED, // nothing has been done: the vCPU is not in its guest
    APIC_POST_DONE,    // the hardware will deliver it, or the vCPU finds it before it sleeps
    APIC_POST_NOTIFY   // it is posted, but the vCPU has to be told: it has left its guest meanwhile
};
struct apic_page_ops {
    // True: the hardware reads and writes all registers, and delivers what is in the page's IRR; what it cannot do alone it
    // reports. False: the page's TPR alone is in use, and interrupts come by arch_vcpu_set_irq().
    bool delivers;
    // It delivers in spite of RFLAGS.IF, which is an emulator's mistake: IRR is not for what RFLAGS alone holds back; that comes
    // by arch_vcpu_set_irq().
    bool ignores_mask;
    uint32_t *(*registers)(struct arch_vcpu *av);
    // `access` is a page that nobody uses, mapped at guest address `base`. Before a vCPU of the VM runs; `delivers` only.
    void (*attach)(struct arch_vm *vm, hpa_t access, gpa_t base);
    void (*set_mode)(struct arch_vcpu *av, enum apic_mode mode);
    void (*changed)(struct arch_vcpu *av); // IRR or ISR of the page have been written
    // The end of these vectors' interrupts is reported.
    void (*report_eoi)(struct arch_vcpu *av, const uint32_t vectors[APIC_VECTOR_WORDS]);
    // Reported is when TPR falls below this class (its upper half); 0: never. Not above the present one. !delivers only.
    void (*report_priority)(struct arch_vcpu *av, unsigned priority_class);
    // Any CPU, any context: an edge-triggered interrupt for a vCPU that runs, without making it leave its guest. It comes to IRR by
    // itself, at the latest when the vCPU enters its guest next. NULL: there is no such thing.
    enum apic_post (*post)(struct arch_vcpu *av, uint8_t vector);
    // Of the posted ones that have not come to IRR yet, those of a word. NULL as post.
    uint32_t (*posted)(struct arch_vcpu *av, unsigned word);
    // They are forgotten. The vCPU is loaded nowhere, or here. NULL as post.
    void (*drop_posts)(struct arch_vcpu *av);
};
// NULL: local APICs are emulated here.
const struct apic_page_ops *arch_apic_pages(void);
