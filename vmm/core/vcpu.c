// SPDX-License-Identifier: Apache-2.0
//
// vCPU threads: life, requests, and which vCPU's state the registers of a CPU hold.
//
// A vCPU stays loaded while other threads run, until another vCPU takes the core or it moves to another. A vCPU that is not
// loaded keeps its armed timers alive as one host timer on the CPU where it was.
#include "vmm/core/vcpu.h"

#include <stdio.h>

#include "arch/mmu.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/mm/pool.h"
#include "kernel/time/timer.h"
#include "vmm/core/stolen.h"

#define ASK_TRIES 4u

struct vcpu *vcpu_loaded(void)
{
    return this_cpu()->loaded_vcpu;
}

// Expired timers (bits as arch_vcpu_timer_lines()) that the guest's interrupt controller knows of, deliverable or not: they
// have nothing new to say until the guest has dealt with them.
static uint32_t timers_known(const struct vcpu *v, uint32_t lines)
{
    const struct vcpu_timer_irq *irqs;
    struct virqchip *chip = v->vm->irqchip;
    unsigned count = arch_vcpu_timer_irqs(&irqs);
    uint32_t known = 0;

    for (unsigned i = 0; i < count && chip && chip->ops->forwarded; i++) {
        if ((lines >> i & 1) && chip->ops->forwarded(chip, v->index, irqs[i].guest_line)) {
            known |= 1u << i;
        }
    }
    return known;
}

// A timer has expired already: it wakes only if the guest does not know it yet.
__attribute__((noinline)) static uint64_t deadline_unknown(const struct vcpu *v)
{
    uint32_t lines = arch_vcpu_timer_lines(&v->arch);

    return arch_vcpu_timer_deadline(&v->arch, lines ? timers_known(v, lines) : 0);
}

