// SPDX-License-Identifier: Apache-2.0
//
// Multiboot kernels, with addresses in their header and as ELF32 files, and what is wrong with them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/probing.h"

#define AT 0x40u // of the header
#define KLUDGE 0x10000u

static uint8_t data[0x4000];

static void put_header(uint32_t flags)
{
    put32(data + AT, 0x1BADB002);
    put32(data + AT + 4, flags);
    put32(data + AT + 8, 0u - 0x1BADB002 - flags);
}

// header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr
static void put_addresses(uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end, uint32_t entry)
{
    const uint32_t words[] = {header, load, load_end, bss_end, entry};

    put_header(KLUDGE | 3);
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        put32(data + AT + 12 + 4 * i, words[i]);
    }
}

static void put_segment(unsigned i, uint32_t off, uint32_t gpa, uint32_t filesz, uint32_t memsz)
{
    uint8_t *ph = data + 0x80 + 32ul * i;

    put32(ph, 1);
    put32(ph + 4, off);
    put32(ph + 8, 0xC0000000 + gpa);
    put32(ph + 12, gpa);
    put32(ph + 16, filesz);
    put32(ph + 20, memsz);
}

static void put_elf32(void)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 1, 1, 1};

    memset(data, 0, sizeof(data));
    put_header(3);
    memcpy(data, ident, sizeof(ident));
    put16(data + 16, 2);
    put16(data + 18, 3);
    put32(data + 24, MIB(1) + 0x20);
    put32(data + 28, 0x80);
    put16(data + 42, 32);
    put16(data + 44, 2);
    put_segment(0, 0x1000, MIB(1), 0x800, 0x900);
    put_segment(1, 0x2000, MIB(2), 0x100, 0x4000);
}

static int setup(void **state)
{
    (void)state;
    memset(data, 0, sizeof(data));
    put_addresses(MIB(1) + 0x30, MIB(1), MIB(1) + 0x1000, MIB(1) + 0x5000, MIB(1) + 0x100);
    file = (struct file){.data = data, .size = sizeof(data)};
    options = (struct image_options){.arch = "x86_64"};
    return 0;
}

static void refused(enum status st, const char *part)
{
    assert_refused(st, part);
    (void)setup(NULL);
}

static void test_addresses(void **state)
{
    (void)state;
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "multiboot");
    assert_true(image.multiboot && image.fixed);
    assert_int_equal(image.mode, IMAGE_MODE_FLAT32);
    assert_int_equal(image.base, MIB(1));
    assert_int_equal(image.span, 0x5000);
    assert_int_equal(image.entry, 0x100);
    assert_int_equal(image.segments[0].file_off, 0x10);
    assert_int_equal(image.segments[0].file_size, 0x1000);
    put_addresses(MIB(1) + AT, MIB(1), 0, 0, MIB(1)); // all of the file, nothing behind it
    assert_int_equal(probe(), OK);
    assert_int_equal(image.segments[0].file_off, 0);
    assert_int_equal(image.span, sizeof(data));
}

static void test_bad_addresses(void **state)
{
    (void)state;
    put_addresses(MIB(1), MIB(1) + 1, 0, 0, MIB(1));
    refused(E_CORRUPT, "begins before the file");
    put_addresses(MIB(1) + AT + 1, MIB(1), 0, 0, MIB(1));
    refused(E_CORRUPT, "begins before the file");
    put_addresses(UINT32_MAX, 0, 0, 0, 0);
    refused(E_CORRUPT, "begins before the file");
    put_addresses(MIB(1), MIB(1), MIB(1) - 1, 0, MIB(1));
    refused(E_CORRUPT, "not in order");
    put_addresses(MIB(1), MIB(1), MIB(1) + 0x1000, MIB(1) + 0xFFF, MIB(1));
    refused(E_CORRUPT, "not in order");
    put_addresses(MIB(1), MIB(1), 0, 1, MIB(1));
    refused(E_CORRUPT, "not in order");
    put_addresses(MIB(1), MIB(1), MIB(1) + sizeof(data), 0, MIB(1));
    refused(E_CORRUPT, "is truncated");
    put_addresses(MIB(1), MIB(1), 0, 0, MIB(1) - 1);
    refused(E_CORRUPT, "lies in no segment");
    file.size = AT + 31;
    refused(E_CORRUPT, "header is cut off");
}

