// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv3 (Arm IHI 0069) and GICv2 (Arm IHI 0048): distributor, redistributors, SGIs, PPIs and
// SPIs on top of list registers.
//
// What a GICv3 guest sees: one Security state (GICD_CTLR.DS = 1), affinity routing always on, no LPIs, no
// ITS, no 1-of-N routing, no extended ranges. What a GICv2 guest sees: no Security Extensions, both
// groups, up to 8 vCPUs; its CPU interface is the host's GICV where that is a page of its own (its page of
// GICC_DIR is emulated), otherwise emulated, with the guest's end of a linked interrupt deactivating the
// physical one by software. A vCPU's private interrupts and list registers are touched by its own CPU
// only; others post a request and notify. SPIs live behind one lock.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/config/plan.h"
#include "vmm/core/irq_line.h"

struct vm;

// The affinity fields (MPIDR layout without Aff3: Aff2.Aff1.Aff0) that the virtual GIC gives vCPU `index`:
// sixteen to a cluster, because an SGI's target list has sixteen bits (GICD_TYPER.RSS = 0). VMPIDR_EL2 must
// agree.
static inline uint32_t vgic_affinity(unsigned index)
{
    return (index >> 4 & 0xff) << 8 | (index & 0xf);
}

// Creates the controller for vm->vcpu_count vCPUs and adds its register regions to vm->mmio; the frames
// are where `plan` says. Set virqchip.notify before the first vCPU runs. Worker thread, no lock held.
// E_UNSUPPORTED: plan->version is 3 and the host has no GICv3 virtual CPU interface. A GICv2 works
// everywhere. E_INVAL: no vCPU, more than 256 (GICv2: 8), or frames of the wrong size. E_NOMEM, E_EXISTS
// (regions overlap).
//
// Contract notes beyond vmm/core/irq_line.h:
//  - restore, save, destroy: no vCPU of this VM is loaded. reset: none runs; one that is still loaded must be
// put or loaded again on that CPU before anything else comes there.
//  - load and put bracket the time in which a CPU's interface belongs to a vCPU; put also clears the physical
// active state of hardware-linked per-CPU interrupts, load sets it again (restore the guest's timers in
// the same interrupts-masked section).
//  - maintenance may run in interrupt context on the vCPU's CPU; it leaves the condition cleared.
//  - pending: on the vCPU's own CPU while it is loaded, any thread while it is not. True may be a false alarm
// until the next flush.
//  - forward: a private line always comes with the same host interrupt. It is made for the timers'
// PPIs; for an SPI the list register is written at the next flush.
enum status vgic_create(struct vm *vm, const struct plan_gic *plan, struct virqchip **out);
