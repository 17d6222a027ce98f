// SPDX-License-Identifier: Apache-2.0
//
// The VMs that live, in the order they came. Only the manager thread adds and removes; others look while they hold the
// table, and what they found lives as long.
#pragma once

#include "vmm/manage/vm_life.h"

void vm_table_init(void);

// Manager thread. E_NOMEM: full; E_EXISTS: the name is taken (in any case of letters).
enum status vm_table_add(struct managed *m);
// Returns when nobody holds the table.
void vm_table_remove(struct managed *m);
unsigned vm_table_next_id(void); // the lowest that is free, from 1

// A sleeping lock; worker threads but the console's. Nothing that waits for the manager may be done under it.
void vm_table_hold(void);
void vm_table_release(void);

// In order; NULL past the end. Manager thread, or while holding.
struct managed *vm_table_get(unsigned i);
struct managed *vm_table_find(const char *name); // NULL
unsigned vm_table_count(void);

// A short text about the state of a VM for people, from any thread: nothing is waited for.
void vm_table_describe(const char *name, char *buf, size_t size);
// Copies the name of VM i; false past the end. Any thread.
bool vm_table_name(unsigned i, char out[CONFIG_NAME_MAX]);
