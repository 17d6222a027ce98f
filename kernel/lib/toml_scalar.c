// SPDX-License-Identifier: Apache-2.0
//
// TOML: integers, floats, booleans, dates and times (sections "Integer" to "Local Time").
//
// The word at the cursor is cut out first, then matched. Floats and dates are checked by shape and range and kept as
// text.
#include "kernel/lib/toml_parser.h"

#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int digit_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

// ---- numbers ----

// Digits of `base` with single underscores between them, all of [s, s + n). False on any other shape.
static bool digits_valid(const char *s, size_t n, int base)
{
    bool after_digit = false;

    for (size_t i = 0; i < n; i++) {
        if (s[i] == '_') {
            if (!after_digit) {
                return false;
            }
            after_digit = false;
        } else if (digit_value(s[i]) < base) {
            after_digit = true;
        } else {
            return false;
        }
    }
    return after_digit;
}

// As digits_valid() in decimal, and no leading zero.
static bool decimal_valid(const char *s, size_t n)
{
    return digits_valid(s, n, 10) && (n == 1 || s[0] != '0');
}

// The value of checked digits; false when it passes `max`.
static bool digits_value(const char *s, size_t n, unsigned base, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned d;

        if (s[i] == '_') {
            continue;
        }
        d = (unsigned)digit_value(s[i]);
        if (v > (max - d) / base) {
            return false;
        }
        v = v * base + d;
    }
    *out = v;
    return true;
}

static unsigned prefix_base(const char *s, size_t n)
{
    if (n < 2 || s[0] != '0') {
        return 10;
    }
    switch (s[1]) {
    case 'x':
        return 16;
    case 'o':
        return 8;
    case 'b':
        return 2;
    default:
        return 10;
    }
}

