// SPDX-License-Identifier: Apache-2.0
//
// Is a flattened device tree sound? Asked once, so that everything after it may walk the tree without looking again.
#pragma once

#include "kernel/lib/types.h"

// NULL when the blob of `size` bytes, 8-byte aligned and with a sound magic number, is whole: a header of version 17 whose
// blocks lie in the blob; nodes closed in order under one root; every name, property and string inside its block, and
// terminated. Else what is wrong. Pure. Costs about 20 instructions a property, where fdt_check_full() takes 1,000.
const char *fdt_check(const void *blob, uint64_t size);
