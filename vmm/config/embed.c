// SPDX-License-Identifier: Apache-2.0
//
// Looking up an embedded file.
#include "vmm/config/embed.h"

#include <string.h>

const struct embed_entry *embed_find(const char *key)
{
    // Two symbols of the linker script: for C they are different objects, so their distance is one of numbers.
    size_t count = ((uintptr_t)embed_table_end - (uintptr_t)embed_table) / sizeof(embed_table[0]);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(embed_table[i].name, key) == 0) {
            return &embed_table[i];
        }
    }
    return NULL;
}
