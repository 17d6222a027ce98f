// SPDX-License-Identifier: Apache-2.0
//
// The guest's calls about its other harts: interrupts, fences, start and stop (SBI 2.0, chapters 7, 8, 9). A hart is
// reached only on the core where it lives, and only this guest's.
#include <stdatomic.h>

#include "arch/mmu.h"
#include "arch/riscv64/virt/sbi.h"
#include "kernel/cpu/cpu.h"

#define MASK_BITS 64u
#define HSM_STARTED 0
#define HSM_STOPPED 1
#define HSM_START_PENDING 2
#define HSM_SUSPEND_RETENTIVE 0x00000000u
#define HSM_SUSPEND_NON_RETENTIVE 0x80000000u

static uint64_t all_harts(const struct arch_vm *vm)
{
    return MASK64(0, vm->hart_count);
}

bool sbi_harts_resolve(const struct arch_vm *vm, struct sbi_harts set, uint64_t *out)
{
    uint64_t all = all_harts(vm);

    if (set.base == SBI_ALL_HARTS) {
        *out = all;
        return true;
    }
    if (set.mask == 0) {
        *out = 0;
        return true;
    }
    // No hart id reaches 64, so a base beyond that, or bits shifted out, name harts that do not exist.
    if (set.base >= MASK_BITS || (set.base && set.mask >> (MASK_BITS - set.base))) {
        return false;
    }
    *out = set.mask << set.base;
    return (*out & ~all) == 0;
}

// ---- interrupts ----------------------------------------------------------------------------------------------------

void sbi_send_ipis(struct guest_frame *f, uint64_t harts)
{
    struct arch_vm *vm = f->vcpu->vm;

    if (harts >> f->vcpu->index & 1) {
        csr_set(hvip, BIT64(IRQ_VSSI));
        harts &= ~BIT64(f->vcpu->index);
    }
    for (; harts; harts &= harts - 1) {
        struct arch_vcpu *target = vm->harts[__builtin_ctzll(harts)];
        struct vcpu_exit e = {
            .kind = VCPU_EXIT_HYPERCALL,
            .hypercall = {.function = VCPU_CALL_KICK, .args = {arch_vcpu_hw_id(target)}},
        };

        irq_post(target, IRQ_SSI);
        f->vcpu->up->exit(f->vcpu, &e);
    }
}

enum exit_action sbi_ipi(struct guest_frame *f)
{
    struct sbi_harts set = {f->x[SBI_A(0)], f->x[SBI_A(1)]};
    uint64_t harts;

    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (!sbi_harts_resolve(f->vcpu->vm, set, &harts)) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    sbi_send_ipis(f, harts);
    return sbi_answer(f, SBI_SUCCESS, 0);
}

// ---- fences --------------------------------------------------------------------------------------------------------

static void fence_self(uint64_t fn)
{
    if (fn == SBI_RFENCE_I) {
        asm volatile("fence.i" ::: "memory");
    } else {
        arch_tlb_flush_guest_local();
    }
}

// Fences through the firmware below reach a core even while it has interrupts masked; they work on the VMID of hgatp here,
// which is this guest's. What a hart that is loaded nowhere left in the TLB of its last core goes the same way; on any other
// core its arrival flushes (virt/vcpu.c).
void sbi_fence_harts(struct guest_frame *f, uint64_t harts, uint64_t fn, const uint64_t range[3])
{
    static const uint64_t host_fn[] = {SBI_RFENCE_I, SBI_RFENCE_VVMA, SBI_RFENCE_VVMA_ASID};
    struct arch_vm *vm = f->vcpu->vm;
    uint64_t base = 0;
    uint64_t mask = 0;

    if (harts >> f->vcpu->index & 1) {
        fence_self(fn);
        harts &= ~BIT64(f->vcpu->index);
    }
    atomic_thread_fence(memory_order_seq_cst); // pairs with the one in arch_vcpu_load()
    for (; harts; harts &= harts - 1) {
        struct arch_vcpu *target = vm->harts[__builtin_ctzll(harts)];
        struct cpu *cpu = cpu_get(atomic_load_explicit(&target->cpu, memory_order_relaxed));

        if (!cpu) {
            continue; // it has never run
        }
        if (mask && (cpu->hw_id < base || cpu->hw_id - base >= MASK_BITS)) {
            sbi_rfence(host_fn[fn], mask, base, range[0], range[1], range[2]);
            mask = 0;
        }
        base = mask ? base : cpu->hw_id & ~(uint64_t)(MASK_BITS - 1);
        mask |= BIT64(cpu->hw_id - base);
    }
    if (mask) {
        sbi_rfence(host_fn[fn], mask, base, range[0], range[1], range[2]);
    }
}

