// SPDX-License-Identifier: Apache-2.0
//
// The shell without a machine: what is typed, what is on the screen, which command ran with what.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/shell/shell.h"
#include "vmm/backend/char_line.h"

static struct shell sh;
static struct char_line screen; // the row that the cursor is in
static char out[16384];
static size_t out_len;
static char ran[256];

static void take(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    assert_true(out_len + len < sizeof(out));
    memcpy(out + out_len, text, len);
    out_len += len;
    out[out_len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if (char_line_feed(&screen, (uint8_t)text[i]) == CHAR_LINE_DONE) {
            char_line_next(&screen);
        }
    }
}

static const char *row(void)
{
    static char text[CHAR_LINE_MAX + 1];
    unsigned n = 0;

    for (; n < screen.len; n++) {
        text[n] = (char)screen.cell[n];
    }
    while (n > 0 && text[n - 1] == ' ' && n > screen.col) {
        n--;
    }
    text[n] = '\0';
    return text;
}

static void type(const char *text)
{
    for (; *text; text++) {
        shell_input(&sh, (uint8_t)*text);
    }
}

// ---- commands --------------------------------------------------------------------------------------------------------

static enum status record(struct shell *s, const struct shell_args *args)
{
    (void)s;
    strcpy(ran, "record");
    for (unsigned i = 0; i < args->argc; i++) {
        strcat(ran, " ");
        strcat(ran, args->argv[i]);
    }
    return args->argc > 0 && strcmp(args->argv[0], "fail") == 0 ? E_BUSY : OK;
}

static enum status list(struct shell *s, const struct shell_args *args)
{
    (void)args;
    for (unsigned i = 0; i < 2; i++) {
        shell_row(s);
        shell_text(s, "name", 6, i ? "b\"\\\001" : "alpha");
        shell_num(s, "n", 4, i ? UINT64_MAX : 7);
        shell_hex(s, "at", 6, 0xA0);
        shell_bool(s, "on", 2, i);
        shell_row_end(s);
    }
    return OK;
}

static bool names(unsigned arg, unsigned i, char *buf, size_t size)
{
    static const char *const list_of[] = {"alpha", "alpine", "beta"};

    if (arg != 0 || i >= 3) {
        return false;
    }
    snprintf(buf, size, "%s", list_of[i]);
    return true;
}

static const struct shell_command record_command = {.words = "vm record",
                                                    .usage = "NAME",
                                                    .help = "records",
                                                    .max_args = SHELL_ARGS,
                                                    .run = record,
                                                    .candidate = names};
static const struct shell_command list_command = {.words = "vm list",
                                                  .usage = "",
                                                  .help = "lists",
                                                  .run = list};
static const struct shell_command short_command =
    {.words = "vm", .usage = "X", .help = "the short one", .min_args = 1, .max_args = 1, .run = record};
SHELL_COMMAND(record_command);
SHELL_COMMAND(list_command);
SHELL_COMMAND(short_command);

static int setup(void **state)
{
    (void)state;
    out_len = 0;
    out[0] = ran[0] = '\0';
    char_line_reset(&screen);
    shell_init(&sh, take, NULL);
    shell_start(&sh);
    return 0;
}

// ---- editing ---------------------------------------------------------------------------------------------------------

static void test_screen_follows_the_line(void **state)
{
    (void)state;
    assert_string_equal(row(), "lodge> ");
    type("abcd");
    assert_string_equal(row(), "lodge> abcd");
    type("\x1b[D\x1b[D");
    assert_int_equal(screen.col, 7 + 2);
    type("XY");
    assert_string_equal(row(), "lodge> abXYcd");
    assert_string_equal(sh.line.text, "abXYcd");
    type("\x7f");
    assert_string_equal(row(), "lodge> abXcd");
    type("\x1b[3~");
    assert_string_equal(sh.line.text, "abXd");
    type("\x01Z");
    assert_string_equal(row(), "lodge> ZabXd");
    type("\x05!");
    assert_string_equal(row(), "lodge> ZabXd!");
    type("\x1b[H\x06\x0b");
    assert_string_equal(row(), "lodge> Z");
    type(" one two\x17");
    assert_string_equal(sh.line.text, "Z one ");
    type("\x15");
    assert_string_equal(sh.line.text, "");
    assert_int_equal(screen.col, 7);
}

static void test_history(void **state)
{
    (void)state;
    type("vm record 1\rvm record 2\rvm record 2\rdraft");
    type("\x1b[A");
    assert_string_equal(sh.line.text, "vm record 2");
    type("\x10");
    assert_string_equal(row(), "lodge> vm record 1");
    type("\x10\x10");
    assert_string_equal(sh.line.text, "vm record 1");
    type("\x1b[B\x1b[B");
    assert_string_equal(row(), "lodge> draft");
    type("\x15");
    for (unsigned i = 0; i < LINE_HISTORY + 5; i++) {
        char text[32];

        snprintf(text, sizeof(text), "vm record %u\r", 100 + i);
        type(text);
    }
    for (unsigned i = 0; i < LINE_HISTORY + 5; i++) {
        type("\x10");
    }
    assert_string_equal(sh.line.text, "vm record 105");
}

