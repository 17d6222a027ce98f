// SPDX-License-Identifier: Apache-2.0
//
// What happens on an exit: one small handler for each neutral kind. All run on the vCPU's own thread, interrupts masked.
#include <string.h>

#include "arch/time.h"
#include "kernel/irq/irq.h"
#include "vmm/core/vcpu.h"

typedef enum vcpu_verdict (*exit_handler)(struct vcpu *v, struct vcpu_exit *e);

static struct vcpu *vcpu_of(struct arch_vcpu *av)
{
    return container_of(av, struct vcpu, arch);
}

__attribute__((noinline)) static enum vcpu_verdict mmio_unclaimed(struct vcpu *v, const struct vcpu_exit *e)
{
    unsigned long long where = e->mmio.gpa.v;

    vm_warn(v->vm, "vCPU %u, pc %#llx: %s of %u bytes at %#llx (%s): no device there", v->index,
            (unsigned long long)arch_vcpu_reg(&v->arch, 32),
            e->mmio.exec ? "fetch" : (e->mmio.write ? "write" : "read"), e->mmio.size, where,
            plan_describe(&v->vm->plan, where));
    return VCPU_ABORT;
}

static enum vcpu_verdict exit_mmio(struct vcpu *v, struct vcpu_exit *e)
{
    struct io_access *a = &e->mmio.access;

    if (e->mmio.refused) {
        v->exits[VCPU_EXIT_MMIO].count--; // counted already
        return mmio_unclaimed(v, e);
    }
    a->vcpu = (uint16_t)v->index;
    if (__builtin_expect(e->mmio.exec, 0) ||
        io_bus_access(&v->vm->mmio, &v->mmio_cache, e->mmio.gpa.v, a) != IO_DONE) {
        return mmio_unclaimed(v, e);
    }
    return VCPU_RESUME;
}

struct vcpu *vcpu_find(struct vm *vm, uint64_t hw_id)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (arch_vcpu_hw_id(&vm->vcpus[i]->arch) == hw_id) {
            return vm->vcpus[i];
        }
    }
    return NULL;
}

static enum vcpu_verdict exit_cpu_on(struct vcpu *v, struct vcpu_exit *e)
{
    struct vcpu *target = vcpu_find(v->vm, e->cpu_on.target);
    struct vcpu_entry entry = {.pc = e->cpu_on.entry, .arg = e->cpu_on.arg, .hw_id = e->cpu_on.target};