// All but the interrupt controller's interface.
static inline void put_registers(struct vcpu *v)
{
    uint64_t deadline = arch_vcpu_put(&v->arch);

    if (deadline == 0) {
        deadline = deadline_unknown(v);
    }
    if (deadline != UINT64_MAX) {
        timer_set_masked(&v->wake_timer, deadline);
    }
    // Pairs with the acquire in the scheduler: from now on another CPU may load it.
    atomic_store_explicit(&v->thread->held, false, memory_order_release);
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

static inline void load_registers(struct vcpu *v)
{
    timer_cancel(&v->wake_timer);
    atomic_store_explicit(&v->thread->held, true, memory_order_relaxed);
    arch_vcpu_load(&v->arch);
    flush_sibling(v);
    this_cpu()->loaded_vcpu = v;
}

__attribute__((noinline)) static void vcpu_put(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    if (chip) {
        chip->ops->put(chip, v->index);
    }
    this_cpu()->loaded_vcpu = NULL;
    put_registers(v);
}

__attribute__((noinline)) static void vcpu_load(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    load_registers(v);
    if (chip) {
        chip->ops->load(chip, v->index);
    }
}

// The other way, in one call.
static inline bool swap_interface(struct vcpu *old, struct vcpu *v)
{
    struct virqchip *from = old->vm->irqchip, *to = v->vm->irqchip;

    if (!from || !to || from->ops != to->ops || !from->ops->swap) {
        return false;
    }
    from->ops->swap(from, old->index, to, v->index);
    return true;
}

static void vcpu_switch_in(void *arg)
{
    struct vcpu *v = arg;
    struct vcpu *old = vcpu_loaded();

    // Parked, it runs hypervisor code only, perhaps while its VM is taken apart.
    if (!v->in_session) {
        return;
    }
    if (v->stolen_kept) {
        stolen_update(v);
    }
    if (old == v) {
        return;
    }
    if (old && swap_interface(old, v)) {
        put_registers(old);
        load_registers(v);
        return;
    }
    if (old) {
        vcpu_put(old);
    }
    vcpu_load(v);
}

static void vcpu_leave_cpu(void *arg)
{
    if (vcpu_loaded() == arg) {
        vcpu_put(arg);
    }
}

static void vcpu_resched(void *arg)
{
    atomic_fetch_or_explicit(&((struct vcpu *)arg)->arch.requests, VCPU_REQ_RESCHED, memory_order_relaxed);
}

static void vcpu_trap_idle(void *arg, bool trap)
{
    arch_vcpu_trap_idle(&((struct vcpu *)arg)->arch, trap);
}

static void wake_timer_fired(struct timer *t)
{
    thread_wake(container_of(t, struct vcpu, wake_timer)->thread);
}

// What does not wait for the thread's turn, nor for the next period of its budget.
static void tell_at_once(struct vcpu *v, uint32_t bits)
{
    atomic_fetch_or_explicit(&v->arch.requests, bits, memory_order_release);
    thread_urge(v->thread, &v->arch.requests, bits);
}

// Before it is a guest again.
static void calm(struct vcpu *v)
{
    thread_calm(&v->arch.requests, VCPU_REQ_STOP | VCPU_REQ_PAUSE);
}

static bool vcpu_asked(struct vcpu *v, uint32_t bits)
{
    return (atomic_load_explicit(&v->arch.requests, memory_order_acquire) & bits) != 0;
}

static inline bool vcpu_has_event(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    // In one order with the store of `state` in vcpu_idle(): whoever does not see it waiting is seen here.
    return atomic_load_explicit(&v->arch.requests, memory_order_seq_cst) != 0 ||
           (chip && chip->ops->pending(chip, v->index));
}

// One that has expired and not been forwarded yet is, at the next entry.
static bool timer_has_event(const struct vcpu *v)
{
    uint32_t lines = arch_vcpu_timer_lines(&v->arch);

    return lines && lines & ~timers_known(v, lines);
}

void vcpu_idle(struct vcpu *v)
{
    // One that expires now interrupts the host as soon as interrupts are on, or is seen by arch_vcpu_put().
    bool timers_tell = ARCH_VCPU_TIMERS_TELL;

    atomic_store_explicit(&v->state, VCPU_WAITING, memory_order_seq_cst);
    while (!vcpu_has_event(v) && (timers_tell || !timer_has_event(v))) {
        thread_block_masked();
        timers_tell = false;
    }
    atomic_store_explicit(&v->state, VCPU_RUNNING, memory_order_relaxed);
}

void vcpu_halt(struct vcpu *v)
{
    atomic_store_explicit(&v->state, VCPU_WAITING, memory_order_seq_cst);
    while (!atomic_load_explicit(&v->arch.requests, memory_order_seq_cst)) {
        thread_block_masked();
    }
    atomic_store_explicit(&v->state, VCPU_RUNNING, memory_order_relaxed);
}

static void unload(struct vcpu *v)
{
    if (vcpu_loaded() == v) {
        vcpu_put(v);
    }
    timer_cancel(&v->wake_timer);
}

static void serve_call(struct vcpu *v)
{
    struct vcpu_call *call = atomic_exchange(&v->call, NULL);

    if (call) {
        call->fn(v, call->ctx);
        completion_signal(&call->done);
    }
}

// Waits while the VM is paused; its registers are in memory then, and no timer of it is armed.
static void hold(struct vcpu *v)
{
    struct vm *vm = v->vm;

    unload(v);
    v->state = VCPU_HELD;
    atomic_fetch_add(&vm->held_vcpus, 1);
    completion_signal(&vm->changed);
    while (vm->hold && !vcpu_asked(v, VCPU_REQ_STOP)) {
        if (v->call && vcpu_loaded() != v) {
            vcpu_load(v);
        }
        serve_call(v);
        unload(v); // also after a wake, which loads it
        if (!v->call) {
            thread_block();
        }
    }
    atomic_fetch_sub(&vm->held_vcpus, 1);
    v->state = VCPU_RUNNING;
    if (vcpu_loaded() != v) {
        vcpu_load(v);
    }
}

// In the guest, but for what others want of this vCPU between two instructions.
static void run_until_left(struct vcpu *v)
{
    do {
        v->resume = false;
        arch_vcpu_run(&v->arch);
        serve_call(v);
        if (v->resume && v->vm->hold) {
            hold(v);
        }
        if (v->resume) {
            calm(v);
        }
    } while (v->resume);
}

// The last one turns off the light.
static void session_over(struct vm *vm)
{
    if (atomic_fetch_sub(&vm->running_vcpus, 1) == 1) {
        if (vm->stop_reason == VM_STOP_NONE) {
            vm_request_stop(vm, VM_STOP_POWEROFF); // nobody is left who could start a CPU
        } else if (vm->manager) {
            vm->manager->stopped(vm);
        }
    }
    completion_signal(&vm->changed);
}

// Off, or what vcpu_park() and vcpu_start() have made of it meanwhile. Whether it is off.
static bool settle(struct vcpu *v)
{
    struct vm *vm = v->vm;
    irq_state_t irq = spin_lock_irqsave(&vm->lock);
    bool goes_on = vm->state == VM_RUNNING || vm->state == VM_PAUSED;
    bool again = goes_on && v->next == VCPU_START_AGAIN;

    if (goes_on) {
        // Not the VM's end: that has been said before it is asked for.
        atomic_fetch_and_explicit(&v->arch.requests, ~VCPU_REQ_STOP, memory_order_relaxed);
    }
    v->next = VCPU_STAY_OFF;
    v->state = again ? VCPU_ON_PENDING : VCPU_OFF;
    spin_unlock_irqrestore(&vm->lock, irq);
    return !again;
}

// Its registers and what belongs to them, as after a reset.
static void begin_anew(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    arch_vcpu_reset(&v->arch, &v->entry);
    if (chip && chip->ops->started) {
        chip->ops->started(chip, v->index);
    }
    stolen_reset(v);
}

// From start to leaving, on the vCPU's own thread.
static void vcpu_session(struct vcpu *v)
{
    calm(v);
    thread_set_active(true);
    if (vcpu_loaded()) {
        vcpu_put(vcpu_loaded());
    }
    begin_anew(v);
    v->in_session = true;
    vcpu_load(v);
    v->state = VCPU_RUNNING;
    // A request of its last life may have gone with that.
    vcpu_request(v, v->vm->hold || v->call ? VCPU_REQ_IRQ | VCPU_REQ_PAUSE : VCPU_REQ_IRQ);
    run_until_left(v);
    // Parked: no timer of it may fire any more.
    v->in_session = false;
    unload(v);
    thread_set_active(false);
    if (settle(v)) {
        serve_call(v);
        session_over(v->vm);
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
    v->thread->ops = NULL; // once it is gone, so is what they work on
    completion_signal(&v->gone);
    thread_exit();
}

static struct thread *create_thread(struct vcpu *v, unsigned pcpu)
{
    static const struct thread_ops ops = {.switch_in = vcpu_switch_in,
                                          .leave = vcpu_leave_cpu,
                                          .resched = vcpu_resched,
                                          .trap_idle = vcpu_trap_idle};
    const struct vm_config *c = v->vm->config;
    struct cpumask allowed = {{0}};
    char name[CONFIG_NAME_MAX + 12];

    for (unsigned i = 0; i < c->sched.pcpu_count; i++) {
        cpumask_set(&allowed, c->sched.pcpus[i]);
    }
    for (unsigned i = 0; i < cpu_count() && c->sched.pcpu_count == 0; i++) {
        cpumask_set(&allowed, i);
    }
    snprintf(name, sizeof(name), "%s/%u", vm_name(v->vm), v->index);
    return thread_create(&(struct thread_attr){.name = name,
                                               .entry = vcpu_main,
                                               .arg = v,
                                               .ops = &ops,
                                               .cpu = pcpu,
                                               .prio = PRIO_GUEST(c->sched.priority),
                                               .weight = c->sched.weight,
                                               .budget = time_from_us(c->sched.budget_us),
                                               .period = time_from_us(c->sched.period_us),
                                               .guest = true,
                                               .allowed = &allowed});
}

enum status vcpu_create(struct vm *vm, unsigned index, unsigned pcpu, struct vcpu **out)
{
    struct vcpu *v = pool_alloc(sizeof(*v));
    enum status s;

    if (!v) {
        return E_NOMEM;
    }
    v->vm = vm;
    v->pio_byte_cache.narrow = true;
    v->index = index;
    v->state = VCPU_OFF;
    timer_setup(&v->wake_timer, wake_timer_fired);
    completion_init(&v->gone);
    s = arch_vcpu_create(&v->arch, &vm->arch, index, &vcpu_upcalls);
    if (s != OK) {
        pool_free(v, sizeof(*v));
        return s;
    }
    v->thread = create_thread(v, pcpu);
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
    tell_at_once(v, VCPU_REQ_STOP);
    completion_wait(&v->gone);
    arch_vcpu_destroy(&v->arch);
    pool_free(v, sizeof(*v));
}

enum status vcpu_start(struct vcpu *v, const struct vcpu_entry *entry)
{
    irq_state_t irq = spin_lock_irqsave(&v->vm->lock);
    enum status s = OK;

    if (v->next == VCPU_AWAIT_START) {
        v->entry = *entry;
        v->next = VCPU_START_AGAIN;
    } else if (v->state == VCPU_OFF) {
        v->entry = *entry;
        atomic_fetch_add(&v->vm->running_vcpus, 1);
        atomic_store_explicit(&v->state, VCPU_ON_PENDING, memory_order_release);
        thread_wake(v->thread);
    } else {
        s = v->state == VCPU_ON_PENDING || v->next == VCPU_START_AGAIN ? E_BUSY : E_STATE;
    }
    spin_unlock_irqrestore(&v->vm->lock, irq);
    return s;
}

void vcpu_park(struct vcpu *v)
{
    irq_state_t irq = spin_lock_irqsave(&v->vm->lock);

    if (v->state != VCPU_OFF) {
        v->next = VCPU_AWAIT_START;
        vcpu_request(
            v, VCPU_REQ_STOP); // under the lock: one that is off already would do it after its next start
    }
    spin_unlock_irqrestore(&v->vm->lock, irq);
}

void vcpu_request(struct vcpu *v, uint32_t bits)
{
    uint32_t old;

    if ((bits & (VCPU_REQ_STOP | VCPU_REQ_PAUSE)) && v->thread != thread_current()) {
        tell_at_once(v, bits);
        return;
    }
    old = atomic_fetch_or_explicit(&v->arch.requests, bits, memory_order_seq_cst);
    if (v->thread == thread_current() || (old & bits) == bits) {
        return; // it looks before its next entry, or somebody has told it already
    }
    // One that does not wait looks at its requests before it does, or before its next entry: it has to leave the guest.
    if (atomic_load_explicit(&v->state, memory_order_seq_cst) == VCPU_RUNNING) {
        thread_interrupt(v->thread);
    } else {
        thread_kick(v->thread);
    }
}

enum status vcpu_call(struct vcpu *v, void (*fn)(struct vcpu *v, void *ctx), void *ctx, uint64_t ticks)
{
    struct vcpu_call call = {.fn = fn, .ctx = ctx};

    if (v->state == VCPU_OFF) {
        fn(v, ctx);
        return OK;
    }
    completion_init(&call.done);
    // cppcheck-suppress autoVariables  // taken back, or carried out, before this returns
    v->call = &call;
    vcpu_request(v, VCPU_REQ_PAUSE);
    if (completion_wait_timeout(&call.done, ticks)) {
        return OK;
    }
    if (atomic_exchange(&v->call, NULL) == &call) {
        return E_TIMEOUT;
    }
    completion_wait(&call.done); // it is at it
    return OK;
}

struct question {
    struct vcpu *v;
    void (*fn)(void *ctx);
    void *ctx;
    bool answered;
};

static void answer(void *arg)
{
    struct question *q = arg;

    if (vcpu_loaded() == q->v) {
        q->fn(q->ctx);
        q->answered = true;
    }
}

bool vcpu_ask(struct vcpu *v, void (*fn)(void *ctx), void *ctx)
{
    struct question q = {.v = v, .fn = fn, .ctx = ctx};

    // It may be moving: then it has run nowhere since the last look, or is found on its new CPU.
    for (unsigned tries = 0; tries < ASK_TRIES && !q.answered; tries++) {
        if (!atomic_load_explicit(&v->thread->held, memory_order_acquire) ||
            cpu_call(atomic_load_explicit(&v->thread->cpu, memory_order_relaxed), answer, &q) != OK) {
            break;
        }
    }
    return q.answered;
}

const char *vcpu_state_name(enum vcpu_state s)
{
    static const char *const names[] = {
        [VCPU_OFF] = "off",         [VCPU_ON_PENDING] = "starting", [VCPU_RUNNING] = "running",
        [VCPU_WAITING] = "waiting", [VCPU_HELD] = "held",           [VCPU_DEAD] = "gone",
    };

    return (unsigned)s < ARRAY_SIZE(names) ? names[s] : "?";
}
