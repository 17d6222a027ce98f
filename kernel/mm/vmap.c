// SPDX-License-Identifier: Apache-2.0
//
// The hypervisor's own window of virtual addresses: slots for guarded stacks at its start, device mappings behind them.
#include "kernel/mm/vmap.h"

#include <string.h>

#include "arch/mmu.h"
#include "kernel/log/log.h"
#include "kernel/mm/aspace.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pt_format.h"
#include "kernel/sync/spinlock.h"

#define STACK_ORDER 2u
#define STACK_SLOT (2 * STACK_SIZE) // an unmapped half, then the stack
#define STACK_SLOTS 1024u
_Static_assert(STACK_SIZE == PAGE_SIZE << STACK_ORDER);

static struct {
    struct aspace as;
    struct tlb_sink sink;
    struct spinlock lock;             // protects the window's book-keeping below
    uint64_t slots[STACK_SLOTS / 64]; // one: taken
    uintptr_t stacks, next, end;
} vm;

static void flush(struct tlb_sink *sink, uint64_t base, uint64_t size)
{
    (void)sink;
    arch_tlb_flush_host((uintptr_t)base, size);
}

enum status vmap_init(void)
{
    memset(&vm, 0, sizeof(vm));
    spin_init(&vm.lock, LOCK_VMAP);
    aspace_adopt(&vm.as, arch_host_pt_format(), arch_host_pt_root());
    vm.sink.invalidate = flush;
    aspace_add_sink(&vm.as, &vm.sink);
    vm.stacks = arch_vmap_base();
    vm.next = vm.stacks + STACK_SLOTS * STACK_SLOT;
    vm.end = arch_vmap_base() + arch_vmap_size();
    return vm.next < vm.end ? OK : E_RANGE;
}

// `size` bytes of addresses with the same offset in a 2 MiB block as `pa`, so that large pages fit; 0 when none are left.
static uintptr_t window_take(uint64_t pa, uint64_t size)
{
    irq_state_t irq = spin_lock_irqsave(&vm.lock);
    uint64_t at = vm.next;
    uintptr_t va = 0;

    if (size >= BLOCK_SIZE) {
        at = align_up(at, BLOCK_SIZE) + (pa & (BLOCK_SIZE - 1));
    }
    // One unmapped page between neighbours.
    if (size < vm.end - vm.stacks && at + size + PAGE_SIZE <= vm.end) {
        va = (uintptr_t)at;
        vm.next = (uintptr_t)(at + size + PAGE_SIZE);
    }
    spin_unlock_irqrestore(&vm.lock, irq);
    return va;
}

volatile void *mmio_map(hpa_t pa, uint64_t size)
{
    uint64_t first = align_down(pa.v, PAGE_SIZE);
    uint64_t span = align_up(pa.v + size, PAGE_SIZE) - first;
    const struct mem_attr attr = {.perm = PERM_R | PERM_W, .type = MEM_DEVICE};
    uintptr_t va;

    if (size == 0 || pa.v + size < pa.v || span == 0) {
        return NULL;
    }
    va = window_take(first, span);
    if (va == 0 || aspace_map(&vm.as, va, hpa(first), span, attr) != OK) {
        return NULL;
    }
    return (volatile char *)va + (pa.v - first);
}

static unsigned slot_take(void)
{
    irq_state_t irq = spin_lock_irqsave(&vm.lock);
    unsigned slot = STACK_SLOTS;

    for (unsigned w = 0; w < STACK_SLOTS / 64; w++) {
        if (vm.slots[w] != UINT64_MAX) {
            unsigned bit = (unsigned)__builtin_ctzll(~vm.slots[w]);

            vm.slots[w] |= BIT64(bit);
            slot = w * 64 + bit;
            break;
        }
    }
    spin_unlock_irqrestore(&vm.lock, irq);
    return slot;
}

static void slot_give(unsigned slot)
{
    irq_state_t irq = spin_lock_irqsave(&vm.lock);

    vm.slots[slot / 64] &= ~BIT64(slot % 64);
    spin_unlock_irqrestore(&vm.lock, irq);
}

void *stack_alloc(void)
{
    const struct mem_attr attr = {.perm = PERM_R | PERM_W, .type = MEM_NORMAL};
    void *pages = page_alloc(STACK_ORDER);
    unsigned slot = STACK_SLOTS;
    uintptr_t bottom;

    if (pages == NULL) {
        return NULL;
    }
    slot = slot_take();
    bottom = vm.stacks + slot * STACK_SLOT + STACK_SIZE;
    if (slot == STACK_SLOTS) {
        goto out_pages;
    }
    if (aspace_map(&vm.as, bottom, arch_virt_to_phys(pages), STACK_SIZE, attr) != OK) {
        goto out_slot;
    }
    return (char *)bottom + STACK_SIZE;

out_slot:
    slot_give(slot);
out_pages:
    page_free(pages, STACK_ORDER);
    return NULL;
}

void stack_free(void *top)
{
    uintptr_t bottom = (uintptr_t)top - STACK_SIZE;
    unsigned slot = (unsigned)((bottom - vm.stacks) / STACK_SLOT);
    struct mem_attr attr;
    uint64_t size;
    hpa_t pa;

    BUG_ON(bottom < vm.stacks || slot >= STACK_SLOTS ||
           aspace_lookup(&vm.as, bottom, &pa, &attr, &size) != OK);
    BUG_ON(aspace_unmap(&vm.as, bottom, STACK_SIZE) != OK);
    page_free(arch_phys_to_virt(pa), STACK_ORDER);
    slot_give(slot);
}
