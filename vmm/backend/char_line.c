// SPDX-License-Identifier: Apache-2.0
//
// The terminal-line model: control characters, escape sequences (ECMA-48: CSI, and the string sequences OSC,
// DCS, APC, PM, SOS), UTF-8 with everything refused that is malformed or moves text about on the screen.
#include "vmm/backend/char_line.h"

#include <string.h>

#define STRING_MAX 200 // a string sequence that does not end is given up after so many bytes
#define TAB_STOP 8u

enum parser_state {
    GROUND,
    ESCAPE,
    ESCAPE_ONE,
    CSI,
    STRING,
    STRING_ESCAPE
};

#define BEL 0x07
#define BS 0x08
#define CAN 0x18
#define SUB 0x1a
#define ESC 0x1b

void char_line_reset(struct char_line *l)
{
    memset(l, 0, sizeof(*l));
}

void char_line_next(struct char_line *l)
{
    l->len = 0;
    l->col = 0;
    l->cr = false;
}

unsigned char_line_encode(uint32_t code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[4] = {0, 0xc0, 0xe0, 0xf0};

    out[0] = (char)(lead[more] | (code >> (6 * more)));
    for (unsigned i = 1; i <= more; i++) {
        out[i] = (char)(0x80 | ((code >> (6 * (more - i))) & 0x3f));
    }
    return more + 1;
}

// Not C1 controls, no surrogates, none of the characters that reorder or break lines.
static bool printable(uint32_t code)
{
    return code >= 0xa0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) &&
           !(code >= 0x200b && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202e) &&
           !(code >= 0x2060 && code <= 0x206f) && code != 0x61c && code != 0xfeff && code < 0xe0000;
}

static enum char_line_event put(struct char_line *l, uint32_t code)
{
    if (l->col == CHAR_LINE_MAX) {
        return CHAR_LINE_FULL;
    }
    l->cell[l->col++] = code;
    l->len = l->col > l->len ? l->col : l->len;
    return CHAR_LINE_CHANGED;
}

static enum char_line_event put_tab(struct char_line *l)
{
    unsigned to = (l->col / TAB_STOP + 1) * TAB_STOP;

    if (l->col == CHAR_LINE_MAX) {
        return CHAR_LINE_FULL;
    }
    while (l->col < to && l->col < CHAR_LINE_MAX) {
        if (l->col < l->len) {
            l->col++; // a tab moves over text, it does not erase it
        } else {
            (void)put(l, ' ');
        }
    }
    return CHAR_LINE_CHANGED;
}

// ---- escape sequences -------------------------------------------------------------------------------------

static void erase_in_line(struct char_line *l, unsigned what)
{
    if (what == 0) { // from the cursor to the end
        l->len = l->col;
        return;
    }
    for (unsigned i = 0; i < l->col; i++) {
        l->cell[i] = ' ';
    }
    if (what == 2) {
        l->len = l->col;
    }
}

static void delete_chars(struct char_line *l, unsigned n)
{
    unsigned tail = (unsigned)l->len - l->col; // the cursor is never beyond the end

    n = n < tail ? n : tail;
    memmove(&l->cell[l->col], &l->cell[l->col + n], (tail - n) * sizeof(l->cell[0]));
    l->len = (uint16_t)(l->len - n);
}

static void insert_chars(struct char_line *l, unsigned n)
{
    unsigned tail = (unsigned)l->len - l->col; // the cursor is never beyond the end
    unsigned room = CHAR_LINE_MAX - l->len;

    n = n < room ? n : room;
    if (tail == 0) {
        return;
    }
    memmove(&l->cell[l->col + n], &l->cell[l->col], tail * sizeof(l->cell[0]));
    for (unsigned i = 0; i < n; i++) {
        l->cell[l->col + i] = ' ';
    }
    l->len = (uint16_t)(l->len + n);
}

// A sequence is complete. What is not named here (colours, positions, queries, modes) is swallowed.
static enum char_line_event csi_final(struct char_line *l, uint8_t final)
{
    unsigned p = l->param[0];
    unsigned n = p ? p : 1;

    switch (final) {
    case 'D': // cursor left
        l->col = (uint16_t)(n < l->col ? l->col - n : 0);
        return CHAR_LINE_CHANGED;
    case 'C': // cursor right, inside the text
        l->col = (uint16_t)(n < (unsigned)(l->len - l->col) ? l->col + n : l->len);
        return CHAR_LINE_CHANGED;
    case 'G': // cursor to column
        l->col = (uint16_t)(n - 1 < l->len ? n - 1 : l->len);
        return CHAR_LINE_CHANGED;
    case 'J': // erase in display: our display is the line
    case 'K':
        if (p > 2) {
            return CHAR_LINE_SAME;
        }
        erase_in_line(l, p);
        return CHAR_LINE_CHANGED;
    case 'P':
        delete_chars(l, n);
        return CHAR_LINE_CHANGED;
    case '@':
        insert_chars(l, n);
        return CHAR_LINE_CHANGED;
    default:
        return CHAR_LINE_SAME;
    }
}

#define CSI_PRIVATE \
    0xffu // param_count of a sequence with a private marker or intermediate bytes: swallowed whole

