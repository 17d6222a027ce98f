// SPDX-License-Identifier: Apache-2.0
//
// The log: levels, one line a call, and panic.
//
//   err    our bug or a bad configuration        warn   a guest did something odd (rate-limited, names VM and pc)
//   info   life cycle                            debug  only with LOG=debug
//
// Lines go to a ring first and then, through the registered sink, to the console; before there is a sink, to
// arch_early_putc(). Any CPU, any context, interrupts masked or not.
#pragma once

#include <stdarg.h>

#include "kernel/lib/panic.h"
#include "kernel/lib/types.h"

enum log_level {
    LOG_ERR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
    LOG_LEVEL_COUNT
};

// At most LOG_LINE_MAX bytes of a line are kept.
#define LOG_LINE_MAX 256

__attribute__((format(printf, 2, 3))) void log_print(enum log_level level, const char *fmt, ...);
void log_vprint(enum log_level level, const char *fmt, va_list ap);

#define log_err(...) log_print(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_print(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

// "err", "warn", "info", "debug"; LOG_LEVEL_COUNT when unknown.
enum log_level log_level_parse(const char *name);

// Where finished lines go (text without newline). `urgent` is set by panic: write at once, take no lock.
struct log_sink {
    void (*line)(enum log_level level, const char *text, bool urgent);
};
void log_set_sink(const struct log_sink *sink);
const struct log_sink *log_get_sink(void);

// Copies what the ring (the last 16 KiB of lines) holds from *position on and moves *position; 0 bytes: nothing new.
// A position that was overwritten, or 0, starts at the oldest byte kept.
size_t log_read(uint64_t *position, char *buf, size_t size);

// A token bucket for lines that a guest can provoke: `burst` lines, refilled at `per_second`. Returns true when the
// line may be printed; *dropped is then set to the number of lines suppressed since the last one.
struct log_limit {
    uint64_t refilled; // ticks
    uint32_t tokens, burst, per_second, suppressed;
    bool started;
};
bool log_limit_ok(struct log_limit *limit, uint32_t *dropped);
