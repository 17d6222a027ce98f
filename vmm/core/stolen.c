// SPDX-License-Identifier: Apache-2.0
//
// Records of stolen time. The layout of those in our pages is that of DEN0057, 4.2.1, of those in guest memory that of SBI 2.0,
// chapter 16, or struct kvm_steal_time (Linux: Documentation/virt/kvm/x86/msr.rst); each vCPU's is written by its own thread only.
#include "vmm/core/stolen.h"

#include "arch/mmu.h"
#include "kernel/mm/page.h"
#include "kernel/time/timer.h"
#include "vmm/core/vcpu.h"

struct stolen_record {
    uint32_t revision;
    uint32_t attributes;
    _Atomic uint64_t nanoseconds;
    uint8_t reserved[48];
};
_Static_assert(sizeof(struct stolen_record) == PLAN_STOLEN_SIZE);

// In the guest's memory: readers take the value when the sequence is even and has not moved meanwhile.
#define SHARED_SIZE 64
static const struct shared_layout {
    uint8_t sequence, steal; // 4 and 8 bytes
} layouts[] = {[STOLEN_SBI] = {0, 8}, [STOLEN_KVM] = {8, 0}};

static uint64_t size_of(const struct vm *vm)
{
    return align_up((uint64_t)vm->config->cpus * sizeof(struct stolen_record), PAGE_SIZE);
}

enum status stolen_create(struct vm *vm)
{
    const struct mem_attr attr = {.perm = PERM_R, .type = MEM_NORMAL};
    enum status s;

    if (!vm->plan.stolen_base) {
        return OK;
    }
    s = page_alloc_range(size_of(vm), PAGE_SIZE, &vm->stolen_page);
    if (s != OK) {
        return s;
    }
    vm->stolen = arch_phys_to_virt(vm->stolen_page);
    arch_zero_pages(vm->stolen, size_of(vm));
    arch_dcache_clean_invalidate(vm->stolen, size_of(vm)); // a guest may look with its caches off
    s = aspace_map(&vm->stage2, vm->plan.stolen_base, vm->stolen_page, size_of(vm), attr);
    if (s != OK) {
        page_free_range(vm->stolen_page, size_of(vm));
        vm->stolen = NULL;
    }
    return s;
}

void stolen_destroy(struct vm *vm)
{
    if (vm->stolen) {
        (void)!aspace_unmap(&vm->stage2, vm->plan.stolen_base, size_of(vm)); // as it was mapped: cannot fail
        page_free_range(vm->stolen_page, size_of(vm));
        vm->stolen = NULL;
    }
}

bool stolen_enable(struct vcpu *v, gpa_t *out)
{
    if (!v->vm->stolen) {
        return false;
    }
    *out = gpa(v->vm->plan.stolen_base + v->index * sizeof(struct stolen_record));
    v->stolen_kept = true;
    v->stolen_told = UINT64_MAX;
    stolen_update(v);
    return true;
}

enum status stolen_share(struct vcpu *v, gpa_t at, enum stolen_layout layout)
{
    static const uint8_t zero[SHARED_SIZE];

    if (layout >= ARRAY_SIZE(layouts) || (at.v != STOLEN_NOWHERE && !is_aligned(at.v, SHARED_SIZE))) {
        return E_INVAL;
    }
    if (at.v != STOLEN_NOWHERE && gmem_write(&v->vm->gmem, at, zero, sizeof(zero), NULL) != OK) {
        return E_RANGE;
    }
    v->stolen_shared = at.v;
    v->stolen_layout = (uint8_t)layout;
    v->stolen_kept |= at.v != STOLEN_NOWHERE;
    v->stolen_sequence = 0;
    v->stolen_told = UINT64_MAX;
    stolen_update(v);
    return OK;
}

// The guest may take the memory away under us: then that was the last time.
static void update_shared(struct vcpu *v, uint64_t nanoseconds)
{
    struct gmem *gm = &v->vm->gmem;
    const struct shared_layout *l = &layouts[v->stolen_layout];
    uint64_t at = v->stolen_shared;

    if (gmem_store32(gm, gpa(at + l->sequence), v->stolen_sequence + 1) != OK ||
        gmem_store64(gm, gpa(at + l->steal), nanoseconds) != OK ||
        gmem_store32(gm, gpa(at + l->sequence), v->stolen_sequence + 2) != OK) {
        v->stolen_shared = STOLEN_NOWHERE;
    }
    v->stolen_sequence += 2;
}

void stolen_update(struct vcpu *v)
{
    uint64_t nanoseconds;

    if (!v->stolen_kept || v->stolen_told == v->thread->wait_ticks) {
        return;
    }
    v->stolen_told = v->thread->wait_ticks;
    nanoseconds = time_to_ns(v->stolen_told - v->stolen_base);
    if (v->vm->stolen) {
        struct stolen_record *r = (struct stolen_record *)v->vm->stolen + v->index;
        atomic_store_explicit(&r->nanoseconds, nanoseconds, memory_order_relaxed);
    }
    if (v->stolen_shared != STOLEN_NOWHERE) {
        update_shared(v, nanoseconds);
    }
}

void stolen_reset(struct vcpu *v)
{
    v->stolen_kept = false;
    v->stolen_shared = STOLEN_NOWHERE;
    v->stolen_base = v->thread->wait_ticks;
    if (v->vm->stolen) {
        atomic_store_explicit(&((struct stolen_record *)v->vm->stolen)[v->index].nanoseconds, 0,
                              memory_order_relaxed);
    }
}
