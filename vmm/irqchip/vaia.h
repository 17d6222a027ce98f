// SPDX-License-Identifier: Apache-2.0
//
// The virtual AIA (RISC-V Advanced Interrupt Architecture 1.0): an APLIC of one supervisor-level domain that
// only sends messages, and an IMSIC for each vCPU whose interrupt file is kept in software, or, while the vCPU
// is loaded on a CPU that has one for it, in a guest file of the machine (arch_irq_files()).
//
// The guest's file is reached by MMIO (anybody writes a message) and by its CSRs sireg and stopei, which trap
// while hstatus.VGEIN selects no guest file of the host: the host must have Ssaia for that. Identities 1 to
// 255, sources 1 to 95.
#pragma once

#include "arch/virt.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/irq_line.h"

struct vm;

#define VAIA_SOURCES 96u      // numbers 1 to 95 exist, as in the board's plan
#define VAIA_IDS IRQ_FILE_IDS // identities 1 to 255
#define VAIA_APLIC_SIZE 0x8000u
#define VAIA_FILE_SIZE 0x1000u // hart h's page is number h

// The CSRs of virqchip_ops.sysreg; those of sireg come with siselect in the upper half.
#define VAIA_CSR_SIREG 0x151u
#define VAIA_CSR_STOPEI 0x15cu
#define VAIA_SYSREG(csr, select) ((csr) | (select) << 16)

// Creates both for vm->vcpu_count vCPUs and adds their registers to vm->mmio. Set virqchip.notify before the
// first vCPU runs. Worker thread, no lock held. E_INVAL: no vCPU, or more than 256. E_NOMEM, E_EXISTS
// (registers overlap something).
//
// Contract notes beyond vmm/core/irq_line.h: a line number is the source's. send_msi: `address` is a guest's
// file. flush: on the vCPU's own CPU. save, restore, reset, destroy: no vCPU of this VM runs.
enum status vaia_create(struct vm *vm, uint64_t aplic_base, uint64_t imsic_base, struct virqchip **out);