static void test_header(void **state)
{
    (void)state;
    put32(data + AT + 8, 5); // sum: not one of these
    (void)probe();
    assert_false(image.multiboot);
    (void)setup(NULL);
    put_header(KLUDGE | 8);
    refused(E_UNSUPPORTED, "asks for what is unknown: flags 0x10008");
    options.has_load = true;
    refused(E_CONFIG, "has its own addresses");
    options.arch = "aarch64";
    refused(E_UNSUPPORTED, "a kernel for x86_64");
    memset(data, 0x90, sizeof(data));
    put32(data + 0x2000 - 8, 0x1BADB002); // its third word is beyond what is searched
    put32(data + 0x2000 - 4, 3);
    put32(data + 0x2000, 0u - 0x1BADB002 - 3);
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "raw");
}

// Wherever it is, across sectors too; and the search costs a few reads, not one a word.
static void test_search(void **state)
{
    uint8_t header[32];

    (void)state;
    memcpy(header, data + AT, sizeof(header));
    for (unsigned at = 0; at <= KIB(8) - 12; at += 4) {
        memset(data, 0, KIB(8) + sizeof(header));
        memcpy(data + at, header, sizeof(header));
        put32(data + at + 12, MIB(1) + at); // header_addr
        file.reads = 0;
        file.fail_after = 40;
        assert_int_equal(probe(), OK);
        assert_int_equal(image.segments[0].file_off, 0);
    }
    memset(data, 0, KIB(8) + sizeof(header));
    memcpy(data + KIB(8) - 8, header, sizeof(header)); // ends beyond the first 8 KiB
    assert_int_not_equal(probe(), OK);
}

static void test_elf32(void **state)
{
    (void)state;
    put_elf32();
    assert_int_equal(probe(), OK);
    assert_int_equal(image.segment_count, 2);
    assert_int_equal(image.base, MIB(1));
    assert_int_equal(image.span, MIB(1) + 0x4000);
    assert_int_equal(image.entry, 0x20);
    assert_int_equal(image.segments[1].gpa, MIB(2));
}

static void test_bad_elf32(void **state)
{
    (void)state;
    put_elf32();
    put16(data + 18, 62);
    refused(E_UNSUPPORTED, "not an ELF file for 32-bit x86");
    put_elf32();
    put16(data + 42, 31);
    refused(E_CORRUPT, "program headers of 31 bytes");
    put_elf32();
    put16(data + 44, 65);
    refused(E_CORRUPT, "65 program headers");
    put_elf32();
    put32(data + 28, UINT32_MAX - 8);
    refused(E_CORRUPT, "headers are cut off");
    put_elf32();
    put_segment(0, 0x3FFF, MIB(1), 2, 2);
    refused(E_CORRUPT, "beyond the end of the file");
    put_elf32();
    put_segment(0, UINT32_MAX, MIB(1), UINT32_MAX, UINT32_MAX);
    refused(E_CORRUPT, "beyond the end of the file");
    put_elf32();
    put_segment(0, 0x1000, MIB(1), 3, 2);
    refused(E_CORRUPT, "longer in the file");
    put_elf32();
    put_segment(1, 0x2000, MIB(1) + 0x8FF, 1, 1);
    refused(E_CORRUPT, "overlap");
    put_elf32();
    put32(data + 24, MIB(1) + 0x900);
    refused(E_CORRUPT, "lies in no segment");
    put_elf32();
    put16(data + 44, 0);
    refused(E_CORRUPT, "lies in no segment");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_addresses, setup), cmocka_unit_test_setup(test_bad_addresses, setup),
        cmocka_unit_test_setup(test_header, setup),    cmocka_unit_test_setup(test_search, setup),
        cmocka_unit_test_setup(test_elf32, setup),     cmocka_unit_test_setup(test_bad_elf32, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
