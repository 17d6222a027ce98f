// SPDX-License-Identifier: Apache-2.0
//
// Recognising and loading kernels: good ones, edge cases, and files that are damaged or something else altogether.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/probing.h"

#define FILE_MAX 0x4000
#define RAM_BASE 0x40000000ull

static uint8_t data[FILE_MAX];
static uint8_t ram_bytes[0x10000];
static uint8_t bounce[512];
static struct ram ram;
static const struct image_sink sink = {ram_write, ram_zero, &ram, bounce, sizeof(bounce)};

static int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    put32(data, 0xd503201f); // nop
    memset(ram_bytes, 0xee, sizeof(ram_bytes));
    file = (struct file){.data = data, .size = 0x1000};
    ram = (struct ram){RAM_BASE, sizeof(ram_bytes), ram_bytes};
    options = (struct image_options){.arch = "aarch64"};
    return 0;
}

static void loads(void)
{
    enum status st = image_load(&image, &source, &sink, &error);

    if (st != OK) {
        fail_msg("%s", error.text);
    }
}

// ---- arm64 Image ----

static void test_arm64(void **state)
{
    (void)state;
    put_arm64_header(data, 0x80000, 0x3000);
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "arm64 Image");
    assert_false(image.fixed);
    assert_false(image.firmware_fdt);
    assert_int_equal(image.align, MIB(2));
    assert_int_equal(image.offset, 0x80000);
    assert_int_equal(image.span, 0x3000);
    assert_int_equal(image.entry, 0);
    image.base = RAM_BASE;
    loads();
    assert_memory_equal(ram_bytes, data, 0x1000);
    assert_int_equal(ram_bytes[0x1000], 0xee);
}

static void test_arm64_header_only(void **state)
{
    (void)state;
    put_arm64_header(data, 0, 0x1000);
    file.size = 64;
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "arm64 Image");
    file.size = 63; // without the magic's last bytes it is just code
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "raw");
}

static void test_arm64_without_image_size(void **state)
{
    (void)state;
    put_arm64_header(data, 0x1234, 0);
    assert_int_equal(probe(), OK);
    assert_int_equal(image.offset, 0x80000);
    assert_int_equal(image.span, 0x2000);
}

static void test_arm64_longer_than_it_says(void **state)
{
    (void)state;
    put_arm64_header(data, 0, 0x800);
    assert_int_equal(probe(), OK);
    assert_int_equal(image.span, 0x1000);
}

static void test_arm64_huge_image_size(void **state)
{
    (void)state;
    put_arm64_header(data, 0, UINT64_MAX);
    assert_int_equal(probe(), OK); // the layout refuses it
    assert_true(image.span == UINT64_MAX);
}

static void test_arm64_bad_text_offset(void **state)
{
    (void)state;
    put_arm64_header(data, UINT64_MAX, 0x1000);
    assert_refused(E_CORRUPT, "text_offset");
}

static void test_arm64_at_a_given_address(void **state)
{
    (void)state;
    put_arm64_header(data, 0, 0x1000);
    options.has_load = true;
    options.load = 0x40200000;
    assert_int_equal(probe(), OK);
    assert_true(image.fixed);
    assert_int_equal(image.base, 0x40200000);
}

static void test_arm64_for_another_guest(void **state)
{
    (void)state;
    put_arm64_header(data, 0, 0x1000);
    options.arch = "riscv64";
    assert_refused(E_UNSUPPORTED, "the guest is riscv64");
}

// The privilege mode of a riscv64 kernel, looked for where each format has its entry.
static void test_riscv64_for_m_mode(void **state)
{
    (void)state;
    options.arch = "riscv64";
    put32(data, 0x00000013);
    put32(data + 4, 0xf1402573); // csrr a0, mhartid
    assert_refused(E_UNSUPPORTED, "is built for M-mode");
    options.has_load = true;
    options.load = 0x80000000;
    assert_refused(E_UNSUPPORTED, "is built for M-mode");
    put32(data + 4, 0x10002573); // csrr a0, sstatus
    put32(data + 8, 0x0000006f);
    assert_int_equal(probe(), OK);
    options.has_load = false;
    put32(data, 0);
    assert_refused(E_UNSUPPORTED, "is not a riscv64 kernel");
}

