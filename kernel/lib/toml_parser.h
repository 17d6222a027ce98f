// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the TOML parser share: the cursor over checked text, errors, the arena. Not for others.
//
// A function that returns bool returns false after toml_fail(); the caller just passes that on.
#pragma once

#include "kernel/lib/toml.h"

#define TOML_BUCKETS 256

// Flags of a table or array.
#define TOML_F_HEADER 0x01u // opened by its own [header], or the top table
#define TOML_F_DOTTED 0x02u // made by a dotted key
#define TOML_F_FROZEN 0x04u // written inline: nothing may be added later
#define TOML_F_TABLES 0x08u // an array made by [[header]]

struct toml_parser {
    const char *cur, *end;
    struct toml_pos pos; // of cur
    struct toml_arena *arena;
    struct toml_error *error;
    enum status status;
    struct toml_node *root;
    uint32_t section;                        // counts headers
    struct toml_node *buckets[TOML_BUCKETS]; // members of all tables, by (parent, key)
};

// Records the first error at `pos`; returns false.
__attribute__((format(printf, 3, 4))) bool toml_fail(struct toml_parser *p, struct toml_pos pos,
                                                     const char *fmt, ...);
// "unexpected 'x'", "unexpected end of line": at the cursor, with what was wanted; returns false.
bool toml_fail_here(struct toml_parser *p, const char *wanted);

// Checks UTF-8 and control characters of the whole text and skips a byte order mark.
bool toml_check_text(struct toml_parser *p);

// Zeroed, aligned for pointers; NULL when the arena is full.
void *toml_arena_take(struct toml_arena *a, size_t size);
// The same, NULL after toml_fail_memory().
bool toml_fail_memory(struct toml_parser *p);
void *toml_alloc(struct toml_parser *p, size_t size);

// The byte at cur + n, 0 past the end (the text itself holds no NUL).
static inline char toml_peek(const struct toml_parser *p, size_t n)
{
    return (size_t)(p->end - p->cur) > n ? p->cur[n] : '\0';
}

static inline bool toml_at_end(const struct toml_parser *p)
{
    return p->cur == p->end;
}

// One byte on; line and column follow.
void toml_step(struct toml_parser *p);
// n bytes of one line, all ASCII.
void toml_skip(struct toml_parser *p, size_t n);
// At LF or CRLF.
bool toml_at_newline(const struct toml_parser *p);
void toml_skip_newline(struct toml_parser *p);
// Tabs and spaces.
void toml_skip_blanks(struct toml_parser *p);
void toml_skip_comment(struct toml_parser *p);
// Blanks, newlines and comments.
void toml_skip_lines(struct toml_parser *p);

// A quoted string at the cursor; multi-line forms only when `multi`.
bool toml_read_string(struct toml_parser *p, struct toml_text *out, bool multi);
// A number, date, time or boolean at the cursor.
bool toml_read_scalar(struct toml_parser *p, struct toml_node *node);
// An unquoted word as text in the arena.
bool toml_copy_text(struct toml_parser *p, const char *ptr, size_t len, struct toml_text *out);
