// SPDX-License-Identifier: Apache-2.0
//
// The console multiplexer's logic, seen as a person sees it: what is sent is played on a small terminal, and
// the screen is compared. Also hostile output (H34), fairness, back-pressure and the prefix key.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/backend/char_mux_core.h"

#define KEY "\x1d"

// ---- the terminal: rows without a width, CR LF BS, nothing else is expected in merged mode ----------------

#define ROWS 4000
#define COLS 1200

static struct {
    char row[ROWS][COLS];
    unsigned y, x;
    char raw[1 << 20];
    size_t raw_len;
    unsigned bad; // bytes that merged mode must not send
} term;

static struct char_mux_core mux;
static struct char_mux_guest guest[4];
static uint64_t now;

static void term_emit(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];

        if (term.raw_len < sizeof(term.raw) - 1) {
            term.raw[term.raw_len++] = (char)c;
        }
        if (c == '\r') {
            term.x = 0;
        } else if (c == '\n') {
            term.y = (term.y + 1) % ROWS;
            memset(term.row[term.y], 0, COLS);
        } else if (c == '\b') {
            assert_true(term.x > 0);
            term.x--;
        } else if (c < ' ' || c == 0x7f) {
            term.bad++;
        } else {
            assert_true(term.x < COLS - 1);
            if (term.row[term.y][term.x] == '\0') {
                for (unsigned k = 0; k < term.x; k++) {
                    term.row[term.y][k] = term.row[term.y][k] ? term.row[term.y][k] : ' ';
                }
            }
            term.row[term.y][term.x++] = (char)c;
        }
    }
}

// Row `back` rows above the cursor's, without trailing blanks.
static const char *row(unsigned back)
{
    static char out[COLS];
    size_t n;

    strcpy(out, term.row[(term.y + ROWS - back) % ROWS]);
    for (n = strlen(out); n > 0 && out[n - 1] == ' '; n--) {
        out[n - 1] = '\0';
    }
    return out;
}

static bool sent(const char *text)
{
    term.raw[term.raw_len] = '\0';
    return strstr(term.raw, text) != NULL;
}

static void clear(void)
{
    memset(&term, 0, sizeof(term));
}

static void settle(void)
{
    while (char_mux_step(&mux, now)) {
    }
}

static void wait_ms(uint64_t ms)
{
    now += ms;
    settle();
}

static void say(int g, const char *text)
{
    assert_int_equal(char_mux_write(&mux, g, text, strlen(text)), strlen(text));
    settle();
}

static void keys(const char *text)
{
    for (; *text; text++) {
        (void)char_mux_input(&mux, (uint8_t)*text);
    }
}

static const char *typed(int g)
{
    static char buf[CHAR_MUX_IN_SIZE + 1];
    size_t n = char_mux_read(&mux, g, buf, sizeof(buf) - 1);

    buf[n] = '\0';
    return buf;
}

static int start(bool focus_mode)
{
    clear();
    now = 1000000;
    char_mux_core_init(&mux, focus_mode, 1);
    mux.emit = term_emit;
    assert_int_equal(char_mux_add(&mux, &guest[0], "linux"), 0);
    assert_int_equal(char_mux_add(&mux, &guest[1], "heartbeat"), 1);
    clear();
    return 0;
}

static int merged(void **state)
{
    (void)state;
    return start(false);
}

static int focused(void **state)
{
    (void)state;
    return start(true);
}

// ---- merged mode ------------------------------------------------------------------------------------------

static void whole_lines_with_prefix(void **state)
{
    (void)state;
    say(0, "hello\r\n");
    say(1, "beat 1\n");
    say(0, "\n");
    assert_string_equal(row(3), "[linux] hello");
    assert_string_equal(row(2), "[heartbeat] beat 1");
    assert_string_equal(row(1), "[linux]");
    char_mux_host_line(&mux, "two guests", 10);
    assert_string_equal(row(1), "[lodge] two guests");
}

static void lines_are_atomic(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        say(0, "ab");
        say(1, "12");
    }
    say(0, "\n");
    say(1, "\n");
    assert_string_equal(row(2), "[linux] abababababababababab");
    assert_string_equal(row(1), "[heartbeat] 12121212121212121212");
}