static enum char_line_event csi_byte(struct char_line *l, uint8_t c)
{
    if (c >= '0' && c <= '9') {
        uint16_t *p = &l->param[l->param_count < 4 ? l->param_count : 3];

        *p = (uint16_t)(*p < 1000 ? *p * 10 + (c - '0') : *p);
        return CHAR_LINE_SAME;
    }
    if (c == ';' || c == ':') {
        l->param_count = (uint8_t)(l->param_count < 3 ? l->param_count + 1 : l->param_count);
        return CHAR_LINE_SAME;
    }
    if (c >= 0x20 && c <= 0x3f) {
        l->param_count = CSI_PRIVATE;
        return CHAR_LINE_SAME;
    }
    l->state = GROUND;
    if (c >= 0x40 && c <= 0x7e && l->param_count != CSI_PRIVATE) {
        return csi_final(l, c);
    }
    return CHAR_LINE_SAME;
}

static void escape_byte(struct char_line *l, uint8_t c)
{
    switch (c) {
    case '[':
        l->state = CSI;
        l->param_count = 0;
        memset(l->param, 0, sizeof(l->param));
        return;
    case ']':
    case 'P':
    case 'X':
    case '^':
    case '_':
        l->state = STRING;
        l->swallowed = 0;
        return;
    default: // with intermediate bytes (character sets and the like) the sequence goes on
        l->state = c >= 0x20 && c <= 0x2f ? ESCAPE_ONE : GROUND;
        return;
    }
}

static void string_byte(struct char_line *l, uint8_t c)
{
    if (c == BEL || l->swallowed == STRING_MAX) {
        l->state = GROUND;
        return;
    }
    l->swallowed++;
    l->state = c == ESC ? STRING_ESCAPE : STRING;
}

// A byte while a sequence is open.
static enum char_line_event sequence_byte(struct char_line *l, uint8_t c)
{
    switch (l->state) {
    case ESCAPE:
        escape_byte(l, c);
        return CHAR_LINE_SAME;
    case ESCAPE_ONE:
        l->state = c >= 0x20 && c <= 0x2f ? ESCAPE_ONE : GROUND;
        return CHAR_LINE_SAME;
    case CSI:
        return csi_byte(l, c);
    case STRING_ESCAPE:
        if (c == '\\') {
            l->state = GROUND;
        } else {
            string_byte(l, c);
        }
        return CHAR_LINE_SAME;
    default:
        string_byte(l, c);
        return CHAR_LINE_SAME;
    }
}

// ---- plain bytes ------------------------------------------------------------------------------------------

static enum char_line_event utf8_lead(struct char_line *l, uint8_t c)
{
    if (c >= 0xc2 && c <= 0xdf) {
        l->utf8_left = 1, l->utf8_code = c & 0x1fu, l->utf8_min = 0x80;
    } else if (c >= 0xe0 && c <= 0xef) {
        l->utf8_left = 2, l->utf8_code = c & 0x0fu, l->utf8_min = 0x800;
    } else if (c >= 0xf0 && c <= 0xf4) {
        l->utf8_left = 3, l->utf8_code = c & 0x07u, l->utf8_min = 0x10000;
    } else {
        return put(l, '?');
    }
    return CHAR_LINE_SAME;
}

// One more byte of a multi-byte character. When the row is full the byte is fed again, so nothing is consumed
// then.
static enum char_line_event utf8_more(struct char_line *l, uint8_t c)
{
    uint32_t code = (l->utf8_code << 6) | (c & 0x3fu);

    if (l->utf8_left > 1) {
        l->utf8_code = code;
        l->utf8_left--;
        return CHAR_LINE_SAME;
    }
    enum char_line_event e = put(l, code >= l->utf8_min && printable(code) ? code : '?');

    l->utf8_left = e == CHAR_LINE_FULL ? 1 : 0;
    return e;
}

static enum char_line_event control(struct char_line *l, uint8_t c)
{
    switch (c) {
    case '\n':
    case 0x0b: // vertical tab, form feed: a new line at most
    case 0x0c:
        return CHAR_LINE_DONE;
    case '\r':
        l->cr = true;
        return CHAR_LINE_SAME;
    case '\t':
        return put_tab(l);
    case BS:
        l->col = (uint16_t)(l->col > 0 ? l->col - 1 : 0);
        return CHAR_LINE_CHANGED;
    case ESC:
        l->state = ESCAPE;
        return CHAR_LINE_SAME;
    default:
        return CHAR_LINE_SAME;
    }
}

static enum char_line_event ground_byte(struct char_line *l, uint8_t c)
{
    if (c < 0x20 || c == 0x7f) {
        return control(l, c);
    }
    if (l->utf8_left > 0 && (c & 0xc0) == 0x80) {
        return utf8_more(l, c);
    }
    l->utf8_left = 0; // a character that was cut off is forgotten
    return c < 0x80 ? put(l, c) : utf8_lead(l, c);
}

enum char_line_event char_line_feed(struct char_line *l, uint8_t byte)
{
    if (l->cr && byte != '\n' && byte != '\r' && l->state == GROUND) {
        l->cr = false;
        l->col = 0;
    }
    if (l->state == GROUND) {
        return ground_byte(l, byte);
    }
    if (byte == CAN || byte == SUB) {
        l->state = GROUND;
        return CHAR_LINE_SAME;
    }
    if (byte == ESC && l->state != STRING && l->state != STRING_ESCAPE) {
        l->state = ESCAPE;
        return CHAR_LINE_SAME;
    }
    if ((byte == '\n' || byte == '\r') && l->state != STRING && l->state != STRING_ESCAPE) {
        l->state = GROUND; // no sequence spans lines: one that was cut off does not eat the next line
        return ground_byte(l, byte);
    }
    return sequence_byte(l, byte);
}