enum exit_action sbi_rfence_ext(struct guest_frame *f)
{
    struct sbi_harts set = {f->x[SBI_A(0)], f->x[SBI_A(1)]};
    uint64_t fn = f->x[SBI_A(6)];
    uint64_t range[3] = {f->x[SBI_A(2)], f->x[SBI_A(3)], f->x[SBI_A(4)] & 0xFFFF};
    uint64_t harts;

    if (fn > SBI_RFENCE_VMA_ASID) { // the others are for guests with guests
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (!sbi_harts_resolve(f->vcpu->vm, set, &harts)) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    // Everything (size 0 with start 0, or size -1), and what wraps or takes the firmware long, is a full fence.
    if (range[1] == 0 || range[1] > MIB(1) || range[0] + range[1] < range[0]) {
        range[0] = 0;
        range[1] = UINT64_MAX;
    }
    sbi_fence_harts(f, harts, fn, range);
    return sbi_answer(f, SBI_SUCCESS, 0);
}

// ---- hart state ----------------------------------------------------------------------------------------------------

static enum exit_action hart_start(struct guest_frame *f)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_CPU_ON,
        .cpu_on = {.target = f->x[SBI_A(0)],
                   .entry = f->x[SBI_A(1)],
                   .arg = f->x[SBI_A(2)],
                   .result = -E_NOENT},
    };
    enum exit_action action = exit_upcall(f, &e);

    switch (e.cpu_on.result) {
    case OK:
        sbi_answer(f, SBI_SUCCESS, 0);
        break;
    case -E_STATE:
    case -E_BUSY:
        sbi_answer(f, SBI_ERR_ALREADY_AVAILABLE, 0);
        break;
    case -E_NOENT:
        sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
        break;
    case -E_RANGE:
        sbi_answer(f, SBI_ERR_INVALID_ADDRESS, 0);
        break;
    default:
        sbi_answer(f, SBI_ERR_FAILED, 0);
        break;
    }
    return action;
}

static enum exit_action hart_stop(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_CPU_OFF};

    sbi_answer(f, SBI_ERR_FAILED, 0); // if it comes back, it was refused
    return exit_upcall(f, &e);
}

static enum exit_action hart_status(struct guest_frame *f)
{
    static const uint64_t states[] = {HSM_STARTED, HSM_STOPPED, HSM_START_PENDING};
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = VCPU_CALL_CPU_STATE, .args = {f->x[SBI_A(0)]}},
    };
    enum exit_action action = exit_upcall(f, &e);

    if (!e.hypercall.handled) {
        sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    } else {
        sbi_answer(f, SBI_SUCCESS, states[e.hypercall.result[0] % ARRAY_SIZE(states)]);
    }
    return action;
}

// Retentive suspend is WFI. The other kind loses the registers and continues at an address; nobody needs it in a guest.
static enum exit_action hart_suspend(struct guest_frame *f)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_IDLE};
    uint32_t type = (uint32_t)f->x[SBI_A(0)];
    enum exit_action action;

    if (type != HSM_SUSPEND_RETENTIVE) {
        return sbi_answer(
            f, type == HSM_SUSPEND_NON_RETENTIVE ? SBI_ERR_NOT_SUPPORTED : SBI_ERR_INVALID_PARAM, 0);
    }
    sbi_answer(f, SBI_SUCCESS, 0);
    vtimer_watch(f->vcpu);
    action = exit_upcall(f, &e);
    vtimer_rest(f->vcpu);
    return action;
}

enum exit_action sbi_hsm(struct guest_frame *f)
{
    switch (f->x[SBI_A(6)]) {
    case SBI_HSM_START:
        return hart_start(f);
    case SBI_HSM_STOP:
        return hart_stop(f);
    case SBI_HSM_STATUS:
        return hart_status(f);
    case SBI_HSM_SUSPEND:
        return hart_suspend(f);
    default:
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
}
