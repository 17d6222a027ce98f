// SPDX-License-Identifier: Apache-2.0
//
// The page-table walker, for every format.
//
// Each operation is two recursive passes over [va, end): a check pass that counts the table pages the change needs (and
// finds overlaps), and a commit pass that cannot fail because those pages were allocated in between. Recursion is bounded
// by PT_LEVELS_MAX. Tables that become empty leave the tree at once and are freed after the sinks were told.
//
// Arm ARM D8.16: with break_before_make a valid entry is never replaced by another one of different size or memory type:
// it is cleared, the change published, the sinks told, then the new entry written. Somebody may fault in that gap; who
// handles the fault takes the lock by aspace_lookup() and finds the mapping again.
#include "kernel/mm/aspace.h"

#include "arch/mmu.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pt_format.h"

#define TABLE_ENTRIES 512u

// One operation in progress.
struct pt_op {
    struct aspace *as;
    uint64_t base, size; // the whole request, for break-before-make flushes of its entries
    uint64_t delta;      // map: pa = va + delta
    struct mem_attr attr;
    uint64_t need; // table pages, from the check pass
    void *reserve; // pages allocated for the commit pass, linked by their first word
    void *
        garbage; // tables that left the tree, linked likewise: page-aligned links are invalid entries everywhere
    enum status bad; // the check pass's verdict
};

typedef _Atomic uint64_t pte_t;

static uint64_t pte_get(const pte_t *e)
{
    return atomic_load_explicit(e, memory_order_relaxed);
}

// Release: a table's contents are visible before the entry that leads to it.
static void pte_set(pte_t *e, uint64_t v)
{
    atomic_store_explicit(e, v, memory_order_release);
}

static unsigned root_order(const struct pt_format *f)
{
    return (unsigned)__builtin_ctz(f->root_pages);
}

static uint64_t span(const struct pt_format *f, unsigned level)
{
    return BIT64(pt_level_shift(f, level));
}

static unsigned pte_index(const struct pt_format *f, unsigned level, uint64_t va)
{
    unsigned count = level == 0 ? TABLE_ENTRIES * f->root_pages : TABLE_ENTRIES;

    return (unsigned)(va >> pt_level_shift(f, level)) & (count - 1);
}

static pte_t *table_of(const struct pt_format *f, uint64_t entry)
{
    return arch_phys_to_virt(f->pa(entry));
}

static hpa_t table_pa(pte_t *table)
{
    union {
        pte_t *entries;
        void *page;
    } t = {.entries = table};

    return arch_virt_to_phys(t.page);
}

// The end of the part of [va, end) that one entry of `level` covers. `end` may be 0, meaning 2^64.
static uint64_t entry_end(const struct pt_format *f, unsigned level, uint64_t va, uint64_t end)
{
    uint64_t next = align_down(va, span(f, level)) + span(f, level);

    return next - 1 < end - 1 ? next : end;
}

static bool covers(const struct pt_format *f, unsigned level, uint64_t va, uint64_t end)
{
    return is_aligned(va, span(f, level)) && end - va == span(f, level);
}

static bool leaf_fits(const struct pt_op *op, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    return (f->leaf_levels & (1u << level)) != 0 && covers(f, level, va, end) &&
           is_aligned(va + op->delta, span(f, level));
}

// ---- table pages --------------------------------------------------------------------------------------------------

static void pages_drop(void *list)
{
    while (list != NULL) {
        void *next = *(void **)list;

        page_free(list, 0);
        list = next;
    }
}

static bool pages_reserve(struct pt_op *op)
{
    for (uint64_t i = 0; i < op->need; i++) {
        void *page = page_alloc_zeroed(0);

        if (page == NULL) {
            pages_drop(op->reserve);
            op->reserve = NULL;
            return false;
        }
        *(void **)page = op->reserve;
        op->reserve = page;
    }
    return true;
}

static pte_t *reserve_take(struct pt_op *op)
{
    void *page = op->reserve;

    BUG_ON(page == NULL);
    op->reserve = *(void **)page;
    *(void **)page = NULL;
    op->as->table_pages++;
    return page;
}

static void garbage_put(struct pt_op *op, pte_t *table)
{
    void *page = arch_phys_to_virt(table_pa(table));

    // A walker may still read this page until the sinks were told: a page-aligned pointer has the valid bits of every
    // format clear.
    *(void **)page = op->garbage;
    op->garbage = page;
    op->as->table_pages--;
}

static bool table_empty(const struct pt_format *f, const pte_t *table)
{
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        if (f->is_valid(pte_get(&table[i]))) {
            return false;
        }
    }
    return true;
}

static void sinks_tell(struct aspace *as, uint64_t base, uint64_t size)
{
    arch_pt_publish();
    for (struct tlb_sink *s = as->sinks; s != NULL; s = s->next) {
        s->invalidate(s, base, size);
    }
}

// ---- map ----------------------------------------------------------------------------------------------------------

