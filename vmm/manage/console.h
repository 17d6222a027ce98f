// SPDX-License-Identifier: Apache-2.0
//
// The shared console: one physical UART for the log and all guests.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/config/config.h"

// Takes the log and the raw console over. Once, worker thread.
enum status console_start(const struct host_config *host);

// A port for a guest. NULL when out of memory.
struct char_backend *console_port(const char *name);

// Lets the console finish, then turns the machine off. Worker thread.
void console_poweroff(void);

// Waits, for a bounded time, until all that was printed is on the wire. Worker thread.
void console_flush(void);