// Tries the word as an integer. False with the parser's status still OK: no integer by its shape.
static bool match_integer(struct toml_parser *p, struct toml_text w, struct toml_node *node)
{
    bool negative = w.ptr[0] == '-';
    size_t sign = negative || w.ptr[0] == '+' ? 1 : 0;
    const char *digits = w.ptr + sign;
    size_t n = w.len - sign;
    unsigned base = prefix_base(digits, n);
    uint64_t max = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t v;

    if (base != 10) {
        if (sign != 0 || !digits_valid(digits + 2, n - 2, (int)base)) {
            return false;
        }
        digits += 2;
        n -= 2;
    } else if (!decimal_valid(digits, n)) {
        return false;
    }
    if (!digits_value(digits, n, base, max, &v)) {
        return toml_fail(p, node->pos, "the integer does not fit 64 bits");
    }
    node->type = TOML_INTEGER;
    node->integer = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

// Where the run of digits and underscores that starts at `from` ends.
static size_t digits_end(struct toml_text w, size_t from)
{
    while (from < w.len && (is_digit(w.ptr[from]) || w.ptr[from] == '_')) {
        from++;
    }
    return from;
}

static bool match_float(struct toml_text w)
{
    size_t i = w.ptr[0] == '-' || w.ptr[0] == '+' ? 1 : 0;
    size_t end = digits_end(w, i);

    if (w.len - i == 3 && (memcmp(w.ptr + i, "inf", 3) == 0 || memcmp(w.ptr + i, "nan", 3) == 0)) {
        return true;
    }
    if (!decimal_valid(w.ptr + i, end - i) || end == w.len) {
        return false;
    }
    if (w.ptr[end] == '.') {
        i = end + 1;
        end = digits_end(w, i);
        if (!digits_valid(w.ptr + i, end - i, 10)) {
            return false;
        }
    }
    if (end < w.len && (w.ptr[end] == 'e' || w.ptr[end] == 'E')) {
        i = end + 1;
        i += i < w.len && (w.ptr[i] == '-' || w.ptr[i] == '+') ? 1 : 0;
        end = digits_end(w, i);
        if (!digits_valid(w.ptr + i, end - i, 10)) {
            return false;
        }
    }
    return end == w.len;
}

// ---- dates and times (RFC 3339) ----

// A cursor over the word.
struct shape {
    const char *s;
    size_t n;
    bool ok;
};

static unsigned take_number(struct shape *d, unsigned digits)
{
    unsigned v = 0;

    if (d->n < digits) {
        d->ok = false;
        return 0;
    }
    for (unsigned i = 0; i < digits; i++) {
        if (!is_digit(d->s[i])) {
            d->ok = false;
            return 0;
        }
        v = v * 10 + (unsigned)(d->s[i] - '0');
    }
    d->s += digits;
    d->n -= digits;
    return v;
}

static bool take_char(struct shape *d, const char *set)
{
    if (!d->ok || d->n == 0 || !strchr(set, d->s[0])) {
        return false;
    }
    d->s++;
    d->n--;
    return true;
}

static void need_char(struct shape *d, const char *set)
{
    if (!take_char(d, set)) {
        d->ok = false;
    }
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

static void take_date(struct shape *d)
{
    unsigned year, month, day;

    year = take_number(d, 4);
    need_char(d, "-");
    month = take_number(d, 2);
    need_char(d, "-");
    day = take_number(d, 2);
    if (d->ok) {
        d->ok = month >= 1 && month <= 12 && day >= 1 && day <= month_days(year, month);
    }
}

static void take_hour_minute(struct shape *d)
{
    unsigned hour, minute;

    hour = take_number(d, 2);
    need_char(d, ":");
    minute = take_number(d, 2);
    d->ok = d->ok && hour <= 23 && minute <= 59;
}

static void take_time(struct shape *d)
{
    unsigned second;

    take_hour_minute(d);
    need_char(d, ":");
    second = take_number(d, 2);
    d->ok = d->ok && second <= 60; // 60: a leap second
    if (take_char(d, ".")) {
        (void)take_number(d, 1);
        while (d->ok && d->n > 0 && is_digit(d->s[0])) {
            (void)take_number(d, 1);
        }
    }
}

// True with *type set when the word has the form of a date or time, right or wrong; *ok tells.
static bool match_date(struct toml_text w, enum toml_type *type, bool *ok)
{
    struct shape d = {w.ptr, w.len, true};

    if (w.len >= 3 && is_digit(w.ptr[0]) && is_digit(w.ptr[1]) && w.ptr[2] == ':') {
        take_time(&d);
        *type = TOML_LOCAL_TIME;
    } else if (w.len >= 5 && is_digit(w.ptr[0]) && is_digit(w.ptr[1]) && is_digit(w.ptr[2]) &&
               is_digit(w.ptr[3]) && w.ptr[4] == '-') {
        take_date(&d);
        *type = TOML_LOCAL_DATE;
        if (take_char(&d, "Tt ")) {
            take_time(&d);
            *type = TOML_LOCAL_DATETIME;
            if (take_char(&d, "Zz")) {
                *type = TOML_DATETIME;
            } else if (take_char(&d, "+-")) {
                take_hour_minute(&d);
                *type = TOML_DATETIME;
            }
        }
    } else {
        return false;
    }
    *ok = d.ok && d.n == 0;
    return true;
}

// ---- the word ----

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
           (c != '\0' && strchr("+-._:", c));
}

// The length of the word at the cursor. A date and a time may have one blank between them.
static size_t word_length(const struct toml_parser *p)
{
    size_t n = 0;

    while (is_word_char(toml_peek(p, n))) {
        n++;
    }
    if (n == 10 && toml_peek(p, 4) == '-' && toml_peek(p, 7) == '-' && toml_peek(p, 10) == ' ' &&
        is_digit(toml_peek(p, 11))) {
        n = 11;
        while (is_word_char(toml_peek(p, n))) {
            n++;
        }
    }
    return n;
}

static bool word_is(struct toml_text w, const char *s)
{
    return w.len == strlen(s) && memcmp(w.ptr, s, w.len) == 0;
}

static bool fail_word(struct toml_parser *p, struct toml_text w)
{
    int shown = w.len > 40 ? 40 : (int)w.len;
    bool number = is_digit(w.ptr[0]) || ((w.ptr[0] == '-' || w.ptr[0] == '+') && w.len > 1);

    if (p->status != OK) {
        return false;
    }
    if (number) {
        return toml_fail(p, p->pos, "'%.*s' is no valid number, date or time", shown, w.ptr);
    }
    return toml_fail(p, p->pos, "'%.*s' is no value: a string needs quotes", shown, w.ptr);
}

bool toml_read_scalar(struct toml_parser *p, struct toml_node *node)
{
    struct toml_text w = {p->cur, word_length(p)};
    bool valid = false, as_text = false;

    if (w.len == 0) {
        return toml_fail_here(p, "a value");
    }
    if (word_is(w, "true") || word_is(w, "false")) {
        node->type = TOML_BOOLEAN;
        node->boolean = w.len == 4;
        valid = true;
    } else if (match_date(w, &node->type, &valid)) {
        as_text = true;
    } else if (match_integer(p, w, node)) {
        valid = true;
    } else if (match_float(w)) {
        node->type = TOML_FLOAT;
        valid = as_text = true;
    }
    if (!valid || p->status != OK) {
        return fail_word(p, w);
    }
    if (as_text && !toml_copy_text(p, w.ptr, w.len, &node->text)) {
        return false;
    }
    toml_skip(p, w.len);
    return true;
}
