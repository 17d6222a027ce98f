// SPDX-License-Identifier: Apache-2.0
//
// TOML: documents that must be refused, with the place and the reason.
#include "kernel/lib/toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *text;
    unsigned line, column;
    const char *message; // a part of it
};

static _Alignas(16) char memory[1 << 16];

static void refuse(const struct row *row, size_t len)
{
    struct toml_arena arena = {.base = memory, .size = sizeof(memory)};
    struct toml_node *root;
    struct toml_error e;

    if (toml_parse(&root, row->text, len, &arena, &e) != E_CONFIG) {
        fail_msg("accepted: <%s>", row->text);
    }
    if (e.pos.line != row->line || e.pos.column != row->column || !strstr(e.message, row->message)) {
        fail_msg("<%s>: %u:%u: %s; wanted %u:%u: %s", row->text, (unsigned)e.pos.line, (unsigned)e.pos.column,
                 e.message, row->line, row->column, row->message);
    }
}

static void refuse_all(const struct row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        refuse(&rows[i], strlen(rows[i].text));
    }
}

static void test_encoding(void **state)
{
    static const struct row rows[] = {
        {"a = 1\nb = \"\x80\"", 2, 6, "not valid UTF-8"},
        {"# \xC0\x80", 1, 3, "not valid UTF-8"}, // overlong
        {"# \xC1\xBF", 1, 3, "not valid UTF-8"},
        {"# \xE0\x9F\xBF", 1, 3, "not valid UTF-8"},     // overlong
        {"# \xED\xA0\x80", 1, 3, "not valid UTF-8"},     // surrogate
        {"# \xF0\x8F\xBF\xBF", 1, 3, "not valid UTF-8"}, // overlong
        {"# \xF4\x90\x80\x80", 1, 3, "not valid UTF-8"}, // past U+10FFFF
        {"# \xF5\x80\x80\x80", 1, 3, "not valid UTF-8"},
        {"# \xE2\x82", 1, 3, "not valid UTF-8"}, // cut off
        {"# \xE2\x28\xA1", 1, 3, "not valid UTF-8"},
        {"# \xF0\x90\x28\xBC", 1, 3, "not valid UTF-8"},
        {"a = 1\r", 1, 6, "carriage return"},
        {"a = 'x\ry'", 1, 7, "carriage return"},
        {"# \x01", 1, 3, "U+0001"},
        {"a = \"\x7F\"", 1, 6, "U+007F"},
        {"a = '''\x1F'''", 1, 8, "U+001F"},
        {"\xEF\xBB", 1, 1, "not valid UTF-8"},
        {"a\xEF\xBB\xBF = 1", 1, 2, "expected '='"}, // a mark in the middle
    };
    static const struct row nul = {"a = 1\n\0", 2, 1, "U+0000"};

    (void)state;
    refuse_all(rows, ARRAY_SIZE(rows));
    refuse(&nul, 7);
}

static void test_strings(void **state)
{
    static const struct row rows[] = {
        {"a = \"abc", 1, 5, "not closed"},
        {"a = \"ab\nc\"", 1, 5, "not closed"},
        {"a = 'ab\r\nc'", 1, 5, "not closed"},
        {"a = \"\"\"x", 1, 5, "never closed"},
        {"a = '''x''", 1, 5, "never closed"},
        {"a = \"\\x41\"", 1, 6, "unknown escape"},
        {"a = \"\\", 1, 6, "unknown escape"},
        {"a = \"\\u12\"", 1, 6, "4 hexadecimal"},
        {"a = \"\\U0001F60\"", 1, 6, "8 hexadecimal"},
        {"a = \"\\uD800\"", 1, 6, "no Unicode character"},
        {"a = \"\\U00110000\"", 1, 6, "no Unicode character"},
        {"a = \"\\UFFFFFFFF\"", 1, 6, "no Unicode character"},
        {"a = \"\"\"x\\ y\"\"\"", 1, 9, "a backslash"},
        {"a = \"\"\"x\\  ", 1, 9, "a backslash"},
        {"a = \"\"\"\"\"\"x", 1, 11, "expected the end of the line"},
        {"a = \"\"\"x\"\"\"\"\"\"", 1, 14, "expected the end of the line"},
        {"a = '''x''''''", 1, 14, "expected the end of the line"},
        {"a = 'x'y", 1, 8, "unexpected 'y'"},
        {"a = \"x\" \"y\"", 1, 9, "expected the end of the line"},
        {"a = x", 1, 5, "'x' is no value: a string needs quotes"},
    };

    (void)state;
    refuse_all(rows, ARRAY_SIZE(rows));
}

