// SPDX-License-Identifier: Apache-2.0
//
// See guest_memory.h. Each region of the plan has extents of its own, but for shared ones, which belong to all their users.
#include "vmm/manage/guest_memory.h"

#include "kernel/mm/pool.h"
#include "vmm/manage/extents.h"

struct region_memory {
    struct gmem_region region;
    struct extents own;
    const struct extents *shared; // NULL: `own` holds
};

struct guest_memory {
    struct vm *vm;
    unsigned count;
    struct region_memory *regions;
};

// How the guest sees each kind: shared memory is data.
static const struct {
    enum gmem_kind kind;
    uint8_t perm;
} kinds[] = {
    [REGION_RAM] = {GMEM_RAM, PERM_R | PERM_W | PERM_X},
    [REGION_ROM] = {GMEM_ROM, PERM_R | PERM_X},
    [REGION_SHARED] = {GMEM_SHARED, PERM_R | PERM_W},
};

static void give_back(struct region_memory *r)
{
    if (r->shared) {
        extents_unshare(r->shared);
    } else {
        extents_scrub(&r->own);
        extents_free(&r->own);
    }
}

static enum status region_create(struct vm *vm, const struct plan_region *plan, struct region_memory *r)
{
    const struct extents *e = &r->own;
    enum status s;

    r->region.base = gpa(plan->base);
    r->region.size = plan->size;
    r->region.kind = kinds[plan->kind].kind;
    r->region.perm = kinds[plan->kind].perm;
    if (plan->kind == REGION_SHARED) {
        s = extents_share(vm->config->regions[plan->config_index].share, plan->size, &r->shared);
        e = r->shared;
    } else {
        s = extents_take(&r->own, plan->size);
    }
    if (s != OK) {
        return s;
    }
    r->region.extents = e->list;
    r->region.extent_count = e->count;
    s = vm_map_region(vm, &r->region);
    if (s != OK) {
        give_back(r);
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
        // Whole regions: nothing is split, so it cannot fail.
        (void)!aspace_unmap(&gm->vm->stage2, r->region.base.v, r->region.size);
        gmem_quiesce(&gm->vm->gmem);
        give_back(r);
    }
    pool_free_array(gm->regions, gm->vm->plan.region_count, sizeof(*gm->regions));
    pool_free(gm, sizeof(*gm));
}

void guest_memory_scrub(struct guest_memory *gm)
{
    for (unsigned i = 0; i < gm->count; i++) {
        if (!gm->regions[i].shared) { // the others still use it
            extents_scrub(&gm->regions[i].own);
        }
    }
}
