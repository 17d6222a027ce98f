// SPDX-License-Identifier: Apache-2.0
//
// A vCPU's life in the guest: entries and exits, one handler for each kind of exit, virtual interrupts.
#include <stdatomic.h>

#include "arch/cpu.h"
#include "arch/x86_64/virt/priority.h"
#include "arch/x86_64/virt/virt_local.h"

#define KVM_ENOSYS 1000 // what a hypercall that does not exist returns, negative

typedef enum vcpu_verdict (*exit_handler)(struct arch_vcpu *av, struct x86_exit *x);

// A fault's handler goes back to the instruction: its breakpoint has been there already (Intel SDM vol. 3B, 17.3.1.1).
void x86_fault(struct arch_vcpu *av, uint8_t vector, int64_t error)
{
    if (vector != X86_DB) {
        x86_ops->set(av, X86_RFLAGS, x86_ops->get(av, X86_RFLAGS) | RFLAGS_RF);
    }
    x86_ops->inject(av, X86_EVENT_EXCEPTION, vector, error);
}

// ---- handlers ----------------------------------------

static enum vcpu_verdict exit_nothing(struct arch_vcpu *av, struct x86_exit *x)
{
    (void)av;
    (void)x;
    return VCPU_RESUME;
}

// The next entry asks anew, if there is still a reason.
static enum vcpu_verdict exit_window(struct arch_vcpu *av, struct x86_exit *x)
{
    (void)x;
    av->window = false;
    x86_ops->want_window(av, false);
    return VCPU_RESUME;
}

// The interrupt is taken, which tells its vector, but not yet handled: that is the upcall's part.
static enum vcpu_verdict exit_interrupt(struct arch_vcpu *av, struct x86_exit *x)
{
    (void)x;
    arch_irq_take();
    av->up->host_irq(av);
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_taken(struct arch_vcpu *av, struct x86_exit *x)
{
    (void)x;
    av->up->host_irq(av);
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_cpuid(struct arch_vcpu *av, struct x86_exit *x)
{
    x86_guest_cpuid(av);
    return x86_done(av, x->length);
}

// Nobody else wants this CPU: it waits here, as the guest would. Until an interrupt can be taken the guest stays at the HLT.
static enum vcpu_verdict halt_here(struct arch_vcpu *av, uint32_t length)
{
    while (!av->irq_lines) {
        if (atomic_load_explicit(&av->requests, memory_order_relaxed)) {
            if (av->up->requests(av) == VCPU_LEAVE) {
                return VCPU_LEAVE;
            }
        } else if (av->trap_idle) {
            return VCPU_RESUME; // it is executed again, and waits where others can go on
        } else {
            arch_irq_wait();
            av->up->host_irq(av);
        }
    }
    return x86_done(av, length);
}

// With interrupts masked only an NMI ends it: after anything else it is executed again.
static enum vcpu_verdict halt_deaf(struct arch_vcpu *av, uint32_t length)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_IDLE, .idle.deaf = true};
    enum vcpu_verdict verdict = av->up->exit(av, &e);

    if (verdict == VCPU_RESUME && atomic_load_explicit(&av->requests, memory_order_relaxed)) {
        verdict = av->up->requests(av);
    }
    if ((av->irq_lines & VCPU_LINE_NMI) && x86_ops->can_nmi(av)) {
        x86_advance(av, length);
    }
    return verdict;
}

// A single step ends it at once.
static enum vcpu_verdict exit_hlt(struct arch_vcpu *av, struct x86_exit *x)
{
    uint64_t flags = x86_ops->get(av, X86_RFLAGS);
    struct vcpu_exit e = {.kind = VCPU_EXIT_IDLE};

    if (!(flags & (RFLAGS_IF | RFLAGS_TF))) {
        return halt_deaf(av, x->length);
    }
    // A local APIC that the hardware works on raises no line: there the core knows what waits.
    if (!av->trap_idle && !arch_apic_pages()) {
        return halt_here(av, x->length);
    }
    x86_advance(av, x->length);
    return flags & RFLAGS_TF ? VCPU_RESUME : av->up->exit(av, &e);
}

static enum vcpu_verdict exit_call(struct arch_vcpu *av, struct x86_exit *x)
{
    av->r[X86_RAX] = (uint64_t)-KVM_ENOSYS;
    return x86_done(av, x->length);
}

__attribute__((noinline)) static enum vcpu_verdict string_io(struct arch_vcpu *av, struct x86_exit *x)
{
    enum vcpu_verdict verdict;

    if (!x86_emulate_string_io(av, x, &verdict)) {
        x86_fault(av, X86_UD, -1);
    }
    return verdict;
}

static enum vcpu_verdict exit_io(struct arch_vcpu *av, struct x86_exit *x)
{
    // 32-bit results clear the upper half, smaller ones leave the rest.
    static const struct {
        uint64_t value, keep;
    } masks[] = {[1] = {0xFF, ~UINT64_C(0xFF)}, [2] = {0xFFFF, ~UINT64_C(0xFFFF)}, [4] = {UINT32_MAX, 0}};
    struct io_access *a = &x->io.access;