static void test_numbers(void **state)
{
    static const char *const words[] = {
        "01",    "+01",   "-00",   "1__0", "_1",   "1_",   "0x",  "0xG",   "0x_1", "0x1_",     "0X1",
        "+0x1",  "-0b1",  "0o8",   "0b2",  "0o",   "1.",   ".5",  "1.e5",  "1._5", "1.5_",     "1e",
        "1e+",   "1e_5",  "1e5.5", "01.5", "+",    "-",    "+-1", "1-",    "1+2",  "infinity", "+true",
        "1.2.3", "0.0.1", "Inf",   "NaN",  "nan5", "1e5_", "0_",  "0x1.8",
    };
    static const struct row big[] = {
        {"a = 9223372036854775808", 1, 5, "does not fit 64 bits"},
        {"a = -9223372036854775809", 1, 5, "does not fit 64 bits"},
        {"a = 0x8000000000000000", 1, 5, "does not fit 64 bits"},
        {"a = 99999999999999999999999999", 1, 5, "does not fit 64 bits"},
    };
    char doc[64];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        struct row row = {doc, 1, 5, ""};

        (void)snprintf(doc, sizeof(doc), "a = %s", words[i]);
        refuse(&row, strlen(doc));
    }
    refuse_all(big, ARRAY_SIZE(big));
}

static void test_dates(void **state)
{
    static const char *const words[] = {
        "1979-13-01",
        "1979-00-10",
        "1979-02-29",
        "1900-02-29",
        "1979-04-31",
        "1979-01-00",
        "1979-1-01",
        "1979-05-27T",
        "1979-05-27T07:32",
        "1979-05-27T24:00:00",
        "1979-05-27T07:60:00",
        "1979-05-27T07:32:61",
        "07:32",
        "7:32:00",
        "07:32:00.",
        "07:32:00Z",
        "1979-05-27T07:32:00+",
        "1979-05-27T07:32:00+24:00",
        "1979-05-27Z",
        "1979-05-27T07:32:00.Z",
        "1979-05-27x07:32:00",
        "19790-05-27",
        "1979-05-27T07:32:00ZZ",
        "1979-05-27  07:32:00",
    };
    char doc[64];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        struct row row = {doc, 1, 5, ""};

        (void)snprintf(doc, sizeof(doc), "a = %s", words[i]);
        if (strstr(words[i], "  ")) {
            row.column = 17;
        }
        refuse(&row, strlen(doc));
    }
}

static void test_structure(void **state)
{
    static const struct row rows[] = {
        {"a", 1, 2, "end of the file: expected '='"},
        {"a =", 1, 4, "expected a value"},
        {"a = \nb = 1", 1, 5, "end of the line: expected a value"},
        {"= 1", 1, 1, "expected a key"},
        {"a. = 1", 1, 4, "expected a key"},
        {".a = 1", 1, 1, "expected a key"},
        {"a b = 1", 1, 3, "expected '='"},
        {"a\n= 1", 1, 2, "expected '='"},
        {"a = 1 b = 2", 1, 7, "expected the end of the line"},
        {"\"\"\"a\"\"\" = 1", 1, 1, "multi-line"},
        {"'''a''' = 1", 1, 1, "multi-line"},
        {"a! = 1", 1, 2, "expected '='"},
        {"\xC3\xA9 = 1", 1, 1, "unexpected character: expected a key"},
        {"[a", 1, 3, "expected ']'"},
        {"[a]]", 1, 4, "expected the end of the line"},
        {"[[a]", 1, 4, "expected ']]'"},
        {"[[a] ]", 1, 4, "expected ']]'"},
        {"[ [a]]", 1, 3, "expected a key"},
        {"[]", 1, 2, "expected a key"},
        {"[a.]", 1, 4, "expected a key"},
        {"[a..b]", 1, 4, "expected a key"},
        {"[a]b = 1", 1, 4, "expected the end of the line"},
        {"a = [1", 1, 5, "never closed"},
        {"a = [1 2]", 1, 8, "',' or ']'"},
        {"a = [,1]", 1, 6, "expected a value"},
        {"a = [1,,2]", 1, 8, "expected a value"},
        {"a = {b = 1", 1, 11, "',' or '}'"},
        {"a = {b = 1,}", 1, 12, "without a comma"},
        {"a = {b = 1\n}", 1, 11, "end of the line"},
        {"a = {\n}", 1, 6, "expected a key"},
        {"a = {b = 1 c = 2}", 1, 12, "',' or '}'"},
        {"a = {,}", 1, 6, "expected a key"},
        {"a = {b}", 1, 7, "expected '='"},
        {"a = TRUE", 1, 5, "no value"},
        {"a = truer", 1, 5, "no value"},
        {"a = ]", 1, 5, "expected a value"},
    };

    (void)state;
    refuse_all(rows, ARRAY_SIZE(rows));
}

