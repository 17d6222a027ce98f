// SPDX-License-Identifier: Apache-2.0
//
// Look-up in the embedded symbol table: steps from function to function, then names of codes that stand for a
// character or for two other codes (byte pair encoding). See scripts/gen_symbols.
#include "kernel/log/symbols.h"

#define CODES_DEEP 32 // codes that wait while one is taken apart: more than any table needs

struct name {
    char *to;
    unsigned length;
};

static const uint8_t *step_read(const uint8_t *p, uint64_t *step)
{
    unsigned shift = 0;

    *step = 0;
    do {
        *step |= (uint64_t)(*p & 0x7F) << shift;
        shift += 7;
    } while ((*p++ & 0x80) != 0 && shift < 64);
    return p;
}

// The last function that begins at or before `where`, an offset in the text: its number, and where it begins. False
// before the first.
static bool number_find(const struct symbol_table *t, uint64_t where, uint32_t *number, uint64_t *begin)
{
    const uint8_t *p = t->steps;
    uint64_t at = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t step = 0;

        p = step_read(p, &step);
        at += step * t->unit;
        if (at > where) {
            return i > 0;
        }
        *number = i;
        *begin = at;
    }
    return t->count > 0;
}

static bool code_ends_name(const struct symbol_table *t, uint8_t code)
{
    while (t->pairs[code].left != 0) {
        code = t->pairs[code].right;
    }
    return t->pairs[code].right == '\0';
}

static void code_expand(const struct symbol_table *t, uint8_t code, struct name *name)
{
    uint8_t waiting[CODES_DEEP];
    unsigned count = 0;

    for (;;) {
        while (t->pairs[code].left != 0 && count < CODES_DEEP) {
            waiting[count++] = t->pairs[code].right;
            code = t->pairs[code].left;
        }
        if (name->length < SYMBOL_NAME_MAX - 1) {
            name->to[name->length++] = (char)t->pairs[code].right;
        }
        if (count == 0) {
            return;
        }
        code = waiting[--count];
    }
}

bool symbol_find_in(const struct symbol_table *t, uint64_t pc, char name[static SYMBOL_NAME_MAX],
                    uint64_t *offset)
{
    const uint8_t *p = (const uint8_t *)t + t->names;
    struct name out = {.to = name};
    uint32_t number = 0;
    uint64_t begin = 0;

    if (pc < t->base || pc - t->base >= t->text_size || !number_find(t, pc - t->base, &number, &begin)) {
        return false;
    }
    while (number > 0) {
        number -= code_ends_name(t, *p++) ? 1 : 0;
    }
    do {
        code_expand(t, *p, &out);
    } while (!code_ends_name(t, *p++));
    name[out.length] = '\0';
    *offset = pc - t->base - begin;
    return true;
}

bool symbol_find(uintptr_t pc, char name[static SYMBOL_NAME_MAX], uint64_t *offset)
{
    return symbol_find_in(&symbol_table, pc, name, offset);
}
