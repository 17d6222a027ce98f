// SPDX-License-Identifier: Apache-2.0
//
// TOML: the four kinds of strings (section "String").
//
// A string is decoded straight into the free end of the arena: it never grows by decoding, so the bytes left in the
// text bound it. CRLF inside a multi-line string becomes LF.
#include "kernel/lib/toml_parser.h"

#include <string.h>

// Where decoded bytes go.
struct sink {
    char *start, *cur, *end;
};

static bool sink_put(struct toml_parser *p, struct sink *s, char c)
{
    if (s->cur >= s->end) {
        return toml_fail_memory(p);
    }
    *s->cur++ = c;
    return true;
}

static bool sink_put_char(struct toml_parser *p, struct sink *s, uint32_t c)
{
    if (c < 0x80) {
        return sink_put(p, s, (char)c);
    }
    if (c < 0x800) {
        return sink_put(p, s, (char)(0xC0 | c >> 6)) && sink_put(p, s, (char)(0x80 | (c & 0x3F)));
    }
    if (c < 0x10000) {
        return sink_put(p, s, (char)(0xE0 | c >> 12)) && sink_put(p, s, (char)(0x80 | (c >> 6 & 0x3F))) &&
               sink_put(p, s, (char)(0x80 | (c & 0x3F)));
    }
    return sink_put(p, s, (char)(0xF0 | c >> 18)) && sink_put(p, s, (char)(0x80 | (c >> 12 & 0x3F))) &&
           sink_put(p, s, (char)(0x80 | (c >> 6 & 0x3F))) && sink_put(p, s, (char)(0x80 | (c & 0x3F)));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The cursor is behind \u or \U; `start` is at the backslash.
static bool read_code_point(struct toml_parser *p, struct sink *s, unsigned digits, struct toml_pos start)
{
    uint32_t c = 0;

    for (unsigned i = 0; i < digits; i++) {
        int d = hex_digit(toml_peek(p, 0));

        if (d < 0) {
            return toml_fail(p, start, "\\%c needs %u hexadecimal digits", digits == 4 ? 'u' : 'U', digits);
        }
        c = c << 4 | (uint32_t)d;
        toml_skip(p, 1);
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
        return toml_fail(p, start, "U+%04X is no Unicode character", (unsigned)c);
    }
    return sink_put_char(p, s, c);
}

// A backslash at the end of a line: drops all white space up to the next visible character.
static bool skip_line_continuation(struct toml_parser *p, struct toml_pos start)
{
    toml_skip_blanks(p);
    if (toml_at_end(p) || !toml_at_newline(p)) {
        return toml_fail(p, start, "a backslash with a blank behind it: only the line's end may follow");
    }
    while (!toml_at_end(p) && toml_at_newline(p)) {
        toml_skip_newline(p);
        toml_skip_blanks(p);
    }
    return true;
}

// At a backslash.
static bool read_escape(struct toml_parser *p, struct sink *s, bool multi)
{
    static const char names[] = "btnfr\"\\";
    static const char values[] = "\b\t\n\f\r\"\\";
    struct toml_pos start = p->pos;
    char c = toml_peek(p, 1);
    const char *found;

    toml_skip(p, 1);
    if (multi && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
        return skip_line_continuation(p, start);
    }
    if (c == 'u' || c == 'U') {
        toml_skip(p, 1);
        return read_code_point(p, s, c == 'u' ? 4 : 8, start);
    }
    found = c ? strchr(names, c) : NULL;
    if (!found) {
        return toml_fail(p, start,
                         "unknown escape sequence: allowed are \\b \\t \\n \\f \\r \\\" \\\\ \\u \\U");
    }
    toml_skip(p, 1);
    return sink_put(p, s, values[found - names]);
}

// One character of the string's body that is neither newline, quote nor escape.
static bool copy_char(struct toml_parser *p, struct sink *s)
{
    char c = *p->cur;

    toml_step(p);
    return sink_put(p, s, c);
}

static bool read_single(struct toml_parser *p, struct sink *s, char quote, struct toml_pos start)
{
    toml_skip(p, 1);
    for (;;) {
        if (toml_at_end(p) || toml_at_newline(p)) {
            return toml_fail(p, start, "the string is not closed before the end of the line");
        }
        if (*p->cur == quote) {
            toml_skip(p, 1);
            return true;
        }
        if (quote == '"' && *p->cur == '\\') {
            if (!read_escape(p, s, false)) {
                return false;
            }
        } else if (!copy_char(p, s)) {
            return false;
        }
    }
}

// At a run of quotes inside a multi-line string: up to two are text, three close, and two more before them are text.
// *closed tells. Six or more are an error of what follows, found by the caller.
static bool read_quotes(struct toml_parser *p, struct sink *s, char quote, bool *closed)
{
    unsigned run = 0, text;

    while (run < 5 && toml_peek(p, run) == quote) {
        run++;
    }
    *closed = run >= 3;
    text = *closed ? run - 3 : run;
    for (unsigned i = 0; i < text; i++) {
        if (!sink_put(p, s, quote)) {
            return false;
        }
    }
    toml_skip(p, run);
    return true;
}

// One element of a multi-line string; *closed when it was the end.
static bool read_multi_element(struct toml_parser *p, struct sink *s, char quote, bool *closed)
{
    if (*p->cur == quote) {
        return read_quotes(p, s, quote, closed);
    }
    if (toml_at_newline(p)) {
        toml_skip_newline(p);
        return sink_put(p, s, '\n');
    }
    if (quote == '"' && *p->cur == '\\') {
        return read_escape(p, s, true);
    }
    return copy_char(p, s);
}

static bool read_multi(struct toml_parser *p, struct sink *s, char quote, struct toml_pos start)
{
    bool closed = false;

    toml_skip(p, 3);
    if (!toml_at_end(p) && toml_at_newline(p)) {
        toml_skip_newline(p);
    }
    while (!closed) {
        if (toml_at_end(p)) {
            return toml_fail(p, start, "the multi-line string is never closed");
        }
        if (!read_multi_element(p, s, quote, &closed)) {
            return false;
        }
    }
    return true;
}

bool toml_read_string(struct toml_parser *p, struct toml_text *out, bool multi)
{
    char quote = toml_peek(p, 0);
    bool triple = toml_peek(p, 1) == quote && toml_peek(p, 2) == quote;
    struct toml_pos start = p->pos;
    struct toml_arena *a = p->arena;
    struct sink s;

    if (triple && !multi) {
        return toml_fail(p, start, "a key cannot be a multi-line string");
    }
    s.start = s.cur = a->base + a->used;
    s.end = a->base + a->size;
    if (triple ? !read_multi(p, &s, quote, start) : !read_single(p, &s, quote, start)) {
        return false;
    }
    if (!sink_put(p, &s, '\0')) {
        return false;
    }
    s.cur--;
    out->ptr = s.start;
    out->len = (size_t)(s.cur - s.start);
    a->used += out->len + 1;
    return true;
}
