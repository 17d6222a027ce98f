// SPDX-License-Identifier: Apache-2.0
//
// The raw console: the one terminal of the machine, as its driver (UART, virtio-console) offers it. Who owns
// the screen (vmm/backend/char_mux) writes here and takes the input; nobody else does.
#pragma once

#include "kernel/lib/types.h"

// Filled by the driver, alive for ever. Either of write and putc, and at most one of set_input and getc, may
// be missing.
struct console_device {
    const char *name;
    // Takes up to `len` bytes and returns how many; waits for nothing. Any context; one caller at a time.
    size_t (*write)(const char *buf, size_t len);
    // Writes one character; waits for room for a bounded time, then drops it. Any context; one caller at a
    // time.
    void (*putc)(char c);
    // From now on fn is called for each received character, in interrupt context. NULL: they are dropped.
    void (*set_input)(void (*fn)(char c));
    // For a device without interrupts: the next received character, negative when there is none.
    int (*getc)(void);
};

// The first device stays the console; later ones are ignored. Boot CPU, at probe.
void console_register(const struct console_device *dev);
// NULL before a driver has registered: console_write() then goes to arch_early_putc().
const struct console_device *console_get(void);

// Writes all of it, waiting for room; a device that takes nothing for CONSOLE_STUCK_MS loses the rest. Any
// context, one caller at a time.
#define CONSOLE_STUCK_MS 100
void console_write(const char *buf, size_t len);

// Received characters go to fn, in interrupt context, now or as soon as a device is there. Boot CPU.
void console_set_input(void (*fn)(char c));
// True when characters do not come by interrupt: somebody has to call console_poll() now and then.
bool console_needs_poll(void);
// Hands what was received to the function of console_set_input(). One thread.
void console_poll(void);
