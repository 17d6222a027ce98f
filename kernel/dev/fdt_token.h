// SPDX-License-Identifier: Apache-2.0
//
// Words of a flattened device tree that lies 8-byte aligned, as its specification wants (0.4, 5.6): read as such, while
// libfdt's own accessors go byte by byte.
#pragma once

#include "kernel/lib/types.h"

#include <libfdt.h>

// The word at offset `at`, a multiple of 4, from an aligned `from`.
static inline uint32_t fdt_word(const void *from, uint32_t at)
{
    return fdt32_to_cpu(((const fdt32_t *)from)[at / FDT_TAGSIZE]);
}
