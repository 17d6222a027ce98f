// SPDX-License-Identifier: Apache-2.0
//
// The multiplexer's logic: rings, whose turn it is, input and the prefix key. Drawing is in
// char_mux_screen.c.
#include "vmm/backend/char_mux_core.h"

#include <stdio.h>
#include <string.h>

#include "vmm/backend/char_mux_screen.h"

// A guest that others interrupt, a few slices long, has not paused.
#define ECHO_MS 60    // an unfinished line of the guest with the input is shown after so long a pause
#define RESHOW_MS 100 // ... and shown again after somebody broke it and the screen is quiet
#define PARK_MS 500   // an unfinished line of another guest is shown once after so long
#define TURN_MAX 256  // bytes of one guest before it is the next one's turn
#define EMIT_MAX 4096 // a step ends when it emitted so much (then one more line at most)

static const char help_text[] =
    "Ctrl-] then: n next guest, 1-9 guest by number, s shell, m merged/focus, l list, q power off, "
    "Ctrl-] send it, h help";

// ---- rings ------------------------------------------------------------------------------------------------

static size_t ring_put(struct char_ring *r, uint8_t *data, uint32_t size, const uint8_t *buf, size_t len)
{
    size_t n = 0;

    while (n < len && char_ring_used(r) < size) {
        data[r->head++ & (size - 1)] = buf[n++];
    }
    return n;
}

static size_t ring_get(struct char_ring *r, const uint8_t *data, uint32_t size, uint8_t *buf, size_t len)
{
    size_t n = 0;

    while (n < len && char_ring_used(r) > 0) {
        buf[n++] = data[r->tail++ & (size - 1)];
    }
    return n;
}

// ---- guests -----------------------------------------------------------------------------------------------

void char_mux_core_init(struct char_mux_core *m, bool focus_mode, uint64_t ticks_per_ms)
{
    memset(m, 0, sizeof(*m));
    m->focus_mode = focus_mode;
    m->ms = ticks_per_ms;
    m->focus = -1;
    m->owner = -1;
    m->shell = -1;
}

static void copy_name(char out[CHAR_MUX_NAME_MAX], const char *name)
{
    size_t n = 0;

    for (; n < CHAR_MUX_NAME_MAX - 1 && name[n]; n++) {
        bool good = name[n] > ' ' && name[n] <= '~' && name[n] != '[' && name[n] != ']';

        out[n] = good ? name[n] : '?';
    }
    out[n] = '\0';
}

static void place(struct char_mux_core *m, int slot, struct char_mux_guest *g, const char *name)
{
    memset(g, 0, sizeof(*g));
    copy_name(g->name, name);
    m->guests[slot] = g;
}

int char_mux_add_shell(struct char_mux_core *m, struct char_mux_guest *g, const char *name)
{
    int slot = CHAR_MUX_GUEST_MAX - 1; // kept free for it

    if (m->guests[slot]) {
        return -1;
    }
    place(m, slot, g, name);
    m->shell = slot;
    return slot;
}

int char_mux_add(struct char_mux_core *m, struct char_mux_guest *g, const char *name)
{
    for (int i = 0; i < CHAR_MUX_GUEST_MAX - 1; i++) {
        if (!m->guests[i]) {
            place(m, i, g, name);
            if (m->focus < 0) {
                char_mux_focus(m, i);
            }
            return i;
        }
    }
    return -1;
}

static bool watched(const struct char_mux_core *m, int slot)
{
    return !m->focus_mode || m->focus == slot;
}

// The next guest after `slot`, `slot` itself when it is the only one, -1 when there is none.
static int next_guest(const struct char_mux_core *m, int slot)
{
    for (int i = 1; i <= CHAR_MUX_GUEST_MAX; i++) {
        int s = (slot + i) % CHAR_MUX_GUEST_MAX;

        if (m->guests[s] && s != m->shell) {
            return s;
        }
    }
    return -1;
}

static void line_done(struct char_mux_core *m, int slot)
{
    struct char_mux_guest *g = m->guests[slot];

    char_mux_emit_line(m, slot);
    char_line_next(&g->line);
    g->parked = false;
}

// One byte of merged output.
static void merged_byte(struct char_mux_core *m, int slot, uint8_t byte)
{
    struct char_mux_guest *g = m->guests[slot];
    enum char_line_event e = char_line_feed(&g->line, byte);

    if (e == CHAR_LINE_FULL) {
        line_done(m, slot);
        e = char_line_feed(&g->line, byte);
    }
    if (e == CHAR_LINE_DONE) {
        line_done(m, slot);
    } else if (e == CHAR_LINE_CHANGED) {
        g->fresh = true;
        g->last_byte = m->now;
    }
}

