// SPDX-License-Identifier: Apache-2.0
//
// Small objects: a slab allocator. A slab is 1 page (objects up to 256 bytes) or 4 pages (up to 2 KiB) with a 64-byte header
// and a free list through the objects given back. Slabs with room are on their class's list; empty ones go back to the page
// allocator, except the last of a class.
#include "kernel/mm/pool.h"

#include <string.h>

#include "arch/mmu.h"
#include "kernel/lib/list.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/sync/spinlock.h"

#define CLASS_COUNT 8u
#define CLASS_MIN_SHIFT 4u
#define SMALL_MAX 2048u
#define SLAB_MAGIC 0x534C4142u
#define SLAB_HEADER 64u

struct slab {
    struct list_node node; // in its class's list while it has a free object
    void *free;            // first free object; each holds the next
    uint32_t used;
    uint32_t capacity;
    uint32_t class;
    uint32_t magic;
    uint32_t fresh; // objects from here on were never given out and are on no list
};
_Static_assert(sizeof(struct slab) <= SLAB_HEADER);

static struct {
    struct spinlock lock; // protects the lists, the slabs and the statistics
    struct list_node partial[CLASS_COUNT];
    struct pool_stats stats;
    bool ready;
} pool = {.lock = SPINLOCK_INIT(LOCK_POOL)};

static unsigned class_of(size_t size)
{
    unsigned c = 0;

    while (((size_t)1 << (c + CLASS_MIN_SHIFT)) < size) {
        c++;
    }
    return c;
}

static size_t class_size(unsigned class)
{
    return (size_t)1 << (class + CLASS_MIN_SHIFT);
}

static unsigned slab_order(unsigned class)
{
    return class_size(class) > 256 ? 2 : 0;
}

// A fresh slab, all objects free. Its memory is not touched before it is needed.
static struct slab *slab_create(unsigned class)
{
    size_t size = class_size(class);
    struct slab *s = page_alloc(slab_order(class));

    if (s == NULL) {
        return NULL;
    }
    *s = (struct slab){.class = class, .magic = SLAB_MAGIC};
    pool.stats.slabs++;
    pool.stats.slab_bytes += PAGE_SIZE << slab_order(class);
    s->capacity = (uint32_t)(((PAGE_SIZE << slab_order(class)) - SLAB_HEADER) / size);
    return s;
}

static void *small_alloc(size_t size)
{
    unsigned class = class_of(size);
    irq_state_t irq = spin_lock_irqsave(&pool.lock);
    struct slab *s;
    void *obj;

    if (!pool.ready) {
        for (unsigned c = 0; c < CLASS_COUNT; c++) {
            list_init(&pool.partial[c]);
        }
        pool.ready = true;
    }
    if (list_empty(&pool.partial[class])) {
        s = slab_create(class);
        if (s == NULL) {
            spin_unlock_irqrestore(&pool.lock, irq);
            return NULL;
        }
        list_push_front(&pool.partial[class], &s->node);
    }
    s = list_entry(pool.partial[class].next, struct slab, node);
    if (s->free != NULL) {
        obj = s->free;
        s->free = *(void **)obj;
    } else {
        obj = (char *)s + SLAB_HEADER + s->fresh++ * class_size(class);
    }
    s->used++;
    if (s->used == s->capacity) {
        list_remove(&s->node);
    }
    pool.stats.live_objects++;
    pool.stats.live_bytes += size;
    spin_unlock_irqrestore(&pool.lock, irq);
    memset(obj, 0, size);
    return obj;
}

static void small_free(void *ptr, size_t size)
{
    unsigned class = class_of(size);
    uintptr_t mask = (uintptr_t)(PAGE_SIZE << slab_order(class)) - 1;
    struct slab *s = (struct slab *)(void *)((char *)ptr - ((uintptr_t)ptr & mask));
    irq_state_t irq = spin_lock_irqsave(&pool.lock);

    BUG_ON(s->magic != SLAB_MAGIC || s->class != class || s->used == 0);
    if (s->used == s->capacity) {
        list_push_front(&pool.partial[class], &s->node);
    }
    *(void **)ptr = s->free;
    s->free = ptr;
    s->used--;
    pool.stats.live_objects--;
    pool.stats.live_bytes -= size;
    if (s->used == 0 && s->node.next != s->node.prev) {
        list_remove(&s->node);
        s->magic = 0;
        pool.stats.slabs--;
        pool.stats.slab_bytes -= PAGE_SIZE << slab_order(class);
        page_free(s, slab_order(class));
    }
    spin_unlock_irqrestore(&pool.lock, irq);
}

void *pool_alloc_dirty(size_t size)
{
    uint64_t bytes = align_up(size, PAGE_SIZE);
    irq_state_t irq;
    hpa_t pa;
    void *va;

    if (size <= SMALL_MAX) {
        return small_alloc(size);
    }
    if (bytes < size || page_alloc_range(bytes, PAGE_SIZE, &pa) != OK) {
        return NULL;
    }
    va = arch_phys_to_virt(pa);
    irq = spin_lock_irqsave(&pool.lock);
    pool.stats.live_objects++;
    pool.stats.live_bytes += size;
    spin_unlock_irqrestore(&pool.lock, irq);
    return va;
}

void *pool_alloc(size_t size)
{
    void *p = pool_alloc_dirty(size);

    if (p != NULL && size > SMALL_MAX) {
        arch_zero_pages(p, align_up(size, PAGE_SIZE));
    }
    return p;
}

void pool_free(void *ptr, size_t size)
{
    irq_state_t irq;

    if (ptr == NULL) {
        return;
    }
    if (size <= SMALL_MAX) {
        small_free(ptr, size);
        return;
    }
    page_free_range(arch_virt_to_phys(ptr), align_up(size, PAGE_SIZE));
    irq = spin_lock_irqsave(&pool.lock);
    pool.stats.live_objects--;
    pool.stats.live_bytes -= size;
    spin_unlock_irqrestore(&pool.lock, irq);
}

void *pool_alloc_array(size_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? NULL : pool_alloc(bytes);
}

void pool_free_array(void *ptr, size_t count, size_t size)
{
    pool_free(ptr, count * size);
}

void pool_stats_get(struct pool_stats *out)
{
    irq_state_t irq = spin_lock_irqsave(&pool.lock);

    *out = pool.stats;
    spin_unlock_irqrestore(&pool.lock, irq);
}

void pool_reset(void)
{
    memset(&pool.stats, 0, sizeof(pool.stats));
    spin_init(&pool.lock, LOCK_POOL);
    pool.ready = false;
}
