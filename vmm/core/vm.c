// SPDX-License-Identifier: Apache-2.0
//
// The core of a virtual machine: its parts as one transaction, stopping and holding its vCPUs.
#include "vmm/core/vm.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/pt_format.h"
#include "vmm/core/stolen.h"
#include "vmm/core/vcpu.h"

#define VMID_MAX 255 // as many as the smallest implementation has; 0 belongs to nobody
#define WARN_BURST 10
#define WARN_PER_SECOND 2

static struct spinlock vmid_lock = SPINLOCK_INIT(LOCK_VM_TABLE);
static uint64_t vmids_used[(VMID_MAX + 64) / 64] = {1}; // protected by vmid_lock

static unsigned vmid_get(void)
{
    unsigned found = 0;
    irq_state_t irq = spin_lock_irqsave(&vmid_lock);

    for (unsigned i = 1; i <= VMID_MAX && !found; i++) {
        if (!(vmids_used[i / 64] & BIT64(i % 64))) {
            vmids_used[i / 64] |= BIT64(i % 64);
            found = i;
        }
    }
    spin_unlock_irqrestore(&vmid_lock, irq);
    return found;
}

static void vmid_put(unsigned vmid)
{
    irq_state_t irq = spin_lock_irqsave(&vmid_lock);

    vmids_used[vmid / 64] &= ~BIT64(vmid % 64);
    spin_unlock_irqrestore(&vmid_lock, irq);
}

unsigned vm_vmids_used(void)
{
    unsigned count = 0;
    irq_state_t irq = spin_lock_irqsave(&vmid_lock);

    for (unsigned i = 1; i <= VMID_MAX; i++) {
        count += (unsigned)(vmids_used[i / 64] >> (i % 64)) & 1;
    }
    spin_unlock_irqrestore(&vmid_lock, irq);
    return count;
}

static void invalidate_tlbs(struct tlb_sink *sink, uint64_t base, uint64_t size)
{
    arch_tlb_flush_guest(container_of(sink, struct vm, tlb_sink)->vmid, gpa(base), size);
}

static void destroy_vcpus(struct vm *vm)
{
    while (vm->vcpu_count) {
        vcpu_destroy(vm->vcpus[--vm->vcpu_count]);
    }
    pool_free_array(vm->vcpus, vm->config->cpus, sizeof(struct vcpu *));
    vm->vcpus = NULL;
}

static enum status create_vcpus(struct vm *vm, const uint16_t *pcpus)
{
    vm->vcpus = pool_alloc_array(vm->config->cpus, sizeof(struct vcpu *));
    if (!vm->vcpus) {
        return E_NOMEM;
    }
    while (vm->vcpu_count < vm->config->cpus) {
        unsigned i = vm->vcpu_count;
        enum status s = vcpu_create(vm, i, pcpus[i], &vm->vcpus[i]);

        if (s != OK) {
            destroy_vcpus(vm);
            return s;
        }
        vm->vcpu_count++;
    }
    return OK;
}

// The translation part: stage-2 table, VMID and what the architecture derives from them.
static enum status create_stage2(struct vm *vm)
{
    enum status s;

    vm->vmid = vmid_get();
    if (!vm->vmid) {
        return E_NOMEM;
    }
    s = aspace_create(&vm->stage2, arch_guest_pt_format());
    if (s != OK) {
        goto out_vmid;
    }
    vm->tlb_sink.invalidate = invalidate_tlbs;
    aspace_add_sink(&vm->stage2, &vm->tlb_sink);
    s = arch_vm_create(&vm->arch, vm->stage2.root, vm->vmid);
    if (s != OK) {
        goto out_aspace;
    }
    arch_tlb_flush_guest(vm->vmid, gpa(0), 0); // nothing of the VMID's former owner
    return OK;

out_aspace:
    aspace_destroy(&vm->stage2);
out_vmid:
    vmid_put(vm->vmid);
    return s;
}

static void destroy_stage2(struct vm *vm)
{
    arch_tlb_flush_guest(vm->vmid, gpa(0), 0);
    arch_vm_destroy(&vm->arch);
    aspace_destroy(&vm->stage2);
    vmid_put(vm->vmid);
}

enum status vm_core_create(struct vm *vm, const uint16_t *pcpus)
{
    enum status s;

    spin_init(&vm->lock, LOCK_VM);
    list_init(&vm->devices);
    completion_init(&vm->changed);
    vm->warn_limit = (struct log_limit){.burst = WARN_BURST, .per_second = WARN_PER_SECOND};
    vm->time_offset = arch_time_now();
    s = create_stage2(vm);
    if (s != OK) {
        return s;
    }
    s = gmem_init(&vm->gmem);
    if (s != OK) {
        goto out_stage2;
    }
    s = io_bus_init(&vm->mmio);
    if (s != OK) {
        goto out_gmem;
    }
    s = io_bus_init(&vm->pio);
    if (s != OK) {
        goto out_mmio;
    }
    s = stolen_create(vm);
    if (s != OK) {
        goto out_pio;
    }
    s = create_vcpus(vm, pcpus);
    if (s == OK) {
        return OK;
    }
    stolen_destroy(vm);
out_pio:
    io_bus_destroy(&vm->pio);
out_mmio:
    io_bus_destroy(&vm->mmio);
out_gmem:
    gmem_destroy(&vm->gmem);
out_stage2:
    destroy_stage2(vm);
    return s;
}

