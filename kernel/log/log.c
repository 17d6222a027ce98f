// SPDX-License-Identifier: Apache-2.0
//
// The log: a line is formatted on the caller's stack, copied to the ring (for the shell and for a post-mortem) and given
// to the sink with no lock held.
#include "kernel/log/log.h"

#include <stdio.h>
#include <string.h>

#include "arch/boot.h"
#include "arch/time.h"
#include "kernel/sync/spinlock.h"

#define RING_SIZE 16384u // power of two

static struct {
    struct spinlock lock; // protects ring and head
    char ring[RING_SIZE]; // lines, each ended by a newline; the oldest are overwritten
    uint64_t head;        // bytes ever written
    enum log_level level;
    const struct log_sink *sink;
} lg = {.lock = SPINLOCK_INIT(LOCK_LOG), .level = LOG_INFO};

static const char *const level_names[LOG_LEVEL_COUNT] =
    {[LOG_ERR] = "err", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

void log_set_level(enum log_level level)
{
    lg.level = level;
}

enum log_level log_get_level(void)
{
    return lg.level;
}

enum log_level log_level_parse(const char *name)
{
    unsigned level = 0;

    while (level < LOG_LEVEL_COUNT && strcmp(name, level_names[level]) != 0) {
        level++;
    }
    return (enum log_level)level;
}

void log_set_sink(const struct log_sink *sink)
{
    lg.sink = sink;
}

static void ring_put(const char *text)
{
    irq_state_t irq = spin_lock_irqsave(&lg.lock);

    for (; *text != '\0'; text++) {
        lg.ring[lg.head++ % RING_SIZE] = *text;
    }
    lg.ring[lg.head++ % RING_SIZE] = '\n';
    spin_unlock_irqrestore(&lg.lock, irq);
}

static void early_line(enum log_level level, const char *text)
{
    const char *prefix = level == LOG_ERR ? "error: " : level == LOG_WARN ? "warning: " : "";

    for (; *prefix != '\0'; prefix++) {
        arch_early_putc(*prefix);
    }
    for (; *text != '\0'; text++) {
        arch_early_putc(*text);
    }
    arch_early_putc('\n');
}

void log_vprint(enum log_level level, const char *fmt, va_list ap)
{
    char line[LOG_LINE_MAX];
    size_t len;

    if (level > lg.level) {
        return;
    }
    if (vsnprintf(line, sizeof(line), fmt, ap) < 0) {
        return;
    }
    len = strlen(line);
    if (len > 0 && line[len - 1] == '\n') {
        line[len - 1] = '\0';
    }
    ring_put(line);
    if (lg.sink != NULL) {
        lg.sink->line(level, line, false);
    } else {
        early_line(level, line);
    }
}

void log_print(enum log_level level, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_vprint(level, fmt, ap);
    va_end(ap);
}

size_t log_read(uint64_t *position, char *buf, size_t size)
{
    irq_state_t irq = spin_lock_irqsave(&lg.lock);
    uint64_t oldest = lg.head > RING_SIZE ? lg.head - RING_SIZE : 0;
    size_t n = 0;

    if (*position < oldest || *position > lg.head) {
        *position = oldest;
    }
    while (n < size && *position < lg.head) {
        buf[n++] = lg.ring[(*position)++ % RING_SIZE];
    }
    spin_unlock_irqrestore(&lg.lock, irq);
    return n;
}

const struct log_sink *log_get_sink(void)
{
    return lg.sink;
}

bool log_limit_ok(struct log_limit *limit, uint32_t *dropped)
{
    uint64_t now = arch_time_now();
    uint64_t hz = arch_time_hz();

    if (!limit->started) {
        limit->started = true;
        limit->refilled = now;
        limit->tokens = limit->burst;
    }
    if (limit->per_second > 0) {
        uint64_t per_token = hz / limit->per_second > 0 ? hz / limit->per_second : 1;
        uint64_t tokens = (now - limit->refilled) / per_token;

        limit->refilled += tokens * per_token;
        limit->tokens = (uint32_t)min_u64(limit->burst, limit->tokens + min_u64(tokens, limit->burst));
    }
    if (limit->tokens == 0) {
        limit->suppressed++;
        return false;
    }
    limit->tokens--;
    *dropped = limit->suppressed;
    limit->suppressed = 0;
    return true;
}
