// SPDX-License-Identifier: Apache-2.0
//
// Look-up in the embedded symbol table: header, (offset, name) pairs sorted by offset, names. See scripts/add_symbols.
#include "kernel/log/symbols.h"

#define SYMBOLS_MAGIC 0x4D59534Cu // "LSYM"

struct symbol_entry {
    uint32_t offset; // of the function, from symbol_table.base_delta's origin
    uint32_t name;   // from the end of the entries
};

struct symbol_table {
    uint32_t magic;
    uint32_t count;
    int64_t base_delta; // address of the first text byte minus address of this table
    uint64_t text_size;
    struct symbol_entry entries[];
};

#define SYMBOLS_ROOM KIB(64)

// Reserved here, filled after the link.
__attribute__((section(".lodge_symbols"), used, aligned(8))) static const char symbols_room[SYMBOLS_ROOM];

static const struct symbol_table *table_get(void)
{
    const void *room = symbols_room;
    const struct symbol_table *t;

    // The compiler knows the room as zeros; what the image holds is something else.
    __asm__("" : "+r"(room));
    t = room;
    if (t->magic != SYMBOLS_MAGIC || t->count == 0 ||
        t->count > (SYMBOLS_ROOM - sizeof(*t)) / sizeof(struct symbol_entry)) {
        return NULL;
    }
    return t;
}

const char *symbol_find(uintptr_t pc, uint64_t *offset)
{
    const struct symbol_table *t = table_get();
    uint64_t where = 0;
    uint32_t lo = 0;
    uint32_t hi = 0;

    if (t == NULL) {
        return NULL;
    }
    where = (uint64_t)pc - ((uint64_t)(uintptr_t)t + (uint64_t)t->base_delta);
    if (where >= t->text_size || where < t->entries[0].offset) {
        return NULL;
    }
    hi = t->count;
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (t->entries[mid].offset <= where) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    *offset = where - t->entries[lo].offset;
    return (const char *)&t->entries[t->count] + t->entries[lo].name;
}
