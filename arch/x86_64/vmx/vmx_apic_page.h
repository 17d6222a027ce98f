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

// Given is what the CPU can do; only what is used stays in the control words: of the secondary controls nothing, they depend on
// the mode.
enum vmx_apic_level vmx_apic_choose(uint32_t controls[VMX_CONTROL_COUNT]);
uint32_t vmx_apic_secondary(enum apic_mode mode);

// "Guest interrupt status": the highest vectors in service (upper byte) and requested.
uint16_t vmx_apic_status(const uint32_t *page);

// Registers that a guest reads and writes without an exit as MSRs; the number as in x2APIC mode less 0x800.
bool vmx_apic_reads(unsigned reg);
bool vmx_apic_writes(unsigned reg);
