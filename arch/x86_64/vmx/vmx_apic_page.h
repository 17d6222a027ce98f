// SPDX-License-Identifier: Apache-2.0
//
// The hardware's local APIC as bits: which of its parts a CPU has together, and what of a page of registers the VMCS repeats
// (Intel SDM vol. 3C, chapter 29). Pure.
#pragma once

#include "arch/virt.h"
#include "arch/x86_64/vmx/vmx_controls.h"

enum vmx_apic_level {
    VMX_APIC_NONE,     // CR8 exits
    VMX_APIC_PRIORITY, // TPR shadow: CR8 is TPR of the page
    VMX_APIC_DELIVERY  // registers, in either mode, and delivery of interrupts: all or nothing
};

// A posted-interrupt descriptor (29.6). The hardware takes it through its physical address.
struct vmx_posts {
    _Alignas(64) _Atomic uint32_t requests[APIC_VECTOR_WORDS]; // PIR
    _Atomic uint32_t outstanding;                              // ON is bit 0
    uint32_t unused[7];
};

// Given is what the CPU can do; only what is used stays in the control words: of the secondary controls nothing, they depend on
// the mode.
enum vmx_apic_level vmx_apic_choose(uint32_t controls[VMX_CONTROL_COUNT]);

// Does the hypervisor's command line (NULL: none) have the word "posted=on"?
bool vmx_posts_wanted(const char *options);

// Likewise of posted interrupts: they need delivery, and exits that acknowledge (26.2.1.1). True: both controls stay, the pin-based
// one for those modes that deliver. `wanted` false: as if the CPU had none.
bool vmx_posts_choose(uint32_t controls[VMX_CONTROL_COUNT], enum vmx_apic_level level, bool wanted);

// Any CPU. True: nobody has been notified since the descriptor was emptied last.
bool vmx_posts_add(struct vmx_posts *p, uint8_t vector);
void vmx_posts_drop(struct vmx_posts *p);
// What the hardware does when it is notified (29.6), by the vCPU's own CPU: the requests go to IRR. True: there may have been some.
bool vmx_posts_move(struct vmx_posts *p, uint32_t *page);
uint32_t vmx_apic_secondary(enum apic_mode mode);

// "Guest interrupt status": the highest vectors in service (upper byte) and requested.
uint16_t vmx_apic_status(const uint32_t *page);

// Registers that a guest reads and writes without an exit as MSRs; the number as in x2APIC mode less 0x800.
bool vmx_apic_reads(unsigned reg);
bool vmx_apic_writes(unsigned reg);
