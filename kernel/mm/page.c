// SPDX-License-Identifier: Apache-2.0
//
// The page allocator.
//
// RAM is cut into 2 MiB blocks with a 16-byte descriptor each. Blocks form a binary buddy system of orders 9 (2 MiB)
// to 18 (1 GiB). A block that serves smaller requests is SPLIT: a bitmap of 512 bits (one = free page) belongs to it,
// and it sits on the list of the largest aligned run that the bitmap holds, so a request is always one list look-up.
// A zone is one RAM range of boot_info; buddies never cross zones. Free pages themselves are never written.
#include "kernel/mm/page.h"

#include <string.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"
#include "kernel/sync/spinlock.h"

#define BLOCK_ORDER 9u
#define ORDER_MAX 18u
#define BLOCK_PAGES 512u
#define MAP_WORDS (BLOCK_PAGES / 64)
#define NIL UINT32_MAX

enum block_state {
    BLOCK_USED,  // wholly allocated, or not RAM of ours
    BLOCK_SPLIT, // see its bitmap
    BLOCK_FREE,  // first block of a free buddy of `order`
    BLOCK_TAIL,  // another block of a free buddy
};

struct block {
    uint32_t next, prev; // list of its order; NIL ends it
    uint8_t state;
    uint8_t order; // FREE: of the buddy; SPLIT: largest free run, LIST_NONE when full
    uint16_t free; // SPLIT: free pages
};

#define LIST_NONE 0xFFu

struct page_map {
    uint64_t free[MAP_WORDS];
};

struct zone {
    uint64_t base, end; // 2 MiB-aligned outwards
    uint32_t first;     // descriptor of `base`
};

static struct {
    struct spinlock lock; // protects everything here
    struct block *blocks;
    struct page_map *maps; // written when a block is split, not before
    struct zone zones[BOOT_RANGE_MAX];
    unsigned zone_count;
    uint32_t lists[ORDER_MAX + 1];
    struct page_stats stats;
} pg = {.lock = SPINLOCK_INIT(LOCK_PAGE)};

static uint64_t order_size(unsigned order)
{
    return PAGE_SIZE << order;
}

// ---- lists --------------------------------------------------------------------------------------------------------

static void list_add(unsigned order, uint32_t i)
{
    struct block *b = &pg.blocks[i];

    b->order = (uint8_t)order;
    b->prev = NIL;
    b->next = pg.lists[order];
    if (b->next != NIL) {
        pg.blocks[b->next].prev = i;
    }
    pg.lists[order] = i;
}

static void list_del(uint32_t i)
{
    struct block *b = &pg.blocks[i];

    if (b->prev != NIL) {
        pg.blocks[b->prev].next = b->next;
    } else {
        pg.lists[b->order] = b->next;
    }
    if (b->next != NIL) {
        pg.blocks[b->next].prev = b->prev;
    }
}

// ---- address <-> descriptor ---------------------------------------------------------------------------------------

static const struct zone *zone_of(uint64_t pa)
{
    for (unsigned z = 0; z < pg.zone_count; z++) {
        if (pa >= pg.zones[z].base && pa < pg.zones[z].end) {
            return &pg.zones[z];
        }
    }
    return NULL;
}

static uint32_t block_index(const struct zone *z, uint64_t pa)
{
    return z->first + (uint32_t)((pa - z->base) / BLOCK_SIZE);
}

static uint64_t block_pa(uint32_t i)
{
    unsigned z = 0;

    while (z + 1 < pg.zone_count && pg.zones[z + 1].first <= i) {
        z++;
    }
    return pg.zones[z].base + (uint64_t)(i - pg.zones[z].first) * BLOCK_SIZE;
}

// ---- inside a block -----------------------------------------------------------------------------------------------

// One bit per aligned run of 2^order pages in `w` (order 0 to 6), at the run's first page.
static uint64_t runs_in_word(uint64_t w, unsigned order)
{
    static const uint64_t first[7] = {UINT64_MAX,
                                      UINT64_C(0x5555555555555555),
                                      UINT64_C(0x1111111111111111),
                                      UINT64_C(0x0101010101010101),
                                      UINT64_C(0x0001000100010001),
                                      UINT64_C(0x0000000100000001),
                                      UINT64_C(0x0000000000000001)};

    for (unsigned k = 0; k < order; k++) {
        w &= w >> (1u << k);
        w &= first[k + 1];
    }
    return w;
}

