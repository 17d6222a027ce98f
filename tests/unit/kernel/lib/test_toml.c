// SPDX-License-Identifier: Apache-2.0
//
// TOML: what valid documents mean, with positions; memory limits.
#include "kernel/lib/toml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static _Alignas(16) char memory[1 << 20];
static struct toml_error error;

// The document must be valid; the tree lives until the next call.
static const struct toml_node *parse(const char *text)
{
    struct toml_arena arena = {.base = memory, .size = sizeof(memory)};
    struct toml_node *root = NULL;

    if (toml_parse(&root, text, strlen(text), &arena, &error) != OK) {
        fail_msg("%u:%u: %s in <%s>", (unsigned)error.pos.line, (unsigned)error.pos.column, error.message,
                 text);
    }
    return root;
}

// Follows "a.b" through tables; a number selects an array's element.
static const struct toml_node *at(const struct toml_node *node, const char *path)
{
    char part[64];

    while (*path && node) {
        size_t n = strcspn(path, ".");

        memcpy(part, path, n);
        part[n] = '\0';
        if (node->type == TOML_ARRAY) {
            const struct toml_node *it = node->list.first;

            for (int i = atoi(part); i > 0 && it; i--) {
                it = it->next;
            }
            node = it;
        } else {
            node = toml_get(node, part);
        }
        path += n + (path[n] == '.');
    }
    assert_non_null(node);
    return node;
}

static void assert_string(const struct toml_node *root, const char *path, const char *want)
{
    const struct toml_node *node = at(root, path);

    assert_int_equal(node->type, TOML_STRING);
    assert_string_equal(node->text.ptr, want);
    assert_int_equal(node->text.len, strlen(want));
}

static void assert_integer(const struct toml_node *root, const char *path, int64_t want)
{
    assert_int_equal(at(root, path)->type, TOML_INTEGER);
    assert_true(at(root, path)->integer == want);
}

static void assert_pos(struct toml_pos pos, unsigned line, unsigned column)
{
    assert_int_equal(pos.line, line);
    assert_int_equal(pos.column, column);
}

static void test_empty(void **state)
{
    static const char *const docs[] = {
        "", "\n\n", "# comment", "  \t\r\n # x\r\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF# c\n"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(docs); i++) {
        assert_int_equal(parse(docs[i])->list.count, 0);
    }
}

static void test_strings(void **state)
{
    const struct toml_node *r = parse("basic = \"a\\b\\t\\n\\f\\r\\\"\\\\\\u00e9\\U0001F600z\"\n"
                                      "literal = 'C:\\x\\n'\n"
                                      "multi = \"\"\"\none\n two\"\"\"\n"
                                      "cont = \"\"\"a \\  \n\n   \t b\\\n c\"\"\"\n"
                                      "quotes = \"\"\"\"\"a\"\"\"\"\"\n"
                                      "inner = \"\"\"a\"b\"\"c\"\"\"\n"
                                      "lit2 = '''\n'a''\\n'''''\n"
                                      "empty = \"\"\n"
                                      "empty2 = ''''''\n"
                                      "tab = \"\t\"\n");

    (void)state;
    assert_string(r, "basic", "a\b\t\n\f\r\"\\\xC3\xA9\xF0\x9F\x98\x80z");
    assert_string(r, "literal", "C:\\x\\n");
    assert_string(r, "multi", "one\n two");
    assert_string(r, "cont", "a bc");
    assert_string(r, "quotes", "\"\"a\"\"");
    assert_string(r, "inner", "a\"b\"\"c");
    assert_string(r, "lit2", "'a''\\n''");
    assert_string(r, "empty", "");
    assert_string(r, "empty2", "");
    assert_string(r, "tab", "\t");
}

static void test_string_with_nul_and_crlf(void **state)
{
    const struct toml_node *r = parse("a = \"x\\u0000y\"\r\nb = \"\"\"\r\n1\r\n2\"\"\"\r\n");

    (void)state;
    assert_int_equal(at(r, "a")->text.len, 3);
    assert_memory_equal(at(r, "a")->text.ptr, "x\0y", 4);
    assert_string(r, "b", "1\n2");
}

static void test_utf8_boundaries(void **state)
{
    const struct toml_node *r =
        parse("a = \"\\u007F\\u0080\\u07FF\\u0800\\uD7FF\\uE000\\uFFFF\\U00010000\\U0010FFFF\"");

    (void)state;
    assert_string(r, "a",
                  "\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4"
                  "\x8F\xBF\xBF");
    r = parse("a = \"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"");
    assert_int_equal(at(r, "a")->text.len, 21);
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = {
        {"0", 0},
        {"+0", 0},
        {"-0", 0},
        {"+99", 99},
        {"-17", -17},
        {"1_000_000", 1000000},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"0x0", 0},
        {"0xDEADBEEF", 0xDEADBEEF},
        {"0xdead_beef", 0xDEADBEEF},
        {"0x7fffffffffffffff", INT64_MAX},
        {"0x00ff", 255},
        {"0o755", 0755},
        {"0b1101_0110", 0xD6},
    };
    char doc[64];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        (void)snprintf(doc, sizeof(doc), "a = %s", rows[i].text);
        assert_integer(parse(doc), "a", rows[i].want);
    }
}

