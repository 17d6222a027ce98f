// SPDX-License-Identifier: Apache-2.0
//
// vCPU threads: life, requests, and which vCPU's state the registers of a CPU hold.
//
// A vCPU stays loaded while other threads run, until another vCPU takes the core. A vCPU that is not loaded keeps its
// armed timers alive as one host timer on its CPU.
#include "vmm/core/vcpu.h"

#include <stdio.h>

#include "arch/mmu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/mm/pool.h"

// Running guests by CPU: with more than one, WFI traps. Each is changed on its own CPU only, interrupts masked.
static unsigned guests_running[CPU_MAX];

struct vcpu *vcpu_loaded(void)
{
    return this_cpu()->loaded_vcpu;
}

static void vcpu_put(struct vcpu *v)
{
    uint64_t deadline;

    if (v->vm->irqchip) {
        v->vm->irqchip->ops->put(v->vm->irqchip, v->index);
    }
    arch_vcpu_put(&v->arch);
    deadline = arch_vcpu_timer_deadline(&v->arch);
    if (deadline != UINT64_MAX) {
        timer_set(&v->wake_timer, deadline);
    }
    this_cpu()->loaded_vcpu = NULL;
}

// All vCPUs of a VM share its VMID, but not their own page tables: what another one left in this CPU's TLB must go.
static void flush_sibling(struct vcpu *v)
{
    uint16_t *last = &v->vm->last_vcpu[this_cpu()->index];

    if (*last != v->index + 1) {
        if (*last != 0) {
            arch_tlb_flush_guest_local();
        }
        *last = (uint16_t)(v->index + 1);
    }
}

static void vcpu_load(struct vcpu *v)
{
    timer_cancel(&v->wake_timer);
    arch_vcpu_load(&v->arch);
    flush_sibling(v);
    if (v->vm->irqchip) {
        v->vm->irqchip->ops->load(v->vm->irqchip, v->index);
    }
    this_cpu()->loaded_vcpu = v;
}

static void vcpu_switch_in(void *arg)
{
    struct vcpu *v = arg;
    struct vcpu *old = vcpu_loaded();

    if (old == v) {
        return;
    }
    if (old) {
        vcpu_put(old);
    }
    arch_vcpu_trap_idle(&v->arch, guests_running[this_cpu()->index] > 1);
    vcpu_load(v);
}

static void wake_timer_fired(struct timer *t)
{
    thread_wake(container_of(t, struct vcpu, wake_timer)->thread);
}

static bool vcpu_asked(struct vcpu *v, uint32_t bits)
{
    return (atomic_load_explicit(&v->arch.requests, memory_order_acquire) & bits) != 0;
}

static bool vcpu_has_event(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    return vcpu_asked(v, VCPU_REQ_STOP | VCPU_REQ_PAUSE) || (chip && chip->ops->pending(chip, v->index)) ||
           arch_vcpu_timer_lines(&v->arch) != 0;
}

void vcpu_idle(struct vcpu *v)
{
    v->state = VCPU_WAITING;
    while (!vcpu_has_event(v)) {
        thread_block();
    }
    v->state = VCPU_RUNNING;
}

// From start to leaving, on the vCPU's own thread.
static void vcpu_session(struct vcpu *v)
{
    struct vm *vm = v->vm;
    unsigned cpu = this_cpu()->index;

    guests_running[cpu]++;
    arch_vcpu_trap_idle(&v->arch, guests_running[cpu] > 1);
    // The registers were reset in memory: whatever the core still holds of this vCPU is of its former life.
    if (vcpu_loaded() == v) {
        vcpu_put(v);
    }
    timer_cancel(&v->wake_timer);
    arch_vcpu_reset(&v->arch, &v->entry);
    vcpu_load(v);
    v->state = VCPU_RUNNING;
    vcpu_request(v, VCPU_REQ_IRQ);
    arch_vcpu_run(&v->arch);
    // Parked: no timer of it may fire any more.
    vcpu_put(v);
    timer_cancel(&v->wake_timer);
    guests_running[cpu]--;
    v->state = VCPU_OFF;
    if (atomic_fetch_sub(&vm->running_vcpus, 1) == 1 && vm->stop_reason != VM_STOP_NONE && vm->manager) {
        vm->manager->stopped(vm);
    }
}

static void vcpu_main(void *arg)
{
    struct vcpu *v = arg;

    for (;;) {
        enum vcpu_state state = v->state;

        if (state == VCPU_DEAD) {
            break;
        }
        if (state == VCPU_ON_PENDING) {
            vcpu_session(v);
        } else {
            thread_block();
        }
    }
    if (vcpu_loaded() == v) {
        vcpu_put(v);
    }
    timer_cancel(&v->wake_timer);
    completion_signal(&v->gone);
    thread_exit();
}

enum status vcpu_create(struct vm *vm, unsigned index, unsigned pcpu, struct vcpu **out)
{
    static const struct thread_ops ops = {.switch_in = vcpu_switch_in};
    struct vcpu *v = pool_alloc(sizeof(*v));
    char name[CONFIG_NAME_MAX + 12];
    enum status s;

    if (!v) {
        return E_NOMEM;
    }
    v->vm = vm;
    v->index = index;
    v->state = VCPU_OFF;
    timer_setup(&v->wake_timer, wake_timer_fired);
    completion_init(&v->gone);
    s = arch_vcpu_create(&v->arch, &vm->arch, index, &vcpu_upcalls);
    if (s != OK) {
        pool_free(v, sizeof(*v));
        return s;
    }
    snprintf(name, sizeof(name), "%s/%u", vm_name(vm), index);
    v->thread = thread_create(&(struct thread_attr){.name = name,
                                                    .entry = vcpu_main,
                                                    .arg = v,
                                                    .ops = &ops,
                                                    .cpu = pcpu,
                                                    .prio = vm->config->sched.priority,
                                                    .guest = true});
    if (!v->thread) {
        arch_vcpu_destroy(&v->arch);
        pool_free(v, sizeof(*v));
        return E_NOMEM;
    }
    thread_start(v->thread);
    *out = v;
    return OK;
}

void vcpu_destroy(struct vcpu *v)
{
    v->state = VCPU_DEAD;
    thread_wake(v->thread);
    completion_wait(&v->gone);
    arch_vcpu_destroy(&v->arch);
    pool_free(v, sizeof(*v));
}

enum status vcpu_start(struct vcpu *v, const struct vcpu_entry *entry)
{
    enum vcpu_state seen = VCPU_OFF;

    if (!atomic_compare_exchange_strong(&v->state, &seen, VCPU_CLAIMED)) {
        return seen == VCPU_CLAIMED || seen == VCPU_ON_PENDING ? E_BUSY : E_STATE;
    }
    v->entry = *entry;
    atomic_fetch_add(&v->vm->running_vcpus, 1);
    atomic_store_explicit(&v->state, VCPU_ON_PENDING, memory_order_release);
    thread_wake(v->thread);
    return OK;
}

void vcpu_request(struct vcpu *v, uint32_t bits)
{
    uint32_t old = atomic_fetch_or_explicit(&v->arch.requests, bits, memory_order_release);

    if (v->thread == thread_current() || (old & bits) == bits) {
        return; // it looks before its next entry, or somebody has told it already
    }
    thread_wake(v->thread);
    if (v->thread->cpu != this_cpu()->index && v->state == VCPU_RUNNING) {
        ipi_send(v->thread->cpu, IPI_RESCHED);
    }
}
