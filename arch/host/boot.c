// SPDX-License-Identifier: Apache-2.0
//
// Switching the fake machine on and off; its early console; catching a panic.
#include "arch/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cpu.h"
#include "arch/host/machine.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "kernel/log/symbols.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/mm/vmap.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define CONSOLE_SIZE 16384u

const struct symbol_table symbol_table; // has no names: the debugger knows them

static char console[CONSOLE_SIZE];
static char taken[CONSOLE_SIZE];
static size_t console_len;
static bool powered_off, was_reset;
static jmp_buf panic_env;
jmp_buf *host_panic_target;

static void must(enum status s, const char *what)
{
    if (s != OK) {
        fprintf(stderr, "host_boot: %s: %s\n", what, status_name(s));
        abort();
    }
}

void host_boot(uint64_t ram, unsigned cpus)
{
    struct boot_info bi;

    memset(&bi, 0, sizeof(bi));
    bi.ram.count = 1;
    bi.ram.r[0] = (struct boot_range){.base = hpa(HOST_RAM_BASE), .size = ram};
    bi.image = (struct boot_range){.base = hpa(HOST_RAM_BASE), .size = PAGE_SIZE}; // the boot page table
    host_cpu_reset(cpus);
    host_irq_reset();
    host_mmu_reset(ram);
    powered_off = was_reset = false;
    log_set_sink(NULL);
    panic_reset();
    pool_reset();
    cpu_init_boot(0);
    must(page_init(&bi), "page_init");
    must(vmap_init(), "vmap_init");
    irq_set_chip(&host_irqchip);
    must(irq_init_cpu(), "irq_init_cpu");
    must(timer_init_cpu(), "timer_init_cpu");
    must(sched_init_cpu(), "sched_init_cpu");
    for (unsigned i = 1; i < cpus; i++) {
        must(cpu_announce(i, "host", 0), "cpu_announce");
    }
    cpu_start_all();
    sched_boot_done();
    arch_irq_enable();
}

// A test process is a machine that is on.
__attribute__((constructor)) static void power_button(void)
{
    host_boot(MIB(128), 1);
}

void arch_early_putc(char c)
{
    if (console_len + 1 < sizeof(console)) {
        console[console_len++] = c;
    }
}

const char *host_console_take(void)
{
    console[console_len] = '\0';
    memcpy(taken, console, console_len + 1);
    console_len = 0;
    return taken;
}

void host_console_dump(void)
{
    fputs(host_console_take(), stderr);
}

void arch_poweroff(void)
{
    powered_off = true;
}

void arch_reset(void)
{
    was_reset = true;
}

bool host_was_powered_off(void)
{
    bool was = powered_off;

    powered_off = false;
    return was;
}

bool host_was_reset(void)
{
    bool was = was_reset;

    was_reset = false;
    return was;
}

jmp_buf *host_catch_begin(void)
{
    host_panic_target = &panic_env;
    panic_reset();
    return host_panic_target;
}

void host_catch_end(void)
{
    host_panic_target = NULL;
    panic_reset();
}