void vm_core_destroy(struct vm *vm)
{
    destroy_vcpus(vm);
    stolen_destroy(vm);
    io_bus_destroy(&vm->pio);
    io_bus_destroy(&vm->mmio);
    gmem_destroy(&vm->gmem);
    destroy_stage2(vm);
}

enum status vm_map_region(struct vm *vm, const struct gmem_region *region)
{
    struct mem_attr attr = {.perm = region->perm, .type = MEM_NORMAL};
    uint32_t mapped = 0;
    enum status s = OK;

    for (; mapped < region->extent_count && s == OK; mapped++) {
        const struct gmem_extent *e = &region->extents[mapped];
        s = aspace_map(&vm->stage2, region->base.v + e->offset, e->hpa, e->size, attr);
    }
    if (s == OK) {
        s = gmem_add(&vm->gmem, region);
    }
    if (s != OK && mapped > 0) {
        (void)!aspace_unmap(&vm->stage2, region->base.v,
                            region->size); // whole extents: no split, cannot fail
    }
    return s;
}

void vm_start(struct vm *vm, const struct vcpu_entry *entry)
{
    irq_state_t irq = spin_lock_irqsave(&vm->lock);

    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        atomic_store(&vm->vcpus[i]->arch.requests, 0);
    }
    vm->stop_reason = VM_STOP_NONE;
    vm->fault[0] = '\0';
    vm->failed = false;
    vm->hold = false;
    vm->state = VM_RUNNING;
    spin_unlock_irqrestore(&vm->lock, irq);
    if (vcpu_start(vm->vcpus[0], entry) != OK) {
        panic("vCPU 0 of %s is not parked", vm_name(vm));
    }
}

void vm_request_stop(struct vm *vm, enum vm_stop_reason reason)
{
    irq_state_t irq = spin_lock_irqsave(&vm->lock);

    if (vm->state != VM_RUNNING && vm->state != VM_PAUSED) {
        spin_unlock_irqrestore(&vm->lock, irq);
        return; // the first reason counts
    }
    vm->state = VM_STOPPING;
    vm->stop_reason = reason;
    spin_unlock_irqrestore(&vm->lock, irq);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_request(vm->vcpus[i], VCPU_REQ_STOP);
    }
    if (vm->running_vcpus == 0 && vm->manager) {
        vm->manager->stopped(vm);
    }
}

// Waits for `done`, looking again whenever a vCPU comes or goes.
static bool wait_changed(struct vm *vm, bool (*done)(struct vm *vm), uint64_t ticks)
{
    uint64_t start = arch_time_now();

    for (;;) {
        uint64_t spent = arch_time_now() - start;

        completion_reset(&vm->changed);
        if (done(vm)) {
            return true;
        }
        if (spent >= ticks || !completion_wait_timeout(&vm->changed, ticks - spent)) {
            return done(vm);
        }
    }
}

static bool all_left(struct vm *vm)
{
    return vm->running_vcpus == 0;
}

enum status vm_wait_stopped(struct vm *vm, uint64_t ticks)
{
    return wait_changed(vm, all_left, ticks) ? OK : E_TIMEOUT;
}

// Also when there is nothing to wait for any more.
static bool all_held(struct vm *vm)
{
    // In this order: a vCPU that is not held may start another one, a held one cannot.
    unsigned held = vm->held_vcpus;

    return held == vm->running_vcpus || vm->state != VM_PAUSED;
}

enum status vm_pause(struct vm *vm, uint64_t ticks)
{
    irq_state_t irq = spin_lock_irqsave(&vm->lock);
    bool runs = vm->state == VM_RUNNING;

    if (runs) {
        vm->state = VM_PAUSED;
        vm->hold = true;
    }
    spin_unlock_irqrestore(&vm->lock, irq);
    if (!runs) {
        return E_STATE;
    }
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        vcpu_request(vm->vcpus[i], VCPU_REQ_PAUSE);
    }
    if (!wait_changed(vm, all_held, ticks)) {
        vm_resume(vm);
        return E_TIMEOUT;
    }
    return vm->state == VM_PAUSED ? OK : E_STATE;
}

void vm_resume(struct vm *vm)
{
    irq_state_t irq = spin_lock_irqsave(&vm->lock);

    if (vm->state == VM_PAUSED) {
        vm->state = VM_RUNNING;
        vm->hold = false;
    }
    spin_unlock_irqrestore(&vm->lock, irq);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        thread_wake(vm->vcpus[i]->thread);
    }
}

uint64_t vm_now(const struct vm *vm)
{
    return arch_time_now() - vm->time_offset;
}

void vm_warn(struct vm *vm, const char *fmt, ...)
{
    char text[LOG_LINE_MAX];
    uint32_t dropped;
    va_list ap;

    if (!log_limit_ok(&vm->warn_limit, &dropped)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (dropped) {
        log_warn("[%s] %s (%u more suppressed)", vm_name(vm), text, (unsigned)dropped);
    } else {
        log_warn("[%s] %s", vm_name(vm), text);
    }
}