void char_mux_remove(struct char_mux_core *m, int slot)
{
    struct char_mux_guest *g = m->guests[slot];
    uint8_t byte;

    m->emitted = 0;
    while (!m->focus_mode && m->emitted < EMIT_MAX &&
           ring_get(&g->out, g->out_data, CHAR_MUX_OUT_SIZE, &byte, 1) == 1) {
        merged_byte(m, slot, byte);
    }
    if (g->line.len > 0 && !m->focus_mode) {
        line_done(m, slot);
    }
    if (m->owner == slot) {
        char_mux_break(m);
    }
    m->guests[slot] = NULL;
    if (m->shell == slot) {
        m->shell = -1;
    }
    if (m->focus == slot) {
        m->focus = -1;
        int other = next_guest(m, slot);

        if (other >= 0) {
            char_mux_focus(m, other);
        }
    }
}

size_t char_mux_write(struct char_mux_core *m, int slot, const void *buf, size_t len)
{
    struct char_mux_guest *g = m->guests[slot];
    size_t n = ring_put(&g->out, g->out_data, CHAR_MUX_OUT_SIZE, buf, len);

    if (n == len) {
        return n;
    }
    if (watched(m, slot)) {
        g->refused = true;
        return n;
    }
    const uint8_t *rest = (const uint8_t *)buf + n;
    size_t left = len - n;

    if (left > CHAR_MUX_OUT_SIZE) { // only the end of it would survive
        g->dropped += left - CHAR_MUX_OUT_SIZE;
        rest += left - CHAR_MUX_OUT_SIZE;
        left = CHAR_MUX_OUT_SIZE;
    }
    g->dropped += left;
    char_line_reset(&g->line); // its beginning is among what is lost
    g->out.tail += (uint32_t)left;
    (void)ring_put(&g->out, g->out_data, CHAR_MUX_OUT_SIZE, rest, left);
    return len;
}

size_t char_mux_read(struct char_mux_core *m, int slot, void *buf, size_t len)
{
    struct char_mux_guest *g = m->guests[slot];

    return ring_get(&g->in, g->in_data, CHAR_MUX_IN_SIZE, buf, len);
}

// ---- input and commands -----------------------------------------------------------------------------------

static void host_text(struct char_mux_core *m, const char *text)
{
    char_mux_emit_host(m, text, strlen(text));
}

void char_mux_host_line(struct char_mux_core *m, const char *text, size_t len)
{
    char_mux_emit_host(m, text, len);
}

static void report_dropped(struct char_mux_core *m, struct char_mux_guest *g)
{
    char text[128];

    if (g->dropped > 0) {
        snprintf(text, sizeof(text), "%s: %lu bytes of older output were dropped", g->name,
                 (unsigned long)g->dropped);
        host_text(m, text);
        g->dropped = 0;
    }
}

void char_mux_focus(struct char_mux_core *m, int slot)
{
    struct char_mux_guest *g = m->guests[slot];
    char text[128];

    m->focus = slot;
    snprintf(text, sizeof(text), "input goes to %s (Ctrl-] h for help)", g->name);
    host_text(m, text);
    report_dropped(m, g);
    g->fresh = g->line.len > 0;
    if (m->focus_mode) {
        char_mux_emit_raw_line(m, slot);
    }
}

void char_mux_set_mode(struct char_mux_core *m, bool focus_mode)
{
    if (m->focus_mode == focus_mode) {
        return;
    }
    if (!focus_mode) {
        // What a full-screen program may leave: colours, line drawing, scroll region, a hidden cursor.
        static const char sane[] = "\033[0m\033(B\033[r\033[?25h\033[?1049l";

        char_mux_emit(m, sane, sizeof(sane) - 1);
        m->raw_mid_line = true;
    }
    m->focus_mode = focus_mode;
    host_text(m, focus_mode ? "console mode: focus (one guest at a time)" : "console mode: merged");
    if (m->focus >= 0) {
        char_mux_focus(m, m->focus);
    }
}

static void choose(struct char_mux_core *m, unsigned number)
{
    if (number < CHAR_MUX_GUEST_MAX && m->guests[number]) {
        char_mux_focus(m, (int)number);
    } else {
        host_text(m, "no such guest (Ctrl-] l lists them)");
    }
}

static void type(struct char_mux_core *m, uint8_t byte)
{
    if (m->focus < 0) {
        return;
    }
    struct char_mux_guest *g = m->guests[m->focus];

    g->has_input |= ring_put(&g->in, g->in_data, CHAR_MUX_IN_SIZE, &byte, 1) > 0;
}

static void to_shell(struct char_mux_core *m)
{
    if (m->shell < 0) {
        host_text(m, "there is no shell");
        return;
    }
    char_mux_focus(m, m->shell);
    type(m, CHAR_MUX_SHELL_KEY);
}

static enum char_mux_action command(struct char_mux_core *m, uint8_t byte)
{
    int next;

    if (byte >= '0' && byte <= '9') {
        choose(m, byte == '0' ? 9 : byte - '1');
        return CHAR_MUX_NOTHING;
    }
    switch (byte) {
    case CHAR_MUX_PREFIX_KEY:
        type(m, byte);
        return CHAR_MUX_NOTHING;
    case 'n':
        next = next_guest(m, m->focus);
        if (next >= 0) {
            char_mux_focus(m, next);
        }
        return CHAR_MUX_NOTHING;
    case 's':
        to_shell(m);
        return CHAR_MUX_NOTHING;
    case 'm':
        char_mux_set_mode(m, !m->focus_mode);
        return CHAR_MUX_NOTHING;
    case 'l':
        return CHAR_MUX_LIST;
    case 'q':
        host_text(m, "powering off");
        return CHAR_MUX_POWEROFF;
    default:
        host_text(m, help_text);
        return CHAR_MUX_NOTHING;
    }
}

