// SPDX-License-Identifier: Apache-2.0
//
// Two vCPUs that send each other an SGI in turn and sleep in between.
#include "guests/bench/aarch64/bench_ops.h"

#define PSCI_CPU_ON_64 0xc4000003u
#define STACK_SIZE 4096u

// Both sides' own instructions are alike but for one.
const unsigned pair_own = LOOP_OWN + COUNT_HANDLER_OWN + 5; // wfi, daifclr, daifset, cmp, b.eq
static char second_stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile bool second_up;

// Sends, then sleeps until the answer has been counted; `n` times.
uint64_t pair_turns(uint64_t n)
{
    uint64_t t0, t1, sgi = SGI_OF(SGI_INTID, 1);

    MARK(MARK_BEGIN);
    __asm__ volatile("mov x20, #0\n\tmov x21, #0\n\tisb\n\tmrs %[t0], cntvct_el0\n"
                     "1:\n\tmsr S3_0_C12_C11_5, %[sgi]\n"
                     "2:\n\twfi\n\tmsr daifclr, #2\n\tmsr daifset, #2\n\tcmp x20, x21\n\tb.eq 2b\n\t"
                     "mov x21, x20\n\tsubs %[n], %[n], #1\n\tb.ne 1b\n\tmrs %[t1], cntvct_el0"
                     : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n)
                     : [sgi] "r"(sgi)
                     : SCRATCH, "x20", "x21");
    MARK(MARK_END);
    return t1 - t0;
}

// Answers for ever.
_Noreturn void second_main(void);
void second_main(void)
{
    irq_setup();
    irq_enable_line(SGI_INTID);
    vectors_use(vectors_count);
    second_up = true;
    __asm__ volatile("mov x20, #0\n\tmov x21, #0\n"
                     "2:\n\twfi\n\tmsr daifclr, #2\n\tmsr daifset, #2\n\tcmp x20, x21\n\tb.eq 2b\n\t"
                     "mov x21, x20\n\tmsr S3_0_C12_C11_5, %[sgi]\n\tb 2b"
                     :
                     : [sgi] "r"(SGI_OF(SGI_INTID, 0)));
    __builtin_unreachable();
}

bool pair_begin(void)
{
    irq_enable_line(SGI_INTID);
    if (firmware_call(PSCI_CPU_ON_64, 1, (uintptr_t)second_entry, (uintptr_t)second_stack + STACK_SIZE) !=
        0) {
        return false;
    }
    while (!second_up) {
    }
    vectors_use(vectors_count);
    return true;
}

void pair_end(void)
{
    vectors_use(vectors);
}
