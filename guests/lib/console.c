// SPDX-License-Identifier: Apache-2.0
//
// A small printf and the few string functions that tiny guests (and the compiler) need.
#include "guests/lib/guest.h"

#include <stdarg.h>

static void put_text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\n') {
            put_char('\r');
        }
        put_char(*s);
    }
}

static void put_number(uint64_t v, unsigned base, unsigned width, char pad)
{
    char buf[24];
    unsigned n = 0;

    do {
        buf[n++] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v && n < sizeof(buf));
    for (unsigned i = n; i < width; i++) {
        put_char(pad);
    }
    while (n) {
        put_char(buf[--n]);
    }
}

static void put_signed(int64_t v, unsigned width, char pad)
{
    if (v < 0) {
        put_char('-');
        put_number(0 - (uint64_t)v, 10, width, pad);
    } else {
        put_number((uint64_t)v, 10, width, pad);
    }
}

// One conversion; `fmt` points after the '%'. Returns where the text goes on.
static const char *put_conversion(const char *fmt, va_list *ap)
{
    char pad = ' ';
    unsigned width = 0;
    bool wide = false;

    if (*fmt == '0') {
        pad = '0';
        fmt++;
    }
    while (*fmt >= '0' && *fmt <= '9') {
        width = width * 10 + (unsigned)(*fmt++ - '0');
    }
    while (*fmt == 'l') {
        wide = true;
        fmt++;
    }
    switch (*fmt) {
    case 's':
        put_text(va_arg(*ap, const char *));
        break;
    case 'c':
        put_char((char)va_arg(*ap, int));
        break;
    case 'd':
        put_signed(wide ? va_arg(*ap, long) : va_arg(*ap, int), width, pad);
        break;
    case 'u':
        put_number(wide ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned), 10, width, pad);
        break;
    case 'p':
    case 'x':
        put_number(wide || *fmt == 'p' ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned), 16, width, pad);
        break;
    case '\0':
        return fmt;
    default:
        put_char(*fmt);
        break;
    }
    return fmt + 1;
}

void print(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    while (*fmt) {
        if (*fmt == '%') {
            fmt = put_conversion(fmt + 1, &ap);
        } else {
            char text[2] = {*fmt++, 0};
            put_text(text);
        }
    }
    va_end(ap);
}

bool text_equal(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool text_starts(const char *text, const char *prefix)
{
    while (*prefix) {
        if (*text++ != *prefix++) {
            return false;
        }
    }
    return true;
}

size_t text_copy(char *to, size_t size, const char *from)
{
    size_t n = 0;

    while (n + 1 < size && from[n]) {
        to[n] = from[n];
        n++;
    }
    to[n] = 0;
    return n;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *t = to;
    const unsigned char *f = from;

    while (n--) {
        *t++ = *f++;
    }
    return to;
}

void *memset(void *to, int c, size_t n)
{
    unsigned char *t = to;

    while (n--) {
        *t++ = (unsigned char)c;
    }
    return to;
}
