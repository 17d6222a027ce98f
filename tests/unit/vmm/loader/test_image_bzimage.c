// SPDX-License-Identifier: Apache-2.0
//
// Linux's bzImage: a good one, and headers that lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/probing.h"

#define CODE_OFFSET 0xA00u // four setup sectors and the boot sector
#define CODE_SIZE 0x2000u

static uint8_t data[CODE_OFFSET + CODE_SIZE];
static uint8_t ram_bytes[0x4000];
static uint8_t bounce[512];
static struct ram ram;
static const struct image_sink sink = {ram_write, ram_zero, &ram, bounce, sizeof(bounce)};

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    memcpy(data, "MZ", 2);
    data[0x1F1] = 4;
    put32(data + 0x1F4, CODE_SIZE / 16);
    put16(data + 0x1FE, 0xAA55);
    put16(data + 0x200, 0x6AEB);
    memcpy(data + 0x202, "HdrS", 4);
    put16(data + 0x206, 0x20F);
    data[0x211] = 1;
    put32(data + 0x22C, 0x7FFFFFFF);
    put32(data + 0x230, MIB(2));
    data[0x234] = 1;
    put16(data + 0x236, 0x3F);
    put64(data + 0x258, MIB(16));
    put32(data + 0x260, 0x3000);
    file = (struct file){.data = data, .size = sizeof(data)};
    ram = (struct ram){MIB(16), sizeof(ram_bytes), ram_bytes};
    memset(ram_bytes, 0xEE, sizeof(ram_bytes));
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
    assert_string_equal(image.format->name, "bzImage");
    assert_false(image.fixed);
    assert_int_equal(image.align, MIB(2));
    assert_int_equal(image.offset, MIB(16));
    assert_int_equal(image.span, 0x3000);
    assert_int_equal(image.entry, 0x200);
    assert_int_equal(image.mode, IMAGE_MODE_LINUX64);
    assert_int_equal(image.initrd_max, 0x7FFFFFFF);
    assert_int_equal(image.setup_size, 0x202 + 0x6A - 0x1F1);
    assert_memory_equal(image.setup, data + 0x1F1, image.setup_size);
    image.base = MIB(16);
    assert_int_equal(image_load(&image, &source, &sink, &error), OK);
    assert_memory_equal(ram_bytes, data + CODE_OFFSET, CODE_SIZE);
    assert_int_equal(ram_bytes[CODE_SIZE], 0xEE);
}

static void test_edges(void **state)
{
    (void)state;
    data[0x1F1] = 0; // means 4
    data[0x201] = 0xFF;
    put32(data + 0x260, 0);        // less than there is
    file.size = sizeof(data) - 15; // syssize is rounded up
    assert_int_equal(probe(), OK);
    assert_int_equal(image.segments[0].file_off, CODE_OFFSET);
    assert_int_equal(image.span, CODE_SIZE - 15);
    assert_int_equal(image.setup_size, IMAGE_SETUP_MAX);
    put32(data + 0x260, UINT32_MAX); // the layout refuses it
    assert_int_equal(probe(), OK);
    assert_int_equal(image.span, UINT32_MAX);
}

static void test_places(void **state)
{
    (void)state;
    options.has_load = true;
    options.load = MIB(32);
    assert_int_equal(probe(), OK);
    assert_true(image.fixed);
    assert_int_equal(image.base, MIB(32));
    options.load = MIB(33);
    refused(E_CONFIG, "alignment is 0x200000");
    data[0x234] = 0;
    assert_int_equal(probe(), OK);
    assert_true(image.fixed);
    assert_int_equal(image.base, MIB(16));
    options.has_load = true;
    options.load = MIB(32);
    refused(E_CONFIG, "runs only at 0x1000000");
    options.has_entry = true;
    refused(E_CONFIG, "boot.entry is for raw images");
}

static void test_kinds(void **state)
{
    (void)state;
    put16(data + 0x206, 0x20B);
    refused(E_UNSUPPORTED, "boot protocol 2.11");
    put16(data + 0x236, 0x3E);
    refused(E_UNSUPPORTED, "32-bit Linux");
    data[0x211] = 0;
    refused(E_UNSUPPORTED, "zImage");
    options.arch = "aarch64";
    refused(E_UNSUPPORTED, "bzImage for x86");
    put16(data + 0x1FE, 0);
    refused(E_UNSUPPORTED, "bzImage for x86"); // the raw format's word
}

static void test_damaged(void **state)
{
    static const uint32_t alignments[] = {0, 1, 0x800, 0x201000, 0x80000000};
    static const uint64_t places[] = {0, 0xFFFFF, GIB(4), UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(alignments); i++) {
        put32(data + 0x230, alignments[i]);
        refused(E_CORRUPT, "alignment");
    }
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        put64(data + 0x258, places[i]);
        refused(E_CORRUPT, "preferred address");
    }
    data[0x201] = 0x20;
    refused(E_CORRUPT, "only 32 bytes");
    file.size = sizeof(data) - 16;
    refused(E_CORRUPT, "truncated");
    put32(data + 0x1F4, UINT32_MAX);
    refused(E_CORRUPT, "truncated");
    put32(data + 0x1F4, 0);
    refused(E_CORRUPT, "truncated");
    put32(data + 0x1F4, 0x20); // no entry at 0x200
    refused(E_CORRUPT, "truncated");
    data[0x1F1] = 255;
    refused(E_CORRUPT, "truncated");
    file.fail_after = 1;
    file.reads = 1;
    assert_int_equal(probe(), E_IO);
}

// Every length of the file: refused and said why, or whole.
static void test_cut_off(void **state)
{
    (void)state;
    for (uint64_t size = 1; size < sizeof(data); size += 7) {
        file.size = size;
        if (probe() == OK) {
            assert_true(size + 15 >= sizeof(data));
        }
    }
}

// Deterministic noise in the header: what is accepted stays inside the file.
static void test_noise(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        (void)setup(NULL);
        for (unsigned n = 0; n < 3; n++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            data[0x1F1 + x % 0x77] = (uint8_t)(x >> 32);
        }
        if (probe() == OK && image.format == &image_format_bzimage) {
            const struct image_segment *s = &image.segments[0];

            assert_true(s->file_off + s->file_size <= file.size && s->file_size > 0x200);
            assert_true(image.span >= s->file_size && image.entry < image.span);
            assert_in_range(image.setup_size, 1, IMAGE_SETUP_MAX);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),    cmocka_unit_test_setup(test_edges, setup),
        cmocka_unit_test_setup(test_places, setup),  cmocka_unit_test_setup(test_kinds, setup),
        cmocka_unit_test_setup(test_damaged, setup), cmocka_unit_test_setup(test_cut_off, setup),
        cmocka_unit_test_setup(test_noise, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
