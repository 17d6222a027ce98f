// SPDX-License-Identifier: Apache-2.0
//
// See guest_memory.h. A region is taken in pieces as large as the page allocator has them, halving on failure, so that
// stage 2 can use large pages; a region's extents are at least 2 MiB but for its tail.
#include "vmm/manage/guest_memory.h"

#include "arch/mmu.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"

#define EXTENTS_MAX 64
#define ZERO_STEP MIB(8) // between two preemption points

struct region_memory {
    struct gmem_region region;
    struct gmem_extent extents[EXTENTS_MAX];
};

struct guest_memory {
    struct vm *vm;
    unsigned count;
    struct region_memory *regions;
};

// A guest starts with its caches off: zeroes must be in memory, not in our caches.
static void scrub_extent(const struct gmem_extent *e)
{
    for (uint64_t off = 0; off < e->size; off += ZERO_STEP) {
        uint64_t step = min_u64(ZERO_STEP, e->size - off);
        void *va = arch_phys_to_virt(hpa(e->hpa.v + off));

        arch_zero_pages_coherent(va, step);
    }
}

static void free_extents(struct region_memory *r)
{
    for (uint32_t i = 0; i < r->region.extent_count; i++) {
        page_free_range(r->extents[i].hpa, r->extents[i].size);
    }
    r->region.extent_count = 0;
}

// Takes `size` bytes in as few extents as there are.
static enum status take_extents(struct region_memory *r, uint64_t size)
{
    uint64_t done = 0;
    uint64_t piece = size;

    while (done < size) {
        struct gmem_extent *e = &r->extents[r->region.extent_count];
        enum status s;

        if (r->region.extent_count == EXTENTS_MAX) {
            free_extents(r);
            return E_NOMEM;
        }
        piece = min_u64(piece, size - done);
        s = page_alloc_range(piece, piece >= GIB(1) ? GIB(1) : BLOCK_SIZE, &e->hpa);
        if (s != OK && piece > BLOCK_SIZE) {
            piece = align_up(piece / 2, BLOCK_SIZE);
            continue;
        }
        if (s != OK) {
            free_extents(r);
            return s;
        }
        e->offset = done;
        e->size = piece;
        scrub_extent(e);
        done += piece;
        r->region.extent_count++;
    }
    return OK;
}

static enum status region_create(struct vm *vm, const struct plan_region *plan, struct region_memory *r)
{
    enum status s;

    r->region.base = gpa(plan->base);
    r->region.size = plan->size;
    r->region.kind = plan->kind == REGION_ROM ? GMEM_ROM : GMEM_RAM;
    r->region.perm = plan->kind == REGION_ROM ? PERM_R | PERM_X : PERM_R | PERM_W | PERM_X;
    r->region.extents = r->extents;
    s = take_extents(r, plan->size);
    if (s != OK) {
        return s;
    }
    s = vm_map_region(vm, &r->region);
    if (s != OK) {
        free_extents(r);
    }
    return s;
}

enum status guest_memory_create(struct vm *vm, struct guest_memory **out)
{
    struct guest_memory *gm = pool_alloc(sizeof(*gm));
    enum status s = E_NOMEM;

    if (!gm) {
        return E_NOMEM;
    }
    gm->vm = vm;
    gm->regions = pool_alloc_array(vm->plan.region_count, sizeof(*gm->regions));
    if (!gm->regions) {
        pool_free(gm, sizeof(*gm));
        return E_NOMEM;
    }
    for (; gm->count < vm->plan.region_count; gm->count++) {
        s = region_create(vm, &vm->plan.regions[gm->count], &gm->regions[gm->count]);
        if (s != OK) {
            guest_memory_destroy(gm);
            return s;
        }
    }
    *out = gm;
    return OK;
}

void guest_memory_destroy(struct guest_memory *gm)
{
    while (gm->count) {
        struct region_memory *r = &gm->regions[--gm->count];

        (void)!gmem_remove(&gm->vm->gmem, r->region.base);
        (void)!aspace_unmap(&gm->vm->stage2, r->region.base.v, r->region.size); // whole regions: no split, cannot fail
        gmem_quiesce(&gm->vm->gmem);
        for (uint32_t i = 0; i < r->region.extent_count; i++) {
            scrub_extent(&r->extents[i]);
        }
        free_extents(r);
    }
    pool_free_array(gm->regions, gm->vm->plan.region_count, sizeof(*gm->regions));
    pool_free(gm, sizeof(*gm));
}

void guest_memory_scrub(struct guest_memory *gm)
{
    for (unsigned i = 0; i < gm->count; i++) {
        for (uint32_t n = 0; n < gm->regions[i].region.extent_count; n++) {
            scrub_extent(&gm->regions[i].extents[n]);
        }
    }
}
