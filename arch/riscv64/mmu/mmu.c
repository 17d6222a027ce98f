// SPDX-License-Identifier: Apache-2.0
//
// The MMU contract on riscv64: address maps, TLB and cache maintenance (RISC-V Privileged Architecture, 10.2.1, 18.3.2
// and 19, CMO extensions). What other harts must do is asked of the firmware (SBI RFENCE), which reaches them even while
// they have interrupts masked.
#include "arch/mmu.h"

#include <asm/csr.h>
#include <asm/isa.h>
#include <asm/sbi.h>

#include "arch/boot.h"
#include "arch/riscv64/boot/boot.h"
#include "arch/riscv64/mmu/mmu.h"
#include "arch/riscv64/mmu/vmid.h"
#include "kernel/lib/panic.h"
#include "kernel/lib/range.h"
#include "linker/riscv64.h"

#define RANGE_MAX MIB(1) // beyond it everything goes: one instruction instead of hundreds

static uint64_t direct_va;
static unsigned table_levels;

void mmu_init(unsigned levels)
{
    table_levels = levels;
    direct_va = mmu_direct_base(levels);
}

unsigned mmu_levels(void)
{
    return table_levels;
}

uint64_t mmu_satp(void)
{
    return (table_levels == 4 ? SATP_SV48 : SATP_SV39) << SATP_MODE_SHIFT | boot_tables.root >> PAGE_SHIFT;
}

void *arch_phys_to_virt(hpa_t pa)
{
    return (void *)(uintptr_t)(direct_va + pa.v);
}

hpa_t arch_virt_to_phys(const void *va)
{
    uint64_t v = (uint64_t)(uintptr_t)va;

    return hpa(v - IMAGE_VA < VMAP_VA - IMAGE_VA ? v - image_offset : v - direct_va);
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

        end = min_u64(end, mmu_direct_size(table_levels));
        if (base < end && !early_map_around(&boot_tables, direct_va, (struct early_range){base, end}, hole)) {
            panic("no room to map RAM: raise EARLY_TABLES");
        }
    }
    arch_pt_publish();
    isa_init(bi->fdt_va);
}

// A walker may also remember that an entry was invalid (10.6.1): new mappings want a fence as well.
void arch_pt_publish(void)
{
    asm volatile("fence rw, rw\n\tsfence.vma" ::: "memory");
}

void arch_tlb_flush_host(uintptr_t va, uint64_t size)
{
    uint64_t n = size > RANGE_MAX ? UINT64_MAX : size;

    for (uint64_t off = 0; n != UINT64_MAX && off < n; off += PAGE_SIZE) {
        asm volatile("sfence.vma %0" ::"r"(va + off) : "memory");
    }
    if (n == UINT64_MAX) {
        asm volatile("sfence.vma" ::: "memory");
    }
    sbi_rfence(SBI_RFENCE_VMA, 0, SBI_ALL_HARTS, n == UINT64_MAX ? 0 : va, n, 0);
}

static unsigned vmid_bits;

void mmu_set_vmid_bits(unsigned bits)
{
    vmid_bits = bits;
}

static void hfence_gvma(uint64_t vmid, gpa_t base, uint64_t size)
{
    if (size == UINT64_MAX) {
        asm volatile(".option push\n\t.option arch, +h\n\thfence.gvma zero, %0\n\t.option pop" ::"r"(vmid)
                     : "memory");
        return;
    }
    for (uint64_t off = 0; off < size; off += PAGE_SIZE) { // the operand is the address divided by four
        asm volatile(".option push\n\t.option arch, +h\n\thfence.gvma %0, %1\n\t.option pop" ::"r"(
                         (base.v + off) >> 2),
                     "r"(vmid)
                     : "memory");
    }
}

// What the guests' own tables gave: that works on the VMID in hgatp (of the hart that asks the firmware), so hgatp is changed
// for the moment.
static void flush_stage1(uint64_t vmid)
{
    uint64_t status = csr_read(sstatus) & SSTATUS_SIE;

    csr_clear(sstatus, SSTATUS_SIE);
    uint64_t old = csr_swap(hgatp, vmid << HGATP_VMID_SHIFT);
    arch_tlb_flush_guest_local();
    sbi_rfence(SBI_RFENCE_VVMA, 0, SBI_ALL_HARTS, 0, UINT64_MAX, 0);
    csr_write(hgatp, old);
    csr_set(sstatus, status);
}

