// SPDX-License-Identifier: Apache-2.0
//
// The safe line: editing inside it works, nothing gets out of it.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/backend/char_line.h"

static struct char_line line;

// Feeds text; returns the line as UTF-8, with '|' where the cursor is when it is not at the end.
static const char *show(void)
{
    static char out[4 * CHAR_LINE_MAX + 2];
    size_t n = 0;

    for (unsigned i = 0; i <= line.len; i++) {
        if (i == line.col && i < line.len) {
            out[n++] = '|';
        }
        if (i < line.len) {
            n += char_line_encode(line.cell[i], &out[n]);
        }
    }
    out[n] = '\0';
    return out;
}

static const char *fed_bytes(const char *text, size_t len)
{
    char_line_reset(&line);
    for (size_t i = 0; i < len; i++) {
        (void)char_line_feed(&line, (uint8_t)text[i]);
    }
    return show();
}

#define FED(text) fed_bytes(text, sizeof(text) - 1)

static void plain_text(void **state)
{
    (void)state;
    assert_string_equal(FED("hello, world"), "hello, world");
    assert_string_equal(FED(""), "");
    assert_string_equal(FED("a\tb"), "a       b");
    assert_string_equal(FED("a\0b\x01\x7f\x05"), "ab");
    assert_string_equal(FED("bell\a"), "bell");
}

static void newline_and_return(void **state)
{
    (void)state;
    char_line_reset(&line);
    assert_int_equal(char_line_feed(&line, 'a'), CHAR_LINE_CHANGED);
    assert_int_equal(char_line_feed(&line, '\r'), CHAR_LINE_SAME);
    assert_int_equal(char_line_feed(&line, '\n'), CHAR_LINE_DONE);
    assert_int_equal(line.len, 1);
    char_line_next(&line);
    assert_int_equal(line.len, 0);
    assert_int_equal(char_line_feed(&line, '\n'), CHAR_LINE_DONE);
    assert_string_equal(FED("10%\r20%"), "20%");
    assert_string_equal(FED("long line\rshort"), "short|line");
    assert_string_equal(FED("abc\r\r"), "abc"); // nothing moved yet
}

static void backspace_stays_inside(void **state)
{
    (void)state;
    assert_string_equal(FED("abc\b"), "ab|c");
    assert_string_equal(FED("abc\b\b\b\b\b\b\b\bx"), "x|bc");
    assert_string_equal(FED("abc\b \b"), "ab| ");
    assert_string_equal(FED("\b\b\bx"), "x");
}

static void editing_sequences(void **state)
{
    (void)state;
    assert_string_equal(FED("abcdef\033[3D"), "abc|def");
    assert_string_equal(FED("abcdef\033[99D\033[2C"), "ab|cdef");
    assert_string_equal(FED("abcdef\033[999999999C"), "abcdef");
    assert_string_equal(FED("abcdef\r\033[J"), "");
    assert_string_equal(FED("abcdef\b\b\033[K"), "abcd");
    assert_string_equal(FED("abcdef\b\b\033[1K"), "    |ef");
    assert_string_equal(FED("abcdef\b\b\033[2K"), "    ");
    assert_string_equal(FED("abcdef\033[3G"), "ab|cdef");
    assert_string_equal(FED("abcdef\033[3D\033[2P"), "abc|f");
    assert_string_equal(FED("abcdef\033[3D\033[99P"), "abc");
    assert_string_equal(FED("abcdef\033[3D\033[2@xy"), "abcxy|def");
    // busybox ash: history up replaces the line.
    assert_string_equal(FED("~ # ls\r~ # \033[Juname -a"), "~ # uname -a");
}

static void everything_else_is_swallowed(void **state)
{
    (void)state;
    assert_string_equal(FED("\033[1;31mred\033[0m"), "red");
    assert_string_equal(FED("~ # \033[6n"), "~ # "); // position query
    assert_string_equal(FED("a\033[10;20Hb\033[2Ac\033[5Bd"), "abcd");
    assert_string_equal(FED("a\033[?25lb\033[?1049hc\033[>cd"), "abcd");
    assert_string_equal(FED("a\033[?3D\033[ Dz"), "az"); // private or with intermediates: not cursor left
    assert_string_equal(FED("a\033]0;title\ab\033]0;x\033\\c"), "abc");
    assert_string_equal(FED("a\033Pq#0\033\\b\033_x\033\\c\033^x\033\\d\033Xx\033\\e"), "abcde");
    assert_string_equal(FED("a\033(0b\033#8c\033cd\0337e\033Mf"), "abcdef");
    assert_string_equal(FED("a\033[31\030b"), "ab");    // cancelled
    assert_string_equal(FED("a\033[31\033[1mb"), "ab"); // restarted
    assert_string_equal(FED("a\033\033\033b"), "a");
}