// All bytes are instructions of x86, but nobody's program begins with these.
static void test_x86_64_raw(void **state)
{
    (void)state;
    options.arch = "x86_64";
    put32(data, 0x000f0bfa); // cli, ud2
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "raw");
    assert_int_equal(image.mode, IMAGE_MODE_FLAT32);
    put32(data, 0xfa0b0000);
    assert_refused(E_UNSUPPORTED, "is not an x86_64 kernel");
    options.arch = "x86_64";
    put32(data, UINT32_MAX);
    assert_refused(E_UNSUPPORTED, "is not an x86_64 kernel");
    options.arch = "x86_64";
    options.has_load = true;
    options.load = MIB(1);
    put32(data, 0);
    assert_int_equal(probe(), OK);
}

// arm64's header but for the magic number.
static void test_riscv64(void **state)
{
    (void)state;
    put_arm64_header(data, 0x200000, 0x3000);
    memcpy(data + 0x38, "RSC\x05", 4);
    assert_refused(E_UNSUPPORTED, "a kernel for riscv64");
    options.arch = "riscv64";
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "riscv64 Image");
    assert_int_equal(image.offset, 0x200000);
    assert_int_equal(image.span, 0x3000);
}

// With the EFI stub's PE header at 0x40: one section of `raw` bytes from 0x200 on.
static void put_pe(uint32_t raw)
{
    put_arm64_header(data, 0, 0x10000);
    memcpy(data, "MZ", 2);
    put32(data + 60, 0x40);
    memcpy(data + 0x40, "PE\0\0", 4);
    put16(data + 0x40 + 6, 1);
    put16(data + 0x40 + 20, 0x70);
    memset(data + 0x40 + 24 + 0x70, 0, 40);
    put32(data + 0x40 + 24 + 0x70 + 16, raw);
    put32(data + 0x40 + 24 + 0x70 + 20, 0x200);
}

static void test_arm64_truncated_is_found_by_its_sections(void **state)
{
    (void)state;
    put_pe(0xe00);
    assert_int_equal(probe(), OK);
    put_pe(0xe01);
    assert_refused(E_CORRUPT, "is truncated: 4096 bytes of at least 4097");
    put_pe(0xffffffff);
    assert_refused(E_CORRUPT, "is truncated");
    put_pe(0x10);
    file.size = 0x40 + 24 + 0x70 + 39;
    assert_refused(E_CORRUPT, "section table");
    file.size = 0x44;
    assert_refused(E_CORRUPT, "EFI header");
    file.size = 0x1000;
    put32(data + 60, 0xfffffff0);
    assert_refused(E_CORRUPT, "EFI header");
}

// ---- ELF ----

static void test_elf(void **state)
{
    static const struct elf_segment segs[] = {
        {0x400, 0xffff800000001000, RAM_BASE + 0x1000, 0x300, 0x300},
        {0x800, 0xffff800000003000, RAM_BASE + 0x3000, 0x100, 0x900},
    };

    (void)state;
    put_elf(data, 0xffff800000001010, segs, 2);
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "ELF64");
    assert_true(image.fixed);
    assert_true(image.firmware_fdt);
    assert_int_equal(image.base, RAM_BASE + 0x1000);
    assert_int_equal(image.span, 0x2900);
    assert_int_equal(image.entry, 0x10); // carried over from the virtual address
    loads();
    assert_memory_equal(ram_bytes + 0x1000, data + 0x400, 0x300);
    assert_memory_equal(ram_bytes + 0x3000, data + 0x800, 0x100);
    assert_int_equal(ram_bytes[0x30ff], data[0x8ff]);
    assert_int_equal(ram_bytes[0x3100], 0);
    assert_int_equal(ram_bytes[0x38ff], 0);
    assert_int_equal(ram_bytes[0x3900], 0xee);
    assert_int_equal(ram_bytes[0x1300], 0xee);
}

