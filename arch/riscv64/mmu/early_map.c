// SPDX-License-Identifier: Apache-2.0
//
// See early_map.h. Entry formats: RISC-V Privileged Architecture, 10.4 and 10.5.
#include "arch/riscv64/mmu/early_map.h"

#define PTE_V BIT64(0)
#define PTE_R BIT64(1)
#define PTE_W BIT64(2)
#define PTE_X BIT64(3)
#define PTE_G BIT64(5)
#define PTE_A BIT64(6)
#define PTE_D BIT64(7)
#define PTE_PPN MASK64(10, 44)
#define LARGEST_SHIFT 30u // 1 GiB: 512 GiB pages would only waste what is checked less often

static uint64_t *table_at(const struct early_map *m, uint64_t pa)
{
    return (uint64_t *)(uintptr_t)(pa + m->to_pointer); // an address, not a pointer, until here
}

static uint64_t entry_pa(uint64_t entry)
{
    return (entry & PTE_PPN) << 2;
}

static uint64_t entry_for(uint64_t pa)
{
    return pa >> 2;
}

// Returns the physical address of a zeroed table, 0 when the pool is empty.
static uint64_t table_new(struct early_map *m)
{
    uint64_t pa = m->pool_next;

    if (pa >= m->pool_end) {
        return 0;
    }
    volatile uint64_t *t = table_at(m, pa);
    for (unsigned i = 0; i < 512; i++) {
        t[i] = 0;
    }
    m->pool_next += PAGE_SIZE;
    return pa;
}

bool early_map_init(struct early_map *m, unsigned levels, uint64_t pool, uint64_t pool_end)
{
    m->pool_next = pool;
    m->pool_end = pool_end;
    m->to_pointer = 0;
    m->levels = levels;
    m->root = table_new(m);
    return m->root != 0;
}

// A and D are set: no machine needs to trap for them.
static uint64_t leaf_bits(unsigned kind)
{
    uint64_t d = PTE_V | PTE_R | PTE_G | PTE_A | PTE_D;

    if (kind == EARLY_RX) {
        return d | PTE_X;
    }
    return kind == EARLY_RW ? d | PTE_W : d;
}

// Maps the largest page possible at `va` and returns its size; 0 when the pool is empty.
static uint64_t map_one(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, unsigned kind)
{
    uint64_t *table = table_at(m, m->root);

    for (unsigned shift = PAGE_SHIFT + 9 * (m->levels - 1);; shift -= 9) {
        uint64_t page = BIT64(shift);
        volatile uint64_t *entry = &table[(va >> shift) & 511];
        bool leaf =
            shift == PAGE_SHIFT || (shift <= LARGEST_SHIFT && is_aligned(va | pa, page) && size >= page);

        if (*entry & (PTE_R | PTE_X)) {
            return min_u64(size, page - (va & (page - 1)));
        }
        if (*entry & PTE_V) {
            table = table_at(m, entry_pa(*entry));
            continue;
        }
        if (leaf) {
            *entry = entry_for(pa) | leaf_bits(kind);
            return page;
        }
        uint64_t next = table_new(m);
        if (!next) {
            return 0;
        }
        *entry = entry_for(next) | PTE_V;
        table = table_at(m, next);
    }
}

bool early_map(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, unsigned kind)
{
    while (size) {
        uint64_t done = map_one(m, va, pa, size, kind);

        if (!done) {
            return false;
        }
        va += done;
        pa += done;
        size -= done;
    }
    return true;
}

void early_map_protect(struct early_map *m, uint64_t va, uint64_t size)
{
    for (uint64_t off = 0; off < size; off += PAGE_SIZE) {
        volatile uint64_t *table = table_at(m, m->root);

        for (unsigned shift = PAGE_SHIFT + 9 * (m->levels - 1); shift > PAGE_SHIFT; shift -= 9) {
            table = table_at(m, entry_pa(table[((va + off) >> shift) & 511]));
        }
        table[((va + off) >> PAGE_SHIFT) & 511] &= ~PTE_W;
    }
}
