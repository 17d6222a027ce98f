// SPDX-License-Identifier: Apache-2.0
//
// The guest's firmware interface: what its files share (SBI 2.0). No call is passed on to the real firmware as it is.
#pragma once

#include <asm/sbi.h>
#include <asm/virt.h>

#include "arch/riscv64/virt/exit.h"

// One extension; gets the function in a6, arguments in a0 to a5, and answers with sbi_answer().
typedef enum exit_action (*sbi_handler)(struct guest_frame *f);

#define SBI_A(n) (10 + (n)) // frame index of register a<n>

static inline enum exit_action sbi_answer(struct guest_frame *f, int64_t error, uint64_t value)
{
    f->x[SBI_A(0)] = (uint64_t)error;
    f->x[SBI_A(1)] = value;
    return EXIT_RESUME;
}

// A set of harts as the guest names it (SBI 2.0, 3.1): those of `mask` from `base` on, all when base is -1.
struct sbi_harts {
    uint64_t mask;
    uint64_t base;
};

// The guest's harts in the set as a bit mask by hart id; false when one of them does not exist (or the sum wraps). No hart id
// reaches 64, so a base beyond that, or bits shifted out, name harts that do not exist.
static inline bool sbi_harts_resolve(const struct arch_vm *vm, struct sbi_harts set, uint64_t *out)
{
    if (set.base < 64) {
        *out = set.mask << set.base;
        return *out >> set.base == set.mask && (*out & ~vm->present) == 0;
    }
    *out = set.base == SBI_ALL_HARTS ? vm->present : 0;
    return set.base == SBI_ALL_HARTS || set.mask == 0;
}

// A fence for other harts (SBI 2.0, 8): fn is SBI_RFENCE_I, _VMA or _VMA_ASID; start and size mean nothing for the first, and
// any size beyond the greatest means all of the address space.
#define SBI_FENCE_RANGE_MAX KIB(256)
#define SBI_ASID_MASK 0xFFFFu
struct sbi_fence {
    uint64_t fn, start, size, asid;
};

enum exit_action sbi_ipi(struct guest_frame *f);
enum exit_action sbi_rfence_ext(struct guest_frame *f);
enum exit_action sbi_hsm(struct guest_frame *f);
enum exit_action sbi_dbcn(struct guest_frame *f);
enum exit_action sbi_legacy(struct guest_frame *f, uint64_t call);

// The work of the two, also for the legacy calls. `harts` has been resolved.
void sbi_send_ipis(struct guest_frame *f, uint64_t harts);
void sbi_fence_harts(struct guest_frame *f, uint64_t harts, const struct sbi_fence *fence);