static void map_check(struct pt_op *op, const pte_t *table, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    for (uint64_t next; va != end && op->bad == OK; va = next) {
        uint64_t e = table == NULL ? 0 : pte_get(&table[pte_index(f, level, va)]);

        next = entry_end(f, level, va, end);
        if (table != NULL && f->is_valid(e)) {
            if (f->is_leaf(e, level)) {
                op->bad = E_EXISTS;
            } else {
                map_check(op, table_of(f, e), level + 1, va, next);
            }
        } else if (!leaf_fits(op, level, va, next)) {
            op->need++;
            map_check(op, NULL, level + 1, va, next);
        }
    }
}

static void map_commit(struct pt_op *op, pte_t *table, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    for (uint64_t next; va != end; va = next) {
        pte_t *e = &table[pte_index(f, level, va)];
        uint64_t old = pte_get(e);

        next = entry_end(f, level, va, end);
        if (!f->is_valid(old) && leaf_fits(op, level, va, next)) {
            pte_set(e, f->leaf(hpa(va + op->delta), op->attr, level));
            continue;
        }
        if (!f->is_valid(old)) {
            pte_t *child = reserve_take(op);

            map_commit(op, child, level + 1, va, next);
            pte_set(e, f->table(table_pa(child)));
            continue;
        }
        map_commit(op, table_of(f, old), level + 1, va, next);
    }
}

// ---- split, shared by unmap and protect -----------------------------------------------------------------------------

// Tables that splitting a leaf of `level` needs so that exactly [va, end) can change.
static uint64_t split_need(const struct pt_format *f, unsigned level, uint64_t va, uint64_t end)
{
    uint64_t need = 1;

    for (uint64_t next; va != end; va = next) {
        next = entry_end(f, level + 1, va, end);
        if (!covers(f, level + 1, va, next)) {
            need += split_need(f, level + 1, va, next);
        }
    }
    return need;
}

static void change_check(struct pt_op *op, const pte_t *table, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    for (uint64_t next; va != end; va = next) {
        uint64_t e = pte_get(&table[pte_index(f, level, va)]);

        next = entry_end(f, level, va, end);
        if (!f->is_valid(e)) {
            continue;
        }
        if (!f->is_leaf(e, level)) {
            change_check(op, table_of(f, e), level + 1, va, next);
        } else if (!covers(f, level, va, next)) {
            op->need += split_need(f, level, va, next);
        }
    }
}

// Replaces a leaf by a table of smaller leaves that say the same.
static void leaf_split(struct pt_op *op, pte_t *e, unsigned level, uint64_t va)
{
    const struct pt_format *f = op->as->format;
    uint64_t old = pte_get(e);
    pte_t *child = reserve_take(op);
    uint64_t step = span(f, level + 1);

    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        pte_set(&child[i], f->leaf(hpa(f->pa(old).v + i * step), f->attr(old), level + 1));
    }
    if (f->break_before_make) {
        pte_set(e, 0);
        sinks_tell(op->as, align_down(va, span(f, level)), span(f, level));
    }
    pte_set(e, f->table(table_pa(child)));
}

// ---- unmap --------------------------------------------------------------------------------------------------------

static void unmap_commit(struct pt_op *op, pte_t *table, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    for (uint64_t next; va != end; va = next) {
        pte_t *e = &table[pte_index(f, level, va)];
        pte_t *child;

        next = entry_end(f, level, va, end);
        if (!f->is_valid(pte_get(e))) {
            continue;
        }
        if (f->is_leaf(pte_get(e), level)) {
            if (covers(f, level, va, next)) {
                pte_set(e, 0);
                continue;
            }
            leaf_split(op, e, level, va);
        }
        child = table_of(f, pte_get(e));
        unmap_commit(op, child, level + 1, va, next);
        if (table_empty(f, child)) {
            pte_set(e, 0);
            garbage_put(op, child);
        }
    }
}

// ---- protect ------------------------------------------------------------------------------------------------------

static void leaf_protect(struct pt_op *op, pte_t *e, unsigned level, uint64_t va)
{
    const struct pt_format *f = op->as->format;
    uint64_t old = pte_get(e);

    if (f->break_before_make && f->attr(old).type != op->attr.type) {
        pte_set(e, 0);
        sinks_tell(op->as, va, span(f, level));
    }
    pte_set(e, f->leaf(f->pa(old), op->attr, level));
}

static void protect_commit(struct pt_op *op, pte_t *table, unsigned level, uint64_t va, uint64_t end)
{
    const struct pt_format *f = op->as->format;

    for (uint64_t next; va != end; va = next) {
        pte_t *e = &table[pte_index(f, level, va)];

        next = entry_end(f, level, va, end);
        if (!f->is_valid(pte_get(e))) {
            continue;
        }
        if (f->is_leaf(pte_get(e), level)) {
            if (covers(f, level, va, next)) {
                leaf_protect(op, e, level, va);
                continue;
            }
            leaf_split(op, e, level, va);
        }
        protect_commit(op, table_of(f, pte_get(e)), level + 1, va, next);
    }
}

// ---- the interface --------------------------------------------------------------------------------------------------