    if (__builtin_expect(x->io.string, false)) {
        return string_io(av, x);
    }
    a->value = av->r[X86_RAX] & masks[a->size].value;
    av->up->pio(av, a, x->io.port);
    if (!a->write) {
        av->r[X86_RAX] = (av->r[X86_RAX] & masks[a->size].keep) | (a->value & masks[a->size].value);
    }
    x86_advance(av, x->length);
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_xsetbv(struct arch_vcpu *av, struct x86_exit *x)
{
    uint64_t v = av->r[X86_RDX] << 32 | (uint32_t)av->r[X86_RAX];

    // Not every processor looks at the privilege level before it makes the exit.
    if (x86_is_user(av) || av->r[X86_RCX] & UINT32_MAX || !fp_set_xcr0(av, v)) {
        x86_fault(av, X86_GP, 0);
        return VCPU_RESUME;
    }
    return x86_done(av, x->length);
}

// The instruction at RIP, where the vendor does not tell: length, direction and register. False: another vCPU has written
// something else there meanwhile.
static bool find_priority(struct arch_vcpu *av, struct x86_exit *x)
{
    uint64_t linear = x86_code_address(av), where;
    uint8_t bytes[X86_INSN_MAX] = {0};
    struct x86_priority p;
    unsigned done = 0;

    // Across the end of a page; the second one need not be there.
    while (done < sizeof(bytes) && x86_guest_walk(av, linear + done, &where)) {
        unsigned part = (unsigned)min_u64(PAGE_SIZE - (where & (PAGE_SIZE - 1)), sizeof(bytes) - done);

        if (!av->up->read(av, gpa(where), bytes + done, part)) {
            break;
        }
        done += part;
    }
    if (!x86_decode_priority(bytes, &p)) {
        return false;
    }
    x->length = p.length;
    x->priority.write = p.write;
    x->priority.reg = p.reg;
    return true;
}

// CR8 is the upper half of the local APIC's task priority.
static enum vcpu_verdict exit_priority(struct arch_vcpu *av, struct x86_exit *x)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_SYSREG, .sysreg = {.number = X86_SYSREG_CR8}};

    if (!x->length && !find_priority(av, x)) {
        x86_fault(av, X86_UD, -1);
        return VCPU_RESUME;
    }
    if (x->priority.write) {
        e.sysreg.write = true;
        e.sysreg.set = av->r[x->priority.reg];
        e.sysreg.clear = UINT64_MAX;
    }
    av->up->exit(av, &e);
    if (!e.sysreg.handled) {
        x86_fault(av, X86_GP, 0);
        return VCPU_RESUME;
    }
    if (!x->priority.write) {
        av->r[x->priority.reg] = e.sysreg.old;
    }
    x86_advance(av, x->length);
    return VCPU_RESUME;
}

// After the fact: the guest goes on behind the instruction.
static enum vcpu_verdict exit_apic(struct arch_vcpu *av, struct x86_exit *x)
{
    uint64_t value = x->apic.value;

    (void)!av->up->sysreg(av, X86_SYSREG_APIC + (unsigned)x->apic.event, true, &value); // always handled
    return VCPU_RESUME;
}

static enum vcpu_verdict exit_skip(struct arch_vcpu *av, struct x86_exit *x)
{
    return x86_done(av, x->length);
}

static enum vcpu_verdict exit_undefined(struct arch_vcpu *av, struct x86_exit *x)
{
    (void)x;
    x86_fault(av, X86_UD, -1);
    return VCPU_RESUME;
}

// A triple fault began with one that left its address in CR2, in most cases. Of a nested fault AMD's CPUs tell only the
// physical address; code's is where RIP points.
static gva_t fault_address(const struct arch_vcpu *av, const struct x86_exit *x)
{
    if (x->kind == X86_EXIT_SHUTDOWN) {
        return gva(x86_ops->get(av, X86_CR2));
    }
    if (x->kind == X86_EXIT_NESTED_FAULT && x->fault.fetch && !x->fault.walk) {
        return gva(x86_code_address(av));
    }
    return gva(VCPU_GVA_UNKNOWN);
}

static enum vcpu_verdict give_up(struct arch_vcpu *av, const struct x86_exit *x, enum vcpu_exit_kind kind,
                                 const char *reason)
{
    struct vcpu_exit e = {
        .kind = kind,
        .fault = {.reason = reason, .syndrome = x->reason, .gva = fault_address(av, x)},
    };

    if (x->kind == X86_EXIT_NESTED_FAULT) {
        e.fault.gpa = gpa(x->fault.gpa);
        e.fault.gpa_valid = true;
    }
    return av->up->exit(av, &e);
}

static enum vcpu_verdict exit_shutdown(struct arch_vcpu *av, struct x86_exit *x)
{
    return give_up(av, x, VCPU_EXIT_FAULT, "triple fault");
}

static enum vcpu_verdict exit_failed(struct arch_vcpu *av, struct x86_exit *x)
{
    return give_up(av, x, VCPU_EXIT_ENTRY_FAILED, "the CPU refuses to enter the guest");
}

