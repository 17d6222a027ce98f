// SPDX-License-Identifier: Apache-2.0
//
// The core of a virtual machine: its parts as one transaction, stop requests, the fault card.
#include "vmm/core/vm.h"

#include <stdio.h>
#include <string.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/pt_format.h"
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
    s = create_vcpus(vm, pcpus);
    if (s == OK) {
        return OK;
    }
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
        (void)!aspace_unmap(&vm->stage2, region->base.v, region->size); // whole extents: no split, cannot fail
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

uint64_t vm_now(const struct vm *vm)
{
    return arch_time_now() - vm->time_offset;
}

const char *vm_state_name(enum vm_state s)
{
    static const char *const names[VM_STATE_COUNT] = {
        [VM_CREATED] = "created",   [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
        [VM_STOPPING] = "stopping", [VM_STOPPED] = "stopped", [VM_CRASHED] = "crashed",
    };

    return (unsigned)s < VM_STATE_COUNT ? names[s] : "?";
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

static void card_line(void *ctx, const char *text)
{
    (void)ctx;
    log_warn("| %s", text);
}

// The lines of a fault card; one a vCPU session, so a guest cannot flood with them.
void vm_fail(struct vcpu *v, const struct vcpu_exit *exit)
{
    struct vm *vm = v->vm;
    const struct config_where *where = &vm->config->where;

    snprintf(vm->fault, sizeof(vm->fault), "%s (pc %#llx)", exit->fault.reason,
             (unsigned long long)arch_vcpu_reg(&v->arch, 32));
    log_warn("+-- guest '%s' stopped: %s", vm_name(vm), exit->fault.reason);
    log_warn("| vCPU %u, syndrome %#llx, virtual address %#llx", v->index, (unsigned long long)exit->fault.syndrome,
             (unsigned long long)exit->fault.gva.v);
    if (exit->fault.gpa_valid) {
        log_warn("| guest physical address %#llx: %s", (unsigned long long)exit->fault.gpa.v,
                 plan_describe(&vm->plan, exit->fault.gpa.v));
    }
    arch_vcpu_dump(&v->arch, card_line, NULL);
    log_warn("+-- described at %s:%u; on_crash there says what happens next", where->file, (unsigned)where->line);
    vm_request_stop(vm, VM_STOP_FAULT);
}
