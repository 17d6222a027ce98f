// SPDX-License-Identifier: Apache-2.0
//
// Names of the image's own functions, for backtraces. scripts/gen_symbols makes the table from the image's first link and
// documents the format. The names are compressed; looking one up reads all before it, which is fast enough for people.
#pragma once

#include "kernel/lib/types.h"

#define SYMBOL_NAME_MAX 64 // with the NUL; longer names are cut

// The head of the table; steps and names follow.
struct symbol_table {
    uint64_t base;      // address of the text
    uint32_t text_size; // bytes
    uint32_t count;     // functions
    uint32_t names;     // offset of the names from here
    uint32_t unit;      // of the steps, in bytes
    struct {
        uint8_t left, right;
    } pairs[256]; // what a code stands for: left 0: the character `right`, else two codes
    uint8_t steps[];
};

extern const struct symbol_table symbol_table;

// The function that holds `pc`, and the offset in it; false when unknown. Any context.
bool symbol_find(uintptr_t pc, char name[static SYMBOL_NAME_MAX], uint64_t *offset);

// The same in any table.
bool symbol_find_in(const struct symbol_table *t, uint64_t pc, char name[static SYMBOL_NAME_MAX],
                    uint64_t *offset);
