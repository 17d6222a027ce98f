// SPDX-License-Identifier: Apache-2.0
//
// Two vCPUs that send each other an IPI in turn and sleep in between.
#include "guests/bench/riscv64/bench_ops.h"

#define STACK_SIZE 4096u

// Both sides' own instructions are alike but for one.
const unsigned pair_own = LOOP_OWN + IPI_HANDLER_OWN + 6; // mv, li, wfi, csrsi, csrci, beq
static char second_stack[STACK_SIZE] __attribute__((aligned(16)));
static uint64_t old_vectors;

// Sends, then sleeps until the answer has been counted; `n` times.
uint64_t pair_turns(uint64_t n)
{
    register uint64_t r6 __asm__("a6") = 0;
    register uint64_t r7 __asm__("a7") = SBI_IPI;
    uint64_t t0, t1, other = UINT64_C(2) >> boot_hart;

    MARK(MARK_BEGIN);
    __asm__ volatile("li s4, 0\n\tli s5, 0\n\tcsrr %[t0], cycle\n"
                     "1:\n\tmv a0, %[other]\n\tli a1, 0\n\tecall\n"
                     "2:\n\twfi\n\tcsrsi sstatus, 2\n\tcsrci sstatus, 2\n\tbeq s4, s5, 2b\n\t"
                     "mv s5, s4\n\taddi %[n], %[n], -1\n\tbnez %[n], 1b\n\tcsrr %[t1], cycle"
                     : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n)
                     : [other] "r"(other), "r"(r6), "r"(r7)
                     : SCRATCH, "s4", "s5");
    MARK(MARK_END);
    return t1 - t0;
}

// Says that it is there, then answers for ever.
_Noreturn void second_main(void);
void second_main(void)
{
    register uint64_t r6 __asm__("a6") = 0;
    register uint64_t r7 __asm__("a7") = SBI_IPI;

    vectors_use((uintptr_t)vectors_ipi);
    write_csr("sie", SIE_SSI);
    __asm__ volatile("li s4, 0\n\tli s5, 0\n\tmv a0, %[other]\n\tli a1, 0\n\tecall\n"
                     "2:\n\twfi\n\tcsrsi sstatus, 2\n\tcsrci sstatus, 2\n\tbeq s4, s5, 2b\n\t"
                     "mv s5, s4\n\tmv a0, %[other]\n\tli a1, 0\n\tecall\n\tj 2b"
                     :
                     : [other] "r"(UINT64_C(1) << boot_hart), "r"(r6), "r"(r7));
    __builtin_unreachable();
}

bool pair_begin(void)
{
    uint64_t stack = (uintptr_t)second_stack + STACK_SIZE;

    // Harts 0 and 1, whichever of them the firmware chose to boot.
    if (sbi_call(SBI_HSM, 0, 1 - boot_hart, (uintptr_t)second_entry, stack, 0).error != 0) {
        return false;
    }
    // Asleep: QEMU's one thread may not let another hart run while this one computes.
    set_csr("sie", SIE_SSI);
    while (!(read_csr("sip") & SIE_SSI)) {
        __asm__ volatile("wfi");
    }
    clear_csr("sip", SIE_SSI);
    old_vectors = vectors_use((uintptr_t)vectors_ipi);
    return true;
}

void pair_end(void)
{
    clear_csr("sie", SIE_SSI);
    vectors_use(old_vectors);
}