static void prompt_appears_and_echo_follows(void **state)
{
    (void)state;
    say(0, "~ # ");
    assert_string_equal(row(0), "");
    assert_int_equal(char_mux_deadline(&mux), now + 60);
    wait_ms(59);
    assert_string_equal(row(0), "");
    wait_ms(1);
    assert_string_equal(row(0), "[linux] ~ #");
    assert_int_equal(term.x, strlen("[linux] ~ # "));
    assert_int_equal(char_mux_deadline(&mux), UINT64_MAX); // nothing to do: the worker sleeps
    say(0, "l");
    assert_string_equal(row(0), "[linux] ~ # l");
    say(0, "s");
    say(0, "\b \b"); // the person corrects
    assert_string_equal(row(0), "[linux] ~ # l");
    assert_int_equal(term.x, strlen("[linux] ~ # l"));
    say(0, "s\r\n");
    say(0, "bin etc\r\n~ # ");
    assert_string_equal(row(1), "[linux] bin etc");
    assert_string_equal(row(2), "[linux] ~ # ls");
    wait_ms(60);
    assert_string_equal(row(0), "[linux] ~ #");
    assert_int_equal(term.bad, 0);
}

static void line_editing_of_busybox(void **state)
{
    (void)state;
    say(0, "~ # \033[6n");
    wait_ms(60);
    say(0, "echo hello");
    say(0, "\033[5D");
    assert_int_equal(term.x, strlen("[linux] ~ # echo "));
    say(0, "Xhello\033[5D");
    assert_string_equal(row(0), "[linux] ~ # echo Xhello");
    assert_int_equal(term.x, strlen("[linux] ~ # echo X"));
    say(0, "\r~ # \033[Juname -a"); // history
    assert_string_equal(row(0), "[linux] ~ # uname -a");
    say(0, "\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b");
    assert_int_equal(term.x, strlen("[linux] "));
    assert_string_equal(row(0), "[linux] ~ # uname -a");
    assert_int_equal(term.bad, 0);
    assert_false(sent("\033"));
}

static void a_broken_line_is_shown_again(void **state)
{
    (void)state;
    say(0, "~ # ec");
    wait_ms(60);
    say(1, "beat 7\n");
    assert_string_equal(row(2), "[linux] ~ # ec");
    assert_string_equal(row(1), "[heartbeat] beat 7");
    assert_string_equal(row(0), "");
    wait_ms(99);
    assert_string_equal(row(0), "");
    wait_ms(1);
    assert_string_equal(row(0), "[linux] ~ # ec");
    say(1, "beat 8\n");
    say(0, "ho"); // typing goes on at once
    wait_ms(60);
    assert_string_equal(row(0), "[linux] ~ # echo");
    say(0, "\n");
    assert_string_equal(row(1), "[linux] ~ # echo");
}

static void echo_comes_through_a_flood(void **state)
{
    (void)state;
    say(0, "~ # ");
    wait_ms(60);
    for (unsigned i = 0; i < 100; i++) {
        say(1, "flood flood flood\n");
        if (i == 50) {
            say(0, "x");
        }
        wait_ms(5);
    }
    assert_true(sent("[linux] ~ # x"));
}

static void unfinished_line_of_another_guest_is_shown_once(void **state)
{
    (void)state;
    say(1, "login: ");
    wait_ms(499);
    assert_string_equal(row(0), "");
    wait_ms(1);
    assert_string_equal(row(1), "[heartbeat] login:");
    clear();
    wait_ms(5000);
    assert_int_equal(term.raw_len, 0);
    say(1, "root\n");
    assert_string_equal(row(1), "[heartbeat] login: root");
}

static void long_lines_are_continued(void **state)
{
    char text[CHAR_LINE_MAX + 11];

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    say(0, text);
    say(0, "\n");
    assert_int_equal(strlen(row(2)), CHAR_LINE_MAX + strlen("[linux] "));
    assert_string_equal(row(1), "[linux] aaaaaaaaaa");
}

static void host_lines_break_in(void **state)
{
    (void)state;
    say(0, "~ # ");
    wait_ms(60);
    char_mux_host_line(&mux, "a guest died\033[2J\n", 17);
    assert_string_equal(row(1), "[lodge] a guest died?[2J?");
    assert_string_equal(row(2), "[linux] ~ #");
    wait_ms(100);
    assert_string_equal(row(0), "[linux] ~ #");
}

// ---- hostile output ---------------------------------------------------------------------------------------

