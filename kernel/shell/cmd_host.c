// SPDX-License-Identifier: Apache-2.0
//
// Commands about the machine: `host cpu|mem|irq|time`, `log level`.
#include <stdio.h>
#include <string.h>

#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/lib/date.h"
#include "kernel/log/log.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"
#include "kernel/shell/shell.h"
#include "kernel/time/wallclock.h"

static enum status run_cpu(struct shell *sh, const struct shell_args *args)
{
    (void)args;
    for (unsigned i = 0; i < cpu_count(); i++) {
        const struct cpu *c = cpu_get(i);

        shell_row(sh);
        shell_num(sh, "cpu", 3, i);
        shell_hex(sh, "hw_id", 8, c->hw_id);
        shell_bool(sh, "online", 6, c->online);
        shell_text(sh, "runs", 16, c->online && c->current ? c->current->name : "-");
        shell_num(sh, "idle_ms", 10, c->online && c->idle ? time_to_us(thread_run_ticks(c->idle)) / 1000 : 0);
        shell_row_end(sh);
    }
    return OK;
}

static enum status run_mem(struct shell *sh, const struct shell_args *args)
{
    struct page_stats pages;
    struct pool_stats pool;

    (void)args;
    page_stats_get(&pages);
    pool_stats_get(&pool);
    shell_row(sh);
    shell_num(sh, "total_kib", 10, pages.total >> 10);
    shell_num(sh, "free_kib", 10, pages.free >> 10);
    shell_num(sh, "largest_kib", 11, pages.largest_free >> 10);
    shell_num(sh, "allocs", 8, pages.alloc_count);
    shell_num(sh, "frees", 8, pages.free_count);
    shell_num(sh, "objects", 7, pool.live_objects);
    shell_num(sh, "object_bytes", 12, pool.live_bytes);
    shell_row_end(sh);
    return OK;
}

static enum status run_irq(struct shell *sh, const struct shell_args *args)
{
    (void)args;
    for (unsigned i = 0; i < IRQ_MAX; i++) {
        uint64_t n = irq_count(i);

        if (n > 0) {
            shell_row(sh);
            shell_num(sh, "irq", 4, i);
            shell_num(sh, "count", 12, n);
            shell_row_end(sh);
        }
    }
    return OK;
}

static enum status run_time(struct shell *sh, const struct shell_args *args)
{
    uint64_t now = arch_time_now();
    uint64_t seconds = wallclock_now();
    struct date d = date_from_seconds(seconds);
    char date[32] = "-";

    (void)args;
    if (seconds) {
        snprintf(date, sizeof(date), "%u-%02u-%02uT%02u:%02u:%02uZ", d.year, d.month, d.day, d.hour, d.minute,
                 d.second);
    }
    shell_row(sh);
    shell_text(sh, "utc", 22, date);
    shell_num(sh, "ticks", 16, now);
    shell_num(sh, "hz", 10, arch_time_hz());
    shell_num(sh, "ms", 12, time_to_us(now) / 1000);
    shell_row_end(sh);
    return OK;
}

static const struct shell_command cpu_command = {.words = "host cpu",
                                                 .usage = "",
                                                 .help = "the machine's CPUs",
                                                 .run = run_cpu};
static const struct shell_command mem_command = {.words = "host mem",
                                                 .usage = "",
                                                 .help = "memory and small objects",
                                                 .run = run_mem};
static const struct shell_command irq_command = {.words = "host irq",
                                                 .usage = "",
                                                 .help = "interrupts taken so far",
                                                 .run = run_irq};
static const struct shell_command time_command = {.words = "host time",
                                                  .usage = "",
                                                  .help = "the machine's clock",
                                                  .run = run_time};
SHELL_COMMAND(cpu_command);
SHELL_COMMAND(mem_command);
SHELL_COMMAND(irq_command);
SHELL_COMMAND(time_command);

// ---- log -----------------------------------------------------------------------------------------------------------

static const char *const levels[LOG_LEVEL_COUNT] = {"err", "warn", "info", "debug"};

static enum status run_level(struct shell *sh, const struct shell_args *args)
{
    enum log_level level;

    if (args->argc == 0) {
        shell_row(sh);
        shell_text(sh, "level", 6, levels[log_get_level()]);
        shell_row_end(sh);
        return OK;
    }
    level = log_level_parse(args->argv[0]);
    if (level == LOG_LEVEL_COUNT) {
        return E_INVAL;
    }
    log_set_level(level);
    return OK;
}

static bool level_candidate(unsigned arg, unsigned i, char *buf, size_t size)
{
    if (arg > 0 || i >= LOG_LEVEL_COUNT || strlen(levels[i]) >= size) {
        return false;
    }
    strcpy(buf, levels[i]);
    return true;
}

static const struct shell_command level_command = {
    .words = "log level",
    .usage = "[err|warn|info|debug]",
    .help = "what the log shows",
    .max_args = 1,
    .run = run_level,
    .candidate = level_candidate,
};
SHELL_COMMAND(level_command);
