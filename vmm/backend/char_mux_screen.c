// SPDX-License-Identifier: Apache-2.0
//
// Drawing: the unfinished line of one guest (the owner) is kept on the screen by comparing what stands there
// with what should, and sending the difference. The cursor goes left by backspaces while only ASCII lies in
// between; else the line is drawn from its start, as only then every character is certain to be one column
// wide.
#include "vmm/backend/char_mux_screen.h"

#include <string.h>

#define HOST_NAME "lodge"

void char_mux_emit(struct char_mux_core *m, const char *text, size_t len)
{
    if (len > 0) {
        m->emit(m->ctx, text, len);
        m->emitted += len;
        m->last_emit = m->now;
    }
}

static void emit_text(struct char_mux_core *m, const char *text)
{
    char_mux_emit(m, text, strlen(text));
}

static void emit_prefix(struct char_mux_core *m, const char *name)
{
    emit_text(m, "[");
    emit_text(m, name);
    emit_text(m, "] ");
}

static void emit_cells(struct char_mux_core *m, const uint32_t *cell, unsigned count)
{
    char buf[128];
    size_t n = 0;

    for (unsigned i = 0; i < count; i++) {
        if (n + 4 > sizeof(buf)) {
            char_mux_emit(m, buf, n);
            n = 0;
        }
        n += char_line_encode(cell[i], &buf[n]);
    }
    char_mux_emit(m, buf, n);
}

// ---- other people's prefixes ------------------------------------------------------------------------------

// Does "name]" stand at cell[0]?
static bool names(const uint32_t *cell, unsigned count, const char *name)
{
    unsigned n = (unsigned)strlen(name);

    if (count < n + 1 || cell[n] != ']') {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (cell[i] != (uint8_t)name[i]) {
            return false;
        }
    }
    return true;
}

static bool forges(const struct char_mux_core *m, int slot, const uint32_t *cell, unsigned count)
{
    if (names(cell, count, HOST_NAME)) {
        return true;
    }
    for (int i = 0; i < CHAR_MUX_GUEST_MAX; i++) {
        if (i != slot && m->guests[i] && names(cell, count, m->guests[i]->name)) {
            return true;
        }
    }
    return false;
}

// The guest's line as it may be shown.
static unsigned wanted(const struct char_mux_core *m, int slot, uint32_t out[CHAR_LINE_MAX])
{
    const struct char_line *l = &m->guests[slot]->line;

    memcpy(out, l->cell, l->len * sizeof(out[0]));
    for (unsigned i = 0; i < l->len; i++) {
        if (out[i] == '[' && forges(m, slot, &out[i + 1], l->len - i - 1)) {
            out[i] = '{';
        }
    }
    return l->len;
}

// ---- the current line -------------------------------------------------------------------------------------

void char_mux_break(struct char_mux_core *m)
{
    if (m->owner >= 0 || m->raw_mid_line) {
        emit_text(m, "\r\n");
    }
    m->owner = -1;
    m->raw_mid_line = false;
}

static void take_line(struct char_mux_core *m, int slot)
{
    if (m->owner == slot) {
        return;
    }
    char_mux_break(m);
    emit_prefix(m, m->guests[slot]->name);
    m->owner = slot;
    m->drawn_len = 0;
    m->drawn_col = 0;
}

static void move_to(struct char_mux_core *m, unsigned col)
{
    bool ascii = true;

    for (unsigned i = col; i < m->drawn_col; i++) {
        ascii &= m->drawn[i] < 0x80;
    }
    if (col < m->drawn_col && ascii) {
        for (unsigned i = col; i < m->drawn_col; i++) {
            emit_text(m, "\b");
        }
    } else if (col < m->drawn_col) {
        emit_text(m, "\r");
        emit_prefix(m, m->guests[m->owner]->name);
        emit_cells(m, m->drawn, col);
    } else {
        emit_cells(m, &m->drawn[m->drawn_col], col - m->drawn_col);
    }
    m->drawn_col = (uint16_t)col;
}

// Makes the owner's line read `want`, with the cursor at `col`.
static void redraw(struct char_mux_core *m, const uint32_t *want, unsigned len, unsigned col)
{
    unsigned same = 0, old_len = m->drawn_len;

    while (same < len && same < old_len && want[same] == m->drawn[same]) {
        same++;
    }
    if (same < len || same < old_len) {
        move_to(m, same);
        emit_cells(m, &want[same], len - same);
        memcpy(m->drawn, want, len * sizeof(want[0]));
        m->drawn_col = (uint16_t)len;
        for (unsigned i = len; i < old_len; i++) {
            emit_text(m, " ");
            m->drawn[i] = ' ';
            m->drawn_col++;
        }
        m->drawn_len = (uint16_t)len;
    }
    move_to(m, col);
}

void char_mux_draw(struct char_mux_core *m, int slot)
{
    uint32_t want[CHAR_LINE_MAX];
    unsigned len = wanted(m, slot, want);

    take_line(m, slot);
    redraw(m, want, len, m->guests[slot]->line.col);
    m->guests[slot]->fresh = false;
}

void char_mux_emit_line(struct char_mux_core *m, int slot)
{
    uint32_t want[CHAR_LINE_MAX];
    unsigned len = wanted(m, slot, want);

    take_line(m, slot);
    redraw(m, want, len, len);
    char_mux_break(m);
    m->guests[slot]->fresh = false;
}

void char_mux_emit_raw_line(struct char_mux_core *m, int slot)
{
    const struct char_line *l = &m->guests[slot]->line;

    emit_cells(m, l->cell, l->len);
    for (unsigned i = l->col; i < l->len; i++) {
        emit_text(m, "\b");
    }
    m->raw_mid_line = l->len > 0;
}

void char_mux_emit_host(struct char_mux_core *m, const char *text, size_t len)
{
    char_mux_break(m);
    emit_prefix(m, HOST_NAME);
    for (size_t i = 0; i < len; i++) {
        char c = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';

        char_mux_emit(m, &c, 1);
    }
    emit_text(m, "\r\n");
}
