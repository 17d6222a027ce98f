// SPDX-License-Identifier: Apache-2.0
//
// The test's hand on the fake machine: memory, clock, interrupts, CPUs, scripted guests.
//
// A test process is a machine that is switched on before main(): 128 MiB of RAM, one CPU, interrupts on, and main()
// is the boot CPU's idle thread, so whatever it makes ready runs at once. host_boot() switches a fresh one on.
//
// All simulated CPUs share the process thread. One runs until it idles, spins or takes part in host_interleave().
#pragma once

#include <setjmp.h>

#include "arch/vcpu.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define HOST_CPU_MAX 8
#define HOST_HZ 62500000u // ticks per second
#define HOST_RAM_BASE UINT64_C(0x40000000)
#define HOST_RAM_MAX GIB(4)
#define HOST_TIMER_IRQ 26u
#define HOST_PERCPU_IRQS 32u
#define HOST_IRQS 1024u

// Switches a machine on: `ram` bytes (a multiple of 4 KiB), `cpus` CPUs, all kernel state fresh. The caller runs on CPU 0
// as its idle thread; with cpus > 1 the others have been started. Memory of an earlier machine is gone.
void host_boot(uint64_t ram, unsigned cpus);

// ---- clock --------------------------------------------------------------------------------------------------------
// Moves the clock, stopping at each deadline on the way so that every interrupt comes at its time.
void host_time_advance(uint64_t ticks);
// Runs everything that is ready and moves the clock from deadline to deadline until cond(ctx) or `max_ticks` have passed.
// NULL cond: until nothing is left to run and no timer is armed. Returns whether the condition came true.
bool host_run_until(bool (*cond)(void *ctx), void *ctx, uint64_t max_ticks);
uint64_t host_timer_deadline(unsigned cpu); // UINT64_MAX when disarmed: to check for tickless behaviour

// ---- interrupts ---------------------------------------------------------------------------------------------------
struct irqchip_ops;
extern const struct irqchip_ops host_irqchip;
void host_irq_raise(unsigned irq);             // edge; per-CPU numbers: on the running CPU
void host_irq_level(unsigned irq, bool level); // level-triggered line
bool host_irq_active(unsigned irq);
bool host_irq_deliverable(void); // the running CPU would take one if it were unmasked
uint64_t host_irq_ipis_sent(void);

// ---- CPUs ---------------------------------------------------------------------------------------------------------
unsigned host_cpu_index(void);
// Lets the other simulated CPUs run until they idle.
void host_cpu_yield(void);
// Every `one_in`-th interrupt mask operation (randomly, by seed) another CPU runs; 0 switches that off.
void host_interleave(unsigned seed, unsigned one_in);

// ---- failures -----------------------------------------------------------------------------------------------------
// True when the code panicked (or halted): if (!HOST_CATCH_PANIC()) { code; host_catch_end(); } else { it panicked }.
jmp_buf *host_catch_begin(void);
void host_catch_end(void);
#define HOST_CATCH_PANIC() (setjmp(*host_catch_begin()) != 0)
// What was printed on the early console since the last call, zero-terminated.
const char *host_console_take(void);
// True after arch_poweroff() / arch_reset() were called (and clears it).
bool host_was_powered_off(void);
bool host_was_reset(void);

// ---- memory maintenance counters ----------------------------------------------------------------------------------
struct host_mmu_counts {
    uint64_t tlb_host, tlb_guest, tlb_guest_local, publish, clean, clean_invalidate, icache;
    unsigned last_vmid;
    uint64_t last_base, last_size;
};
extern struct host_mmu_counts host_mmu_counts;
// A physical address outside RAM stands for itself: it is a pointer of the process.

// ---- scripted guests ----------------------------------------------------------------------------------------------
enum host_step_kind {
    HOST_STEP_EXIT, // hand `exit` to the upcall; it then holds the answer
    HOST_STEP_RUN,  // run for `ticks`, taking host interrupts on the way
    HOST_STEP_CALL, // call fn(av): "guest code" in C
};

struct host_step {
    enum host_step_kind kind;
    struct vcpu_exit exit;
    uint64_t ticks;
    void (*fn)(struct arch_vcpu *av);
    enum vcpu_verdict verdict; // filled in
    bool executed;             // filled in
};

// The script that vCPUs with this index get at arch_vcpu_reset(). After the last step the guest powers itself off.
void host_guest_script(unsigned index, struct host_step *steps, unsigned count);
