// SPDX-License-Identifier: Apache-2.0
//
// The parts of config_load(): the rows of all keys (config_keys.c), the rules between keys (config_check.c).
#pragma once

#include "vmm/config/plan.h"
#include "vmm/config/schema.h"

extern const struct schema_table config_top_keys;
extern const struct schema_table config_host_keys;

// The rules inside one VM, once all its keys are read, its plan among them; names of images become keys or paths.
void config_check_vm(struct schema_context *cx, struct vm_config *vm);

// The rules between VMs, over all sources.
void config_check_all(struct schema_context *cx);