// VMs that share a VMID lose each other's entries too.
void arch_tlb_flush_guest(unsigned vmid, gpa_t base, uint64_t size)
{
    uint64_t hw = vmid_in_hardware(vmid, vmid_bits);
    bool all = size == 0 || size > RANGE_MAX;

    asm volatile("fence rw, rw" ::: "memory");
    hfence_gvma(hw, base, all ? UINT64_MAX : size);
    sbi_rfence(SBI_RFENCE_GVMA_VMID, 0, SBI_ALL_HARTS, all ? 0 : base.v, all ? UINT64_MAX : size, hw);
    if (size == 0) {
        flush_stage1(hw);
    }
}

// Of the VMID in hgatp.
void arch_tlb_flush_guest_local(void)
{
    asm volatile(".option push\n\t.option arch, +h\n\thfence.vvma\n\t.option pop" ::: "memory");
}

// Without Zicbom the machine is coherent, or else nobody could do anything about it.
static void by_block(const void *va, uint64_t size, void (*op)(uint64_t a))
{
    uint64_t block = isa_cbom_block();

    if (!block) {
        asm volatile("fence rw, rw" ::: "memory");
        return;
    }
    uint64_t a = align_down((uint64_t)(uintptr_t)va, block);
    for (uint64_t end = (uint64_t)(uintptr_t)va + size; a < end; a += block) {
        op(a);
    }
    asm volatile("fence rw, rw" ::: "memory");
}

// Encoded: the assembler of gcc 12 knows the mnemonics only by an extension name that older ones refuse.
static void cbo_clean(uint64_t a)
{
    asm volatile(".insn i 0x0F, 2, x0, %0, 1" ::"r"(a) : "memory");
}

static void cbo_flush(uint64_t a)
{
    asm volatile(".insn i 0x0F, 2, x0, %0, 2" ::"r"(a) : "memory");
}

void arch_dcache_clean(const void *va, uint64_t size)
{
    by_block(va, size, cbo_clean);
}

void arch_dcache_clean_invalidate(const void *va, uint64_t size)
{
    by_block(va, size, cbo_flush);
}

void arch_icache_invalidate_all(void)
{
    asm volatile("fence rw, rw\n\tfence.i" ::: "memory");
    sbi_rfence(SBI_RFENCE_I, 0, SBI_ALL_HARTS, 0, 0, 0);
}

// A store for 8 bytes and little else: making a guest is mostly this where there is no Zicboz.
static void zero_by_stores(uint64_t a, uint64_t size)
{
    for (uint64_t end = a + size; a < end; a += 512) {
        asm volatile(".set off, 0\n\t.rept 64\n\tsd zero, off(%0)\n\t.set off, off + 8\n\t.endr" ::"r"(a)
                     : "memory");
    }
}

void arch_zero_pages(void *va, uint64_t size)
{
    uint64_t block = isa_cboz_block();

    if (block < 64 || block > 1024) { // none, or of an odd size
        zero_by_stores((uint64_t)(uintptr_t)va, size);
        return;
    }
    uint64_t a = (uint64_t)(uintptr_t)va;
    for (uint64_t end = a + size; a < end; a += 4 * block) { // a page is at least four blocks
        asm volatile(".insn i 0x0F, 2, x0, %0, 4\n\t.insn i 0x0F, 2, x0, %1, 4\n\t"
                     ".insn i 0x0F, 2, x0, %2, 4\n\t.insn i 0x0F, 2, x0, %3, 4" ::"r"(a),
                     "r"(a + block), "r"(a + 2 * block), "r"(a + 3 * block)
                     : "memory");
    }
}

void arch_zero_pages_coherent(void *va, uint64_t size)
{
    arch_zero_pages(va, size);
    arch_dcache_clean_invalidate(va, size);
}
