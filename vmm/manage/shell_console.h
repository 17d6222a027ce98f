// SPDX-License-Identifier: Apache-2.0
//
// The management shell on the shared console: its thread, and the commands about VMs (shell_*.c).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/shell/shell.h"
#include "vmm/manage/vm_table.h"

// After console_start(). Worker thread, once.
enum status shell_console_start(void);

// ---- for the commands ------------------------------------------------------------------------------------------------

// The VM of that name, with the table held: it lives until vm_table_release(), and printing meanwhile is fine (the console's
// worker never waits for the table). On failure E_NOENT and the table is released.
enum status shell_find_vm(const char *name, struct managed **out);

// Completion of an argument that is a VM's name.
bool shell_vm_candidate(unsigned i, char *buf, size_t size);