static void test_elf_ignores_what_is_not_loaded(void **state)
{
    static const struct elf_segment segs[] = {
        {UINT64_MAX, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX}, // not PT_LOAD
        {0x400, RAM_BASE, RAM_BASE, 0, 0},                   // nothing in memory
        {0x400, RAM_BASE, RAM_BASE, 0x10, 0x10},
    };

    (void)state;
    put_elf(data, RAM_BASE, segs, 3);
    put32(data + 64, 2);
    assert_int_equal(probe(), OK);
    assert_int_equal(image.segment_count, 1);
}

static void elf_refused(struct elf_segment seg, uint64_t entry, enum status st, const char *part)
{
    put_elf(data, entry, &seg, 1);
    assert_refused(st, part);
}

static void test_elf_bad_segments(void **state)
{
    const uint64_t b = RAM_BASE;

    (void)state;
    elf_refused((struct elf_segment){0x400, b, b, 0x11, 0x10}, b, E_CORRUPT, "damaged");
    elf_refused((struct elf_segment){0xff1, b, b, 0x10, 0x10}, b, E_CORRUPT, "truncated");
    elf_refused((struct elf_segment){UINT64_MAX, b, b, 0x10, 0x10}, b, E_CORRUPT, "truncated");
    elf_refused((struct elf_segment){0x400, b, UINT64_MAX - 8, 0x10, 0x10}, b, E_CORRUPT, "damaged");
    elf_refused((struct elf_segment){0x400, b, 0, 0, UINT64_MAX}, b - 1, E_CORRUPT, "entry point");
    elf_refused((struct elf_segment){0x400, b, b, 0x10, 0x10}, b + 0x10, E_CORRUPT, "entry point");
    elf_refused((struct elf_segment){0x400, b, b, 0x10, 0x10}, b - 4, E_CORRUPT, "entry point");
    elf_refused((struct elf_segment){0x400, b, b, 0, 0}, b, E_CORRUPT, "no segment");
}

static void test_elf_overlapping_and_too_many_segments(void **state)
{
    struct elf_segment segs[IMAGE_SEGMENT_MAX + 1];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
        segs[i] = (struct elf_segment){0x800, RAM_BASE + i * 0x10, RAM_BASE + i * 0x10, 0x10, 0x10};
    }
    put_elf(data, RAM_BASE, segs, IMAGE_SEGMENT_MAX);
    assert_int_equal(probe(), OK);
    put_elf(data, RAM_BASE, segs, IMAGE_SEGMENT_MAX + 1);
    assert_refused(E_UNSUPPORTED, "segments");
    segs[1].paddr--;
    put_elf(data, RAM_BASE, segs, 2);
    assert_refused(E_CORRUPT, "overlap");
}

static void test_elf_covering_everything(void **state)
{
    static const struct elf_segment segs[] = {
        {0x800, 0, 0, 0x10, 0x10},
        {0x800, UINT64_MAX - 15, UINT64_MAX - 15, 0x10, 0x10},
    };

    (void)state;
    put_elf(data, 0, segs, 2);
    assert_refused(E_CORRUPT, "whole address space");
}