static void a_cut_off_sequence_does_not_eat_the_next_line(void **state)
{
    (void)state;
    assert_string_equal(FED("a\033[12"), "a");
    assert_int_equal(char_line_feed(&line, '\n'), CHAR_LINE_DONE);
    char_line_next(&line);
    assert_int_equal(char_line_feed(&line, 'm'), CHAR_LINE_CHANGED);
    assert_string_equal(show(), "m");
    // An endless string is given up.
    char_line_reset(&line);
    (void)char_line_feed(&line, 0x1b);
    (void)char_line_feed(&line, ']');
    for (unsigned i = 0; i < 1000; i++) {
        (void)char_line_feed(&line, 'x');
    }
    assert_true(line.len > 0);
}

static void utf8(void **state)
{
    (void)state;
    assert_string_equal(FED("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(FED("a\xc2\x9b"
                            "31mb"),
                        "a?31mb"); // C1 CSI, encoded
    assert_string_equal(FED("a\x9b"
                            "31mb"),
                        "a?31mb"); // and bare
    assert_string_equal(FED("\xff\xfe\xc0\x80"), "????");
    assert_string_equal(FED("\xe0\x80\x8a"), "?");     // overlong newline
    assert_string_equal(FED("\xed\xa0\x80"), "?");     // surrogate
    assert_string_equal(FED("\xf4\x90\x80\x80"), "?"); // beyond U+10FFFF
    assert_string_equal(FED("a\xe2\x80\xae"
                            "b"),
                        "a?b"); // right-to-left override
    assert_string_equal(FED("a\xe2\x80\xa8"
                            "b"),
                        "a?b");             // line separator
    assert_string_equal(FED("\xc3x"), "x"); // cut off
}

static void long_lines_go_on(void **state)
{
    (void)state;
    char_line_reset(&line);
    for (unsigned i = 0; i < CHAR_LINE_MAX; i++) {
        assert_int_equal(char_line_feed(&line, 'x'), CHAR_LINE_CHANGED);
    }
    assert_int_equal(char_line_feed(&line, 'y'), CHAR_LINE_FULL);
    assert_int_equal(line.len, CHAR_LINE_MAX);
    assert_int_equal(char_line_feed(&line, '\t'), CHAR_LINE_FULL);
    assert_int_equal(char_line_feed(&line, 0xc3), CHAR_LINE_SAME);
    assert_int_equal(char_line_feed(&line, 0xa4), CHAR_LINE_FULL);
    char_line_next(&line);
    assert_int_equal(char_line_feed(&line, 0xa4), CHAR_LINE_CHANGED);
    assert_string_equal(show(), "\xc3\xa4");
}

// Whatever comes, the structure stays sound and every cell printable.
static void random_bytes(void **state)
{
    static const char often[] = "\033[[[;0123456789DCGJKP@mHn\b\b\r\n\t]\\\a\xc3\xa4\xe2\x82";

    (void)state;
    srand(3);
    char_line_reset(&line);
    for (unsigned n = 0; n < 2000000; n++) {
        int r = rand();
        uint8_t c = r & 1 ? (uint8_t)often[(unsigned)r / 2 % (sizeof(often) - 1)] : (uint8_t)(r >> 8);
        enum char_line_event e = char_line_feed(&line, c);

        assert_true(line.col <= line.len && line.len <= CHAR_LINE_MAX);
        if (e == CHAR_LINE_DONE || e == CHAR_LINE_FULL) {
            for (unsigned i = 0; i < line.len; i++) {
                uint32_t cell = line.cell[i];

                assert_true((cell >= ' ' && cell <= '~') || (cell >= 0xa0 && cell <= 0x10ffff));
            }
            char_line_next(&line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text),
        cmocka_unit_test(newline_and_return),
        cmocka_unit_test(backspace_stays_inside),
        cmocka_unit_test(editing_sequences),
        cmocka_unit_test(everything_else_is_swallowed),
        cmocka_unit_test(a_cut_off_sequence_does_not_eat_the_next_line),
        cmocka_unit_test(utf8),
        cmocka_unit_test(long_lines_go_on),
        cmocka_unit_test(random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
