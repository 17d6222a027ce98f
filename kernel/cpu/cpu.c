// SPDX-License-Identifier: Apache-2.0
//
// Physical CPUs: the table, and bringing the others up.
#include "kernel/cpu/cpu.h"

#include <string.h>

#include "arch/boot.h"
#include "arch/time.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define START_TIMEOUT_MS 1000

UNCLEARED struct cpu cpu_table[CPU_MAX]; // cpu_table_count of them are set up
unsigned cpu_table_count;
static void (*online_hook)(void);

static void cpu_setup(unsigned index, uint64_t hw_id)
{
    struct cpu *c = &cpu_table[index];

    memset(c, 0, sizeof(*c));
    c->index = index;
    c->locks.id = index + 1;
    c->hw_id = hw_id;
}

void cpu_init_boot(uint64_t hw_id)
{
    cpu_setup(0, hw_id);
    cpu_table_count = 1;
    online_hook = NULL;
    arch_set_this_cpu(&cpu_table[0]);
    atomic_store_explicit(&cpu_table[0].online, true, memory_order_release);
}

static bool is_online(unsigned index)
{
    return atomic_load_explicit(&cpu_table[index].online, memory_order_acquire);
}

unsigned cpu_online_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cpu_table_count; i++) {
        n += is_online(i) ? 1 : 0;
    }
    return n;
}

enum status cpu_announce(uint64_t hw_id, const char *method, uint64_t release_addr)
{
    for (unsigned i = 0; i < cpu_table_count; i++) {
        if (cpu_table[i].hw_id == hw_id) {
            return E_EXISTS;
        }
    }
    if (cpu_table_count >= CPU_MAX) {
        return E_RANGE;
    }
    cpu_setup(cpu_table_count, hw_id);
    cpu_table[cpu_table_count].start.method = method;
    cpu_table[cpu_table_count].start.release_addr = release_addr;
    cpu_table_count++;
    return OK;
}

void cpu_set_online_hook(void (*hook)(void))
{
    irq_state_t irq = arch_irq_save();

    online_hook = hook;
    if (hook != NULL) {
        hook();
    }
    arch_irq_restore(irq);
}

// The word that a CPU in a spin loop watches (Devicetree Specification, 3.8.1: 64 bits, aligned).
static enum status map_release(struct cpu_start *start, uint64_t release_addr)
{
    if (release_addr == 0) {
        return OK;
    }
    if (release_addr % sizeof(uint64_t) != 0) {
        return E_INVAL;
    }
    start->release = mmio_map(hpa(release_addr), sizeof(uint64_t));
    return start->release == NULL ? E_NOMEM : OK;
}

static void cpu_start_one(unsigned index)
{
    struct cpu_start start = {.hw_id = cpu_table[index].hw_id,
                              .index = index,
                              .stack_top = stack_alloc(),
                              .method = cpu_table[index].start.method};
    uint64_t deadline = arch_time_now() + time_from_ms(START_TIMEOUT_MS);
    enum status s =
        start.stack_top == NULL ? E_NOMEM : map_release(&start, cpu_table[index].start.release_addr);

    if (s == OK) {
        s = arch_cpu_start(&start);
    }

    while (s == OK && !is_online(index)) {
        arch_cpu_relax();
        if (arch_time_now() > deadline) {
            s = E_TIMEOUT;
        }
    }
    if (s != OK) {
        // Its stack stays: the CPU may still be on its way.
        log_warn("cpu %u (id %#llx) does not start: %s", index, (unsigned long long)start.hw_id,
                 status_name(s));
    }
}

void cpu_start_all(void)
{
    for (unsigned i = 0; i < cpu_table_count; i++) {
        if (!is_online(i)) {
            cpu_start_one(i);
        }
    }
}

[[gnu::noreturn]] void kernel_secondary_main(unsigned index)
{
    struct cpu *c = &cpu_table[index];

    arch_set_this_cpu(c);
    arch_cpu_init();
    if (irq_init_cpu() != OK || timer_init_cpu() != OK || sched_init_cpu() != OK) {
        log_err("cpu %u cannot be set up", index);
        arch_cpu_halt();
    }
    if (online_hook != NULL) {
        online_hook();
    }
    // Release pairs with is_online(): whoever sees the CPU online sees its run queue.
    atomic_store_explicit(&c->online, true, memory_order_release);
    sched_idle_loop();
}
