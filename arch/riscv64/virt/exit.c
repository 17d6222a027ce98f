// SPDX-License-Identifier: Apache-2.0
//
// Dispatch of a trap from the guest on its cause (RISC-V Privileged Architecture, 18.6.2).
#include "arch/riscv64/virt/exit.h"

#include "arch/riscv64/virt/virt_local.h"
#include "kernel/cpu/cpu.h"

#define INSN_WFI 0x10500073u
#define INSN_WRS_NTO 0x00D00073u

enum exit_action exit_upcall(struct guest_frame *f, struct vcpu_exit *e)
{
    return f->vcpu->up->exit(f->vcpu, e) == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

bool exit_fetch_insn(const struct guest_frame *f, uint32_t *insn)
{
    uint64_t low = 0, high = 0;

    GUEST_LOAD(hlvx.hu, low, f->pc, failed);
    if ((low & 3) == 3) {
        GUEST_LOAD(hlvx.hu, high, f->pc + 2, failed);
    }
    *insn = (uint32_t)(low | high << 16);
    return true;
failed:
    return false;
}

void guest_wait(struct guest_frame *f)
{
    vtimer_watch(f->vcpu);
    f->vcpu->up->idle(f->vcpu);
    vtimer_rest(f->vcpu);
}

// What VS-mode may not do: WFI while the core is shared; hypervisor registers and instructions, which for the guest do not
// exist.
__attribute__((noinline)) static enum exit_action exit_virtual_other(struct guest_frame *f, uint32_t insn,
                                                                     bool full)
{
    if (insn == 0 && !exit_fetch_insn(f, &insn)) {
        return EXIT_RESUME;
    }
    if ((insn == INSN_WFI || insn == INSN_WRS_NTO) && frame_in_kernel(f)) {
        f->pc += 4;
        guest_wait(f);
        return EXIT_RESUME;
    }
    if (aia_is_access(insn) && frame_in_kernel(f)) {
        return exit_aia(f, insn, full);
    }
    f->vcpu->done++;
    inject(f, CAUSE_ILLEGAL, insn);
    return EXIT_RESUME;
}

static enum exit_action exit_virtual(struct guest_frame *f, uint64_t cause, bool full)
{
    uint32_t insn = (uint32_t)csr_read(stval);

    (void)cause;
    if (insn != INSN_WFI || !frame_in_kernel(f)) {
        return exit_virtual_other(f, insn, full);
    }
    f->pc += 4;
    guest_wait(f);
    return EXIT_RESUME;
}

// Exceptions that the guest is to handle but that were not delegated.
static enum exit_action exit_forward(struct guest_frame *f, uint64_t cause, bool full)
{
    (void)full;
    f->vcpu->done++;
    inject(f, cause, csr_read(stval));
    return EXIT_RESUME;
}

static enum exit_action exit_illegal(struct guest_frame *f, uint64_t cause, bool full)
{
    return fpv_bring(f->vcpu) ? EXIT_RESUME : exit_forward(f, cause, full);
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

// Every cause has a handler: those that must not come are a fault of the VM.
const exit_handler exit_handlers[CAUSE_COUNT] = {
    [CAUSE_FETCH_MISALIGNED] = exit_unknown,
    [CAUSE_FETCH_ACCESS] = exit_forward,
    [CAUSE_ILLEGAL] = exit_illegal,
    [CAUSE_BREAKPOINT] = exit_unknown,
    [CAUSE_LOAD_MISALIGNED] = exit_forward,
    [CAUSE_LOAD_ACCESS] = exit_forward,
    [CAUSE_STORE_MISALIGNED] = exit_forward,
    [CAUSE_STORE_ACCESS] = exit_forward,
    [CAUSE_ECALL_U... CAUSE_ECALL_HS] = exit_unknown,
    [CAUSE_ECALL_VS] = exit_sbi,
    [CAUSE_ECALL_VS + 1 ... CAUSE_FETCH_GUEST_PAGE - 1] = exit_unknown,
    [CAUSE_FETCH_GUEST_PAGE] = exit_fetch,
    [CAUSE_LOAD_GUEST_PAGE] = exit_load,
    [CAUSE_VIRTUAL_INSTRUCTION] = exit_virtual,
    [CAUSE_STORE_GUEST_PAGE] = exit_store,
    [CAUSE_STORE_GUEST_PAGE + 1 ... CAUSE_COUNT - 1] = exit_unknown,
};

enum exit_action exit_full(struct guest_frame *f)
{
    uint64_t cause = csr_read(scause); // the trap is still described there: interrupts stayed masked

    return exit_handlers[cause % CAUSE_COUNT](f, cause, true);
}

enum exit_action exit_requests(struct guest_frame *f)
{
    struct arch_vcpu *av = f->vcpu;
    enum vcpu_verdict verdict = av->up->requests(av);

    irq_sync(av);
    return verdict == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

void exit_enter(struct arch_vcpu *av, struct guest_frame *f)
{
    *f = av->start;
    f->vcpu = av;
    f->host_tp = (uint64_t)(uintptr_t)this_cpu();
    av->frame = f;
    vtimer_bind(av);
}

void exit_leave(struct guest_frame *f)
{
    struct arch_vcpu *av = f->vcpu;

    av->start = *f;
    av->frame = NULL;
}
