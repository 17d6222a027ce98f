// SPDX-License-Identifier: Apache-2.0
//
// Calls of the guest to its firmware: dispatch, and the extensions that need nothing else: base, time, system reset.
#include "arch/riscv64/virt/sbi.h"

#define SPEC_VERSION (UINT64_C(2) << 24) // 2.0
#define IMPLEMENTATION 0x4C4F44          // not registered: "LOD"
#define SRST_REASON_MAX 1
#define STA_ALIGNMENT 64

static enum exit_action sbi_base(struct guest_frame *f);

static enum exit_action sbi_time(struct guest_frame *f)
{
    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    vtimer_set(f->vcpu, f->x[SBI_A(0)]);
    f->vcpu->done++;
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

// Steal time (16): the guest names 64 bytes for each of its harts, or takes them back with -1.
static enum exit_action sbi_sta(struct guest_frame *f)
{
    static const int64_t errors[] = {
        [OK] = SBI_SUCCESS, [E_INVAL] = SBI_ERR_INVALID_PARAM, [E_RANGE] = SBI_ERR_INVALID_ADDRESS};
    uint64_t low = f->x[SBI_A(0)], high = f->x[SBI_A(1)];
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = VCPU_CALL_STOLEN_SHARE, .args = {low}},
    };
    bool none = low == UINT64_MAX && high == UINT64_MAX;

    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (f->x[SBI_A(2)] != 0 || (!none && low % STA_ALIGNMENT != 0)) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    if (high != 0 && !none) { // the upper half of an address that no guest has
        return sbi_answer(f, SBI_ERR_INVALID_ADDRESS, 0);
    }
    exit_upcall(f, &e);
    return sbi_answer(
        f, e.hypercall.result[0] < ARRAY_SIZE(errors) ? errors[e.hypercall.result[0]] : SBI_ERR_FAILED, 0);
}

// By the low bits of their IDs, which differ. An empty slot's ID 0 belongs to another slot.
#define SLOTS 16
#define SLOT(id, handler) [(id) % SLOTS] = {id, handler}
static const struct sbi_extension {
    uint64_t id;
    sbi_handler handler;
} extensions[SLOTS] = {
    SLOT(SBI_EXT_BASE, sbi_base),         SLOT(SBI_EXT_TIME, sbi_time), SLOT(SBI_EXT_IPI, sbi_ipi),
    SLOT(SBI_EXT_RFENCE, sbi_rfence_ext), SLOT(SBI_EXT_HSM, sbi_hsm),   SLOT(SBI_EXT_SRST, sbi_srst),
    SLOT(SBI_EXT_DBCN, sbi_dbcn),         SLOT(SBI_EXT_STA, sbi_sta),
};

static bool exists(uint64_t id)
{
    return id <= SBI_LEGACY_SHUTDOWN || extensions[id % SLOTS].id == id;
}

static enum exit_action sbi_base(struct guest_frame *f)
{
    static const uint64_t answers[] = {
        [SBI_BASE_SPEC_VERSION] = SPEC_VERSION,
        [SBI_BASE_IMPL_ID] = IMPLEMENTATION,
        [SBI_BASE_IMPL_VERSION] = 1,
        [SBI_BASE_MIMPID] = 0, // and the vendor and architecture before it
    };
    uint64_t fn = f->x[SBI_A(6)];

    f->vcpu->done++;
    if (fn == SBI_BASE_PROBE) {
        return sbi_answer(f, SBI_SUCCESS, exists(f->x[SBI_A(0)]));
    }
    return fn < ARRAY_SIZE(answers) ? sbi_answer(f, SBI_SUCCESS, answers[fn])
                                    : sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
}

enum exit_action exit_sbi(struct guest_frame *f, uint64_t cause, bool full)
{
    uint64_t id = f->x[SBI_A(7)];
    const struct sbi_extension *e = &extensions[id % SLOTS];

    (void)cause;
    (void)full;
    f->pc += 4;
    if (e->id == id) {
        return e->handler(f);
    }
    return id <= SBI_LEGACY_SHUTDOWN ? sbi_legacy(f, id) : sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
}
