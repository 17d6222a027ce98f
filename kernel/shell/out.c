// SPDX-License-Identifier: Apache-2.0
//
// Listings, as columns or as JSON (RFC 8259), one object a line.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/shell/shell.h"

static void put(char *buf, const char *text, size_t len)
{
    size_t used = strlen(buf);

    len = len < SHELL_ROW - 1 - used ? len : SHELL_ROW - 1 - used;
    memcpy(buf + used, text, len);
    buf[used + len] = '\0';
}

static void puts_to(char *buf, const char *text)
{
    put(buf, text, strlen(text));
}

static void emit(struct shell *sh, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        if (n > 0) {
            sh->write(sh->ctx, text, n);
        }
        if (text[n] == '\n') {
            sh->write(sh->ctx, "\r\n", 2);
            n++;
        }
        text += n;
    }
}

void shell_printf(struct shell *sh, const char *fmt, ...)
{
    char text[SHELL_ROW];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    emit(sh, text);
}

void shell_listing(struct shell *sh)
{
    sh->headed = false;
}

void shell_row(struct shell *sh)
{
    sh->head[0] = sh->row[0] = '\0';
    sh->first_cell = true;
    if (sh->json) {
        puts_to(sh->row, "{");
    }
}

static void put_quoted(char *buf, const char *text)
{
    puts_to(buf, "\"");
    for (; *text; text++) {
        char code[8];

        if (*text == '"' || *text == '\\') {
            (void)snprintf(code, sizeof(code), "\\%c", *text);
        } else if ((unsigned char)*text < ' ') {
            (void)snprintf(code, sizeof(code), "\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            (void)snprintf(code, sizeof(code), "%c", *text);
        }
        puts_to(buf, code);
    }
    puts_to(buf, "\"");
}

static void pad(char *buf, size_t from, unsigned width)
{
    while (strlen(buf) - from < width && strlen(buf) < SHELL_ROW - 1) {
        puts_to(buf, " ");
    }
}

// `value` is a column's text, `quoted` says whether it is a string in JSON.
static void cell(struct shell *sh, const char *key, int width, const char *value, bool quoted)
{
    char aligned[SHELL_ROW];
    size_t at;

    if (sh->json) {
        puts_to(sh->row, sh->first_cell ? "" : ",");
        put_quoted(sh->row, key);
        puts_to(sh->row, ":");
        if (quoted) {
            put_quoted(sh->row, value);
        } else {
            puts_to(sh->row, value);
        }
    } else {
        unsigned room = (unsigned)(width < 0 ? -width : width);

        room = strlen(key) > room ? (unsigned)strlen(key) : room;
        width = width < 0 ? -(int)room : (int)room;
        puts_to(sh->row, sh->first_cell ? "" : "  ");
        puts_to(sh->head, sh->first_cell ? "" : "  ");
        at = strlen(sh->row);
        (void)snprintf(aligned, sizeof(aligned), "%*s", width, value);
        puts_to(sh->row, aligned);
        pad(sh->row, at, room);
        at = strlen(sh->head);
        (void)snprintf(aligned, sizeof(aligned), "%*s", width, key);
        puts_to(sh->head, aligned);
        pad(sh->head, at, room);
    }
    sh->first_cell = false;
}

void shell_text(struct shell *sh, const char *key, unsigned width, const char *value)
{
    cell(sh, key, -(int)width, value, true);
}

void shell_num(struct shell *sh, const char *key, unsigned width, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    cell(sh, key, (int)width, text, false);
}

void shell_hex(struct shell *sh, const char *key, unsigned width, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
    cell(sh, key, (int)width, text, true);
}

void shell_bool(struct shell *sh, const char *key, unsigned width, bool value)
{
    if (sh->json) {
        cell(sh, key, 0, value ? "true" : "false", false);
    } else {
        cell(sh, key, -(int)width, value ? "yes" : "no", true);
    }
}

static void trim(char *buf)
{
    size_t len = strlen(buf);

    while (len > 0 && buf[len - 1] == ' ') {
        buf[--len] = '\0';
    }
}

void shell_row_end(struct shell *sh)
{
    if (sh->json) {
        if (strlen(sh->row) > SHELL_ROW - 2) { // no half an object
            strcpy(sh->row, "{\"error\":\"row too long\"");
        }
        puts_to(sh->row, "}");
    } else if (!sh->headed) {
        trim(sh->head);
        emit(sh, sh->head);
        emit(sh, "\n");
        sh->headed = true;
    }
    trim(sh->row);
    emit(sh, sh->row);
    emit(sh, "\n");
}
