// SPDX-License-Identifier: Apache-2.0
//
// The guest's firmware interface: what its files share (SBI 2.0). No call is passed on to the real firmware as it is.
#pragma once

#include <asm/sbi.h>
#include <asm/virt.h>

#include "arch/riscv64/virt/exit.h"
#include "arch/riscv64/virt/sbi_args.h"

// One extension; gets the function in a6, arguments in a0 to a5, and answers with sbi_answer().
typedef enum exit_action (*sbi_handler)(struct guest_frame *f);

#define SBI_A(n) (10 + (n)) // frame index of register a<n>

static inline enum exit_action sbi_answer(struct guest_frame *f, int64_t error, uint64_t value)
{
    f->x[SBI_A(0)] = (uint64_t)error;
    f->x[SBI_A(1)] = value;
    return EXIT_RESUME;
}

enum exit_action sbi_ipi(struct guest_frame *f);
enum exit_action sbi_rfence_ext(struct guest_frame *f);
enum exit_action sbi_hsm(struct guest_frame *f);
enum exit_action sbi_dbcn(struct guest_frame *f);
enum exit_action sbi_legacy(struct guest_frame *f, uint64_t call);

// The work of the two, also for the legacy calls. `harts` has been resolved.
void sbi_send_ipis(struct guest_frame *f, uint64_t harts);
void sbi_fence_harts(struct guest_frame *f, uint64_t harts, const struct sbi_fence *fence);
