// SPDX-License-Identifier: Apache-2.0
//
// Exit codes and what comes with them (AMD APM vol. 2, appendix C; 15.10.2 for ports, 15.25.6 for nested faults).
#include "arch/x86_64/svm/svm_local.h"

#define IOIO_IN BIT64(0)
#define IOIO_STRING BIT64(2)
#define IOIO_SIZE_SHIFT 4
#define NPF_WRITE BIT64(1)
#define NPF_FETCH BIT64(4)
#define NPF_WALK BIT64(33)

static void decode_io(const struct vmcb *vmcb, struct x86_exit *out)
{
    uint64_t info = vmcb->control.exit_info1;

    out->io.port = (uint16_t)(info >> 16);
    out->io.access.size = (uint8_t)(info >> IOIO_SIZE_SHIFT & 7);
    out->io.access.write = !(info & IOIO_IN);
    out->io.string = (info & IOIO_STRING) != 0;
    out->length = (uint32_t)(vmcb->control.exit_info2 - vmcb->save.rip);
}

static void decode_msr(const struct vmcb *vmcb, struct x86_exit *out)
{
    out->msr.write = vmcb->control.exit_info1 == 1;
}

static void decode_fault(const struct vmcb *vmcb, struct x86_exit *out)
{
    const struct vmcb_control *c = &vmcb->control;

    out->fault.gpa = c->exit_info2;
    out->fault.write = (c->exit_info1 & NPF_WRITE) != 0;
    out->fault.fetch = (c->exit_info1 & NPF_FETCH) != 0;
    out->fault.walk = (c->exit_info1 & NPF_WALK) != 0;
    out->delivering = (c->exit_int_info & EVENT_VALID) && EVENT_TYPE(c->exit_int_info) != EVENT_SOFT;
}

// DR6 tells already what it is (APM 15.12.2).
static void decode_debug(struct x86_exit *out)
{
    out->kind = X86_EXIT_EXCEPTION;
    out->exception.vector = X86_DB;
    out->exception.error = -1;
}

static void decode_alignment(const struct vmcb *vmcb, struct x86_exit *out)
{
    (void)vmcb;
    out->exception.vector = X86_AC;
    out->exception.error = 0;
}

#define CODE_FIRST VMEXIT_EXCEPTION
#define ROW(code) [(code)-CODE_FIRST]

static const struct code {
    uint8_t kind;   // 0 of a code that is not listed: see other()
    uint8_t length; // of the plain instruction
    void (*details)(const struct vmcb *vmcb, struct x86_exit *out);
} codes[VMEXIT_XSETBV - CODE_FIRST + 1] = {
    ROW(VMEXIT_INTR) = {X86_EXIT_INTERRUPT, 0, NULL},
    ROW(VMEXIT_EXCEPTION + X86_AC) = {X86_EXIT_EXCEPTION, 0, decode_alignment},
    ROW(VMEXIT_MSR) = {X86_EXIT_MSR, 2, decode_msr},
    ROW(VMEXIT_IOIO) = {X86_EXIT_IO, 0, decode_io},
    ROW(VMEXIT_HLT) = {X86_EXIT_HLT, 1, NULL},
    ROW(VMEXIT_VMMCALL) = {X86_EXIT_CALL, 3, NULL},
    ROW(VMEXIT_CPUID) = {X86_EXIT_CPUID, 2, NULL},
    ROW(VMEXIT_VINTR) = {X86_EXIT_WINDOW, 0, NULL},
    ROW(VMEXIT_XSETBV) = {X86_EXIT_XSETBV, 3, NULL},
    ROW(VMEXIT_WBINVD) = {X86_EXIT_WBINVD, 2, NULL},
    ROW(VMEXIT_INVD) = {X86_EXIT_WBINVD, 2, NULL},
    ROW(VMEXIT_SHUTDOWN) = {X86_EXIT_SHUTDOWN, 0, NULL},
};

// Instructions that the guest does not have: those of SVM itself, MONITOR and MWAIT, RDPMC, task switches apart.
static enum x86_exit_kind other(uint64_t code)
{
    if ((code >= VMEXIT_VMRUN && code <= VMEXIT_SKINIT) || code == VMEXIT_INVLPGA || code == VMEXIT_RDPMC ||
        (code >= VMEXIT_MONITOR && code <= VMEXIT_MWAIT_COND)) {
        return X86_EXIT_UNDEFINED;
    }
    if (SVM_IS_DR_EXIT(code) || code == VMEXIT_NMI || code == VMEXIT_INIT || code == VMEXIT_MC ||
        code == VMEXIT_IRET) {
        return X86_EXIT_NOTHING;
    }
    if (code == VMEXIT_CR8_READ || code == VMEXIT_CR8_WRITE) {
        return X86_EXIT_PRIORITY;
    }
    return (uint32_t)code == VMEXIT_INVALID ? X86_EXIT_FAILED : X86_EXIT_UNKNOWN;
}

static void decode_other(const struct vmcb *vmcb, struct x86_exit *out)
{
    out->length = 0;
    if (out->reason == VMEXIT_NPF) {
        out->kind = X86_EXIT_NESTED_FAULT;
        decode_fault(vmcb, out);
    } else if (out->reason == VMEXIT_EXCEPTION + X86_DB) {
        decode_debug(out);
    } else {
        out->kind = other(out->reason);
    }
}

// An event whose delivery an exit interrupted is delivered again. One that an instruction asked for comes by itself: RIP is
// still at the instruction.
static void keep_event(struct vmcb_control *c)
{
    uint64_t e = c->exit_int_info;

    if ((e & EVENT_VALID) && EVENT_TYPE(e) != EVENT_SOFT) {
        c->event_inject = e;
    }
}

void svm_left(struct arch_vcpu *av, struct x86_exit *out)
{
    struct svm_vcpu *sv = av->vendor;
    struct vmcb *vmcb = sv->vmcb;
    struct vmcb_control *c = &vmcb->control;
    uint64_t row = c->exit_code - CODE_FIRST;

    av->r[X86_RAX] = vmcb->save.rax;
    av->r[X86_RSP] = vmcb->save.rsp;
    if (__builtin_expect(svm_loses_irqs, false)) {
        lapic_write(LAPIC_TPR, 0);
    }
    c->event_inject = 0;
    c->tlb_control = 0;
    if (__builtin_expect((c->exit_int_info & EVENT_VALID) != 0, false)) {
        keep_event(c);
    }
    out->reason = c->exit_code;
    if (row < ARRAY_SIZE(codes) && codes[row].kind) {
        out->kind = (enum x86_exit_kind)codes[row].kind;
        out->length = codes[row].length;
        if (codes[row].details) {
            codes[row].details(vmcb, out);
        }
        return;
    }
    decode_other(vmcb, out);
    if (SVM_IS_DR_EXIT(out->reason)) {
        svm_debug_take(sv);
    } else if (sv->stepping || out->reason == VMEXIT_IRET) {
        svm_nmi_exit(sv, out);
    }
}
