// SPDX-License-Identifier: Apache-2.0
//
// The end of the road for our own bugs, declared at the bottom so that every row can call it (kernel/log/panic.c).
#pragma once

// Prints the message and a symbolised backtrace on the raw console, stops the other CPUs, halts. Never for what a guest,
// a configuration or a medium did.
[[gnu::noreturn]] __attribute__((format(printf, 1, 2))) void panic(const char *fmt, ...);

#define BUG_ON(cond)                                       \
    do {                                                   \
        if (cond) {                                        \
            panic("%s:%d: %s", __FILE__, __LINE__, #cond); \
        }                                                  \
    } while (0)

// A symbolised backtrace from `frame` (NULL: from the caller) on the raw console; for exception handlers before panic().
void panic_backtrace(const void *frame);
// What panic() does when everything is printed; default and NULL: halt.
void panic_set_action(void (*action)(void));
// Forgets an earlier panic: tests that survived one.
void panic_reset(void);