static void test_elf_bad_headers(void **state)
{
    static const struct elf_segment seg = {0x400, RAM_BASE, RAM_BASE, 0x10, 0x10};

    (void)state;
    put_elf(data, RAM_BASE, &seg, 1);
    put16(data + 18, 62);
    assert_refused(E_UNSUPPORTED, "ELF file for x86_64");
    put16(data + 18, 0x1234);
    assert_refused(E_UNSUPPORTED, "another architecture");
    put_elf(data, RAM_BASE, &seg, 1);
    put16(data + 16, 1);
    assert_refused(E_UNSUPPORTED, "not an executable");
    put_elf(data, RAM_BASE, &seg, 1);
    put16(data + 54, 32);
    assert_refused(E_CORRUPT, "program headers");
    put_elf(data, RAM_BASE, &seg, 1);
    put16(data + 56, 0xffff);
    assert_refused(E_CORRUPT, "program headers");
    put_elf(data, RAM_BASE, &seg, 1);
    put64(data + 32, UINT64_MAX - 4);
    assert_refused(E_CORRUPT, "program headers are cut off");
    put_elf(data, RAM_BASE, &seg, 1);
    file.size = 64 + 55;
    assert_refused(E_CORRUPT, "program headers are cut off");
    file.size = 63;
    assert_refused(E_UNSUPPORTED, "ELF file that is damaged");
    file.size = 0x1000;
    data[4] = 1; // 32-bit
    assert_refused(E_UNSUPPORTED, "not 64-bit");
    put_elf(data, RAM_BASE, &seg, 1);
    options.has_load = true;
    assert_refused(E_CONFIG, "raw images");
}

// Any flipped byte of the headers ends in a status, and what is accepted loads or is refused by the RAM.
static void test_elf_flipped_bits(void **state)
{
    static const struct elf_segment segs[] = {
        {0x400, RAM_BASE, RAM_BASE, 0x100, 0x200},
        {0x800, RAM_BASE + 0x1000, RAM_BASE + 0x1000, 0x100, 0x200},
    };

    (void)state;
    for (unsigned bit = 0; bit < 8 * (64 + 2 * 56); bit++) {
        put_elf(data, RAM_BASE, segs, 2);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (probe() == OK && image.format == &image_format_elf64) {
            assert_true(image.entry < image.span);
            (void)!image_load(&image, &source, &sink, &error);
        }
    }
}

// ---- raw ----

static void test_raw(void **state)
{
    (void)state;
    assert_int_equal(probe(), OK);
    assert_string_equal(image.format->name, "raw");
    assert_false(image.fixed);
    assert_true(image.firmware_fdt);
    assert_int_equal(image.offset, KIB(512));
    assert_int_equal(image.span, 0x1000);
    image.base = RAM_BASE + 0x800;
    loads();
    assert_memory_equal(ram_bytes + 0x800, data, 0x1000);
}

static void test_raw_with_addresses(void **state)
{
    (void)state;
    memset(data, 0, 16); // anything goes when the configuration vouches for it
    options.has_load = true;
    options.load = 0x40080000;
    assert_int_equal(probe(), OK);
    assert_true(image.fixed);
    assert_int_equal(image.base, 0x40080000);
    assert_int_equal(image.entry, 0);
    options.has_entry = true;
    options.entry = 0x40080fff;
    assert_int_equal(probe(), OK);
    assert_int_equal(image.entry, 0xfff);
    options.entry = 0x40081000;
    assert_refused(E_CONFIG, "boot.entry 0x40081000");
    options.entry = 0x4007ffff;
    assert_refused(E_CONFIG, "boot.entry");
    options.has_load = false;
    assert_refused(E_CONFIG, "boot.load");
}

static void test_raw_outside_ram(void **state)
{
    (void)state;
    assert_int_equal(probe(), OK);
    image.base = RAM_BASE + sizeof(ram_bytes) - 0x800;
    assert_int_equal(image_load(&image, &source, &sink, &error), E_RANGE);
}

