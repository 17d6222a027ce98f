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

// ---- interrupts ----------------------------------------------------------------------------------------------------

__attribute__((noinline)) static void send_to_others(struct guest_frame *f, uint64_t harts)
{
    for (; harts; harts &= harts - 1) {
        struct arch_vcpu *target = f->vcpu->vm->harts[__builtin_ctzll(harts)];
        struct vcpu_exit e = {
            .kind = VCPU_EXIT_HYPERCALL,
            .hypercall = {.function = VCPU_CALL_KICK, .args = {arch_vcpu_hw_id(target)}},
        };

        irq_post(target, IRQ_SSI);
        f->vcpu->up->exit(f->vcpu, &e);
    }
}

void sbi_send_ipis(struct guest_frame *f, uint64_t harts)
{
    uint64_t self = BIT64(f->vcpu->index);

    if (harts & self) {
        csr_set(hvip, BIT64(IRQ_VSSI));
    }
    if (harts & ~self) {
        send_to_others(f, harts & ~self);
    }
}

enum exit_action sbi_ipi(struct guest_frame *f)
{
    struct sbi_harts set = {f->x[SBI_A(0)], f->x[SBI_A(1)]};
    uint64_t harts;

    if (f->x[SBI_A(6)] != 0) {
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (!sbi_harts_resolve(f->vcpu->vm->present, set, &harts)) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    sbi_send_ipis(f, harts);
    return sbi_answer(f, SBI_SUCCESS, 0);
}

// ---- fences --------------------------------------------------------------------------------------------------------

// HFENCE.VVMA works on the VMID in hgatp: this guest's.
static inline void hfence_vvma(uint64_t va, uint64_t asid, bool by_asid)
{
    if (by_asid) {
        asm volatile(".option push\n\t.option arch, +h\n\thfence.vvma %0, %1\n\t.option pop" ::"r"(va),
                     "r"(asid)
                     : "memory");
    } else {
        asm volatile(".option push\n\t.option arch, +h\n\thfence.vvma %0\n\t.option pop" ::"r"(va)
                     : "memory");
    }
}

__attribute__((noinline)) static void fence_self_range(const struct sbi_fence *fence)
{
    uint64_t va = align_down(fence->start, PAGE_SIZE);

    for (uint64_t pages = sbi_fence_pages(fence); pages; pages--, va += PAGE_SIZE) {
        hfence_vvma(va, fence->asid, fence->fn == SBI_RFENCE_VMA_ASID);
    }
}

static inline void fence_self(const struct sbi_fence *fence)
{
    if (fence->fn == SBI_RFENCE_I) {
        asm volatile("fence.i" ::: "memory");
    } else if (fence->size <= SBI_FENCE_RANGE_MAX) {
        fence_self_range(fence);
    } else {
        arch_tlb_flush_guest_local();
    }
}

// Fences through the firmware below reach a core even while it has interrupts masked; they work on the VMID of hgatp here,
// which is this guest's. What a hart that is loaded nowhere left in the TLB of its last core goes the same way; on any other
// core its arrival flushes (virt/vcpu.c).
__attribute__((noinline)) static void fence_others(const struct arch_vm *vm, uint64_t harts,
                                                   const struct sbi_fence *fence)
{
    static const uint64_t host_fn[] = {SBI_RFENCE_I, SBI_RFENCE_VVMA, SBI_RFENCE_VVMA_ASID};
    uint64_t base = 0;
    uint64_t mask = 0;

    for (; harts; harts &= harts - 1) {
        struct arch_vcpu *target = vm->harts[__builtin_ctzll(harts)];
        struct cpu *cpu = cpu_get(atomic_load_explicit(&target->cpu, memory_order_relaxed));

        if (!cpu) {
            continue; // it has never run
        }
        if (mask && (cpu->hw_id < base || cpu->hw_id - base >= MASK_BITS)) {
            sbi_rfence(host_fn[fence->fn], mask, base, fence->start, fence->size, fence->asid);
            mask = 0;
        }
        base = mask ? base : cpu->hw_id & ~(uint64_t)(MASK_BITS - 1);
        mask |= BIT64(cpu->hw_id - base);
    }
    if (mask) {
        sbi_rfence(host_fn[fence->fn], mask, base, fence->start, fence->size, fence->asid);
    }
}

__attribute__((no_stack_protector)) void sbi_fence_harts(struct guest_frame *f, uint64_t harts,
                                                         const struct sbi_fence *fence)
{
    uint64_t self = BIT64(f->vcpu->index);

    if (harts & self) {
        fence_self(fence);
    }
    atomic_thread_fence(memory_order_seq_cst); // pairs with the one in arch_vcpu_load()
    if (harts & ~self) {
        fence_others(f->vcpu->vm, harts & ~self, fence);
    }
}

__attribute__((no_stack_protector)) enum exit_action sbi_rfence_ext(struct guest_frame *f)
{
    struct sbi_harts set = {f->x[SBI_A(0)], f->x[SBI_A(1)]};
    struct sbi_fence fence = {.fn = f->x[SBI_A(6)],
                              .start = f->x[SBI_A(2)],
                              .size = f->x[SBI_A(3)],
                              .asid = f->x[SBI_A(4)] & SBI_ASID_MASK};
    uint64_t harts;

    if (fence.fn > SBI_RFENCE_VMA_ASID) { // the others are for guests with guests
        return sbi_answer(f, SBI_ERR_NOT_SUPPORTED, 0);
    }
    if (!sbi_harts_resolve(f->vcpu->vm->present, set, &harts)) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    sbi_fence_clamp(&fence);
    sbi_fence_harts(f, harts, &fence);
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

static bool guest_may_run(struct guest_frame *f, uint64_t at)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_HYPERCALL,
        .hypercall = {.function = VCPU_CALL_CODE_CHECK, .args = {at}},
    };

    exit_upcall(f, &e);
    return e.hypercall.handled;
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

// Retentive suspend is WFI. The other kind loses the registers: the hart goes on at an address as after a start (9.4), with
// what interrupts it already pending.
static enum exit_action hart_suspend(struct guest_frame *f)
{
    uint64_t type = f->x[SBI_A(0)], entry = f->x[SBI_A(1)], arg = f->x[SBI_A(2)];

    if (type != HSM_SUSPEND_RETENTIVE && type != HSM_SUSPEND_NON_RETENTIVE) {
        return sbi_answer(f, SBI_ERR_INVALID_PARAM, 0);
    }
    if (type == HSM_SUSPEND_NON_RETENTIVE && !guest_may_run(f, entry)) {
        return sbi_answer(f, SBI_ERR_INVALID_ADDRESS, 0);
    }
    sbi_answer(f, SBI_SUCCESS, 0);
    guest_wait(f);
    if (type == HSM_SUSPEND_NON_RETENTIVE) {
        csr_write(vsatp, 0);
        csr_clear(vsstatus, SSTATUS_SIE);
        f->pc = entry;
        f->hstatus |= HSTATUS_SPVP;
        f->x[SBI_A(0)] = f->vcpu->index;
        f->x[SBI_A(1)] = arg;
    }
    return EXIT_RESUME;
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