static void test_definitions(void **state)
{
    static const struct row rows[] = {
        {"a = 1\na = 2", 2, 1, "'a' is there already (see line 1)"},
        {"a = 1\n\"a\" = 2", 2, 1, "there already"},
        {"a.b = 1\na.b = 2", 2, 3, "there already"},
        {"a = 1\na.b = 2", 2, 1, "no table that a dotted key"},
        {"a = []\na.b = 2", 2, 1, "no table that a dotted key"},
        {"[a]\n[a]", 2, 2, "defined already"},
        {"[a.b]\n[a]\n[a.b]", 3, 4, "defined already"},
        {"[a]\nb = 1\n[a.b]", 3, 4, "there already"},
        {"[a]\nb = 1\n[a.b.c]", 3, 4, "is no table"},
        {"[a]\nb.c = 1\n[a.b]", 3, 4, "defined already"},
        {"[a.b.c]\n[a]\nb.c.d = 1", 3, 3, "defined elsewhere"},
        {"[a.b]\n[a]\nb.x = 1", 3, 1, "defined elsewhere"},
        {"[a.b.c]\nz=9\n[a]\nb.c.t = 1", 4, 3, "defined elsewhere"},
        {"b.c = 1\n[b]", 2, 2, "defined already"},
        {"[a]\nb.c = 1\n[x]\n[a.b.d]\n[[a.b]]", 5, 5, "no array of tables"},
        {"a = {b = 1}\na.c = 2", 2, 1, "inline table"},
        {"a = {b = 1}\n[a]", 2, 2, "defined already"},
        {"a = {b = 1}\n[a.c]", 2, 2, "inline table"},
        {"a = {b = {}}\n[a.b.c]", 2, 2, "inline table"},
        {"a = {b = {c = 1}, b.d = 2}", 1, 19, "inline table"},
        {"a = {b = 1, b = 2}", 1, 13, "there already"},
        {"a = {b.c = 1, b = 2}", 1, 15, "there already"},
        {"a = []\n[[a]]", 2, 3, "no array of tables"},
        {"a = [{}]\n[[a]]", 2, 3, "no array of tables"},
        {"a = [{}]\n[a.b]", 2, 2, "no table"},
        {"[a]\n[[a]]", 2, 3, "no array of tables"},
        {"[[a]]\n[a]", 2, 2, "write [[ ]]"},
        {"[a.b]\n[[a]]", 2, 3, "no array of tables"},
        {"[[a.b]]\n[a]\nb.y = 2", 3, 1, "no table that a dotted key"},
        {"[[a]]\n[a.b]\n[a.b]", 3, 4, "defined already"},
        {"[[a]]\nb = 1\nb = 2", 3, 1, "there already"},
        {"\"\\u001B[2J\" = 1\n\"\\u001B[2J\" = 1", 2, 1, "'?[2J'"}, // no escape sequence reaches the terminal
    };

    (void)state;
    refuse_all(rows, ARRAY_SIZE(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding), cmocka_unit_test(test_strings),   cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_dates),    cmocka_unit_test(test_structure), cmocka_unit_test(test_definitions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
