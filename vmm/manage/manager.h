// SPDX-License-Identifier: Apache-2.0
//
// The manager: reads the configuration, creates and starts the VMs, carries out what the operator asks for, and decides
// what follows when a VM stops.
//
// One worker thread does all of it, one step after the other, so life-cycle steps never run inside an exit and never
// overlap. Others post commands and may wait for them. docs/lifecycle.md has the table of states and operations.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/list.h"
#include "kernel/lib/status.h"
#include "vmm/core/vm.h"

// How long the vCPUs of a VM may take to leave the guest. They are kicked; only a guest of higher priority that never rests
// can delay them.
#define MANAGER_PATIENCE_MS 2000

// Starts the worker, which reads the configuration and starts what is in it. Boot CPU, once; returns at once.
enum status manager_start(const struct boot_info *bi);
// The worker alone, without disk, configuration and console: for tests. Once.
enum status manager_start_bare(void);

enum manager_kind {
    MANAGER_OP,          // `op` on the VM called `vm`
    MANAGER_CREATE_FILE, // the VMs of the TOML file `path` of the FAT disk: all or none; those with autostart start
    MANAGER_CREATE_TEXT, // the same for `text`, `len`; `path` names it in messages
};

// Lives until `done` is signalled.
struct manager_command {
    enum manager_kind kind;
    enum vm_op op;
    const char *vm;
    const char *path, *text;
    size_t len;

    // E_NOENT: no such VM or file. E_STATE: not in this state. E_BUSY: it is stopping. E_TIMEOUT: its vCPUs did not leave in
    // time (a stop goes on, a pause is taken back). E_CONFIG: see the log. E_EXISTS: the name is taken. E_NOMEM.
    enum status result;
    struct completion done;
    struct list_node node;
};

// Any CPU, any context.
void manager_post(struct manager_command *c);
// Posts and waits. Worker threads but the manager's own and the console's.
enum status manager_run(struct manager_command *c);
// The usual case of it.
enum status manager_vm_op(const char *vm, enum vm_op op);
