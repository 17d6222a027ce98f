// SPDX-License-Identifier: Apache-2.0
//
// Looking up an embedded file.
#include "vmm/config/embed.h"

#include <string.h>

const struct embed_entry *embed_find(const char *key)
{
    for (const struct embed_entry *e = embed_table; e < embed_table_end; e++) {
        if (strcmp(e->name, key) == 0) {
            return e;
        }
    }
    return NULL;
}