static void test_line_ends_and_long_lines(void **state)
{
    (void)state;
    type("vm record a\r\nvm record b\n");
    assert_string_equal(ran, "record b");
    for (unsigned i = 0; i < LINE_SIZE + 50; i++) {
        type("x");
    }
    assert_int_equal(sh.line.len, LINE_SIZE);
    type("\x03");
    assert_int_equal(sh.line.len, 0);
    assert_non_null(strstr(out, "^C\r\n"));
}

// Whatever is typed, the text stays inside its bounds and the screen shows it.
static void test_random_keys(void **state)
{
    uint32_t seed = 3;

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        seed = seed * 1664525u + 1013904223u;
        uint8_t byte = (uint8_t)(seed >> 24);

        if (byte == '\r' || byte == '\n' || byte == '\t') {
            continue; // those print more
        }
        (void)line_feed(&sh.line, byte);
        assert_true(sh.line.len <= LINE_SIZE && sh.line.pos <= sh.line.len);
        assert_int_equal(strlen(sh.line.text), sh.line.len);
        if (sh.line.len < LINE_SIZE - 2 && sh.line.len + 7 < CHAR_LINE_MAX) {
            assert_int_equal(screen.col, 7 + sh.line.pos);
            assert_true(strncmp(row() + 7, sh.line.text, sh.line.len) == 0 ||
                        sh.line.text[sh.line.len - 1] == ' ');
        }
        out_len = 0;
    }
}

// ---- commands --------------------------------------------------------------------------------------------------------

static void test_longest_match(void **state)
{
    (void)state;
    type("vm record one  two\r");
    assert_string_equal(ran, "record one two");
    type("vm recor\r");
    assert_string_equal(ran, "record recor"); // `vm` with an argument
    type("vm\r");
    assert_non_null(strstr(out, "usage: vm X"));
    type("nothing here\r");
    assert_non_null(strstr(out, "nothing: no such command"));
    type("vm record fail\r");
    assert_non_null(strstr(out, "vm record: in use"));
    type("vm record 1 2 3 4 5 6 7 8 9\r");
    assert_non_null(strstr(out, "usage: vm record NAME"));
    type("a b c d e f g h i j k l m n o\r");
    assert_non_null(strstr(out, "too many words"));
}

static void test_listings(void **state)
{
    (void)state;
    type("vm list\r");
    assert_non_null(strstr(out, "name       n      at  on\r\nalpha      7    0xa0  no\r\n"));
    type("vm --json list\r");
    assert_non_null(strstr(
        out, "{\"name\":\"alpha\",\"n\":7,\"at\":\"0xa0\",\"on\":false}\r\n"
             "{\"name\":\"b\\\"\\\\\\u0001\",\"n\":18446744073709551615,\"at\":\"0xa0\",\"on\":true}\r\n"));
    type("bogus --json\r");
    assert_non_null(strstr(out, "{\"error\":\"no such command"));
}

static void test_completion(void **state)
{
    (void)state;
    type("v\t");
    assert_string_equal(sh.line.text, "vm ");
    type("r\t");
    assert_string_equal(sh.line.text, "vm record ");
    type("a\t");
    assert_string_equal(sh.line.text, "vm record alp");
    out_len = 0;
    type("\t");
    assert_non_null(strstr(out, "\r\nalpha  alpine\r\nlodge> vm record alp"));
    type("i\t");
    assert_string_equal(sh.line.text, "vm record alpine ");
    type("\t");
    assert_string_equal(sh.line.text, "vm record alpine ");
    type("\x15zz\t");
    assert_string_equal(sh.line.text, "zz");
    type("\x15vm list\x01\x1b[C\t"); // in the middle: "v|m list"
    assert_string_equal(sh.line.text, "vm m list");
    type("\x05\x15help vm\r");
    assert_non_null(strstr(out, "vm record NAME"));
}

static void test_numbers(void **state)
{
    uint64_t v;

    (void)state;
    assert_true(shell_number("12", 12, &v) && v == 12);
    assert_true(shell_number("0x1F", 100, &v) && v == 31);
    assert_false(shell_number("13", 12, &v));
    assert_false(shell_number("-1", 12, &v));
    assert_false(shell_number("", 12, &v));
    assert_false(shell_number("1a", 12, &v));
    assert_false(shell_number("99999999999999999999", UINT64_MAX, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_screen_follows_the_line, setup),
        cmocka_unit_test_setup(test_history, setup),
        cmocka_unit_test_setup(test_line_ends_and_long_lines, setup),
        cmocka_unit_test_setup(test_random_keys, setup),
        cmocka_unit_test_setup(test_longest_match, setup),
        cmocka_unit_test_setup(test_listings, setup),
        cmocka_unit_test_setup(test_completion, setup),
        cmocka_unit_test_setup(test_numbers, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
