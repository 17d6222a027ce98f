// SPDX-License-Identifier: Apache-2.0
//
// Looking names up in a table as scripts/gen_symbols makes it, and in none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/log/symbols.h"

#define BASE 0x600000000000u
#define STEPS_SIZE 4

// Three functions: "run" at 8, "vm_run" at 0x18 and "vm_stop" at 0x218, of 0x300 bytes of text.
static union {
    struct symbol_table t;
    uint8_t bytes[sizeof(struct symbol_table) + 64];
} table;

enum {
    CODE_RUN0 = 1, // "run\0"
    CODE_UN0,      // "un\0"
    CODE_N0,
    CODE_VM_, // "vm_"
    CODE_VM
};

static void pair_set(uint8_t code, char left, char right)
{
    table.t.pairs[code].left = (uint8_t)left;
    table.t.pairs[code].right = (uint8_t)right;
}

static int setup(void **state)
{
    static const uint8_t steps[STEPS_SIZE] = {4, 8, 0x80, 2}; // the last one has two bytes: 0x100 units
    static const char names[] = {CODE_RUN0, CODE_VM_, CODE_RUN0, CODE_VM_, 's', 't', 'o', 'p', '\0'};

    (void)state;
    memset(&table, 0, sizeof(table));
    table.t.base = BASE;
    table.t.text_size = 0x300;
    table.t.count = 3;
    table.t.unit = 2;
    table.t.names = sizeof(struct symbol_table) + STEPS_SIZE;
    for (const char *c = "runvm_stop"; *c; c++) {
        pair_set((uint8_t)*c, 0, *c);
    }
    pair_set(CODE_N0, 'n', '\0');
    pair_set(CODE_UN0, 'u', CODE_N0);
    pair_set(CODE_RUN0, 'r', CODE_UN0);
    pair_set(CODE_VM, 'v', 'm');
    pair_set(CODE_VM_, CODE_VM, '_');
    memcpy(table.bytes + sizeof(struct symbol_table), steps, sizeof(steps));
    memcpy(table.bytes + table.t.names, names, sizeof(names));
    return 0;
}

static void expect(uint64_t pc, const char *name, uint64_t offset)
{
    char found[SYMBOL_NAME_MAX] = "";
    uint64_t at = 0;

    assert_true(symbol_find_in(&table.t, BASE + pc, found, &at));
    assert_string_equal(found, name);
    assert_int_equal(at, offset);
}

static void names_and_offsets(void **state)
{
    (void)state;
    expect(8, "run", 0);
    expect(0x17, "run", 0xF);
    expect(0x18, "vm_run", 0);
    expect(0x217, "vm_run", 0x1FF);
    expect(0x218, "vm_stop", 0);
    expect(0x2FF, "vm_stop", 0xE7);
}

static void outside(void **state)
{
    char name[SYMBOL_NAME_MAX];
    uint64_t at = 0;

    (void)state;
    assert_false(symbol_find_in(&table.t, BASE - 1, name, &at));
    assert_false(symbol_find_in(&table.t, BASE, name, &at));
    assert_false(symbol_find_in(&table.t, BASE + 7, name, &at));
    assert_false(symbol_find_in(&table.t, BASE + 0x300, name, &at));
    table.t.count = 0;
    assert_false(symbol_find_in(&table.t, BASE + 8, name, &at));
}

static void long_names_are_cut(void **state)
{
    char name[SYMBOL_NAME_MAX];
    uint64_t at = 0;

    (void)state;
    for (uint8_t code = 'A'; code < 'A' + 6; code++) { // each twice the one before: 'F' is 64 "vm"
        pair_set(code, code == 'A' ? CODE_VM : (char)(code - 1), code == 'A' ? CODE_VM : (char)(code - 1));
    }
    table.bytes[table.t.names] = 'F';
    table.bytes[table.t.names + 1] = '\0';
    assert_true(symbol_find_in(&table.t, BASE + 8, name, &at));
    assert_int_equal(strlen(name), SYMBOL_NAME_MAX - 1);
    assert_memory_equal(name, "vmvmvm", 6);
}

static void host_build_has_none(void **state)
{
    char name[SYMBOL_NAME_MAX];
    uint64_t at = 0;

    (void)state;
    assert_false(symbol_find((uintptr_t)host_build_has_none, name, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_and_offsets, setup),
        cmocka_unit_test_setup(outside, setup),
        cmocka_unit_test_setup(long_names_are_cut, setup),
        cmocka_unit_test(host_build_has_none),
    };

    return cmocka_run_group_tests_name("symbols", tests, NULL, NULL);
}