// The first page of a free aligned run of 2^order pages (order 0 to 8); BLOCK_PAGES when there is none.
static unsigned map_find(const struct page_map *m, unsigned order)
{
    unsigned step = order > 6 ? 1u << (order - 6) : 1;

    for (unsigned w = 0; w < MAP_WORDS; w += step) {
        uint64_t all = m->free[w];

        for (unsigned k = 1; k < step; k++) {
            all &= m->free[w + k];
        }
        all = runs_in_word(all, order > 6 ? 6 : order);
        if (all != 0) {
            return w * 64 + (unsigned)__builtin_ctzll(all);
        }
    }
    return BLOCK_PAGES;
}

static unsigned map_largest(const struct page_map *m)
{
    for (unsigned order = BLOCK_ORDER; order-- > 0;) {
        if (map_find(m, order) < BLOCK_PAGES) {
            return order;
        }
    }
    return LIST_NONE;
}

// Sets or clears `count` bits from `page` on; all must have been the other way round.
static bool map_mark(struct page_map *m, unsigned page, unsigned count, bool free)
{
    while (count > 0) {
        unsigned bit = page % 64;
        unsigned n = count < 64 - bit ? count : 64 - bit;
        uint64_t mask = (n == 64 ? UINT64_MAX : BIT64(n) - 1) << bit;

        if ((m->free[page / 64] & mask) != (free ? 0 : mask)) {
            return false;
        }
        m->free[page / 64] ^= mask;
        page += n;
        count -= n;
    }
    return true;
}

// Puts a SPLIT block on the list where its bitmap says it belongs.
static void split_relist(uint32_t i)
{
    struct block *b = &pg.blocks[i];
    unsigned order = b->free == 0 ? LIST_NONE : map_largest(&pg.maps[i]);

    if (order == b->order) {
        return;
    }
    if (b->order != LIST_NONE) {
        list_del(i);
    }
    b->order = LIST_NONE;
    if (order != LIST_NONE) {
        list_add(order, i);
    }
}

static void split_begin(uint32_t i, bool free)
{
    struct block *b = &pg.blocks[i];

    memset(&pg.maps[i], free ? 0xFF : 0, sizeof(pg.maps[i]));
    b->state = BLOCK_SPLIT;
    b->order = LIST_NONE;
    b->free = free ? BLOCK_PAGES : 0;
}

// ---- free ---------------------------------------------------------------------------------------------------------

// Gives a free buddy of `order` (>= BLOCK_ORDER) to the lists, merged with its free neighbours.
static void buddy_insert(const struct zone *z, uint64_t pa, unsigned order)
{
    while (order < ORDER_MAX) {
        uint64_t other = pa ^ order_size(order);
        uint32_t o;

        if (other < z->base || other >= z->end) {
            break;
        }
        o = block_index(z, other);
        if (pg.blocks[o].state != BLOCK_FREE || pg.blocks[o].order != order) {
            break;
        }
        list_del(o);
        pg.blocks[o].state = BLOCK_TAIL;
        pg.blocks[block_index(z, pa)].state = BLOCK_TAIL;
        pa &= ~order_size(order);
        order++;
    }
    pg.blocks[block_index(z, pa)].state = BLOCK_FREE;
    list_add(order, block_index(z, pa));
}

static void free_small(const struct zone *z, uint64_t pa, unsigned pages)
{
    uint32_t i = block_index(z, pa);
    struct block *b = &pg.blocks[i];

    if (b->state == BLOCK_USED) {
        split_begin(i, false);
    }
    if (b->state != BLOCK_SPLIT ||
        !map_mark(&pg.maps[i], (unsigned)((pa / PAGE_SIZE) % BLOCK_PAGES), pages, true)) {
        panic("page: %#llx freed twice", (unsigned long long)pa);
    }
    b->free = (uint16_t)(b->free + pages);
    if (b->free < BLOCK_PAGES) {
        split_relist(i);
        return;
    }
    if (b->order != LIST_NONE) {
        list_del(i);
    }
    buddy_insert(z, align_down(pa, BLOCK_SIZE), BLOCK_ORDER);
}

static void free_large(const struct zone *z, uint64_t pa, unsigned order)
{
    uint32_t first = block_index(z, pa);

    for (uint32_t i = first; i < first + (1u << (order - BLOCK_ORDER)); i++) {
        struct block *b = &pg.blocks[i];

        if (b->state != BLOCK_USED && !(b->state == BLOCK_SPLIT && b->free == 0)) {
            panic("page: %#llx freed twice", (unsigned long long)pa);
        }
        b->state = BLOCK_TAIL;
    }
    buddy_insert(z, pa, order);
}

