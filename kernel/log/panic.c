// SPDX-License-Identifier: Apache-2.0
//
// panic: our own bugs only. Takes no lock, trusts as little as it can, and says where it happened.
#include <stdio.h>

#include "arch/boot.h"
#include "arch/cpu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/log/symbols.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"

static _Atomic unsigned panic_count;
static void (*panic_action)(void);

void panic_set_action(void (*action)(void))
{
    panic_action = action;
}

static void raw_line(const char *text)
{
    const struct log_sink *sink = log_get_sink();

    if (sink != NULL) {
        sink->line(LOG_ERR, text, true);
        return;
    }
    for (; *text != '\0'; text++) {
        arch_early_putc(*text);
    }
    arch_early_putc('\n');
}

static void frame_line(uintptr_t pc, void *ctx)
{
    unsigned *n = ctx;
    char line[128];
    char name[SYMBOL_NAME_MAX] = "?";
    uint64_t offset = 0;
    bool found = symbol_find(pc - 1, name, &offset);

    (void)snprintf(line, sizeof(line), "  #%u %#llx %s+%#llx", (*n)++, (unsigned long long)pc, name,
                   (unsigned long long)(found ? offset + 1 : 0));
    raw_line(line);
}

void panic_backtrace(const void *frame)
{
    const struct cpu *cpu = arch_this_cpu();
    const struct thread *t = cpu != NULL ? cpu->current : NULL;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    uintptr_t hi = here + STACK_SIZE;
    unsigned n = 0;

    if (t != NULL && t->stack_top != NULL && (uintptr_t)t->stack_top - here < STACK_SIZE) {
        hi = (uintptr_t)t->stack_top;
    }
    arch_backtrace(frame, here - STACK_SIZE, hi, frame_line, &n);
}

static void others_stop(void)
{
    struct cpu *cpu = arch_this_cpu();

    if (cpu != NULL && irq_chip() != NULL) {
        cpu->in_panic = true;
        ipi_send_all_but_self(IPI_STOP);
    }
}

[[gnu::noreturn]] void panic(const char *fmt, ...)
{
    char line[LOG_LINE_MAX];
    const struct cpu *cpu;
    va_list ap;

    arch_irq_disable();
    cpu = arch_this_cpu();
    // A panic in a panic, or on a second CPU, says nothing more.
    if (atomic_fetch_add_explicit(&panic_count, 1, memory_order_relaxed) > 0) {
        arch_cpu_halt();
    }
    others_stop();
    (void)snprintf(line, sizeof(line), "PANIC on cpu %u%s%s", cpu != NULL ? cpu->index : 0,
                   cpu != NULL && cpu->current != NULL ? ", thread " : "",
                   cpu != NULL && cpu->current != NULL ? cpu->current->name : "");
    raw_line(line);
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    raw_line(line);
    panic_backtrace(NULL);
    if (panic_action != NULL) {
        panic_action();
    }
    arch_cpu_halt();
}

void panic_reset(void)
{
    atomic_store_explicit(&panic_count, 0, memory_order_relaxed);
}
