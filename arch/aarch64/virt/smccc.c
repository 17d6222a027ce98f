// SPDX-License-Identifier: Apache-2.0
//
// Firmware calls of the guest, by HVC or SMC: SMCCC 1.2 (Arm DEN0028) and PSCI 1.1 (Arm DEN0022).
#include "arch/aarch64/virt/smccc_services.h"

#define SMCCC_NOT_SUPPORTED (-1)
#define SMCCC_VERSION 0x80000000u
#define SMCCC_ARCH_FEATURES 0x80000001u
#define SMCCC_VERSION_1_2 0x10002

#define PSCI_BASE_32 0x84000000u
#define PSCI_BASE_64 0xC4000000u
#define PSCI_CALL_COUNT 0x20u
#define PSCI_VERSION_1_1 0x10001
#define PSCI_SUCCESS 0
#define PSCI_INVALID_PARAMETERS (-2)
#define PSCI_DENIED (-3)
#define PSCI_ALREADY_ON (-4)
#define PSCI_ON_PENDING (-5)
#define PSCI_INTERNAL_FAILURE (-6)
#define PSCI_INVALID_ADDRESS (-9)
#define PSCI_MIGRATE_NOT_NEEDED 2
#define POWER_STATE_RESERVED UINT64_C(0xfcfe0000) // of CPU_SUSPEND's original format
#define RESET_WARM 0                              // the only type of SYSTEM_RESET2 that has a meaning here

typedef enum exit_action (*call_handler)(struct guest_frame *f);

static enum exit_action answer(struct guest_frame *f, int64_t result)
{
    f->x[0] = (uint64_t)result;
    count_done(f);
    return EXIT_RESUME;
}

static enum exit_action upcall(struct guest_frame *f, struct vcpu_exit *e)
{
    return f->vcpu->up->exit(f->vcpu, e) == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME;
}

static enum exit_action psci_version(struct guest_frame *f)
{
    return answer(f, PSCI_VERSION_1_1);
}

// Every state is a standby: a request to power down returns like one that was woken at once (5.4.4).
static enum exit_action psci_cpu_suspend(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_IDLE};

    if ((uint32_t)f->x[1] & POWER_STATE_RESERVED) {
        return answer(f, PSCI_INVALID_PARAMETERS);
    }
    f->x[0] = PSCI_SUCCESS;
    return upcall(f, &e);
}

static enum exit_action psci_cpu_off(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_CPU_OFF};

    f->x[0] = (uint64_t)PSCI_DENIED; // if it comes back, it was refused
    return upcall(f, &e);
}

static int64_t cpu_on_result(int64_t status)
{
    switch (status) {
    case OK:
        return PSCI_SUCCESS;
    case -E_STATE:
        return PSCI_ALREADY_ON;
    case -E_BUSY:
        return PSCI_ON_PENDING;
    case -E_NOENT:
        return PSCI_INVALID_PARAMETERS;
    case -E_RANGE:
        return PSCI_INVALID_ADDRESS;
    default:
        return PSCI_INTERNAL_FAILURE;
    }
}

static enum exit_action psci_cpu_on(struct guest_frame *f)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_CPU_ON,
        .cpu_on = {.target = f->x[1], .entry = f->x[2], .arg = f->x[3], .result = -E_NOENT},
    };
    enum exit_action action = upcall(f, &e);

    f->x[0] = (uint64_t)cpu_on_result(e.cpu_on.result);
    return action;
}

static enum exit_action psci_affinity_info(struct guest_frame *f)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = VCPU_CALL_CPU_STATE, .args = {f->x[1]}},
    };

    if (f->x[2] != 0) { // only affinity level 0
        return answer(f, PSCI_INVALID_PARAMETERS);
    }
    enum exit_action action = upcall(f, &e);
    f->x[0] = e.hypercall.handled ? e.hypercall.result[0] : (uint64_t)PSCI_INVALID_PARAMETERS;
    return action;
}

static enum exit_action psci_migrate_info(struct guest_frame *f)
{
    return answer(f, PSCI_MIGRATE_NOT_NEEDED);
}

static enum exit_action psci_system_off(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_POWEROFF};

    f->x[0] = (uint64_t)PSCI_INTERNAL_FAILURE;
    return upcall(f, &e);
}

static enum exit_action psci_system_reset(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_RESET};

    f->x[0] = (uint64_t)PSCI_INTERNAL_FAILURE;
    return upcall(f, &e);
}

static enum exit_action psci_system_reset2(struct guest_frame *f)
{
    return (uint32_t)f->x[1] == RESET_WARM ? psci_system_reset(f) : answer(f, PSCI_INVALID_PARAMETERS);
}

static enum exit_action psci_features(struct guest_frame *f);

// By function number; `wide`: exists as SMC64 too.
static const struct psci_call {
    call_handler handler;
    bool wide;
} psci_calls[PSCI_CALL_COUNT] = {
    [0x00] = {psci_version, false},      [0x01] = {psci_cpu_suspend, true},
    [0x02] = {psci_cpu_off, false},      [0x03] = {psci_cpu_on, true},
    [0x04] = {psci_affinity_info, true}, [0x06] = {psci_migrate_info, false},
    [0x08] = {psci_system_off, false},   [0x09] = {psci_system_reset, false},
    [0x0A] = {psci_features, false},     [0x12] = {psci_system_reset2, true},
};

static const struct psci_call *psci_find(uint32_t function)
{
    uint32_t n = function & (PSCI_CALL_COUNT - 1);
    uint32_t base = function & ~(PSCI_CALL_COUNT - 1);

    if ((base != PSCI_BASE_32 && base != PSCI_BASE_64) || !psci_calls[n].handler) {
        return NULL;
    }
    return base == PSCI_BASE_32 || psci_calls[n].wide ? &psci_calls[n] : NULL;
}

static enum exit_action psci_features(struct guest_frame *f)
{
    uint32_t function = (uint32_t)f->x[1];

    return answer(f, function == SMCCC_VERSION || psci_find(function) ? PSCI_SUCCESS : SMCCC_NOT_SUPPORTED);
}

static enum exit_action smccc_other(struct guest_frame *f, uint32_t function)
{
    if (function == SMCCC_VERSION) {
        return answer(f, SMCCC_VERSION_1_2);
    }
    if (function == SMCCC_ARCH_FEATURES) {
        uint32_t asked = (uint32_t)f->x[1];
        bool known = asked == SMCCC_VERSION || asked == SMCCC_ARCH_FEATURES || smccc_service_known(asked);
        return answer(f, known ? 0 : SMCCC_NOT_SUPPORTED);
    }
    if (smccc_service_known(function)) {
        smccc_service(f, function);
        return EXIT_RESUME;
    }
    return answer(f, SMCCC_NOT_SUPPORTED);
}

enum exit_action exit_smccc(struct guest_frame *f, uint64_t esr, bool full)
{
    uint32_t function = (uint32_t)f->x[0];
    const struct psci_call *call = psci_find(function);

    (void)full;
    if (ESR_EC(esr) == EC_SMC64) { // a trapped SMC has not been passed yet, HVC has
        frame_skip(f);
    }
    if ((esr & 0xFFFF) != 0) { // SMCCC wants immediate 0
        return answer(f, SMCCC_NOT_SUPPORTED);
    }
    if (!call) {
        return smccc_other(f, function);
    }
    if (function < PSCI_BASE_64) { // SMC32: parameters are 32 bits wide
        f->x[1] = (uint32_t)f->x[1];
        f->x[2] = (uint32_t)f->x[2];
        f->x[3] = (uint32_t)f->x[3];
    }
    return call->handler(f);
}