    if (!target) {
        e->cpu_on.result = -E_NOENT;
    } else if (!gmem_check(&v->vm->gmem, gpa(entry.pc), 4, PERM_R | PERM_X)) {
        e->cpu_on.result = -E_RANGE;
    } else {
        e->cpu_on.result = -(int64_t)vcpu_start(target, &entry);
    }
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_cpu_off(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v;
    (void)e;
    return VCPU_LEAVE;
}

static enum vcpu_verdict exit_idle(struct vcpu *v, struct vcpu_exit *e)
{
    if (e->idle.deaf) {
        vcpu_halt(v);
    } else {
        vcpu_idle(v);
    }
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_ipi(struct vcpu *v, struct vcpu_exit *e)
{
    struct virqchip *chip = v->vm->irqchip;

    if (chip) {
        chip->ops->send_sgi(chip, v->index, e->ipi.which, e->ipi.value);
    }
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_sysreg(struct vcpu *v, struct vcpu_exit *e)
{
    struct virqchip *chip = v->vm->irqchip;

    e->sysreg.handled = chip && chip->ops->sysreg &&
                        chip->ops->sysreg(chip, v->index, e->sysreg.number, e->sysreg.write, e->sysreg.set,
                                          e->sysreg.clear, &e->sysreg.old);
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_poweroff(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    vm_request_stop(v->vm, VM_STOP_POWEROFF);
    return VCPU_LEAVE;
}

static enum vcpu_verdict exit_reset(struct vcpu *v, struct vcpu_exit *e)
{
    (void)e;
    vm_request_stop(v->vm, VM_STOP_RESET);
    return VCPU_LEAVE;
}

static enum vcpu_verdict exit_fault(struct vcpu *v, struct vcpu_exit *e)
{
    vm_fail(v, e);
    return VCPU_LEAVE;
}

static enum vcpu_verdict exit_counted(struct vcpu *v, struct vcpu_exit *e)
{
    (void)v;
    (void)e;
    return VCPU_RESUME;
}

static const exit_handler handlers[VCPU_EXIT_COUNT] = {
    [VCPU_EXIT_MMIO] = exit_mmio,          [VCPU_EXIT_HYPERCALL] = vcpu_hypercall,
    [VCPU_EXIT_IDLE] = exit_idle,          [VCPU_EXIT_IPI] = exit_ipi,
    [VCPU_EXIT_SYSREG] = exit_sysreg,      [VCPU_EXIT_CPU_ON] = exit_cpu_on,
    [VCPU_EXIT_CPU_OFF] = exit_cpu_off,    [VCPU_EXIT_POWEROFF] = exit_poweroff,
    [VCPU_EXIT_RESET] = exit_reset,        [VCPU_EXIT_FAULT] = exit_fault,
    [VCPU_EXIT_ENTRY_FAILED] = exit_fault, [VCPU_EXIT_NO_REGISTER] = exit_counted,
};

static bool timing; // relaxed: a late change of mind loses nothing

void vcpu_time_exits(bool on)
{
    timing = on;
}

bool vcpu_exits_timed(void)
{
    return timing;
}

static void add_time(struct vcpu_exit_stats *s, uint64_t start)
{
    uint64_t spent = arch_time_now() - start;

    s->timed++;
    s->ticks += spent;
    s->max = max_u64(s->max, spent);
}

static enum vcpu_verdict timed_exit(struct vcpu *v, struct vcpu_exit *e)
{
    struct vcpu_exit_stats *s = &v->exits[e->kind];
    uint64_t start = arch_time_now();
    enum vcpu_verdict verdict = handlers[e->kind](v, e);

    add_time(s, start);
    return verdict;
}

static enum vcpu_verdict run_exit(struct arch_vcpu *av, struct vcpu_exit *e)
{
    struct vcpu *v = vcpu_of(av);

    v->exits[e->kind].count++;
    if (__builtin_expect(timing, false)) {
        return timed_exit(v, e);
    }
    return handlers[e->kind](v, e);
}

__attribute__((noinline)) static unsigned timed_mmio(struct vcpu *v, struct io_access *a, gpa_t where)
{
    uint64_t start = arch_time_now();
    enum io_result r = io_bus_access(&v->vm->mmio, &v->mmio_cache, where.v, a);

    add_time(&v->exits[VCPU_EXIT_MMIO], start);
    return r;
}

static unsigned run_mmio(struct arch_vcpu *av, struct io_access *a, gpa_t where)
{
    struct vcpu *v = vcpu_of(av);

    _Static_assert(IO_DONE == 0, "the upcall's convention");
    v->exits[VCPU_EXIT_MMIO].count++;
    a->vcpu = (uint16_t)v->index;
    if (__builtin_expect(timing, false)) {
        return timed_mmio(v, a, where);
    }
    return io_bus_access(&v->vm->mmio, &v->mmio_cache, where.v, a);
}

// Ports nobody claims read as all ones and swallow writes.
static inline void access_port(struct vcpu *v, struct io_access *a, uint16_t port)
{
    struct io_cache *cache = a->size == 1 ? &v->pio_byte_cache : &v->pio_cache;

    if (io_bus_access(&v->vm->pio, cache, port, a) != IO_DONE) {
        v->exits[VCPU_EXIT_NO_PORT].count++;
        a->value = MASK64(0, 8 * a->size);
    }
}

__attribute__((noinline)) static void timed_pio(struct vcpu *v, struct io_access *a, uint16_t port)
{
    uint64_t start = arch_time_now();

    access_port(v, a, port);
    add_time(&v->exits[VCPU_EXIT_PIO], start);
}

static void run_pio(struct arch_vcpu *av, struct io_access *a, uint16_t port)
{
    struct vcpu *v = vcpu_of(av);

    v->exits[VCPU_EXIT_PIO].count++;
    a->vcpu = (uint16_t)v->index;
    if (__builtin_expect(timing, false)) {
        timed_pio(v, a, port);
    } else {
        access_port(v, a, port);
    }
}

static bool access_sysreg(struct vcpu *v, unsigned number, bool write, uint64_t *value)
{
    struct virqchip *chip = v->vm->irqchip;

    return chip && chip->ops->sysreg &&
           chip->ops->sysreg(chip, v->index, number, write, *value, UINT64_MAX, value);
}

__attribute__((noinline)) static bool timed_sysreg(struct vcpu *v, unsigned number, bool write,
                                                   uint64_t *value)
{
    uint64_t start = arch_time_now();
    bool handled = access_sysreg(v, number, write, value);

    add_time(&v->exits[VCPU_EXIT_SYSREG], start);
    return handled;
}

static bool run_sysreg(struct arch_vcpu *av, unsigned number, bool write, uint64_t *value)
{
    struct vcpu *v = vcpu_of(av);

    v->exits[VCPU_EXIT_SYSREG].count++;
    return __builtin_expect(timing, false) ? timed_sysreg(v, number, write, value)
                                           : access_sysreg(v, number, write, value);
}

// The controller has raised the line: there is one.
static int run_take_irq(struct arch_vcpu *av)
{
    struct virqchip *chip = vcpu_of(av)->vm->irqchip;

    return chip->ops->acknowledge(chip, vcpu_of(av)->index);
}

// Instructions and page-table entries, mostly from the same region. An entry is read in one piece: the guest may be
// changing it.
static bool run_read(struct arch_vcpu *av, gpa_t where, void *buf, unsigned len)
{
    struct vcpu *v = vcpu_of(av);
    const void *from = gmem_window_ptr(&v->vm->gmem, &v->window, where, len, PERM_R);

    if (!from) {
        return gmem_read(&v->vm->gmem, where, buf, len, NULL) == OK;
    }
    if (len == sizeof(uint64_t) && is_aligned(where.v, sizeof(uint64_t))) {
        uint64_t entry = __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED);

        memcpy(buf, &entry, sizeof(entry));
    } else {
        memcpy(buf, from, len);
    }
    return true;
}

static const void *run_peek(struct arch_vcpu *av, gpa_t where, unsigned len)
{
    struct vcpu *v = vcpu_of(av);

    return gmem_window_ptr(&v->vm->gmem, &v->window, where, len, PERM_R);
}

static bool run_write(struct arch_vcpu *av, gpa_t where, const void *buf, unsigned len)
{
    return gmem_write(&vcpu_of(av)->vm->gmem, where, buf, len, NULL) == OK;
}

static bool run_swap(struct arch_vcpu *av, gpa_t where, unsigned size, uint64_t *old, uint64_t v)
{
    struct gmem *gm = &vcpu_of(av)->vm->gmem;
    uint64_t piece;
    void *at = gmem_ptr(gm, where, size, PERM_R | PERM_W, &piece);

    if (!at || piece < size || !is_aligned(where.v, size)) {
        return false;
    }
    if (size == sizeof(uint32_t)) {
        uint32_t word = (uint32_t)*old;

        __atomic_compare_exchange_n((uint32_t *)at, &word, (uint32_t)v, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE);
        *old = word;
    } else {
        __atomic_compare_exchange_n((uint64_t *)at, old, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    return gmem_mark_dirty(gm, where, size) == OK;
}

__attribute__((noinline)) static void timed_idle(struct vcpu *v)
{
    uint64_t start = arch_time_now();

    vcpu_idle(v);
    add_time(&v->exits[VCPU_EXIT_IDLE], start);
}

static void run_idle(struct arch_vcpu *av)
{
    struct vcpu *v = vcpu_of(av);

    v->exits[VCPU_EXIT_IDLE].count++;
    if (__builtin_expect(timing, false)) {
        timed_idle(v);
    } else {
        vcpu_idle(v);
    }
}

__attribute__((noinline)) static void timed_host_irq(struct vcpu *v)
{
    uint64_t start = arch_time_now();

    irq_dispatch();
    add_time(&v->exits[VCPU_EXIT_IRQ], start);
}

static void run_host_irq(struct arch_vcpu *av)
{
    struct vcpu *v = vcpu_of(av);

    v->exits[VCPU_EXIT_IRQ].count++;
    if (__builtin_expect(timing, false)) {
        timed_host_irq(v);
    } else {
        irq_dispatch();
    }
}

static void flush_irqs(struct vcpu *v)
{
    struct virqchip *chip = v->vm->irqchip;

    if (chip) {
        chip->ops->flush(chip, v->index);
    }
}

__attribute__((noinline)) static enum vcpu_verdict requests_beyond_irq(struct vcpu *v, uint32_t bits)
{
    // Urgent: before it gives way to others, which might take long.
    if (bits & VCPU_REQ_STOP) {
        return VCPU_LEAVE;
    }
    if (bits & VCPU_REQ_PAUSE) {
        // Looked at outside: only there all registers are in memory.
        atomic_fetch_or_explicit(&v->arch.requests, bits & (VCPU_REQ_IRQ | VCPU_REQ_RESCHED),
                                 memory_order_relaxed);
        v->resume = true;
        return VCPU_LEAVE;
    }
    if (bits & VCPU_REQ_RESCHED) {
        sched_preempt();
    }
    if (bits & VCPU_REQ_IRQ) {
        flush_irqs(v);
    }
    return VCPU_RESUME;
}

static enum vcpu_verdict run_requests(struct arch_vcpu *av)
{
    struct vcpu *v = vcpu_of(av);
    uint32_t bits = atomic_exchange_explicit(&av->requests, 0, memory_order_acquire);

    if (bits != VCPU_REQ_IRQ) {
        return requests_beyond_irq(v, bits);
    }
    flush_irqs(v);
    return VCPU_RESUME;
}

const char *vcpu_exit_name(enum vcpu_exit_kind kind)
{
    static const char *const names[VCPU_EXIT_COUNT] = {
        [VCPU_EXIT_DONE] = "done",         [VCPU_EXIT_IRQ] = "irq",
        [VCPU_EXIT_MMIO] = "mmio",         [VCPU_EXIT_PIO] = "pio",
        [VCPU_EXIT_HYPERCALL] = "call",    [VCPU_EXIT_IDLE] = "idle",
        [VCPU_EXIT_IPI] = "ipi",           [VCPU_EXIT_SYSREG] = "sysreg",
        [VCPU_EXIT_CPU_ON] = "cpu-on",     [VCPU_EXIT_CPU_OFF] = "cpu-off",
        [VCPU_EXIT_POWEROFF] = "poweroff", [VCPU_EXIT_RESET] = "reset",
        [VCPU_EXIT_FAULT] = "fault",       [VCPU_EXIT_ENTRY_FAILED] = "entry-failed",
        [VCPU_EXIT_NO_PORT] = "no-port",   [VCPU_EXIT_NO_REGISTER] = "no-register",
    };

    return (unsigned)kind < VCPU_EXIT_COUNT ? names[kind] : "?";
}

const struct vcpu_upcalls vcpu_upcalls = {
    .exit = run_exit,
    .mmio = run_mmio,
    .pio = run_pio,
    .sysreg = run_sysreg,
    .take_irq = run_take_irq,
    .read = run_read,
    .peek = run_peek,
    .write = run_write,
    .swap = run_swap,
    .idle = run_idle,
    .host_irq = run_host_irq,
    .requests = run_requests,
};
