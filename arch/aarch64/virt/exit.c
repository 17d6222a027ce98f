// SPDX-License-Identifier: Apache-2.0
//
// Dispatch of a trap from the guest on its exception class (Arm DDI 0487, D19.2.37).
#include "arch/aarch64/virt/exit.h"

#include "arch/aarch64/virt/fp.h"
#include "arch/cpu.h"

#define WFX_IS_WFE BIT64(0)

static enum exit_action exit_wfx(struct guest_frame *f, uint64_t esr, bool full)
{
    (void)full;
    frame_skip(f);
    if (!(esr & WFX_IS_WFE)) { // WFE is not trapped; harmless when it is
        f->vcpu->up->idle(f->vcpu);
    } else {
        count_done(f);
    }
    return EXIT_RESUME;
}

// The first FP instruction since this vCPU was loaded: it is tried again.
static enum exit_action exit_fp(struct guest_frame *f, uint64_t esr, bool full)
{
    (void)esr;
    (void)full;
    fp_use(f->vcpu);
    count_done(f);
    return EXIT_RESUME;
}

static enum exit_action exit_undefined(struct guest_frame *f, uint64_t esr, bool full)
{
    (void)esr;
    (void)full;
    inject_undefined(f);
    count_done(f);
    return EXIT_RESUME;
}

static enum exit_action exit_illegal_state(struct guest_frame *f, uint64_t esr, bool full)
{
    return full ? exit_fail(f, "the guest entered an illegal execution state", esr) : EXIT_FULL;
}

static enum exit_action exit_serror_full(struct guest_frame *f, uint64_t esr, bool full)
{
    (void)full;
    return exit_fail(f, "SError while the guest ran", esr);
}

// Every class has a handler: unknown ones are undefined instructions to the guest.
const exit_handler exit_handlers[EC_COUNT] = {
    [0 ... EC_WFX - 1] = exit_undefined,
    [EC_WFX] = exit_wfx,
    [EC_WFX + 1 ... EC_FP - 1] = exit_undefined,
    [EC_FP] = exit_fp,
    [EC_FP + 1 ... EC_ILLEGAL_STATE - 1] = exit_undefined,
    [EC_ILLEGAL_STATE] = exit_illegal_state,
    [EC_ILLEGAL_STATE + 1 ... EC_HVC64 - 1] = exit_undefined,
    [EC_HVC64] = exit_smccc,
    [EC_SMC64] = exit_smccc,
    [EC_SYSREG] = exit_sysreg,
    [EC_SYSREG + 1 ... EC_IABT_LOWER - 1] = exit_undefined,
    [EC_IABT_LOWER] = exit_fetch,
    [EC_IABT_LOWER + 1 ... EC_DABT_LOWER - 1] = exit_undefined,
    [EC_DABT_LOWER] = exit_mmio,
    [EC_DABT_LOWER + 1 ... EC_SERROR - 1] = exit_undefined,
    [EC_SERROR] = exit_serror_full,
    [EC_SERROR + 1 ... EC_COUNT - 1] = exit_undefined,
};

enum exit_action exit_full(struct guest_frame *f)
{
    uint64_t esr = sysreg_read(esr_el2); // the trap is still described there: interrupts stayed masked

    return exit_handlers[ESR_EC(esr)](f, esr, true);
}

enum exit_action exit_serror(struct guest_frame *f)
{
    (void)f;
    return EXIT_FULL; // the fault card shows all registers
}

enum exit_action exit_fail(struct guest_frame *f, const char *reason, uint64_t esr)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_FAULT,
        .fault = {.reason = reason, .syndrome = esr, .gva = gva(sysreg_read(far_el2))},
    };

    return f->vcpu->up->exit(f->vcpu, &e) == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

void exit_enter(struct arch_vcpu *av, struct guest_frame *f)
{
    *f = av->start;
    f->vcpu = av;
    av->frame = f;
}

void exit_leave(struct guest_frame *f)
{
    struct arch_vcpu *av = f->vcpu;

    av->start = *f;
    av->frame = NULL;
}