static void test_kept_as_text(void **state)
{
    static const struct {
        const char *text;
        enum toml_type type;
    } rows[] = {
        {"1.0", TOML_FLOAT},
        {"+3.14_15", TOML_FLOAT},
        {"-0.01", TOML_FLOAT},
        {"5e+22", TOML_FLOAT},
        {"1e06", TOML_FLOAT},
        {"-2E-2", TOML_FLOAT},
        {"6.626e-34", TOML_FLOAT},
        {"inf", TOML_FLOAT},
        {"-inf", TOML_FLOAT},
        {"+nan", TOML_FLOAT},
        {"1979-05-27T07:32:00Z", TOML_DATETIME},
        {"1979-05-27t00:32:00.999999-07:00", TOML_DATETIME},
        {"1979-05-27 07:32:00z", TOML_DATETIME},
        {"1979-05-27T07:32:00.5", TOML_LOCAL_DATETIME},
        {"1979-05-27 07:32:00", TOML_LOCAL_DATETIME},
        {"2000-02-29", TOML_LOCAL_DATE},
        {"2024-02-29", TOML_LOCAL_DATE},
        {"23:59:59", TOML_LOCAL_TIME},
        {"00:32:00.999999", TOML_LOCAL_TIME},
    };
    char doc[64];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct toml_node *node;

        (void)snprintf(doc, sizeof(doc), "a = %s # end\n", rows[i].text);
        node = at(parse(doc), "a");
        assert_int_equal(node->type, rows[i].type);
        assert_string_equal(node->text.ptr, rows[i].text);
    }
}

static void test_booleans_and_arrays(void **state)
{
    const struct toml_node *r =
        parse("t = true\nf = false\ne = []\na = [1, \"x\", [true], {b = 2},\n # note\n 1.5 , ]\n"
              "n = [[1,2],[\n3\n]]");

    (void)state;
    assert_true(at(r, "t")->boolean);
    assert_false(at(r, "f")->boolean);
    assert_int_equal(at(r, "e")->list.count, 0);
    assert_int_equal(at(r, "a")->list.count, 5);
    assert_string(r, "a.1", "x");
    assert_integer(r, "a.3.b", 2);
    assert_integer(r, "n.1.0", 3);
}

static void test_keys(void **state)
{
    const struct toml_node *r = parse("bare_key-1 = 1\n1234 = 2\n\"quoted key\" = 3\n'lit \"key\"' = 4\n"
                                      "a . b.\"c.d\" = 5\na.b.e = 6\n\"\" = 7\n3.14 = 8\n");

    (void)state;
    assert_integer(r, "bare_key-1", 1);
    assert_integer(r, "1234", 2);
    assert_int_equal(toml_get(r, "quoted key")->integer, 3);
    assert_int_equal(toml_get(r, "lit \"key\"")->integer, 4);
    assert_int_equal(toml_get(at(r, "a.b"), "c.d")->integer, 5);
    assert_integer(r, "a.b.e", 6);
    assert_int_equal(toml_get(r, "")->integer, 7);
    assert_integer(r, "3.14", 8);
}

static void test_tables(void **state)
{
    const struct toml_node *r =
        parse("[x.y.z]\nk = 1\n[x]\nj = 2\n[ d . e ]\n[x.y]\nm = 3\n"
              "[fruit]\napple.color = \"red\"\napple.taste.sweet = true\n[fruit.apple.texture]\n"
              "smooth = 1\n");

    (void)state;
    assert_integer(r, "x.y.z.k", 1);
    assert_integer(r, "x.j", 2);
    assert_integer(r, "x.y.m", 3);
    assert_int_equal(at(r, "d.e")->list.count, 0);
    assert_integer(r, "fruit.apple.texture.smooth", 1);
    assert_null(toml_get(r, "none"));
    assert_null(toml_get(at(r, "x.j"), "j"));
    assert_null(toml_get(NULL, "j"));
}

static void test_arrays_of_tables(void **state)
{
    const struct toml_node *r =
        parse("[[vm]]\nname = \"a\"\n[vm.boot]\nk = 1\n[[vm.dev]]\nm = 1\n[[vm.dev]]\nm = 2\n"
              "[[vm]]\nname = \"b\"\n[vm.boot]\nk = 3\n");

    (void)state;
    assert_int_equal(at(r, "vm")->list.count, 2);
    assert_string(r, "vm.0.name", "a");
    assert_integer(r, "vm.0.dev.1.m", 2);
    assert_integer(r, "vm.1.boot.k", 3);
}

static void test_inline_tables(void **state)
{
    const struct toml_node *r = parse("p = { x = 1, y.z = 2, y.w = 3, q = {} }\n e = {}");

    (void)state;
    assert_integer(r, "p.y.z", 2);
    assert_integer(r, "p.y.w", 3);
    assert_int_equal(at(r, "p.q")->list.count, 0);
    assert_int_equal(at(r, "e")->type, TOML_TABLE);
}

