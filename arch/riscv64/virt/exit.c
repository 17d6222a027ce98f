// SPDX-License-Identifier: Apache-2.0
//
// Dispatch of a trap from the guest on its cause (RISC-V Privileged Architecture, 18.6.2).
#include "arch/riscv64/virt/exit.h"

#include "arch/riscv64/virt/virt_local.h"

#define INSN_WFI 0x10500073u
#define INSN_WRS_NTO 0x00D00073u

typedef enum exit_action (*exit_handler)(struct guest_frame *f, uint64_t cause, bool full);

bool guest_fetch16(uint64_t va, uint16_t *out);

enum exit_action exit_upcall(struct guest_frame *f, struct vcpu_exit *e)
{
    return f->vcpu->up->exit(f->vcpu, e) == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

bool exit_fetch_insn(const struct guest_frame *f, uint32_t *insn)
{
    uint16_t low, high = 0;

    if (!guest_fetch16(f->pc, &low) || ((low & 3) == 3 && !guest_fetch16(f->pc + 2, &high))) {
        return false;
    }
    *insn = (uint32_t)low | (uint32_t)high << 16;
    return true;
}

static enum exit_action idle(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_IDLE};
    enum exit_action action;

    f->pc += 4;
    vtimer_watch(f->vcpu);
    action = exit_upcall(f, &e);
    vtimer_rest(f->vcpu);
    return action;
}

// What VS-mode may not do: WFI while the core is shared; hypervisor registers and instructions, which for the guest do not
// exist.
static enum exit_action exit_virtual(struct guest_frame *f, uint64_t cause, bool full)
{
    uint32_t insn = (uint32_t)csr_read(stval);

    (void)cause;
    if (insn == 0 && !exit_fetch_insn(f, &insn)) {
        return EXIT_RESUME;
    }
    if ((insn == INSN_WFI || insn == INSN_WRS_NTO) && (f->sstatus & SSTATUS_SPP)) {
        return idle(f);
    }
    if (aia_is_access(insn) && (f->sstatus & SSTATUS_SPP)) {
        return exit_aia(f, insn, full);
    }
    inject(f, CAUSE_ILLEGAL, insn);
    return EXIT_RESUME;
}

// Exceptions that the guest is to handle but that were not delegated.
static enum exit_action exit_forward(struct guest_frame *f, uint64_t cause, bool full)
{
    (void)full;
    inject(f, cause, csr_read(stval));
    return EXIT_RESUME;
}

static enum exit_action exit_unknown(struct guest_frame *f, uint64_t cause, bool full)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_FAULT,
        .fault = {.reason = "a trap that the hypervisor does not know",
                  .syndrome = cause,
                  .gva = gva(csr_read(stval))},
    };

    return full ? exit_upcall(f, &e) : EXIT_FULL;
}

static const exit_handler handlers[CAUSE_COUNT] = {
    [CAUSE_FETCH_ACCESS] = exit_forward,
    [CAUSE_ILLEGAL] = exit_forward,
    [CAUSE_LOAD_MISALIGNED] = exit_forward,
    [CAUSE_LOAD_ACCESS] = exit_forward,
    [CAUSE_STORE_MISALIGNED] = exit_forward,
    [CAUSE_STORE_ACCESS] = exit_forward,
    [CAUSE_ECALL_VS] = exit_sbi,
    [CAUSE_FETCH_GUEST_PAGE] = exit_fetch,
    [CAUSE_LOAD_GUEST_PAGE] = exit_mmio,
    [CAUSE_VIRTUAL_INSTRUCTION] = exit_virtual,
    [CAUSE_STORE_GUEST_PAGE] = exit_mmio,
};

static exit_handler handler_of(uint64_t cause)
{
    exit_handler h = cause < CAUSE_COUNT ? handlers[cause] : NULL;

    return h ? h : exit_unknown;
}

enum exit_action exit_trap(struct guest_frame *f, uint64_t cause)
{
    return handler_of(cause)(f, cause, false);
}

enum exit_action exit_full(struct guest_frame *f)
{
    uint64_t cause = csr_read(scause); // the trap is still described there: interrupts stayed masked

    return handler_of(cause)(f, cause, true);
}

enum exit_action exit_requests(struct guest_frame *f)
{
    struct arch_vcpu *av = f->vcpu;
    enum vcpu_verdict verdict = av->up->requests(av);

    irq_sync(av);
    return verdict == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

void exit_irq(struct guest_frame *f)
{
    f->vcpu->up->host_irq(f->vcpu);
    vtimer_poll(f->vcpu);
}

void exit_enter(struct arch_vcpu *av, struct guest_frame *f)
{
    *f = av->start;
    f->vcpu = av;
    av->frame = f;
    vtimer_bind(av);
}

void exit_leave(struct guest_frame *f)
{
    struct arch_vcpu *av = f->vcpu;

    av->start = *f;
    av->frame = NULL;
}