static void prefixes_cannot_be_forged(void **state)
{
    (void)state;
    say(1, "x\r[lodge] all is well\n");
    assert_string_equal(row(1), "[heartbeat] {lodge] all is well");
    say(1, "pad pad [linux] ~ # rm -rf /\n");
    assert_string_equal(row(1), "[heartbeat] pad pad {linux] ~ # rm -rf /");
    say(1, "[heartbeat] mine, [other] nobody's\n");
    assert_string_equal(row(1), "[heartbeat] [heartbeat] mine, [other] nobody's");
    say(1, "\b\b\b\b\b\b\b\b\b\b\b\b\b\b[lodge] x\n");
    assert_string_equal(row(1), "[heartbeat] {lodge] x");
    say(1, "\033[1;1H\033[2J\033[99A\033[G[lodge] y\n");
    assert_string_equal(row(1), "[heartbeat] {lodge] y");
    say(0, "[heartbeat");
    wait_ms(60); // stands there as far as it is harmless ...
    assert_string_equal(row(0), "[linux] [heartbeat");
    say(0, "] dead"); // ... and is corrected when it no longer is
    assert_string_equal(row(0), "[linux] {heartbeat] dead");
    assert_int_equal(term.bad, 0);
}

static void names_are_made_safe(void **state)
{
    (void)state;
    assert_int_equal(char_mux_add(&mux, &guest[2], "a] [lodge\n"), 2);
    assert_string_equal(guest[2].name, "a???lodge?");
    assert_int_equal(
        char_mux_add(&mux, &guest[3], "a-name-that-is-much-longer-than-the-thirty-one-bytes-there-are"), 3);
    assert_int_equal(strlen(guest[3].name), CHAR_MUX_NAME_MAX - 1);
}

// Random bytes from two guests: every row on the screen begins with a true prefix, and no control byte gets
// through.
static void random_output_stays_in_its_lines(void **state)
{
    static const char often[] = "\033[;DCGJKPHmn\b\b\r\n[]lodge]linux]heartbeat] \xc3\xa4";

    (void)state;
    srand(5);
    for (unsigned n = 0; n < 3000; n++) {
        char buf[64];
        unsigned len = 1 + (unsigned)rand() % sizeof(buf);

        for (unsigned i = 0; i < len; i++) {
            int r = rand();

            buf[i] = r & 3 ? often[(unsigned)r / 4 % (sizeof(often) - 1)] : (char)(r >> 8);
        }
        (void)char_mux_write(&mux, rand() & 1, buf, len);
        if (rand() % 4 == 0) {
            keys(rand() & 1 ? KEY "n" : KEY "l");
        }
        wait_ms((unsigned)rand() % 60);
        for (unsigned back = 0; back < 3; back++) {
            const char *r = row(back);

            if (r[0]) {
                assert_true(strncmp(r, "[linux]", 7) == 0 || strncmp(r, "[heartbeat]", 11) == 0 ||
                            strncmp(r, "[lodge]", 7) == 0);
            }
            if (strncmp(r, "[heartbeat] ", 12) == 0) {
                assert_null(strstr(r, "[lodge]"));
                assert_null(strstr(r, "[linux]"));
            }
        }
        term.raw_len = 0;
    }
    assert_int_equal(term.bad, 0);
}

static size_t emitted;

static void count_emit(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    (void)text;
    emitted += len;
}

static void one_step_is_bounded(void **state)
{
    static const char *const nasty[] = {"\n", "\xf0\x9f\x98\x80", "a\b", "\xc3\xa4\r", "x\n", "[lodge]"};

    (void)state;
    mux.emit = count_emit;
    srand(9);
    for (unsigned n = 0; n < 3000; n++) {
        for (unsigned i = 0; i < 400; i++) {
            const char *t = nasty[(unsigned)rand() % 6];

            (void)char_mux_write(&mux, rand() & 1, t, strlen(t));
        }
        now += (unsigned)rand() % 1000;
        emitted = 0;
        (void)char_mux_step(&mux, now);
        assert_true(emitted <= CHAR_MUX_STEP_MAX);
    }
}

// ---- back-pressure and fairness ---------------------------------------------------------------------------

static void a_full_ring_refuses(void **state)
{
    static char big[2 * CHAR_MUX_OUT_SIZE];

    (void)state;
    memset(big, 'x', sizeof(big));
    assert_int_equal(char_mux_write(&mux, 1, big, sizeof(big)), CHAR_MUX_OUT_SIZE);
    assert_true(guest[1].refused);
    assert_int_equal(char_mux_write(&mux, 1, big, 1), 0);
    assert_int_equal(char_mux_write(&mux, 0, "me\n", 3), 3); // the neighbour is not concerned
    assert_false(guest[0].refused);
    settle();
    assert_true(sent("[linux] me"));
    assert_int_equal(char_mux_write(&mux, 1, big, 10), 10);
    assert_int_equal(guest[1].dropped, 0);
}

