// SPDX-License-Identifier: Apache-2.0
//
// The MMU contract on x86_64: address maps, TLB and cache maintenance (Intel SDM vol. 3A, 4.10 and 11.5). Data caches are
// coherent with everything, instruction caches with stores; TLBs of other CPUs are reached by an interrupt.
#include "arch/mmu.h"

#include <asm/cpu.h>

#include "arch/boot.h"
#include "arch/x86_64/boot/boot.h"
#include "kernel/lib/panic.h"
#include "kernel/lib/range.h"
#include "linker/x86_64.h"

void *arch_phys_to_virt(hpa_t pa)
{
    return (void *)(uintptr_t)(DIRECT_VA + pa.v);
}

hpa_t arch_virt_to_phys(const void *va)
{
    uint64_t v = (uint64_t)(uintptr_t)va;

    return hpa(v >= IMAGE_VA ? v - IMAGE_OFFSET : v - DIRECT_VA);
}

hpa_t arch_host_pt_root(void)
{
    return hpa(boot_tables.root);
}

uintptr_t arch_vmap_base(void)
{
    return VMAP_VA;
}

uint64_t arch_vmap_size(void)
{
    return VMAP_SIZE;
}

static bool map_direct(uint64_t base, uint64_t end)
{
    return base >= end || early_map(&boot_tables, DIRECT_VA + base, base, end - base, EARLY_RW);
}

const void *arch_map_firmware(hpa_t pa, uint64_t size)
{
    uint64_t base = align_down(pa.v, PAGE_SIZE);
    uint64_t end = align_up(pa.v + size, PAGE_SIZE);

    if (!range_contains(0, DIRECT_SIZE, pa.v, size) || end > DIRECT_SIZE || !map_direct(base, end)) {
        return NULL;
    }
    return arch_phys_to_virt(pa);
}

// The direct map holds RAM without the image's text and read-only data, which have no writable alias.
void arch_map_ram(const struct boot_info *bi)
{
    uint64_t image = bi->image.base.v;
    struct early_range hole = {image, image + (uint64_t)(ro_after_init_end - image_start)};

    for (unsigned i = 0; i < bi->ram.count; i++) {
        uint64_t base = align_up(bi->ram.r[i].base.v, PAGE_SIZE);
        uint64_t end = min_u64(align_down(bi->ram.r[i].base.v + bi->ram.r[i].size, PAGE_SIZE), DIRECT_SIZE);

        if (base < end && !early_map_around(&boot_tables, DIRECT_VA, (struct early_range){base, end}, hole)) {
            panic("no room to map RAM: raise EARLY_TABLES");
        }
    }
}

// Stores are seen by the walkers in order, and entries that were not present are not remembered.
void arch_pt_publish(void)
{
    asm volatile("" ::: "memory");
}

void arch_dcache_clean(const void *va, uint64_t size)
{
    (void)va;
    (void)size;
}

void arch_dcache_clean_invalidate(const void *va, uint64_t size)
{
    (void)va;
    (void)size;
}

void arch_icache_invalidate_all(void)
{
}

void arch_zero_pages(void *va, uint64_t size)
{
    uint64_t count = size / 8;

    asm volatile("rep stosq" : "+D"(va), "+c"(count) : "a"(0) : "memory");
}

void arch_zero_pages_coherent(void *va, uint64_t size)
{
    arch_zero_pages(va, size);
}