enum char_mux_action char_mux_input(struct char_mux_core *m, uint8_t byte)
{
    if (m->command) {
        m->command = false;
        return command(m, byte);
    }
    if (byte == CHAR_MUX_PREFIX_KEY) {
        m->command = true;
    } else {
        type(m, byte);
    }
    return CHAR_MUX_NOTHING;
}

void char_mux_list(struct char_mux_core *m, int slot, const char *state)
{
    const struct char_mux_guest *g = m->guests[slot];
    char text[160];

    snprintf(text, sizeof(text), "%2d %c %-16s %s%s", slot + 1, slot == m->focus ? '*' : ' ', g->name, state,
             g->dropped > 0 ? " (output dropped)" : "");
    host_text(m, text);
}

// ---- output -----------------------------------------------------------------------------------------------

static void merged_turn(struct char_mux_core *m, int slot)
{
    struct char_mux_guest *g = m->guests[slot];
    uint8_t byte;

    for (unsigned n = 0; n < TURN_MAX && m->emitted < EMIT_MAX; n++) {
        if (ring_get(&g->out, g->out_data, CHAR_MUX_OUT_SIZE, &byte, 1) == 0) {
            break;
        }
        merged_byte(m, slot, byte);
    }
    if (m->owner == slot && g->fresh) {
        char_mux_draw(m, slot); // echo follows at once on a line that stands there already
    }
}

// Follows the line that raw output leaves unfinished: it is shown again after a switch.
static void track(struct char_mux_guest *g, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        enum char_line_event e = char_line_feed(&g->line, buf[i]);

        if (e == CHAR_LINE_FULL || e == CHAR_LINE_DONE) {
            char_line_next(&g->line);
        }
        if (e == CHAR_LINE_FULL) {
            (void)char_line_feed(&g->line, buf[i]);
        }
    }
}

static void focus_turn(struct char_mux_core *m)
{
    struct char_mux_guest *g = m->guests[m->focus];
    uint8_t buf[256];

    while (m->emitted < EMIT_MAX) {
        size_t n = ring_get(&g->out, g->out_data, CHAR_MUX_OUT_SIZE, buf, sizeof(buf));

        if (n == 0) {
            return;
        }
        char_mux_emit(m, (const char *)buf, n);
        m->raw_mid_line = buf[n - 1] != '\n';
        track(g, buf, n);
    }
}

// When the guest's unfinished line is due to be shown.
static uint64_t line_due(const struct char_mux_core *m, int slot)
{
    const struct char_mux_guest *g = m->guests[slot];

    if (m->focus_mode || g->line.len == 0 || (m->owner == slot && !g->fresh)) {
        return UINT64_MAX;
    }
    if (slot != m->focus) {
        return g->parked ? UINT64_MAX : g->last_byte + PARK_MS * m->ms;
    }
    if (g->fresh) {
        return g->last_byte + ECHO_MS * m->ms;
    }
    uint64_t quiet = m->last_emit > g->last_byte ? m->last_emit : g->last_byte;

    return quiet + RESHOW_MS * m->ms;
}

static void show_due_line(struct char_mux_core *m, int slot)
{
    if (line_due(m, slot) > m->now) {
        return;
    }
    if (slot == m->focus) {
        char_mux_draw(m, slot);
        return;
    }
    char_mux_emit_line(m, slot);
    m->guests[slot]->parked = true;
}

static bool more_to_do(const struct char_mux_core *m)
{
    for (int i = 0; i < CHAR_MUX_GUEST_MAX; i++) {
        if (m->guests[i] && watched(m, i) && char_ring_used(&m->guests[i]->out) > 0) {
            return true;
        }
    }
    return false;
}

bool char_mux_step(struct char_mux_core *m, uint64_t now)
{
    m->now = now;
    m->emitted = 0;
    if (m->focus_mode) {
        if (m->focus >= 0) {
            focus_turn(m);
        }
        return more_to_do(m);
    }
    for (unsigned i = 0; i < CHAR_MUX_GUEST_MAX && m->emitted < EMIT_MAX; i++) {
        int slot = (int)m->next;

        m->next = (m->next + 1) % CHAR_MUX_GUEST_MAX;
        if (m->guests[slot]) {
            merged_turn(m, slot);
            show_due_line(m, slot);
        }
    }
    return more_to_do(m);
}

uint64_t char_mux_deadline(const struct char_mux_core *m)
{
    uint64_t first = UINT64_MAX;

    for (int i = 0; i < CHAR_MUX_GUEST_MAX; i++) {
        uint64_t due = m->guests[i] ? line_due(m, i) : UINT64_MAX;

        first = due < first ? due : first;
    }
    return first;
}
