// SPDX-License-Identifier: Apache-2.0
//
// TOML: the cursor, the check of the encoding, errors and memory.
//
// The whole text is checked once before parsing: well-formed UTF-8 (RFC 3629) and no control character but tab, LF and
// CR before LF, which is what the grammar allows anywhere. After that no parser function meets a NUL or a broken
// sequence.
#include "kernel/lib/toml_parser.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool toml_fail(struct toml_parser *p, struct toml_pos pos, const char *fmt, ...)
{
    va_list ap;

    if (p->status != OK) {
        return false;
    }
    p->status = E_CONFIG;
    p->error->pos = pos;
    va_start(ap, fmt);
    (void)vsnprintf(p->error->message, sizeof(p->error->message), fmt, ap);
    va_end(ap);
    // A quoted key may hold anything: nothing of it may steer the terminal that shows the message.
    for (char *c = p->error->message; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = '?';
        }
    }
    return false;
}

bool toml_fail_here(struct toml_parser *p, const char *wanted)
{
    unsigned char c = (unsigned char)toml_peek(p, 0);

    if (toml_at_end(p)) {
        return toml_fail(p, p->pos, "unexpected end of the file: expected %s", wanted);
    }
    if (toml_at_newline(p)) {
        return toml_fail(p, p->pos, "unexpected end of the line: expected %s", wanted);
    }
    if (c >= 0x80) {
        return toml_fail(p, p->pos, "unexpected character: expected %s", wanted);
    }
    return toml_fail(p, p->pos, "unexpected '%c': expected %s", c, wanted);
}

void *toml_arena_take(struct toml_arena *a, size_t size)
{
    uintptr_t misaligned = ((uintptr_t)a->base + a->used) % sizeof(void *);
    size_t pad = misaligned ? sizeof(void *) - misaligned : 0;
    void *out;

    if (a->size - a->used < pad || a->size - a->used - pad < size) {
        return NULL;
    }
    out = a->base + a->used + pad;
    a->used += pad + size;
    memset(out, 0, size);
    return out;
}

bool toml_fail_memory(struct toml_parser *p)
{
    (void)toml_fail(p, p->pos, "the document is too large for the memory set aside (%zu bytes)",
                    p->arena->size);
    p->status = E_NOMEM;
    return false;
}

void *toml_alloc(struct toml_parser *p, size_t size)
{
    void *out = toml_arena_take(p->arena, size);

    if (!out) {
        (void)toml_fail_memory(p);
    }
    return out;
}

bool toml_copy_text(struct toml_parser *p, const char *ptr, size_t len, struct toml_text *out)
{
    char *copy = toml_alloc(p, len + 1);

    if (!copy) {
        return false;
    }
    memcpy(copy, ptr, len);
    out->ptr = copy;
    out->len = len;
    return true;
}

// ---- the cursor ----

void toml_step(struct toml_parser *p)
{
    unsigned char c = (unsigned char)*p->cur++;

    if (c == '\n') {
        p->pos.line++;
        p->pos.column = 1;
    } else if ((c & 0xC0) != 0x80) {
        p->pos.column++;
    }
}

void toml_skip(struct toml_parser *p, size_t n)
{
    p->cur += n;
    p->pos.column += (uint32_t)n;
}

bool toml_at_newline(const struct toml_parser *p)
{
    return toml_peek(p, 0) == '\n' || toml_peek(p, 0) == '\r';
}

void toml_skip_newline(struct toml_parser *p)
{
    if (toml_peek(p, 0) == '\r') {
        toml_step(p);
    }
    toml_step(p);
}

void toml_skip_blanks(struct toml_parser *p)
{
    while (toml_peek(p, 0) == ' ' || toml_peek(p, 0) == '\t') {
        toml_skip(p, 1);
    }
}

void toml_skip_comment(struct toml_parser *p)
{
    if (toml_peek(p, 0) != '#') {
        return;
    }
    while (!toml_at_end(p) && !toml_at_newline(p)) {
        toml_step(p);
    }
}

void toml_skip_lines(struct toml_parser *p)
{
    for (;;) {
        toml_skip_blanks(p);
        toml_skip_comment(p);
        if (toml_at_end(p) || !toml_at_newline(p)) {
            return;
        }
        toml_skip_newline(p);
    }
}

// ---- the encoding ----

// Bytes of the well-formed UTF-8 sequence at s (at most n), 0 when it is malformed: overlong, surrogate, past U+10FFFF.
static size_t utf8_length(const unsigned char *s, size_t n)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t len;

    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xC2 && s[0] <= 0xDF) {
        len = 2;
    } else if ((s[0] & 0xF0) == 0xE0) {
        len = 3;
        low = s[0] == 0xE0 ? 0xA0 : 0x80;
        high = s[0] == 0xED ? 0x9F : 0xBF;
    } else if (s[0] >= 0xF0 && s[0] <= 0xF4) {
        len = 4;
        low = s[0] == 0xF0 ? 0x90 : 0x80;
        high = s[0] == 0xF4 ? 0x8F : 0xBF;
    } else {
        return 0;
    }
    if (n < len || s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((s[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len;
}

static bool check_control(struct toml_parser *p, unsigned char c)
{
    if ((c >= 0x20 && c != 0x7F) || c == '\t' || c == '\n') {
        return true;
    }
    if (c == '\r') {
        return toml_peek(p, 1) == '\n' || toml_fail(p, p->pos, "a carriage return that is not part of CRLF");
    }
    return toml_fail(p, p->pos, "the control character U+%04X is not allowed", c);
}

bool toml_check_text(struct toml_parser *p)
{
    struct toml_pos start = {1, 1};
    const char *begin;

    p->pos = start;
    if (p->end - p->cur >= 3 && memcmp(p->cur, "\xEF\xBB\xBF", 3) == 0) {
        p->cur += 3;
    }
    begin = p->cur;
    while (!toml_at_end(p)) {
        size_t len = utf8_length((const unsigned char *)p->cur, (size_t)(p->end - p->cur));

        if (len == 0) {
            return toml_fail(p, p->pos, "the text is not valid UTF-8 here (byte 0x%02X)",
                             (unsigned char)*p->cur);
        }
        if (!check_control(p, (unsigned char)*p->cur)) {
            return false;
        }
        for (size_t i = 0; i < len; i++) {
            toml_step(p);
        }
    }
    p->cur = begin;
    p->pos = start;
    return true;
}