static enum vcpu_verdict exit_unknown(struct arch_vcpu *av, struct x86_exit *x)
{
    return give_up(av, x, VCPU_EXIT_FAULT, "an exit that the hypervisor does not know");
}

// Delivering it, the processor may find the next one, for ever: it never comes to an instruction, and so to no interrupt of
// the host's, if it is not made to come here each time (CVE-2015-5307, CVE-2015-8104).
static enum vcpu_verdict exit_exception(struct arch_vcpu *av, struct x86_exit *x)
{
    av->done++;
    arch_irq_take();
    av->up->host_irq(av);
    x86_fault(av, x->exception.vector, x->exception.error);
    return VCPU_RESUME;
}

// The instruction that is there now need not be the one that made the exit: others may be writing a new one, a breakpoint for
// example. It is executed once more before it is judged.
static bool another_chance(struct arch_vcpu *av)
{
    uint64_t at = x86_code_address(av);
    bool first = at != av->decoded->unknown_at;

    av->decoded->unknown_at = first ? at : 0;
    return first;
}

static enum vcpu_verdict exit_nested_fault(struct arch_vcpu *av, struct x86_exit *x)
{
    enum vcpu_verdict verdict;

    // RIP is not at an instruction that does this; and it would be delivered for ever, before any interrupt of the host's.
    if (x->delivering) {
        return give_up(av, x, VCPU_EXIT_FAULT,
                       "an exception or interrupt whose stack or table is not memory");
    }
    if (x->fault.fetch || x->fault.walk) {
        return give_up(av, x, VCPU_EXIT_FAULT,
                       x->fault.walk ? "page tables in memory that is not there"
                                     : "code in memory that is not there");
    }
    if (x86_emulate_move(av, x)) {
        return VCPU_RESUME;
    }
    if (!x86_emulate_fault(av, x, &verdict)) {
        if (another_chance(av)) {
            return VCPU_RESUME;
        }
        if (x86_is_user(av)) { // a program's mistake is not its kernel's
            x86_fault(av, X86_UD, -1);
            return VCPU_RESUME;
        }
        return give_up(av, x, VCPU_EXIT_FAULT, "an instruction that is not emulated reaches for a device");
    }
    return verdict;
}

static const exit_handler handlers[X86_EXIT_COUNT] = {
    [X86_EXIT_NOTHING] = exit_nothing,
    [X86_EXIT_INTERRUPT] = exit_interrupt,
    [X86_EXIT_TAKEN] = exit_taken,
    [X86_EXIT_CPUID] = exit_cpuid,
    [X86_EXIT_HLT] = exit_hlt,
    [X86_EXIT_CALL] = exit_call,
    [X86_EXIT_IO] = exit_io,
    [X86_EXIT_MSR] = x86_exit_msr,
    [X86_EXIT_XSETBV] = exit_xsetbv,
    [X86_EXIT_PRIORITY] = exit_priority,
    [X86_EXIT_APIC] = exit_apic,
    [X86_EXIT_WINDOW] = exit_window,
    [X86_EXIT_NESTED_FAULT] = exit_nested_fault,
    [X86_EXIT_UNDEFINED] = exit_undefined,
    [X86_EXIT_WBINVD] = exit_skip,
    [X86_EXIT_EXCEPTION] = exit_exception,
    [X86_EXIT_SHUTDOWN] = exit_shutdown,
    [X86_EXIT_FAILED] = exit_failed,
    [X86_EXIT_UNKNOWN] = exit_unknown,
};

// ---- the loop ----------------------------------------

static __attribute__((noinline)) void offer_nmi(struct arch_vcpu *av)
{
    if (x86_ops->can_nmi(av)) {
        av->irq_lines &= ~VCPU_LINE_NMI;
        x86_ops->inject(av, X86_EVENT_NMI, X86_NMI, -1);
    } else {
        x86_ops->want_nmi(av);
    }
}

// The controller's best interrupt goes in as soon as the guest can take one, after an NMI.
static inline void offer_interrupt(struct arch_vcpu *av)
{
    bool waits = av->irq_lines & VCPU_LINE_IRQ;

    if (__builtin_expect((av->irq_lines & VCPU_LINE_NMI) != 0, false)) {
        offer_nmi(av);
    }
    if (waits && x86_ops->can_interrupt(av)) {
        int vector;

        av->irq_lines &= ~VCPU_LINE_IRQ;
        vector = av->up->take_irq(av);
        if (vector >= 0) {
            x86_ops->inject(av, X86_EVENT_INTERRUPT, (uint8_t)vector, -1);
        }
        waits = false;
    }
    if (waits != av->window) {
        av->window = waits;
        x86_ops->want_window(av, waits);
    }
}

void arch_vcpu_run(struct arch_vcpu *av)
{
    enum vcpu_verdict verdict = VCPU_RESUME;

    while (verdict != VCPU_LEAVE) {
        struct x86_exit x;

        if (atomic_load_explicit(&av->requests, memory_order_relaxed) && av->up->requests(av) == VCPU_LEAVE) {
            return;
        }
        if (av->irq_lines || av->window) {
            offer_interrupt(av);
        }
        x86_ops->enter(av, &x);
        verdict = handlers[x.kind](av, &x);
    }
}
