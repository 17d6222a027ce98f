// SPDX-License-Identifier: Apache-2.0
//
// The machine's console UART, as its driver found it.
#pragma once

struct serial_port {
    const char *name;
    // Writes one character; waits for room for a bounded time, then drops it. Any context; one caller at a time.
    void (*putc)(char c);
    // From now on fn is called for each received character, in interrupt context. NULL: they are dropped.
    void (*set_input)(void (*fn)(char c));
};

// NULL while no driver has taken the console. Set once, at probe.
const struct serial_port *serial_console(void);
void serial_console_set(const struct serial_port *port);
