// SPDX-License-Identifier: Apache-2.0
//
// Calls of the guest to its firmware: dispatch, and the extensions that need nothing else: base, time, system reset.
#include "arch/riscv64/virt/sbi.h"

#define SPEC_VERSION (UINT64_C(2) << 24) // 2.0
#define IMPLEMENTATION 0x4C4F44          // not registered: "LOD"
#define SRST_REASON_MAX 1

static enum exit_action sbi_base(struct guest_frame *f);

static enum exit_action sbi_time(struct guest_frame *f)
{
    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    vtimer_set(f->vcpu, f->x[SBI_A(0)]);
    return sbi_answer(f, SBI_SUCCESS, 0);
}

static enum exit_action sbi_srst(struct guest_frame *f)
{
    uint64_t type = f->x[SBI_A(0)];
    struct vcpu_exit e = {.kind = type == SBI_SRST_SHUTDOWN ? VCPU_EXIT_POWEROFF : VCPU_EXIT_RESET};

    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (type > SBI_SRST_WARM_REBOOT || f->x[SBI_A(1)] > SRST_REASON_MAX) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    sbi_answer(f, SBI_ERR_FAILED, 0); // if it comes back, it was refused
    return exit_upcall(f, &e);
}

static const struct {
    uint64_t id;
    sbi_handler handler;
} extensions[] = {
    // The frequent ones first.
    {SBI_EXT_TIME, sbi_time}, {SBI_EXT_IPI, sbi_ipi}, {SBI_EXT_RFENCE, sbi_rfence_ext},
    {SBI_EXT_BASE, sbi_base}, {SBI_EXT_HSM, sbi_hsm}, {SBI_EXT_SRST, sbi_srst},
    {SBI_EXT_DBCN, sbi_dbcn},
};

static sbi_handler find(uint64_t id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(extensions); i++) {
        if (extensions[i].id == id) {
            return extensions[i].handler;
        }
    }
    return NULL;
}

static enum exit_action sbi_base(struct guest_frame *f)
{
    uint64_t id = f->x[SBI_A(0)];

    switch (f->x[SBI_A(6)]) {
    case SBI_BASE_SPEC_VERSION:
        return sbi_answer(f, SBI_SUCCESS, SPEC_VERSION);
    case SBI_BASE_IMPL_ID:
        return sbi_answer(f, SBI_SUCCESS, IMPLEMENTATION);
    case SBI_BASE_IMPL_VERSION:
        return sbi_answer(f, SBI_SUCCESS, 1);
    case SBI_BASE_PROBE:
        return sbi_answer(f, SBI_SUCCESS, id <= SBI_LEGACY_SHUTDOWN || find(id) != NULL);
    case SBI_BASE_MVENDORID:
    case SBI_BASE_MARCHID:
    case SBI_BASE_MIMPID:
        return sbi_answer(f, SBI_SUCCESS, 0);
    default:
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
}

enum exit_action exit_sbi(struct guest_frame *f, uint64_t cause, bool full)
{
    uint64_t id = f->x[SBI_A(7)];
    sbi_handler handler = find(id);

    (void)cause;
    (void)full;
    f->pc += 4;
    if (handler) {
        return handler(f);
    }
    if (id <= SBI_LEGACY_SHUTDOWN) {
        return sbi_legacy(f, id);
    }
    return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
}
