// SPDX-License-Identifier: Apache-2.0
//
// The console of the firmware interface, and the legacy calls, whose result is a0 alone (SBI 2.0, chapters 5 and 12).
// Legacy calls 4 to 7 take the guest virtual address of their hart mask.
#include "arch/riscv64/virt/sbi.h"

#define DBCN_WRITE 0
#define DBCN_READ 1
#define DBCN_WRITE_BYTE 2
#define NO_CHARACTER UINT64_MAX

bool guest_load64(uint64_t va, uint64_t *out);

// Hands bytes of guest memory, or one byte, to the core. Returns what was taken.
static struct vcpu_exit console_call(struct guest_frame *f, uint64_t function, uint64_t a0, uint64_t a1)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = function, .args = {a0, a1}},
    };

    f->vcpu->up->exit(f->vcpu, &e);
    return e;
}

enum exit_action sbi_dbcn(struct guest_frame *f)
{
    uint64_t fn = f->x[SBI_A(6)];
    uint64_t count = f->x[SBI_A(0)];
    struct vcpu_exit e;

    switch (fn) {
    case DBCN_WRITE:
    case DBCN_READ:
        if (f->x[SBI_A(2)] != 0) { // the upper half of the address
            return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
        }
        e = console_call(f, fn == DBCN_WRITE ? VCPU_CALL_CONSOLE_WRITE : VCPU_CALL_CONSOLE_READ,
                         f->x[SBI_A(1)], count);
        break;
    case DBCN_WRITE_BYTE:
        e = console_call(f, VCPU_CALL_CONSOLE_PUTC, count & 0xFF, 0);
        e.hypercall.result[0] = 0;
        break;
    default:
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    return e.hypercall.handled ? sbi_answer(f, SBI_SUCCESS, e.hypercall.result[0])
                               : sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
}

// The harts of a mask in guest memory; those that do not exist are left out, since nothing can be answered. A null pointer
// means all. False when the guest cannot read it itself.
static bool legacy_harts(struct guest_frame *f, uint64_t *out)
{
    uint64_t mask = UINT64_MAX;

    if (f->x[SBI_A(0)] != 0 && !guest_load64(f->x[SBI_A(0)], &mask)) {
        return false;
    }
    *out = mask & f->vcpu->vm->present;
    return true;
}

static enum exit_action legacy_result(struct guest_frame *f, uint64_t result)
{
    f->x[SBI_A(0)] = result;
    return EXIT_RESUME;
}

// The ranges that come with the fences are not looked at: everything goes.
static enum exit_action legacy_to_harts(struct guest_frame *f, uint64_t call)
{
    struct sbi_fence fence = {.fn = call - SBI_LEGACY_FENCE_I + SBI_RFENCE_I,
                              .size = UINT64_MAX,
                              .asid = f->x[SBI_A(3)] & SBI_ASID_MASK};
    uint64_t harts;

    if (!legacy_harts(f, &harts)) {
        return legacy_result(f, (uint64_t)SBI_ERR_INVALID_ADDRESS);
    }
    if (call == SBI_LEGACY_SEND_IPI) {
        sbi_send_ipis(f, harts);
    } else {
        sbi_fence_harts(f, harts, &fence);
    }
    return legacy_result(f, 0);
}

enum exit_action sbi_legacy(struct guest_frame *f, uint64_t call)
{
    struct vcpu_exit off = {.kind = VCPU_EXIT_POWEROFF};
    struct vcpu_exit e;

    switch (call) {
    case SBI_LEGACY_SET_TIMER:
        vtimer_set(f->vcpu, f->x[SBI_A(0)]);
        return legacy_result(f, 0);
    case SBI_LEGACY_PUTCHAR:
        console_call(f, VCPU_CALL_CONSOLE_PUTC, f->x[SBI_A(0)] & 0xFF, 0);
        return legacy_result(f, 0);
    case SBI_LEGACY_GETCHAR:
        e = console_call(f, VCPU_CALL_CONSOLE_GETC, 0, 0);
        return legacy_result(f, e.hypercall.handled ? e.hypercall.result[0] : NO_CHARACTER);
    case SBI_LEGACY_CLEAR_IPI:
        csr_clear(hvip, BIT64(IRQ_VSSI));
        return legacy_result(f, 0);
    case SBI_LEGACY_SHUTDOWN:
        return exit_upcall(f, &off);
    default:
        return legacy_to_harts(f, call);
    }
}