static void turns_are_fair(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        (void)char_mux_write(&mux, 1, "flood\n", 6);
    }
    assert_int_equal(char_mux_write(&mux, 0, "small\n", 6), 6);
    (void)char_mux_step(&mux, now); // one step is enough for the small one
    assert_true(sent("[linux] small"));
    assert_true(char_ring_used(&guest[1].out) > 0);
}

// ---- input and commands -----------------------------------------------------------------------------------

static void input_goes_to_the_focus(void **state)
{
    (void)state;
    keys("ls\r");
    assert_true(guest[0].has_input);
    assert_false(guest[1].has_input);
    assert_string_equal(typed(0), "ls\r");
    assert_string_equal(typed(1), "");
    keys(KEY "n"
             "hi");
    assert_string_equal(row(1), "[lodge] input goes to heartbeat (Ctrl-] h for help)");
    assert_string_equal(typed(0), "");
    assert_string_equal(typed(1), "hi");
    keys(KEY "1"
             "a" KEY "2"
             "b" KEY "n"
             "c");
    assert_string_equal(typed(0), "ac");
    assert_string_equal(typed(1), "b");
    keys(KEY KEY "x");
    assert_string_equal(typed(0), KEY "x");
    keys(KEY "9");
    assert_string_equal(row(1), "[lodge] no such guest (Ctrl-] l lists them)");
    keys("y");
    assert_string_equal(typed(0), "y");
}

static void full_input_is_dropped(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        keys("z");
    }
    assert_int_equal(strlen(typed(0)), CHAR_MUX_IN_SIZE);
    keys("ok");
    assert_string_equal(typed(0), "ok");
}

static void commands(void **state)
{
    (void)state;
    assert_int_equal(char_mux_input(&mux, 0x1d), CHAR_MUX_NOTHING);
    assert_int_equal(char_mux_input(&mux, 'l'), CHAR_MUX_LIST);
    char_mux_list(&mux, 0, "running");
    char_mux_list(&mux, 1, "crashed");
    assert_string_equal(row(2), "[lodge]  1 * linux            running");
    assert_string_equal(row(1), "[lodge]  2   heartbeat        crashed");
    assert_int_equal(char_mux_input(&mux, 'q'), CHAR_MUX_NOTHING); // a letter like any other
    assert_string_equal(typed(0), "q");
    keys(KEY);
    assert_int_equal(char_mux_input(&mux, 'q'), CHAR_MUX_POWEROFF);
    assert_string_equal(row(1), "[lodge] powering off");
    keys(KEY "h");
    assert_true(strstr(row(1), "Ctrl-] then: n next guest") != NULL);
    keys(KEY "\x01");
    assert_true(strstr(row(1), "q power off") != NULL);
}

static void switching_shows_the_other_prompt(void **state)
{
    (void)state;
    say(0, "~ # ");
    say(1, "hb> ");
    wait_ms(60);
    assert_string_equal(row(0), "[linux] ~ #");
    keys(KEY "n");
    wait_ms(60);
    assert_string_equal(row(0), "[heartbeat] hb>");
    say(1, "go");
    assert_string_equal(row(0), "[heartbeat] hb> go");
}

// ---- focus mode -------------------------------------------------------------------------------------------

static void raw_output_of_the_focus_alone(void **state)
{
    (void)state;
    say(0, "\033[2J\033[1;1Hfull screen\r\nx");
    say(1, "beat\n");
    assert_true(sent("\033[2J\033[1;1Hfull screen\r\nx"));
    assert_false(sent("beat"));
    char_mux_host_line(&mux, "log", 3);
    assert_true(sent("x\r\n[lodge] log\r\n"));
    clear();
    keys(KEY "n");
    settle();
    assert_true(sent("[lodge] input goes to heartbeat"));
    assert_true(sent("beat\n"));
}

static void the_others_keep_the_newest(void **state)
{
    char text[32];

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(text, sizeof(text), "line %u\r\n", i);
        say(1, text); // never refused
    }
    assert_false(guest[1].refused);
    assert_int_equal(term.raw_len, 0);
    keys(KEY "2");
    settle();
    assert_true(sent("[lodge] heartbeat: "));
    assert_true(sent("bytes of older output were dropped"));
    assert_true(sent("line 1999\r\n"));
    assert_false(sent("line 10\r\n"));
    clear();
    keys(KEY "1" KEY "2");
    assert_false(sent("dropped")); // reported once
}

