// SPDX-License-Identifier: Apache-2.0
//
// Simulated CPUs and contexts.
//
// A context is a fiber: a ucontext with a real stack of its own (the simulated 16 KiB ones are too small for the
// sanitizers). A simulated CPU is whatever fiber runs on it; switching CPUs is switching fibers without telling anybody.
#include "arch/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/boot.h"
#include "arch/host/machine.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifndef HAVE_ASAN
#define HAVE_ASAN 0
#endif

#if HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

struct host_machine host_m;
struct host_cpu_public *host_cpu_now = &host_m.cpu[0].pub;

static struct host_fiber main_fiber;
static struct host_fiber *fibers; // all others, also unused ones
static bool panicked;             // on another fiber: main() is to jump to its catch point

// ---- fibers ---------------------------------------------------------------------------------------------------------

static void fiber_switch(struct host_fiber *from, struct host_fiber *to)
{
    if (from == to) {
        return;
    }
    __sanitizer_start_switch_fiber(&from->asan_fake, to->stack, to->size);
    if (swapcontext(&from->uc, &to->uc) != 0) {
        abort();
    }
    __sanitizer_finish_switch_fiber(from->asan_fake, NULL, NULL);
    if (panicked && from == &main_fiber) {
        panicked = false;
        longjmp(*host_panic_target, 1);
    }
}

static void fiber_main(void)
{
    struct host_fiber *f = host_this()->fiber;

    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    f->entry(f->arg);
    abort(); // contexts never return
}

static struct host_fiber *fiber_get(void *key)
{
    struct host_fiber *f = fibers;

    while (f != NULL && f->key != key) {
        f = f->next;
    }
    if (f == NULL) {
        f = calloc(1, sizeof(*f));
        f->key = key;
        f->size = HOST_STACK;
        f->stack =
            mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        f->next = fibers;
        fibers = f;
    }
    return f;
}

static struct host_fiber *fiber_make(void *key, void (*entry)(void *), void *arg)
{
    struct host_fiber *f = fiber_get(key);

    ASAN_UNPOISON_MEMORY_REGION(f->stack, f->size);
    f->entry = entry;
    f->arg = arg;
    (void)getcontext(&f->uc);
    f->uc.uc_stack.ss_sp = f->stack;
    f->uc.uc_stack.ss_size = f->size;
    f->uc.uc_link = NULL;
    makecontext(&f->uc, fiber_main, 0);
    return f;
}

// The bounds of main()'s stack, which the address sanitizer wants to know when we return to it.
static void main_fiber_setup(void)
{
    pthread_attr_t attr;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &main_fiber.stack, &main_fiber.size);
        (void)pthread_attr_destroy(&attr);
    }
}

// ---- which CPU runs -------------------------------------------------------------------------------------------------

static void cpu_resume(unsigned index)
{
    struct host_fiber *from = host_this()->fiber;

    host_m.current = index;
    host_cpu_now = &host_m.cpu[index].pub;
    fiber_switch(from, host_m.cpu[index].fiber);
}

static bool has_work(unsigned index)
{
    const struct host_cpu *c = &host_m.cpu[index];

    return c->started && !c->halted && (!c->idle || host_irq_deliverable_on(index));
}

bool host_cpu_run_other(void)
{
    for (unsigned i = 1; i < host_m.cpu_count; i++) {
        unsigned other = (host_m.current + i) % host_m.cpu_count;

        if (has_work(other)) {
            cpu_resume(other);
            return true;
        }
    }
    return false;
}

void host_cpu_yield(void)
{
    while (host_cpu_run_other()) {
    }
}

unsigned host_cpu_index(void)
{
    return host_m.current;
}

void host_interleave(unsigned seed, unsigned one_in)
{
    host_m.seed = seed;
    host_m.interleave_in = one_in;
}

void host_interleave_point(void)
{
    if (host_m.interleave_in == 0) {
        return;
    }
    host_m.seed = host_m.seed * 1664525u + 1013904223u;
    if ((host_m.seed >> 16) % host_m.interleave_in == 0) {
        (void)host_cpu_run_other();
    }
}