static void test_positions(void **state)
{
    const struct toml_node *r = parse("a = 1\n  \"\xC3\xA9\" =  'x'\n[t]\n\tb.c = [10,\n   {d = true}]\n"
                                      "s = \"\"\"\n\n\"\"\" # behind\nz = 0\n[[l]]\n");
    const struct toml_node *array = at(r, "t.b.c");

    (void)state;
    assert_pos(at(r, "a")->key_pos, 1, 1);
    assert_pos(at(r, "a")->pos, 1, 5);
    assert_pos(toml_get(r, "\xC3\xA9")->key_pos, 2, 3);
    assert_pos(toml_get(r, "\xC3\xA9")->pos, 2, 10); // columns are characters, not bytes
    assert_pos(at(r, "t")->pos, 3, 2);
    assert_pos(at(r, "t.b")->key_pos, 4, 2);
    assert_pos(array->key_pos, 4, 4);
    assert_pos(array->pos, 4, 8);
    assert_pos(at(array, "0")->pos, 4, 9);
    assert_pos(at(array, "1.d")->key_pos, 5, 5);
    assert_pos(at(r, "t.z")->key_pos, 9, 1);
    assert_pos(at(r, "l.0")->pos, 10, 3);
}

static void test_key_order(void **state)
{
    const struct toml_node *r = parse("z = 1\na = 2\nm = 3\n");
    char order[8] = "";

    (void)state;
    toml_for_each(it, r)
    {
        strcat(order, it->key.ptr);
    }
    assert_string_equal(order, "zam");
}

static void nested(char *out, unsigned depth)
{
    strcpy(out, "a = ");
    memset(out + 4, '[', depth);
    memset(out + 4 + depth, ']', depth);
    out[4 + 2 * depth] = '\0';
}

static void test_depth(void **state)
{
    struct toml_arena arena = {.base = memory, .size = sizeof(memory)};
    static char doc[200000];
    struct toml_node *root;

    (void)state;
    nested(doc, TOML_DEPTH_MAX - 1);
    (void)parse(doc);
    nested(doc, TOML_DEPTH_MAX);
    assert_int_equal(toml_parse(&root, doc, strlen(doc), &arena, &error), E_CONFIG);
    assert_non_null(strstr(error.message, "nested deeper"));
    arena.used = 0;
    nested(doc, 90000);
    assert_int_equal(toml_parse(&root, doc, strlen(doc), &arena, &error), E_CONFIG);
    // By keys, by headers.
    strcpy(doc, "a");
    for (unsigned i = 0; i < TOML_DEPTH_MAX; i++) {
        strcat(doc, ".a");
    }
    strcat(doc, " = 1");
    arena.used = 0;
    assert_int_equal(toml_parse(&root, doc, strlen(doc), &arena, &error), E_CONFIG);
}

// Every arena size from nothing to enough: E_NOMEM, never an overrun (the sanitizer watches the exact block).
static void test_memory_limits(void **state)
{
    static const char doc[] = "a = \"string\"\n[t]\nb.c = [1, {d = 'x'}, 1.5]\nm = \"\"\"\nx\"\"\"\n[[v]]\n";
    struct toml_node *root;
    unsigned refused = 0;

    (void)state;
    for (size_t size = 0; size < 8192; size += 1) {
        char *block = malloc(size ? size : 1);
        struct toml_arena arena = {.base = block, .size = size};
        enum status s = toml_parse(&root, doc, sizeof(doc) - 1, &arena, &error);

        assert_true(s == OK || s == E_NOMEM);
        if (s == E_NOMEM) {
            assert_non_null(strstr(error.message, "memory set aside"));
            refused++;
        }
        assert_true(arena.used <= size);
        free(block);
    }
    assert_true(refused > 2000 && refused < 8000);
}

// Ten thousand keys in one table take no quadratic time, and the text may go away.
static void test_many_keys(void **state)
{
    size_t size = 4 << 20, len = 0;
    char *doc = malloc(1 << 18), *block = malloc(size);
    struct toml_arena arena = {.base = block, .size = size};
    struct toml_node *root;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        len += (size_t)sprintf(doc + len, "key%u = %u\n", i, i);
    }
    assert_int_equal(toml_parse(&root, doc, len, &arena, &error), OK);
    memset(doc, 'x', len);
    assert_integer(root, "key9999", 9999);
    free(doc);
    free(block);
}

static void test_type_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TOML_TYPE_COUNT; i++) {
        assert_non_null(toml_type_name((enum toml_type)i));
    }
    assert_string_equal(toml_type_name(TOML_TABLE), "table");
    assert_string_equal(toml_type_name(TOML_TYPE_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_string_with_nul_and_crlf),
        cmocka_unit_test(test_utf8_boundaries),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_kept_as_text),
        cmocka_unit_test(test_booleans_and_arrays),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_arrays_of_tables),
        cmocka_unit_test(test_inline_tables),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_key_order),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_type_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