static void huge_write_to_an_unwatched_guest(void **state)
{
    static char big[3 * CHAR_MUX_OUT_SIZE + 5];

    (void)state;
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (char)(i % 64 == 63 ? '\r' : 'a' + i % 26);
    }
    say(1, "0123456789");
    assert_int_equal(char_mux_write(&mux, 1, big, sizeof(big)), sizeof(big));
    assert_int_equal(guest[1].dropped, sizeof(big) + 10 - CHAR_MUX_OUT_SIZE);
    keys(KEY "2");
    clear();
    settle();
    assert_int_equal(term.raw_len, CHAR_MUX_OUT_SIZE);
    assert_memory_equal(term.raw, &big[sizeof(big) - CHAR_MUX_OUT_SIZE], CHAR_MUX_OUT_SIZE);
}

static void the_focus_itself_gets_back_pressure(void **state)
{
    static char big[CHAR_MUX_OUT_SIZE + 1];

    (void)state;
    assert_int_equal(char_mux_write(&mux, 0, big, sizeof(big)), CHAR_MUX_OUT_SIZE);
    assert_true(guest[0].refused);
}

static void mode_changes_keep_the_prompt(void **state)
{
    (void)state;
    say(0, "boot\r\n~ # ");
    keys(KEY "m");
    settle();
    assert_true(sent("[lodge] console mode: merged"));
    wait_ms(100);
    assert_string_equal(row(0), "[linux] ~ #");
    say(1, "beat\n");
    keys(KEY "m");
    settle();
    assert_true(sent("[lodge] console mode: focus (one guest at a time)"));
    assert_string_equal(row(0), "~ #");
    say(0, "ls");
    assert_string_equal(row(0), "~ # ls");
}

// ---- coming and going -------------------------------------------------------------------------------------

static void removal(void **state)
{
    (void)state;
    assert_int_equal(char_mux_write(&mux, 0, "last words", 10), 10);
    char_mux_remove(&mux, 0);
    assert_true(sent("[linux] last words\r\n"));
    assert_true(sent("[lodge] input goes to heartbeat"));
    keys("a");
    assert_string_equal(typed(1), "a");
    char_mux_remove(&mux, 1);
    keys("nobody" KEY "n" KEY "m" KEY "m" KEY "l");
    settle();
    assert_int_equal(char_mux_deadline(&mux), UINT64_MAX);
    assert_int_equal(char_mux_add(&mux, &guest[2], "new"), 0);
    keys("b");
    assert_string_equal(typed(0), "b");
}

static void as_many_as_there_are_slots(void **state)
{
    static struct char_mux_guest many[CHAR_MUX_GUEST_MAX];
    char name[16];

    (void)state;
    for (int i = 2; i < CHAR_MUX_GUEST_MAX - 1; i++) {
        snprintf(name, sizeof(name), "g%d", i);
        assert_int_equal(char_mux_add(&mux, &many[i], name), i);
    }
    assert_int_equal(char_mux_add(&mux, &many[0], "more"), -1);
    say(CHAR_MUX_GUEST_MAX - 2, "last\n");
    assert_string_equal(row(1), "[g63] last");
}

int main(void)
{
#define M(name) cmocka_unit_test_setup(name, merged)
#define F(name) cmocka_unit_test_setup(name, focused)
    const struct CMUnitTest tests[] = {
        M(whole_lines_with_prefix),
        M(lines_are_atomic),
        M(prompt_appears_and_echo_follows),
        M(line_editing_of_busybox),
        M(a_broken_line_is_shown_again),
        M(echo_comes_through_a_flood),
        M(unfinished_line_of_another_guest_is_shown_once),
        M(long_lines_are_continued),
        M(host_lines_break_in),
        M(prefixes_cannot_be_forged),
        M(names_are_made_safe),
        M(random_output_stays_in_its_lines),
        M(one_step_is_bounded),
        M(a_full_ring_refuses),
        M(turns_are_fair),
        M(input_goes_to_the_focus),
        M(full_input_is_dropped),
        M(commands),
        M(switching_shows_the_other_prompt),
        F(raw_output_of_the_focus_alone),
        F(the_others_keep_the_newest),
        F(huge_write_to_an_unwatched_guest),
        F(the_focus_itself_gets_back_pressure),
        F(mode_changes_keep_the_prompt),
        M(removal),
        M(as_many_as_there_are_slots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
