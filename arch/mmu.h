// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 3: page-table formats, TLB and cache maintenance.
//
// One walker (kernel/mm/aspace.c) serves every page-table format; a format is a small const policy (struct pt_format,
// kernel/mm/pt_format.h) that lives in kernel/mm as pure code, so that the host can test all of them. What is left to
// the architecture is which format applies and the instructions.
#pragma once

#include "kernel/lib/types.h"

struct pt_format;

// The direct map: all RAM but the image, at one offset. Both are constant-time and valid from kernel_main() on for
// addresses in RAM or the image; virt_to_phys of anything else is undefined.
void *arch_phys_to_virt(hpa_t pa);
hpa_t arch_virt_to_phys(const void *va);

struct boot_info;

// Adds all RAM of `bi` to the direct map. Once, boot CPU, after the enumerator and before page_init().
void arch_map_ram(const struct boot_info *bi);

// Makes tables of the firmware readable, which lie in RAM or not; NULL when that cannot be. Boot CPU, before arch_seal_image().
const void *arch_map_firmware(hpa_t pa, uint64_t size);

// Text and read-only data lose their last writable alias; what is marked read-only after init becomes so. Boot CPU, once.
void arch_seal_image(void);

// Performs one store or load of 32 bits; false when it faulted. For probing hardware and for the self-test.
bool arch_probe_write(volatile uint32_t *va, uint32_t value);
bool arch_probe_read(const volatile uint32_t *va, uint32_t *value);

// The format of the hypervisor's own table and of guests' tables on this machine (a run-time fact).
const struct pt_format *arch_host_pt_format(void);
const struct pt_format *arch_guest_pt_format(void);

// The hypervisor's root table, as left by arch/<a>/boot, and the virtual window that mmio and stack mappings come from.
hpa_t arch_host_pt_root(void);
uintptr_t arch_vmap_base(void);
uint64_t arch_vmap_size(void);

// Invalidates the host TLB for [va, va + size) on all CPUs (broadcast where the hardware has it).
void arch_tlb_flush_host(uintptr_t va, uint64_t size);

// Invalidates what the TLBs of all CPUs hold for guest address space `vmid`: [base, base + size) and everything
// derived from it. size 0: everything of that vmid.
void arch_tlb_flush_guest(unsigned vmid, gpa_t base, uint64_t size);

// Invalidates what this CPU's TLB holds of the loaded guest's own translations (stage 1, all of its ASIDs). Interrupts masked.
void arch_tlb_flush_guest_local(void);

// Makes page-table writes visible to the table walkers.
void arch_pt_publish(void);

// Data cache by address, to the point of coherency; va need not be aligned.
void arch_dcache_clean(const void *va, uint64_t size);
void arch_dcache_clean_invalidate(const void *va, uint64_t size);

// After new instructions were written (or loaded for a guest) and cleaned: invalidate instruction caches of all CPUs.
void arch_icache_invalidate_all(void);

// Zeroes whole pages with the fastest store the machine has (DC ZVA, cbo.zero, rep stos).
void arch_zero_pages(void *va, uint64_t size);

// The same, and the zeroes are in memory: for guests, who start with their caches off.
void arch_zero_pages_coherent(void *va, uint64_t size);