// Any page-aligned range of one zone, in the largest aligned pieces.
static void free_range_locked(uint64_t pa, uint64_t size)
{
    const struct zone *z = zone_of(pa);

    if (z == NULL || !is_aligned(pa | size, PAGE_SIZE) ||
        !range_contains(z->base, z->end - z->base, pa, size)) {
        panic("page: %#llx + %#llx is not ours", (unsigned long long)pa, (unsigned long long)size);
    }
    pg.stats.free += size;
    while (size > 0) {
        unsigned order = ORDER_MAX;
        uint64_t piece;

        if (!is_aligned(pa, BLOCK_SIZE) || size < BLOCK_SIZE) {
            piece = min_u64(size, BLOCK_SIZE - (pa & (BLOCK_SIZE - 1)));
            free_small(z, pa, (unsigned)(piece / PAGE_SIZE));
        } else {
            while (!is_aligned(pa, order_size(order)) || order_size(order) > size) {
                order--;
            }
            piece = order_size(order);
            free_large(z, pa, order);
        }
        pa += piece;
        size -= piece;
    }
}

void page_free_range(hpa_t base, uint64_t size)
{
    irq_state_t irq = spin_lock_irqsave(&pg.lock);

    free_range_locked(base.v, size);
    pg.stats.free_count++;
    spin_unlock_irqrestore(&pg.lock, irq);
}

void page_free(void *va, unsigned order)
{
    hpa_t pa = arch_virt_to_phys(va);

    BUG_ON(order > ORDER_MAX || !is_aligned(pa.v, order_size(order)));
    page_free_range(pa, order_size(order));
}

// ---- allocate -----------------------------------------------------------------------------------------------------

// Takes a buddy of `order` >= BLOCK_ORDER off its list and returns the upper halves down to `want`.
static uint64_t buddy_take(uint32_t i, unsigned want)
{
    unsigned order = pg.blocks[i].order;
    uint64_t pa = block_pa(i);

    list_del(i);
    while (order > want) {
        uint32_t upper = i + (1u << (--order - BLOCK_ORDER));

        pg.blocks[upper].state = BLOCK_FREE;
        list_add(order, upper);
    }
    for (uint32_t k = i; k < i + (1u << (want - BLOCK_ORDER)); k++) {
        pg.blocks[k].state = BLOCK_USED;
    }
    return pa;
}

// The physical address, or UINT64_MAX.
static uint64_t alloc_locked(unsigned order)
{
    unsigned from = order;
    unsigned page;
    uint32_t i;

    while (from <= ORDER_MAX && pg.lists[from] == NIL) {
        from++;
    }
    if (from > ORDER_MAX) {
        return UINT64_MAX;
    }
    pg.stats.free -= order_size(order);
    pg.stats.alloc_count++;
    i = pg.lists[from];
    if (order >= BLOCK_ORDER) {
        return buddy_take(i, order);
    }
    if (from >= BLOCK_ORDER) {
        (void)buddy_take(i, BLOCK_ORDER);
        split_begin(i, true);
    }
    page = map_find(&pg.maps[i], order);
    BUG_ON(page >= BLOCK_PAGES || !map_mark(&pg.maps[i], page, 1u << order, false));
    pg.blocks[i].free = (uint16_t)(pg.blocks[i].free - (1u << order));
    split_relist(i);
    return block_pa(i) + page * PAGE_SIZE;
}

void *page_alloc(unsigned order)
{
    irq_state_t irq;
    uint64_t pa;

    if (order > ORDER_MAX) {
        return NULL;
    }
    irq = spin_lock_irqsave(&pg.lock);
    pa = alloc_locked(order);
    spin_unlock_irqrestore(&pg.lock, irq);
    return pa == UINT64_MAX ? NULL : arch_phys_to_virt(hpa(pa));
}

void *page_alloc_zeroed(unsigned order)
{
    void *va = page_alloc(order);

    if (va != NULL) {
        arch_zero_pages(va, order_size(order));
    }
    return va;
}

enum status page_alloc_range(uint64_t size, uint64_t align, hpa_t *out)
{
    uint64_t span = max_u64(size, align);
    unsigned order = 0;
    irq_state_t irq;
    uint64_t pa;

    if (size == 0 || !is_aligned(size, PAGE_SIZE) || !is_power_of_two(align) || align < PAGE_SIZE) {
        return E_INVAL;
    }
    while (order <= ORDER_MAX && order_size(order) < span) {
        order++;
    }
    if (order > ORDER_MAX) {
        return E_NOMEM;
    }
    irq = spin_lock_irqsave(&pg.lock);
    pa = alloc_locked(order);
    if (pa != UINT64_MAX && order_size(order) > size) {
        free_range_locked(pa + size, order_size(order) - size);
    }
    spin_unlock_irqrestore(&pg.lock, irq);
    if (pa == UINT64_MAX) {
        return E_NOMEM;
    }
    *out = hpa(pa);
    return OK;
}

