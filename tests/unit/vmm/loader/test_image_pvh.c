// SPDX-License-Identifier: Apache-2.0
//
// x86_64 ELF files with a PVH note, and notes that are damaged.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/probing.h"

#define NOTE_AT 0x800u
#define ENTRY (MIB(16) + 0x10)

static uint8_t data[0x2000];
static unsigned note_size;

static unsigned put_note(unsigned at, const char *name, uint32_t type, uint32_t desc_size, uint64_t desc)
{
    uint8_t *p = data + NOTE_AT + at;
    uint32_t name_size = (uint32_t)strlen(name) + 1;

    put32(p, name_size);
    put32(p + 4, desc_size);
    put32(p + 8, type);
    memcpy(p + 12, name, name_size);
    p += 12 + ((name_size + 3) & ~3u);
    put64(p, desc);
    return (unsigned)(p - data) - NOTE_AT + ((desc_size + 3) & ~3u);
}

static void put_file(void)
{
    const struct elf_segment segs[] = {
        {0x1000, 0xFFFFFFFF81000000, MIB(16), 0x800, 0x4000},
        {NOTE_AT, 0, 0, note_size, note_size},
    };

    put_elf(data, 0xFFFFFFFF81000000, segs, 2);
    put16(data + 18, 62);
    put32(data + 64 + 56, 4); // PT_NOTE
}

static int setup(void **state)
{
    (void)state;
    memset(data, 0, sizeof(data));
    note_size = put_note(0, "GNU", 3, 5, 7);
    note_size = put_note(note_size, "Xen", 18, 4, ENTRY);
    put_file();
    file = (struct file){.data = data, .size = sizeof(data)};
    options = (struct image_options){.arch = "x86_64"};
    return 0;
}

static void refused(enum status st, const char *part)
{
    assert_refused(st, part);
    (void)setup(NULL);
}

static void test_good(void **state)
{
    (void)state;
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "ELF64");
    assert_int_equal(image.mode, IMAGE_MODE_FLAT32);
    assert_true(image.fixed);
    assert_int_equal(image.base, MIB(16));
    assert_int_equal(image.span, 0x4000);
    assert_int_equal(image.entry, 0x10);
    note_size = put_note(0, "Xen", 18, 8, MIB(16)); // as 64 bits
    put_file();
    assert_int_equal(probe(), OK);
    assert_int_equal(image.entry, 0);
}

static void test_without(void **state)
{
    (void)state;
    put32(data + 64 + 56, 6);
    refused(E_UNSUPPORTED, "without a PVH entry note");
    note_size = put_note(0, "Xen", 17, 4, ENTRY);
    put_file();
    refused(E_UNSUPPORTED, "without");
    note_size = put_note(0, "Xem", 18, 4, ENTRY);
    put_file();
    refused(E_UNSUPPORTED, "without");
    note_size = put_note(0, "Xen", 18, 2, ENTRY);
    put_file();
    refused(E_UNSUPPORTED, "without");
    note_size = put_note(0, "Xen", 18, 8, GIB(4));
    put_file();
    refused(E_UNSUPPORTED, "without");
}

static void test_entry_elsewhere(void **state)
{
    static const uint64_t places[] = {0, MIB(16) - 1, MIB(16) + 0x800 /* zeroed, not loaded */, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        note_size = put_note(0, "Xen", 18, 4, places[i]);
        put_file();
        refused(E_CORRUPT, "lies in no segment");
    }
}

static void test_damaged_notes(void **state)
{
    static const uint32_t sizes[] = {0x1000, INT32_MAX, UINT32_MAX - 3, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        put32(data + NOTE_AT, sizes[i]);
        refused(E_UNSUPPORTED, "without");
        put32(data + NOTE_AT + 4, sizes[i]);
        refused(E_UNSUPPORTED, "without");
        put64(data + 64 + 56 + 8, sizes[i]); // where the notes are
        refused(E_UNSUPPORTED, "without");
        put64(data + 64 + 56 + 32, UINT64_MAX - sizes[i]); // how many bytes
        refused(E_UNSUPPORTED, "without");
    }
    for (unsigned size = 0; size < note_size; size++) {
        put64(data + 64 + 56 + 32, size);
        refused(E_UNSUPPORTED, "without");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_without, setup),
        cmocka_unit_test_setup(test_entry_elsewhere, setup),
        cmocka_unit_test_setup(test_damaged_notes, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