void host_cpu_reset(unsigned cpus)
{
    memset(&host_m, 0, sizeof(host_m));
    host_m.cpu_count = cpus;
    for (unsigned i = 0; i < HOST_CPU_MAX; i++) {
        host_m.cpu[i].deadline = UINT64_MAX;
        host_m.cpu[i].pub.masked = true;
    }
    main_fiber_setup();
    host_m.cpu[0].fiber = &main_fiber;
    host_m.cpu[0].started = true;
    host_cpu_now = &host_m.cpu[0].pub;
}

// ---- the contract ---------------------------------------------------------------------------------------------------

void arch_set_this_cpu(struct cpu *cpu)
{
    host_cpu_now->this_cpu = cpu;
}

void arch_cpu_init(void)
{
}

static void secondary_entry(void *arg)
{
    kernel_secondary_main((unsigned)(uintptr_t)arg);
}

enum status arch_cpu_start(const struct cpu_start *start)
{
    struct host_cpu *c;

    if (start->hw_id >= host_m.cpu_count) {
        return E_NOENT;
    }
    c = &host_m.cpu[start->hw_id];
    if (c->started) {
        return E_EXISTS;
    }
    c->fiber = fiber_make(start->stack_top, secondary_entry, (void *)(uintptr_t)start->index);
    c->started = true;
    return OK;
}

void arch_cpu_idle(void)
{
    struct host_cpu *me = host_this();

    me->idle = true;
    while (!host_irq_deliverable_on(host_m.current)) {
        uint64_t next;

        if (host_cpu_run_other()) {
            continue;
        }
        // Everybody idles: time passes until the next timer.
        next = host_next_deadline();
        if (next == UINT64_MAX) {
            fprintf(stderr, "host: all CPUs idle and no timer armed\n");
            host_console_dump();
            abort();
        }
        host_m.now = next > host_m.now ? next : host_m.now;
    }
    me->idle = false;
}

void arch_cpu_relax(void)
{
    host_m.now += 16;
    (void)host_cpu_run_other();
    if (!host_cpu_now->masked) {
        host_irq_unmasked();
    }
}

[[gnu::noreturn]] void arch_cpu_halt(void)
{
    if (host_panic_target != NULL) {
        struct host_fiber *from = host_this()->fiber;

        host_m.current = 0;
        host_cpu_now = &host_m.cpu[0].pub;
        host_this()->fiber = &main_fiber;
        if (from == &main_fiber) {
            longjmp(*host_panic_target, 1);
        }
        panicked = true;
        fiber_switch(from, &main_fiber);
    }
    host_this()->halted = true;
    if (host_m.current != 0) {
        // A CPU that stopped for IPI_STOP: the others go on.
        (void)host_cpu_run_other();
    }
    host_console_dump();
    abort();
}

void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg)
{
    ctx->fiber = fiber_make(stack_top, entry, arg);
}

void arch_context_switch(struct arch_context *from, struct arch_context *to)
{
    struct host_cpu *me = host_this();

    from->fiber = me->fiber;
    me->fiber = to->fiber;
    fiber_switch(from->fiber, to->fiber);
}

void arch_backtrace(const void *frame, uintptr_t stack_lo, uintptr_t stack_hi,
                    void (*emit)(uintptr_t pc, void *ctx), void *ctx)
{
    const uintptr_t *f = frame != NULL ? frame : __builtin_frame_address(0);

    for (unsigned n = 0; n < 32; n++) {
        uintptr_t at = (uintptr_t)f;

        if (at < stack_lo || at > stack_hi - 2 * sizeof(*f) || at % sizeof(*f) != 0 || f[0] <= at) {
            return;
        }
        emit(f[1], ctx);
        f = (const uintptr_t *)f[0];
    }
}

uint32_t arch_port_read(uint16_t port, unsigned size)
{
    (void)port;
    return UINT32_MAX >> (32 - 8 * size);
}

void arch_port_write(uint16_t port, unsigned size, uint32_t v)
{
    (void)port;
    (void)size;
    (void)v;
}

const char *arch_cpu_describe(void)
{
    return "simulated CPU";
}