static enum status range_check(const struct pt_format *f, uint64_t va, uint64_t size)
{
    if (size == 0 || !is_aligned(va | size, PAGE_SIZE)) {
        return E_INVAL;
    }
    // Canonical upper-half addresses are not used: input addresses count from zero.
    return range_contains(0, f->va_bits == 64 ? UINT64_MAX : BIT64(f->va_bits), va, size) ? OK : E_RANGE;
}

static pte_t *root_table(const struct aspace *as)
{
    return arch_phys_to_virt(as->root);
}

enum status aspace_create(struct aspace *as, const struct pt_format *format)
{
    void *root = page_alloc_zeroed(root_order(format));

    if (root == NULL) {
        return E_NOMEM;
    }
    aspace_adopt(as, format, arch_virt_to_phys(root));
    arch_pt_publish();
    return OK;
}

void aspace_adopt(struct aspace *as, const struct pt_format *format, hpa_t root)
{
    *as = (struct aspace){.format = format, .root = root, .table_pages = format->root_pages};
    spin_init(&as->lock, LOCK_ASPACE);
}

void aspace_destroy(struct aspace *as)
{
    // From 0 to the end of the input range: always possible, whole leaves need no split.
    BUG_ON(aspace_unmap(as, 0, BIT64(as->format->va_bits)) != OK);
    page_free(root_table(as), root_order(as->format));
    as->root = hpa(0);
    as->table_pages = 0;
}

void aspace_add_sink(struct aspace *as, struct tlb_sink *sink)
{
    irq_state_t irq = spin_lock_irqsave(&as->lock);

    sink->next = as->sinks;
    as->sinks = sink;
    spin_unlock_irqrestore(&as->lock, irq);
}

enum status aspace_map(struct aspace *as, uint64_t va, hpa_t pa, uint64_t size, struct mem_attr attr)
{
    struct pt_op op = {.as = as, .base = va, .size = size, .delta = pa.v - va, .attr = attr};
    enum status s = range_check(as->format, va, size);
    irq_state_t irq;

    if (s != OK || !is_aligned(pa.v, PAGE_SIZE)) {
        return s != OK ? s : E_INVAL;
    }
    if (!range_contains(0, BIT64(as->format->pa_bits), pa.v, size)) {
        return E_RANGE;
    }
    irq = spin_lock_irqsave(&as->lock);
    map_check(&op, root_table(as), 0, va, va + size);
    s = op.bad;
    if (s == OK && !pages_reserve(&op)) {
        s = E_NOMEM;
    }
    if (s == OK) {
        map_commit(&op, root_table(as), 0, va, va + size);
        arch_pt_publish();
    }
    spin_unlock_irqrestore(&as->lock, irq);
    return s;
}

typedef void (*commit_fn)(struct pt_op *op, pte_t *table, unsigned level, uint64_t va, uint64_t end);

static enum status change(struct pt_op *op, commit_fn commit)
{
    struct aspace *as = op->as;
    enum status s = range_check(as->format, op->base, op->size);
    irq_state_t irq;

    if (s != OK) {
        return s;
    }
    irq = spin_lock_irqsave(&as->lock);
    change_check(op, root_table(as), 0, op->base, op->base + op->size);
    if (!pages_reserve(op)) {
        s = E_NOMEM;
    } else {
        commit(op, root_table(as), 0, op->base, op->base + op->size);
        sinks_tell(as, op->base, op->size);
    }
    spin_unlock_irqrestore(&as->lock, irq);
    pages_drop(op->garbage);
    // A split that turned out to share a table leaves nothing; the check pass counts exactly.
    pages_drop(op->reserve);
    return s;
}

enum status aspace_unmap(struct aspace *as, uint64_t va, uint64_t size)
{
    struct pt_op op = {.as = as, .base = va, .size = size};

    return change(&op, unmap_commit);
}

enum status aspace_protect(struct aspace *as, uint64_t va, uint64_t size, struct mem_attr attr)
{
    struct pt_op op = {.as = as, .base = va, .size = size, .attr = attr};

    return change(&op, protect_commit);
}

enum status aspace_lookup(struct aspace *as, uint64_t va, hpa_t *pa, struct mem_attr *attr, uint64_t *size)
{
    const struct pt_format *f = as->format;
    enum status s = E_NOENT;
    irq_state_t irq;
    pte_t *table;

    if (va >> f->va_bits != 0) {
        return E_RANGE;
    }
    irq = spin_lock_irqsave(&as->lock);
    table = root_table(as);
    for (unsigned level = 0; level < f->levels; level++) {
        uint64_t e = pte_get(&table[pte_index(f, level, va)]);

        if (!f->is_valid(e)) {
            break;
        }
        if (f->is_leaf(e, level)) {
            *pa = hpa(f->pa(e).v + (va & (span(f, level) - 1)));
            *attr = f->attr(e);
            *size = span(f, level);
            s = OK;
            break;
        }
        table = table_of(f, e);
    }
    spin_unlock_irqrestore(&as->lock, irq);
    return s;
}
