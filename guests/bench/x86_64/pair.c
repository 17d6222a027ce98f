// SPDX-License-Identifier: Apache-2.0
//
// From the message of one vCPU to the handler of another, which sleeps alone on its core. The sender's way back and the
// receiver's end of interrupt are exits of their own; so each message is measured alone, both counters being one.
#include "guests/bench/x86_64/bench_ops.h"

#define STACK_SIZE 4096u
#define SETTLE 20000u // by then the receiver sleeps again

const unsigned pair_own = SEND_OWN;
static char second_stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile uint64_t taken_at;
static volatile bool second_up;

// QEMU lets another CPU run at each PAUSE.
static uint64_t one_message(void)
{
    uint64_t sent, settled = time_now() + SETTLE;

    while (time_now() < settled) {
        __builtin_ia32_pause();
    }
    taken_at = 0;
    __asm__ volatile(
        READ_COUNTER("%[sent]") "mov %[msr], %%ecx\n\tmov %[low], %%eax\n\tmov $1, %%edx\n\twrmsr"
        : [sent] "=&r"(sent)
        : [msr] "i"(MSR_X2APIC + APIC_ICR), [low] "i"(ICR_FIXED | VECTOR_BENCH)
        : "rax", "rcx", "rdx", "memory", "cc");
    while (!taken_at) {
        __builtin_ia32_pause();
    }
    return taken_at - sent;
}

// A turn is two messages.
uint64_t pair_turns(uint64_t n)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < 2 * n; i++) {
        sum += one_message();
    }
    return sum;
}

static void second_main(void *arg)
{
    (void)arg;
    second_up = true;
    for (;;) {
        register uint64_t taken __asm__("r13") = 0;

        __asm__ volatile("sti\n\thlt\n\tcli" : "+r"(taken) : : "rax", "rcx", "rdx", "r14", "memory", "cc");
        taken_at = taken;
    }
}

bool pair_begin(void)
{
    static const struct cpu_start start = {.stack_top = second_stack + STACK_SIZE, .entry = second_main};

    vector_use(vectors_stamp);
    if (cpu_start(1, &start) != CPU_STARTED) {
        return false;
    }
    while (!second_up) {
        __builtin_ia32_pause();
    }
    return true;
}

void pair_end(void)
{
}
