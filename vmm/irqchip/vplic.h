// SPDX-License-Identifier: Apache-2.0
//
// The virtual PLIC (RISC-V Platform-Level Interrupt Controller Specification 1.0.0), as QEMU's `virt` board
// has it: priorities 0 to 7, hart h's S-mode context is number 2h + 1.
//
// Contexts of machine mode and of harts that do not exist are reserved: they read as zero and ignore writes.
// Sources are level-triggered unless vplic_set_edge() says otherwise. Every claim and every decision is made
// in software; what a context has to say reaches the vCPU as one line (arch_vcpu_set_irq()).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/irq_line.h"

struct vm;

#define VPLIC_SOURCES 96u // numbers 1 to 95 exist, as in the board's plan
#define VPLIC_PRIORITY_MAX 7u
#define VPLIC_CONTEXT_M(hart) (2u * (hart))
#define VPLIC_CONTEXT_S(hart) (2u * (hart) + 1)
#define VPLIC_SIZE(harts) (0x200000u + 0x2000u * (harts)) // bytes that so many harts' contexts need

// Creates the controller for vm->vcpu_count vCPUs, whose registers are at `base`, and adds them to vm->mmio.
// Set virqchip.notify before the first vCPU runs. Worker thread, no lock held. E_INVAL: no vCPU, or `size`
// has no room for their contexts. E_NOMEM, E_EXISTS (registers overlap something).
//
// Contract notes beyond vmm/core/irq_line.h: a line number is the source's. flush: on the vCPU's own CPU.
// save, restore, reset, destroy: no vCPU of this VM runs. There are no messages, no SGIs, no inputs per vCPU
// and nothing to load.
enum status vplic_create(struct vm *vm, uint64_t base, uint64_t size, struct virqchip **out);

// The source's gateway counts rising edges (at most one waits) instead of following the level. Before the
// guest runs.
void vplic_set_edge(struct virqchip *chip, unsigned source, bool edge);
