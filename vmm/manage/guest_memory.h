// SPDX-License-Identifier: Apache-2.0
//
// The RAM of a VM: host memory for every region of its plan, zeroed, mapped and registered.
#pragma once

#include "kernel/lib/status.h"
#include "vmm/core/vm.h"

struct guest_memory;

// All or nothing. The extents stay until guest_memory_destroy(), which scrubs and frees them. Worker thread; takes long for
// large guests.
enum status guest_memory_create(struct vm *vm, struct guest_memory **out);
void guest_memory_destroy(struct guest_memory *gm);

// Zeroes all RAM again before a restart. No vCPU runs.
void guest_memory_scrub(struct guest_memory *gm);
