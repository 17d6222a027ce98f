// SPDX-License-Identifier: Apache-2.0
//
// One line of a guest's terminal output, made safe for a screen that others share.
//
// Bytes go in; what comes out is the line they would show: a row of printable characters and a cursor in it.
// Carriage return, backspace, tab and the escape sequences that shells use for editing inside a line (cursor
// left and right, erase, insert, delete) act on the row; colours and everything else are swallowed. So
// whatever a guest sends, it moves nothing but its own text. Pure: no state but the structure, no allocation.
#pragma once

#include "kernel/lib/types.h"

#define CHAR_LINE_MAX 240 // characters; a longer line goes on in the next one

struct char_line {
    uint32_t cell[CHAR_LINE_MAX]; // Unicode code points, all printable
    uint16_t len, col;
    bool cr;       // a carriage return came last: nothing has moved yet, a newline may follow
    uint8_t state; // of the escape-sequence parser
    uint8_t param_count;
    uint8_t swallowed; // bytes of a string sequence so far
    uint16_t param[4];
    uint8_t utf8_left; // continuation bytes that must follow
    uint32_t utf8_code, utf8_min;
};

enum char_line_event {
    CHAR_LINE_SAME, // nothing visible happened
    CHAR_LINE_CHANGED,
    CHAR_LINE_DONE, // the line is complete: show it, then char_line_next()
    CHAR_LINE_FULL, // as DONE, and the byte was not taken: feed it again after char_line_next()
};

void char_line_reset(struct char_line *l);
enum char_line_event char_line_feed(struct char_line *l, uint8_t byte);
// Empties the row; an unfinished escape sequence stays pending.
void char_line_next(struct char_line *l);

// Encodes a printable code point as UTF-8: 1 to 4 bytes.
unsigned char_line_encode(uint32_t code, char out[4]);
