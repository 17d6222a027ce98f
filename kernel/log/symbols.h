// SPDX-License-Identifier: Apache-2.0
//
// Names of the image's own functions, for backtraces. The table is put into the linked image by scripts/add_symbols,
// which documents the format; without it every look-up says so.
#pragma once

#include "kernel/lib/types.h"

// The function that holds `pc` and the offset in it; NULL when unknown. Any context.
const char *symbol_find(uintptr_t pc, uint64_t *offset);