static void test_foreign_files(void **state)
{
    static const struct {
        unsigned at, len;
        const char *magic, *says;
    } cases[] = {
        {0x202, 4, "HdrS", "bzImage"},
        {4, 4, "zimg", "zboot"},
        {0, 2, "MZ", "EFI program"},
        {0, 6,
         "\xfd"
         "7zXZ\0",
         "xz"},
        {0, 4, "\x28\xb5\x2f\xfd", "zstd"},
        {0, 4, "\x04\x22\x4d\x18", "lz4"},
        {0, 3, "BZh", "bzip2"},
        {0, 4, "\x27\x05\x19\x56", "uImage"},
        {0, 4, "\xd0\x0d\xfe\xed", "device tree"},
        {0, 6, "070701", "cpio"},
        {0, 4, "\0\0\0\0", "not an arm64 kernel"},
        {0, 4, "\xff\xff\xff\x07", "not an arm64 kernel"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(NULL);
        memcpy(data + cases[i].at, cases[i].magic, cases[i].len);
        assert_refused(E_UNSUPPORTED, cases[i].says);
    }
}

static void test_text_empty_and_tiny_files(void **state)
{
    (void)state;
    file.size = 0;
    assert_refused(E_CORRUPT, "empty");
    file.size = 3;
    assert_refused(E_UNSUPPORTED, "not an arm64 kernel");
    file.size = 4;
    assert_int_equal(probe(), OK);
    file.size = 40;
    memcpy(data, "# this is not a kernel but a TOML file\n\n", 40);
    assert_refused(E_UNSUPPORTED, "text file");
}

static void test_read_errors(void **state)
{
    (void)state;
    put_arm64_header(data, 0, 0x1000);
    file.fail_after = 1;
    assert_int_equal(probe(), OK);
    image.base = RAM_BASE;
    assert_int_equal(image_load(&image, &source, &sink, &error), E_IO);
    setup(NULL);
    file.fail_after = 1;
    file.reads = 1;
    assert_refused(E_IO, "cannot be read");
}

static void test_image_read_bounds(void **state)
{
    uint8_t buf[16];

    (void)state;
    source = file_source(&file);
    assert_int_equal(image_read(&source, 0x1000, buf, 0), OK);
    assert_int_equal(image_read(&source, 0xff0, buf, 16), OK);
    assert_int_equal(image_read(&source, 0xff1, buf, 16), E_RANGE);
    assert_int_equal(image_read(&source, UINT64_MAX, buf, 16), E_RANGE);
    assert_int_equal(image_read(&source, 8, buf, UINT64_MAX), E_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_arm64, setup),
        cmocka_unit_test_setup(test_arm64_header_only, setup),
        cmocka_unit_test_setup(test_arm64_without_image_size, setup),
        cmocka_unit_test_setup(test_arm64_longer_than_it_says, setup),
        cmocka_unit_test_setup(test_arm64_huge_image_size, setup),
        cmocka_unit_test_setup(test_arm64_bad_text_offset, setup),
        cmocka_unit_test_setup(test_arm64_at_a_given_address, setup),
        cmocka_unit_test_setup(test_arm64_for_another_guest, setup),
        cmocka_unit_test_setup(test_riscv64, setup),
        cmocka_unit_test_setup(test_x86_64_raw, setup),
        cmocka_unit_test_setup(test_riscv64_for_m_mode, setup),
        cmocka_unit_test_setup(test_arm64_truncated_is_found_by_its_sections, setup),
        cmocka_unit_test_setup(test_elf, setup),
        cmocka_unit_test_setup(test_elf_ignores_what_is_not_loaded, setup),
        cmocka_unit_test_setup(test_elf_bad_segments, setup),
        cmocka_unit_test_setup(test_elf_overlapping_and_too_many_segments, setup),
        cmocka_unit_test_setup(test_elf_covering_everything, setup),
        cmocka_unit_test_setup(test_elf_bad_headers, setup),
        cmocka_unit_test_setup(test_elf_flipped_bits, setup),
        cmocka_unit_test_setup(test_raw, setup),
        cmocka_unit_test_setup(test_raw_with_addresses, setup),
        cmocka_unit_test_setup(test_raw_outside_ram, setup),
        cmocka_unit_test_setup(test_foreign_files, setup),
        cmocka_unit_test_setup(test_text_empty_and_tiny_files, setup),
        cmocka_unit_test_setup(test_read_errors, setup),
        cmocka_unit_test_setup(test_image_read_bounds, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
