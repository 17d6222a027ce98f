// SPDX-License-Identifier: Apache-2.0
//
// The console that the hypervisor and all guests share (see char_mux_core.h for what it looks like). This is
// the thin part around the logic: the lock, the worker thread that does all writing, the sink of the log, and
// a char_backend for each guest.
//
// A guest's write only copies into its ring; a full ring is the guest's own problem (its UART shows TXFF).
// The worker drains the rings fairly, a bounded amount at a time, and gives way on a slow line.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/backend/backend.h"
#include "vmm/config/config.h"

// What the composition root lends; called by the worker thread, no lock held.
struct char_mux_ops {
    // A short text about the state of the VM of that name: "running, 2 vCPUs".
    void (*state)(void *ctx, const char *name, char *buf, size_t size);
    void (*poweroff)(void *ctx);
    void *ctx;
};

// Starts the worker on `cpu`, becomes the log's sink and takes the console's input. Once, after the scheduler
// runs on that CPU; `ops` must stay alive. What was logged before has been on the early console already.
// E_NOMEM.
enum status char_mux_start(enum console_mode mode, const struct char_mux_ops *ops, unsigned cpu);

// A channel with that name: "[name] ". The first one opened gets the input. Worker thread or boot, also
// before char_mux_start(). The back end's destroy() closes it. E_NOMEM, E_BUSY when there are too many.
enum status char_mux_open(const char *name, struct char_backend **out);

// The management shell's channel (char_mux_core.h: char_mux_add_shell()). Once.
enum status char_mux_open_shell(const char *name, struct char_backend **out);

// Gives the input to the channel with that name. E_NOENT.
enum status char_mux_select(const char *name);

// Waits, at most `ms`, until all that was printed and logged is on the wire: before the machine goes off.
// Worker thread.
void char_mux_flush(unsigned ms);
