// SPDX-License-Identifier: Apache-2.0
//
// A complete parser for TOML 1.0.0 (the specification "TOML: Tom's Obvious Minimal Language", and its toml.abnf).
//
// Pure: text in, a tree in the caller's arena out; no allocation, no state. Every key and value carries its line and
// column, keys keep their order. Numbers with a fraction, and dates, are checked and kept as text, so no floating point
// is used. Nesting is limited to TOML_DEPTH_MAX. Safe on hostile text of any size.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define TOML_DEPTH_MAX 32
#define TOML_MESSAGE_MAX 120

enum toml_type {
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT, // text
    TOML_BOOLEAN,
    TOML_DATETIME,       // text: with an offset
    TOML_LOCAL_DATETIME, // text
    TOML_LOCAL_DATE,     // text
    TOML_LOCAL_TIME,     // text
    TOML_ARRAY,
    TOML_TABLE,
    TOML_TYPE_COUNT
};

// Both count from 1; a column is one Unicode character.
struct toml_pos {
    uint32_t line, column;
};

struct toml_text {
    const char *ptr; // UTF-8, also followed by a NUL; a string may contain NULs of its own
    size_t len;
};

struct toml_node {
    enum toml_type type;
    struct toml_pos pos;     // of the value; of the first header or key that made it for a table
    struct toml_pos key_pos; // of the key; same as pos in an array
    struct toml_text key;    // empty in an array
    union {
        struct toml_text text;
        int64_t integer;
        bool boolean;
        struct {
            struct toml_node *first, *last;
            uint32_t count;
        } list; // members of a table, elements of an array
    };
    struct toml_node *next; // sibling

    // The parser's own.
    struct toml_node *parent;
    struct toml_node *hash_next;
    uint32_t hash;
    uint32_t section; // in which a dotted key made this table
    uint8_t depth;
    uint8_t flags;
};

// Scratch memory given by the caller, handed out front to back.
struct toml_arena {
    char *base;
    size_t size, used;
};

struct toml_error {
    struct toml_pos pos;
    char message[TOML_MESSAGE_MAX];
};

// Parses `len` bytes (no NUL needed behind them; a byte order mark is skipped). The tree points into the arena alone, so
// `text` may go away. OK: *root is the top table. E_CONFIG: *error says what and where. E_NOMEM: the arena is too small,
// *error is set too.
enum status toml_parse(struct toml_node **root, const char *text, size_t len, struct toml_arena *arena,
                       struct toml_error *error);

// The member of a table, NULL when there is none or `table` is no table.
const struct toml_node *toml_get(const struct toml_node *table, const char *key);

// "string", "integer", … as the specification calls them; never NULL.
const char *toml_type_name(enum toml_type type);

#define toml_for_each(it, parent) for (const struct toml_node *it = (parent)->list.first; it; it = it->next)
