// SPDX-License-Identifier: Apache-2.0
//
// The console multiplexer's logic: one physical terminal, the hypervisor's log and many guests. Pure: bytes
// in, bytes out through emit(); no locks, no clock (the caller says what time it is), no allocation.
//
// merged mode: whole lines, each behind its guest's name: "[linux] text". The unfinished line of the guest
// that holds the input is shown after a short pause, and from then on follows every byte, so that a shell can
// be used; when somebody else prints, the line is ended there and shown again later. focus mode: that guest's
// bytes as they are; the others' wait in their rings, the oldest dropped.
//
// What a guest prints cannot leave its line (char_line.h) and cannot look like somebody else's prefix:
// "[name]" of another guest or of the hypervisor is shown as "{name]".
#pragma once

#include "kernel/lib/types.h"
#include "vmm/backend/char_line.h"

#define CHAR_MUX_GUEST_MAX 65 // the last one for the shell
#define CHAR_MUX_NAME_MAX 32
#define CHAR_MUX_OUT_SIZE 4096   // bytes of output that wait for a guest; a power of two
#define CHAR_MUX_IN_SIZE 256     // bytes of input
#define CHAR_MUX_PREFIX_KEY 0x1d // Ctrl-]

// No call of char_mux_step() or char_mux_remove() emits more than this; the other calls stay below 2 KiB.
#define CHAR_MUX_STEP_MAX 16384

struct char_ring {
    uint32_t head, tail; // count up; used = head - tail
};

struct char_mux_guest {
    char name[CHAR_MUX_NAME_MAX];
    struct char_ring out, in;
    uint8_t out_data[CHAR_MUX_OUT_SIZE];
    uint8_t in_data[CHAR_MUX_IN_SIZE];
    struct char_line line;
    uint64_t last_byte; // when its line last changed
    uint64_t dropped;   // bytes lost since they were last reported
    bool fresh;         // its line changed since it was last on the screen
    // Its unfinished line was shown though it has no input focus; it will be shown again when complete.
    bool parked;
    bool refused;   // a write was not taken in full: it waits to be told of room
    bool has_input; // input came that it was not yet told of
};

// What the caller has to do after char_mux_input(), outside any lock.
enum char_mux_action {
    CHAR_MUX_NOTHING,
    CHAR_MUX_LIST,
    CHAR_MUX_POWEROFF
};

struct char_mux_core {
    void (*emit)(void *ctx, const char *text, size_t len);
    void *ctx;
    uint64_t ms; // ticks per millisecond
    bool focus_mode;
    bool command;                                      // the prefix key came last
    bool raw_mid_line;                                 // focus mode: the last byte was no newline
    struct char_mux_guest *guests[CHAR_MUX_GUEST_MAX]; // NULL: free
    int focus;                                         // who gets the input; -1: nobody
    int shell;                                         // the management shell's slot; -1: none
    int owner;     // merged mode: whose unfinished line the cursor is in; -1: at the start of a fresh line
    unsigned next; // whose turn it is
    uint64_t now, last_emit;
    size_t emitted; // in this step
    // What of the owner's line is on the screen, and where the cursor is.
    uint32_t drawn[CHAR_LINE_MAX];
    uint16_t drawn_len, drawn_col;
};

void char_mux_core_init(struct char_mux_core *m, bool focus_mode, uint64_t ticks_per_ms);

// Adds a guest; `g` is the caller's memory. The name is made printable. The first one gets the input. Returns
// its slot, or -1 when there is none left.
int char_mux_add(struct char_mux_core *m, struct char_mux_guest *g, const char *name);
// The management shell: a guest like others, but reached by a key of its own alone, and never the first to get the input.
// Whenever it gets it, it is typed CHAR_MUX_SHELL_KEY, so that it shows its prompt.
#define CHAR_MUX_SHELL_KEY 0x0c // Ctrl-L
int char_mux_add_shell(struct char_mux_core *m, struct char_mux_guest *g, const char *name);
// Takes it out: what it printed before is shown first, as far as one step goes.
void char_mux_remove(struct char_mux_core *m, int slot);

// The guest prints: returns how many bytes were taken. All of them for a guest that nobody watches in focus
// mode.
size_t char_mux_write(struct char_mux_core *m, int slot, const void *buf, size_t len);
// The guest reads its input.
size_t char_mux_read(struct char_mux_core *m, int slot, void *buf, size_t len);

// A byte was typed. LIST: gather states and call char_mux_list().
enum char_mux_action char_mux_input(struct char_mux_core *m, uint8_t byte);
// Shows one line of the list of guests; `state` is any text.
void char_mux_list(struct char_mux_core *m, int slot, const char *state);
// Gives the input to a guest and says so.
void char_mux_focus(struct char_mux_core *m, int slot);
void char_mux_set_mode(struct char_mux_core *m, bool focus_mode);

// A line of the hypervisor's own.
void char_mux_host_line(struct char_mux_core *m, const char *text, size_t len);

// Moves some output, fairly. True: there is more to do at once.
bool char_mux_step(struct char_mux_core *m, uint64_t now);
// When char_mux_step() has something to do though nobody writes; UINT64_MAX: never.
uint64_t char_mux_deadline(const struct char_mux_core *m);

static inline uint32_t char_ring_used(const struct char_ring *r)
{
    return r->head - r->tail;
}
