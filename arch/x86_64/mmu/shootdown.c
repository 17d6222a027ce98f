// SPDX-License-Identifier: Apache-2.0
//
// See shootdown.h. Every request has a number; a CPU notes the last one it saw before it flushed. Requests may overlap: one
// flush serves all that were numbered before it.
#include "arch/x86_64/mmu/shootdown.h"

#include <stdatomic.h>

#include <asm/cpu.h>

#include "arch/cpu.h"
#include "arch/mmu.h"
#include "arch/x86_64/cpu/cpu_local.h"

#define ICR_NMI 0x4400u // asserted, delivery mode NMI
#define RANGE_MAX KIB(256)

static _Atomic uint32_t requests;

static void flush_all(void)
{
    creg_write(cr3, creg_read(cr3)); // no page is global
}

void shootdown_nmi(void)
{
    struct percpu *own;
    uint32_t request = atomic_load(&requests);

    asm("mov %%gs:%c1, %0" : "=r"(own) : "i"(offsetof(struct percpu, self)));
    flush_all();
    atomic_store(&own->flushed, request);
}

void shootdown_all(void)
{
    uint32_t own = lapic_own_id();
    uint32_t request = atomic_fetch_add(&requests, 1) + 1;
    unsigned count = percpu_count();

    flush_all();
    for (unsigned i = 0; i < count; i++) {
        if (percpu_get(i)->apic_id != own) {
            lapic_icr(percpu_get(i)->apic_id, ICR_NMI);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        struct percpu *p = percpu_get(i);

        while (p->apic_id != own && (int32_t)(atomic_load(&p->flushed) - request) < 0) {
            arch_cpu_relax();
        }
    }
}

void arch_tlb_flush_host(uintptr_t va, uint64_t size)
{
    if (percpu_count() > 1) {
        shootdown_all();
    } else if (size > RANGE_MAX) {
        flush_all();
    } else {
        for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
            asm volatile("invlpg (%0)" ::"r"(va + off) : "memory");
        }
    }
}
