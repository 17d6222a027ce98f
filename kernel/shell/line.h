// SPDX-License-Identifier: Apache-2.0
//
// One edited line of a terminal, with history. Pure: bytes in, bytes out through emit(); no locks, no allocation.
//
// Keys: cursor keys, Home, End, Delete, Backspace; Ctrl-A E B F (move), Ctrl-D (delete), Ctrl-K U W (cut to the end, to the
// start, a word), Ctrl-P N (history), Ctrl-L (draw again), Ctrl-C (give up the line). Only backspaces and "erase to the end of
// the line" are sent, which every terminal knows.
#pragma once

#include "kernel/lib/types.h"

#define LINE_SIZE 200 // characters
#define LINE_HISTORY 16

struct line {
    void (*emit)(void *ctx, const char *text, size_t len);
    void *ctx;
    const char *prompt;
    char text[LINE_SIZE + 1]; // always NUL-terminated
    unsigned len, pos;
    char past[LINE_HISTORY][LINE_SIZE + 1]; // a ring
    unsigned past_count;                    // ever
    unsigned back;                          // how far back the line on the screen is from; 0: the new one
    char draft[LINE_SIZE + 1];              // the new one meanwhile
    uint8_t state;                          // of the escape-sequence parser
    uint8_t param;
    bool cr; // a carriage return came last: the newline of the pair means nothing
};

enum line_event {
    LINE_EDITED,
    LINE_DONE, // `text` is complete and in the history; then line_start()
    LINE_TAB,  // to be completed: line_insert()
};

// `prompt` must stay alive.
void line_init(struct line *l, const char *prompt, void (*emit)(void *ctx, const char *text, size_t len),
               void *ctx);
// An empty line behind a fresh prompt.
void line_start(struct line *l);
enum line_event line_feed(struct line *l, uint8_t byte);
// At the cursor; what does not fit is left out. Unprintable characters too.
void line_insert(struct line *l, const char *text, size_t len);
// Prompt and line again, after something else was printed.
void line_draw(struct line *l);