void page_stats_get(struct page_stats *out)
{
    irq_state_t irq = spin_lock_irqsave(&pg.lock);

    *out = pg.stats;
    out->largest_free = 0;
    for (unsigned order = 0; order <= ORDER_MAX; order++) {
        if (pg.lists[order] != NIL) {
            out->largest_free = order_size(order);
        }
    }
    spin_unlock_irqrestore(&pg.lock, irq);
}

// ---- set-up -------------------------------------------------------------------------------------------------------

// The reserved range or image that holds `at`, or else the first that begins in [at, end); NULL when there is none.
static const struct boot_range *next_taken(const struct boot_info *bi, uint64_t at, uint64_t end)
{
    const struct boot_range *best = NULL;

    for (unsigned i = 0; i <= bi->reserved.count; i++) {
        const struct boot_range *r = i < bi->reserved.count ? &bi->reserved.r[i] : &bi->image;

        if (range_overlaps(r->base.v, r->size, at, end - at) && (best == NULL || r->base.v < best->base.v)) {
            best = r;
        }
    }
    return best;
}

// The first piece of [*base, end) that is not reserved, in whole pages; false when there is none.
static bool next_gap(const struct boot_info *bi, uint64_t *base, uint64_t *size, uint64_t end)
{
    uint64_t at = align_up(*base, PAGE_SIZE);

    end = align_down(end, PAGE_SIZE);
    while (at < end) {
        const struct boot_range *taken = next_taken(bi, at, end);
        uint64_t stop = taken == NULL ? end : align_down(taken->base.v, PAGE_SIZE);

        if (stop > at) {
            *base = at;
            *size = stop - at;
            return true;
        }
        at = align_up(taken->base.v + taken->size, PAGE_SIZE);
    }
    return false;
}

static uint64_t zones_setup(const struct boot_info *bi)
{
    uint64_t count = 0;

    pg.zone_count = 0;
    for (unsigned i = 0; i < bi->ram.count; i++) {
        const struct boot_range *r = &bi->ram.r[i];
        struct zone *z = &pg.zones[pg.zone_count];

        if (r->size < PAGE_SIZE) {
            continue;
        }
        z->base = align_down(r->base.v, BLOCK_SIZE);
        z->end = align_up(r->base.v + r->size, BLOCK_SIZE);
        if (pg.zone_count > 0 && z->base < z[-1].end) {
            // The ranges share a block: one zone, the hole between them stays used.
            count -= (z[-1].end - z[-1].base) / BLOCK_SIZE;
            z[-1].end = max_u64(z->end, z[-1].end);
            z--;
        } else {
            z->first = (uint32_t)count;
            pg.zone_count++;
        }
        count += (z->end - z->base) / BLOCK_SIZE;
    }
    return count;
}

// Finds room for the descriptors. The place is the caller's to leave out.
static bool metadata_place(const struct boot_info *bi, uint64_t size, uint64_t *out)
{
    for (unsigned i = 0; i < bi->ram.count; i++) {
        uint64_t at = bi->ram.r[i].base.v;
        uint64_t end = at + bi->ram.r[i].size;
        uint64_t gap;

        while (next_gap(bi, &at, &gap, end)) {
            if (gap >= size) {
                *out = at;
                return true;
            }
            at += gap;
        }
    }
    return false;
}

static void gap_add(uint64_t base, uint64_t size, uint64_t meta, uint64_t meta_size)
{
    if (base == meta) {
        base += meta_size;
        size -= meta_size;
    }
    if (size > 0) {
        free_range_locked(base, size);
        pg.stats.total += size;
    }
}

enum status page_init(const struct boot_info *bi)
{
    uint64_t blocks = zones_setup(bi);
    uint64_t map_off = align_up(blocks * sizeof(struct block), 64);
    uint64_t meta_size = align_up(map_off + blocks * sizeof(struct page_map), PAGE_SIZE);
    uint64_t meta;

    spin_init(&pg.lock, LOCK_PAGE);
    memset(&pg.stats, 0, sizeof(pg.stats));
    for (unsigned order = 0; order <= ORDER_MAX; order++) {
        pg.lists[order] = NIL;
    }
    if (blocks == 0 || blocks >= NIL || !metadata_place(bi, meta_size, &meta)) {
        return E_NOMEM;
    }
    pg.blocks = arch_phys_to_virt(hpa(meta));
    pg.maps = arch_phys_to_virt(hpa(meta + map_off));
    memset(pg.blocks, 0, blocks * sizeof(struct block)); // all USED
    for (unsigned i = 0; i < bi->ram.count; i++) {
        uint64_t at = bi->ram.r[i].base.v;
        uint64_t end = at + bi->ram.r[i].size;
        uint64_t gap;

        while (next_gap(bi, &at, &gap, end)) {
            gap_add(at, gap, meta, meta_size);
            at += gap;
        }
    }
    return OK;
}
