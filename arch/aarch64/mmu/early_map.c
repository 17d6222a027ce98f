// SPDX-License-Identifier: Apache-2.0
//
// See early_map.h. Descriptor formats: Arm DDI 0487, D8.3.
#include "arch/aarch64/mmu/early_map.h"

#define DESC_VALID 1u
#define DESC_TABLE 3u
#define DESC_BLOCK 1u
#define DESC_PAGE 3u
#define DESC_AF BIT64(10)
#define DESC_SH_INNER (UINT64_C(3) << 8)
#define DESC_AP_RES1 BIT64(6)
#define DESC_AP_RO BIT64(7)
#define DESC_GP BIT64(50) // guarded page: indirect branches must land on BTI, where the CPU has it
#define DESC_XN BIT64(54)
#define DESC_ATTR(n) ((uint64_t)(n) << 2)
#define DESC_PA MASK64(12, 36)
#define LEAF_LEVEL 3u

static uint64_t *table_at(const struct early_map *m, uint64_t pa)
{
    return (uint64_t *)(uintptr_t)(pa + m->to_pointer); // an address, not a pointer, until here
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

bool early_map_init(struct early_map *m, uint64_t pool, uint64_t pool_end, uint64_t to_pointer)
{
    m->pool_next = pool;
    m->pool_end = pool_end;
    m->to_pointer = to_pointer;
    m->root = table_new(m);
    return m->root != 0;
}

static uint64_t leaf_bits(unsigned kind, unsigned level)
{
    uint64_t d = DESC_AF | DESC_AP_RES1 | (level == LEAF_LEVEL ? DESC_PAGE : DESC_BLOCK);

    if (kind == EARLY_DEVICE) {
        return d | DESC_ATTR(1) | DESC_XN;
    }
    d |= DESC_ATTR(0) | DESC_SH_INNER;
    if (kind != EARLY_RW) {
        d |= DESC_AP_RO;
    }
    return kind == EARLY_RX ? d | DESC_GP : d | DESC_XN;
}

// Maps the largest page possible at `va` and returns its size; 0 when the pool is empty.
static uint64_t map_one(struct early_map *m, uint64_t va, uint64_t pa, uint64_t size, unsigned kind)
{
    uint64_t *table = table_at(m, m->root);

    for (unsigned level = 0;; level++) {
        unsigned shift = 39 - 9 * level;
        uint64_t page = BIT64(shift);
        volatile uint64_t *entry = &table[(va >> shift) & 511];
        bool leaf = level == LEAF_LEVEL || (level > 0 && is_aligned(va | pa, page) && size >= page);

        if ((*entry & DESC_TABLE) == DESC_TABLE && level < LEAF_LEVEL) {
            table = table_at(m, *entry & DESC_PA);
            continue;
        }
        if (*entry & DESC_VALID) {
            return min_u64(size, page - (va & (page - 1)));
        }
        if (leaf) {
            *entry = pa | leaf_bits(kind, level);
            return page;
        }
        uint64_t next = table_new(m);
        if (!next) {
            return 0;
        }
        *entry = next | DESC_TABLE;
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

        for (unsigned level = 0; level < LEAF_LEVEL; level++) {
            table = table_at(m, table[((va + off) >> (39 - 9 * level)) & 511] & DESC_PA);
        }
        table[((va + off) >> PAGE_SHIFT) & 511] |= DESC_AP_RO;
    }
}
