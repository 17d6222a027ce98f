// SPDX-License-Identifier: Apache-2.0
//
// An address space: one page table, its lock, and the list of those who cache translations of it.
//
// The walker is written once; a `struct pt_format` (kernel/mm/pt_format.h) says how entries of one format look. Map
// uses the largest page that alignment and size allow; unmap and protect split larger pages where they must.
// Check, then commit: table pages an operation needs are allocated before the first entry changes.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"

struct pt_format;

enum mem_type {
    MEM_NORMAL,
    MEM_NORMAL_NC,
    MEM_DEVICE
};

#define PERM_R 1u
#define PERM_W 2u
#define PERM_X 4u

struct mem_attr {
    uint8_t perm; // PERM_*
    uint8_t type; // enum mem_type
};

// Somebody who caches translations (CPU TLBs, an IOMMU). Called with the address space's lock held.
struct tlb_sink {
    struct tlb_sink *next;
    void (*invalidate)(struct tlb_sink *sink, uint64_t base, uint64_t size);
};

struct aspace {
    const struct pt_format *format;
    hpa_t root;
    struct spinlock lock; // protects the table and the sinks
    struct tlb_sink *sinks;
    uint64_t table_pages; // for statistics: pages this table uses
};

// An empty table. E_NOMEM.
enum status aspace_create(struct aspace *as, const struct pt_format *format);
// Takes over an existing root (the hypervisor's own table at boot).
void aspace_adopt(struct aspace *as, const struct pt_format *format, hpa_t root);
void aspace_destroy(struct aspace *as);
void aspace_add_sink(struct aspace *as, struct tlb_sink *sink);

// Maps [va, va + size) to pa. All page-aligned. E_EXISTS when a page of it is mapped, E_RANGE beyond the format's input
// or output size, E_INVAL when not aligned, E_NOMEM. Nothing changes on failure.
enum status aspace_map(struct aspace *as, uint64_t va, hpa_t pa, uint64_t size, struct mem_attr attr);
// Unmaps; holes are allowed. E_NOMEM when a split needs a page and there is none (nothing changed).
enum status aspace_unmap(struct aspace *as, uint64_t va, uint64_t size);
// Changes the permissions of what is mapped in the range.
enum status aspace_protect(struct aspace *as, uint64_t va, uint64_t size, struct mem_attr attr);
// Looks one address up: E_NOENT when unmapped. *size is the size of the mapping's page.
enum status aspace_lookup(struct aspace *as, uint64_t va, hpa_t *pa, struct mem_attr *attr, uint64_t *size);
