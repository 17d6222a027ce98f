// SPDX-License-Identifier: Apache-2.0
//
// The virtual APICs of a PC (Intel SDM vol. 3A, chapter 11; 82093AA data sheet): a local APIC for each vCPU, reached by MMIO
// or as x2APIC by MSRs, and one I/O APIC with 24 inputs.
//
// In software, what a local APIC has to deliver reaches the vCPU as one line (arch_vcpu_set_irq()), and the vCPU asks for the
// vector (acknowledge) when its guest can take it. Where the CPU has local APICs for guests (arch_apic_pages()), TPR and, if it
// can deliver interrupts, ISR, IRR and ICR are the hardware's; all else stays here, and the hardware has a copy.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/irq_line.h"

struct vm;

#define VIOAPIC_PINS 24u
#define VIOAPIC_SIZE 0x1000u
#define VLAPIC_SIZE 0x1000u

// Numbers of virqchip_ops.sysreg: those of the MSRs. x2APIC register r is VLAPIC_MSR_X2APIC + r / 16.
#define VLAPIC_MSR_BASE 0x1Bu
#define VLAPIC_MSR_DEADLINE 0x6E0u // in host ticks: the architecture converts the guest's
#define VLAPIC_MSR_X2APIC 0x800u
#define VLAPIC_X2APIC_REGS 0x100u
#define VLAPIC_CR8 0x1000u // no MSR: the register CR8, whatever mode the APIC is in

// Nor these, by which the hardware's local APIC reports: a register of its page was written (set: number), an interrupt has
// ended (set: vector), TPR has fallen.
#define VLAPIC_PAGE_WRITTEN 0x1001u
#define VLAPIC_PAGE_EOI 0x1002u
#define VLAPIC_PAGE_PRIORITY 0x1003u

// Creates both kinds for vm->vcpu_count vCPUs and adds their registers to vm->mmio. Set virqchip.notify before the first vCPU
// runs. Worker thread, no lock held. E_INVAL: no vCPU, or more than 255. E_NOMEM, E_EXISTS (registers overlap something).
//
// Contract notes beyond vmm/core/irq_line.h: a line number is the I/O APIC's input. A message's address and data are a PC's
// (SDM 11.11). save, restore, reset, destroy: no vCPU of this VM runs.
enum status vapic_create(struct vm *vm, uint64_t lapic_base, uint64_t ioapic_base, struct virqchip **out);
