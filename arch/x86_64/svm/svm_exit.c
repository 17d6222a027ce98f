// SPDX-License-Identifier: Apache-2.0
//
// Exit codes and what comes with them (AMD APM vol. 2, appendix C; 15.10.2 for ports, 15.25.6 for nested faults).
#include "arch/x86_64/svm/svm_local.h"

#define IOIO_IN BIT64(0)
#define IOIO_STRING BIT64(2)
#define IOIO_REP BIT64(3)
#define IOIO_SIZE_SHIFT 4
#define NPF_WRITE BIT64(1)
#define NPF_FETCH BIT64(4)
#define NPF_WALK BIT64(33)

static void decode_io(const struct vmcb_control *c, struct x86_exit *out)
{
    out->io.port = (uint16_t)(c->exit_info1 >> 16);
    out->io.size = (uint8_t)(c->exit_info1 >> IOIO_SIZE_SHIFT & 7);
    out->io.in = (c->exit_info1 & IOIO_IN) != 0;
    out->io.string = (c->exit_info1 & IOIO_STRING) != 0;
    out->io.rep = (c->exit_info1 & IOIO_REP) != 0;
}

static void decode_msr(const struct vmcb_control *c, struct x86_exit *out)
{
    out->msr.write = c->exit_info1 == 1;
}

static void decode_fault(const struct vmcb_control *c, struct x86_exit *out)
{
    out->fault.gpa = c->exit_info2;
    out->fault.write = (c->exit_info1 & NPF_WRITE) != 0;
    out->fault.fetch = (c->exit_info1 & NPF_FETCH) != 0;
    out->fault.walk = (c->exit_info1 & NPF_WALK) != 0;
}

// DR6 tells already what it is (APM 15.12.2).
static void decode_debug(const struct vmcb_control *c, struct x86_exit *out)
{
    (void)c;
    out->exception.vector = X86_DB;
    out->exception.error = -1;
}

static void decode_alignment(const struct vmcb_control *c, struct x86_exit *out)
{
    (void)c;
    out->exception.vector = X86_AC;
    out->exception.error = 0;
}

#define CODE_FIRST VMEXIT_EXCEPTION
#define ROW(code) [(code)-CODE_FIRST]

static const struct code {
    bool known;
    uint8_t kind;
    uint8_t length; // of the plain instruction
    void (*details)(const struct vmcb_control *c, struct x86_exit *out);
} codes[VMEXIT_XSETBV - CODE_FIRST + 1] = {
    ROW(VMEXIT_INTR) = {true, X86_EXIT_INTERRUPT, 0, NULL},
    ROW(VMEXIT_EXCEPTION + X86_DB) = {true, X86_EXIT_EXCEPTION, 0, decode_debug},
    ROW(VMEXIT_EXCEPTION + X86_AC) = {true, X86_EXIT_EXCEPTION, 0, decode_alignment},
    ROW(VMEXIT_NMI) = {true, X86_EXIT_NOTHING, 0, NULL},
    ROW(VMEXIT_MSR) = {true, X86_EXIT_MSR, 2, decode_msr},
    ROW(VMEXIT_IOIO) = {true, X86_EXIT_IO, 0, decode_io},
    ROW(VMEXIT_HLT) = {true, X86_EXIT_HLT, 1, NULL},
    ROW(VMEXIT_VMMCALL) = {true, X86_EXIT_CALL, 3, NULL},
    ROW(VMEXIT_CPUID) = {true, X86_EXIT_CPUID, 2, NULL},
    ROW(VMEXIT_VINTR) = {true, X86_EXIT_WINDOW, 0, NULL},
    ROW(VMEXIT_XSETBV) = {true, X86_EXIT_XSETBV, 3, NULL},
    ROW(VMEXIT_WBINVD) = {true, X86_EXIT_WBINVD, 2, NULL},
    ROW(VMEXIT_INVD) = {true, X86_EXIT_WBINVD, 2, NULL},
    ROW(VMEXIT_SHUTDOWN) = {true, X86_EXIT_SHUTDOWN, 0, NULL},
    ROW(VMEXIT_INIT) = {true, X86_EXIT_NOTHING, 0, NULL},
    ROW(VMEXIT_MC) = {true, X86_EXIT_NOTHING, 0, NULL},
};

// Instructions that the guest does not have: those of SVM itself, MONITOR and MWAIT, RDPMC, task switches apart.
static enum x86_exit_kind other(uint64_t code)
{
    if ((code >= VMEXIT_VMRUN && code <= VMEXIT_SKINIT) || code == VMEXIT_INVLPGA || code == VMEXIT_RDPMC ||
        (code >= VMEXIT_MONITOR && code <= VMEXIT_MWAIT_COND)) {
        return X86_EXIT_UNDEFINED;
    }
    if (SVM_IS_DR_EXIT(code)) {
        return X86_EXIT_NOTHING;
    }
    return (uint32_t)code == VMEXIT_INVALID ? X86_EXIT_FAILED : X86_EXIT_UNKNOWN;
}

void svm_decode(const struct svm_vcpu *sv, struct x86_exit *out)
{
    const struct vmcb_control *c = &sv->vmcb->control;
    uint64_t row = c->exit_code - CODE_FIRST;

    out->reason = c->exit_code;
    out->info[0] = c->exit_info1;
    out->info[1] = c->exit_info2;
    out->delivering = (c->exit_int_info & EVENT_VALID) && EVENT_TYPE(c->exit_int_info) != EVENT_SOFT;
    if (row < ARRAY_SIZE(codes) && codes[row].known) {
        const struct code *code = &codes[row];

        out->kind = (enum x86_exit_kind)code->kind;
        out->length = code->length;
        if (code->details) {
            code->details(c, out);
        }
        if (out->kind == X86_EXIT_IO) {
            out->length = (uint32_t)(c->exit_info2 - sv->vmcb->save.rip);
        }
        return;
    }
    out->length = 0;
    if (c->exit_code == VMEXIT_NPF) {
        out->kind = X86_EXIT_NESTED_FAULT;
        decode_fault(c, out);
    } else {
        out->kind = other(c->exit_code);
    }
}
