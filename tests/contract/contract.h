// SPDX-License-Identifier: Apache-2.0
//
// One suite of checks on what an architecture promises (arch/*.h): runs on arch/host as a unit test and inside the image.
#pragma once

#include "kernel/lib/types.h"

// Runs every check and reports each once. Thread context (or the boot CPU before it idles), interrupts on, after
// sched_init_cpu() and arch_seal_image(). Leaves nothing behind. Returns the number of failures.
unsigned contract_run(void (*report)(const char *name, bool ok));
