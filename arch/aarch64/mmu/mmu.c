// SPDX-License-Identifier: Apache-2.0
//
// The MMU contract on aarch64: address maps, TLB and cache maintenance (Arm DDI 0487, D8 and D7.5.9).
#include "arch/mmu.h"

#include <asm/sysreg.h>

#include "arch/aarch64/boot/boot.h"
#include "arch/boot.h"
#include "kernel/lib/panic.h"
#include "kernel/lib/range.h"
#include "linker/sections.h"

void *arch_phys_to_virt(hpa_t pa)
{
    return (void *)(uintptr_t)(DIRECT_VA + pa.v);
}

hpa_t arch_virt_to_phys(const void *va)
{
    uint64_t v = (uint64_t)(uintptr_t)va;

    return hpa(v >= IMAGE_VA ? v - image_offset : v - DIRECT_VA);
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

// The device tree is mapped by the boot code, and there is no ACPI.
const void *arch_map_firmware(hpa_t pa, uint64_t size)
{
    (void)pa;
    (void)size;
    return NULL;
}

// The direct map holds RAM without the image's text and read-only data, which have no writable alias.
void arch_map_ram(const struct boot_info *bi)
{
    struct early_range hole = boot_sealed_part(align_down(bi->image.base.v, PAGE_SIZE));

    for (unsigned i = 0; i < bi->ram.count; i++) {
        uint64_t base = align_up(bi->ram.r[i].base.v, PAGE_SIZE);
        uint64_t end = align_down(bi->ram.r[i].base.v + bi->ram.r[i].size, PAGE_SIZE);

        if (end > DIRECT_SIZE) {
            end = DIRECT_SIZE;
        }
        if (base < end && !early_map_around(&boot_tables, DIRECT_VA, (struct early_range){base, end}, hole)) {
            panic("no room to map RAM: raise EARLY_TABLES");
        }
    }
    arch_pt_publish();
    isb();
}

void arch_pt_publish(void)
{
    dsb(ishst);
}

void arch_tlb_flush_host(uintptr_t va, uint64_t size)
{
    dsb(ishst);
    if (size > MIB(1)) {
        asm volatile("tlbi alle2is" ::: "memory");
    } else {
        for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
            asm volatile("tlbi vae2is, %0" ::"r"((va + off) >> PAGE_SHIFT) : "memory");
        }
    }
    dsb(ish);
    isb();
}

// Stage-2 invalidation works on the VMID in VTTBR_EL2, so that is changed for the moment (interrupts masked).
void arch_tlb_flush_guest(unsigned vmid, gpa_t base, uint64_t size)
{
    unsigned long daif;
    uint64_t old;

    asm volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(daif)::"memory");
    old = sysreg_read(vttbr_el2);
    dsb(ishst);
    sysreg_write(vttbr_el2, ((uint64_t)vmid << 48) | (old & MASK64(0, 48)));
    isb();
    if (size == 0 || size > MIB(1)) {
        asm volatile("tlbi vmalls12e1is" ::: "memory");
    } else {
        for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
            asm volatile("tlbi ipas2e1is, %0" ::"r"((base.v + off) >> PAGE_SHIFT) : "memory");
        }
        dsb(ish);
        asm volatile("tlbi vmalle1is" ::: "memory");
    }
    dsb(ish);
    sysreg_write(vttbr_el2, old);
    isb();
    asm volatile("msr daif, %0" ::"r"(daif) : "memory");
}

void arch_tlb_flush_guest_local(void)
{
    // The first ISB: the guest may just have been loaded.
    asm volatile("isb\n\tdsb nshst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}

static uint64_t dcache_line(void)
{
    return UINT64_C(4) << ((sysreg_read(ctr_el0) >> 16) & 0xF);
}

void arch_dcache_clean(const void *va, uint64_t size)
{
    uint64_t line = dcache_line();
    uint64_t a = align_down((uint64_t)(uintptr_t)va, line);

    for (uint64_t end = (uint64_t)(uintptr_t)va + size; a < end; a += line) {
        asm volatile("dc cvac, %0" ::"r"(a) : "memory");
    }
    dsb(sy);
}

void arch_dcache_clean_invalidate(const void *va, uint64_t size)
{
    uint64_t line = dcache_line();
    uint64_t a = align_down((uint64_t)(uintptr_t)va, line);

    for (uint64_t end = (uint64_t)(uintptr_t)va + size; a < end; a += line) {
        asm volatile("dc civac, %0" ::"r"(a) : "memory");
    }
    dsb(sy);
}

void arch_icache_invalidate_all(void)
{
    asm volatile("ic ialluis\n\tdsb ish\n\tisb" ::: "memory");
}

static void zero_by_stores(uint64_t *p, uint64_t size)
{
    for (uint64_t *end = p + size / 8; p < end; p += 8) {
        p[0] = p[1] = p[2] = p[3] = 0;
        p[4] = p[5] = p[6] = p[7] = 0;
    }
}

void arch_zero_pages(void *va, uint64_t size)
{
    uint64_t dczid = sysreg_read(dczid_el0);
    uint64_t block = UINT64_C(4) << (dczid & 0xF);

    if (dczid & BIT64(4) || block < 64 || block > 1024) { // DC ZVA prohibited or of an odd size
        zero_by_stores(va, size);
        return;
    }
    uint64_t a = (uint64_t)(uintptr_t)va;
    for (uint64_t end = a + size; a < end; a += 4 * block) { // a page is at least four blocks
        asm volatile("dc zva, %0\n\tdc zva, %1\n\tdc zva, %2\n\tdc zva, %3" ::"r"(a), "r"(a + block),
                     "r"(a + 2 * block), "r"(a + 3 * block)
                     : "memory");
    }
}

// One pass where the line is the usual 64 bytes for both instructions: three instructions a line and little else, since
// making a guest is mostly this.
void arch_zero_pages_coherent(void *va, uint64_t size)
{
    uint64_t dczid = sysreg_read(dczid_el0);
    uint64_t a = (uint64_t)(uintptr_t)va;

    if ((dczid & (BIT64(4) | 0xF)) != 4 || dcache_line() != 64) {
        arch_zero_pages(va, size);
        arch_dcache_clean_invalidate(va, size);
        return;
    }
    for (uint64_t end = a + size; a < end;) { // a page is 64 lines
        asm volatile(".rept 64\n\tdc zva, %0\n\tdc civac, %0\n\tadd %0, %0, #64\n\t.endr"
                     : "+r"(a)::"memory");
    }
    dsb(sy);
}
