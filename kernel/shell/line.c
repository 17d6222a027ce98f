// SPDX-License-Identifier: Apache-2.0
//
// See line.h.
#include "kernel/shell/line.h"

#include <string.h>

#define CTRL(c) ((c)&0x1f)
#define ESC 0x1b
#define DEL 0x7f

enum {
    GROUND,
    ESCAPE,
    CSI,
    SS3
};

static void emit(struct line *l, const char *text, size_t len)
{
    if (len > 0) {
        l->emit(l->ctx, text, len);
    }
}

static void back_by(struct line *l, unsigned n)
{
    while (n-- > 0) {
        emit(l, "\b", 1);
    }
}

// The cursor of the screen is at `from`: shows what follows and returns to `pos`.
static void draw_rest(struct line *l, unsigned from)
{
    emit(l, l->text + from, l->len - from);
    emit(l, "\033[K", 3);
    back_by(l, l->len - l->pos);
}

void line_init(struct line *l, const char *prompt, void (*out)(void *ctx, const char *text, size_t len),
               void *ctx)
{
    memset(l, 0, sizeof(*l));
    l->prompt = prompt;
    l->emit = out;
    l->ctx = ctx;
}

void line_draw(struct line *l)
{
    emit(l, l->prompt, strlen(l->prompt));
    draw_rest(l, 0);
}

void line_start(struct line *l)
{
    l->len = l->pos = l->back = 0;
    l->text[0] = '\0';
    line_draw(l);
}

void line_insert(struct line *l, const char *text, size_t len)
{
    unsigned from = l->pos;

    for (size_t i = 0; i < len && l->len < LINE_SIZE; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            continue;
        }
        memmove(&l->text[l->pos + 1], &l->text[l->pos], l->len - l->pos + 1);
        l->text[l->pos++] = text[i];
        l->len++;
    }
    if (l->pos == from) {
        return;
    }
    if (l->pos == l->len) {
        emit(l, l->text + from, l->len - from); // the usual case, without an erase
    } else {
        draw_rest(l, from);
    }
}

// Removes [from, to); the cursor is at its start or end.
static void cut(struct line *l, unsigned from, unsigned to)
{
    if (from == to) {
        return;
    }
    back_by(l, l->pos - from);
    memmove(&l->text[from], &l->text[to], l->len - to + 1);
    l->len -= to - from;
    l->pos = from;
    draw_rest(l, from);
}

static void move(struct line *l, unsigned to)
{
    if (to < l->pos) {
        back_by(l, l->pos - to);
    } else {
        emit(l, l->text + l->pos, to - l->pos);
    }
    l->pos = to;
}

static unsigned word_start(const struct line *l)
{
    unsigned i = l->pos;

    while (i > 0 && l->text[i - 1] == ' ') {
        i--;
    }
    while (i > 0 && l->text[i - 1] != ' ') {
        i--;
    }
    return i;
}

// ---- history -------------------------------------------------------------------------------------------------------

static void show(struct line *l, const char *text)
{
    move(l, 0);
    l->len = (unsigned)strlen(text);
    memmove(l->text, text, l->len + 1);
    l->pos = l->len;
    draw_rest(l, 0);
}

static const char *past(const struct line *l, unsigned back)
{
    return l->past[(l->past_count - back) % LINE_HISTORY];
}

static void browse(struct line *l, bool older)
{
    unsigned kept = l->past_count < LINE_HISTORY ? l->past_count : LINE_HISTORY;
    unsigned to = older ? l->back + 1 : l->back - 1;

    if (older ? l->back == kept : l->back == 0) {
        return;
    }
    if (l->back == 0) {
        strcpy(l->draft, l->text);
    }
    l->back = to;
    show(l, to == 0 ? l->draft : past(l, to));
}

static void remember(struct line *l)
{
    if (l->len == 0 || (l->past_count > 0 && strcmp(past(l, 1), l->text) == 0)) {
        return;
    }
    strcpy(l->past[l->past_count++ % LINE_HISTORY], l->text);
}

// ---- keys ----------------------------------------------------------------------------------------------------------

static enum line_event finish(struct line *l)
{
    move(l, l->len);
    emit(l, "\r\n", 2);
    remember(l);
    return LINE_DONE;
}

static void give_up(struct line *l)
{
    emit(l, "^C\r\n", 4);
    line_start(l);
}

static enum line_event control(struct line *l, uint8_t c)
{
    switch (c) {
    case '\r':
    case '\n':
        return finish(l);
    case '\t':
        return LINE_TAB;
    case CTRL('a'):
        move(l, 0);
        break;
    case CTRL('b'):
        move(l, l->pos > 0 ? l->pos - 1 : 0);
        break;
    case CTRL('c'):
        give_up(l);
        break;
    case CTRL('d'):
        cut(l, l->pos, l->pos < l->len ? l->pos + 1 : l->len);
        break;
    case CTRL('e'):
        move(l, l->len);
        break;
    case CTRL('f'):
        move(l, l->pos < l->len ? l->pos + 1 : l->len);
        break;
    case CTRL('h'):
    case DEL:
        cut(l, l->pos > 0 ? l->pos - 1 : 0, l->pos);
        break;
    case CTRL('k'):
        cut(l, l->pos, l->len);
        break;
    case CTRL('l'):
        emit(l, "\r", 1);
        line_draw(l);
        break;
    case CTRL('n'):
        browse(l, false);
        break;
    case CTRL('p'):
        browse(l, true);
        break;
    case CTRL('u'):
        cut(l, 0, l->pos);
        break;
    case CTRL('w'):
        cut(l, word_start(l), l->pos);
        break;
    default:
        break;
    }
    return LINE_EDITED;
}

// The keys that terminals send as sequences mean what a control character means; 0: none.
static uint8_t key_of(uint8_t final, uint8_t param)
{
    static const uint8_t by_number[] = {0, CTRL('a'), 0, CTRL('d'), CTRL('e'), 0, 0, CTRL('a'), CTRL('e')};

    switch (final) {
    case 'A':
        return CTRL('p');
    case 'B':
        return CTRL('n');
    case 'C':
        return CTRL('f');
    case 'D':
        return CTRL('b');
    case 'F':
        return CTRL('e');
    case 'H':
        return CTRL('a');
    case '~':
        return param < ARRAY_SIZE(by_number) ? by_number[param] : 0;
    default:
        return 0;
    }
}

static enum line_event escape(struct line *l, uint8_t c)
{
    uint8_t key;

    if (l->state == ESCAPE) {
        l->state = c == '[' ? CSI : (c == 'O' ? SS3 : GROUND);
        l->param = 0;
        return LINE_EDITED;
    }
    if (l->state == CSI && c >= '0' && c <= '9') {
        l->param = (uint8_t)(l->param < 20 ? l->param * 10 + (c - '0') : 255);
        return LINE_EDITED;
    }
    if (c < '@') { // more parameters: no key of ours
        l->param = 255;
        return LINE_EDITED;
    }
    l->state = GROUND;
    key = key_of(c, l->param);
    return key ? control(l, key) : LINE_EDITED;
}

enum line_event line_feed(struct line *l, uint8_t byte)
{
    bool second = byte == '\n' && l->cr;
    char c = (char)byte;

    l->cr = byte == '\r';
    if (second) {
        return LINE_EDITED;
    }
    if (byte == ESC) {
        l->state = ESCAPE;
        return LINE_EDITED;
    }
    if (l->state != GROUND) {
        return escape(l, byte);
    }
    if (byte < ' ' || byte == DEL) {
        return control(l, byte);
    }
    line_insert(l, &c, 1);
    return LINE_EDITED;
}
