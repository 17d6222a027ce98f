// SPDX-License-Identifier: Apache-2.0
//
// FAT volumes: reading, folders, extents of fragmented and of very large files, and damage of every kind.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kernel/fs/fs.h"
#include "tests/unit/kernel/fs/fat_image.h"

static unsigned char pattern(uint64_t i)
{
    return (unsigned char)(i * 7 + (i >> 9));
}

// A.BIN: three fragments, 4.5 clusters and 3 bytes; EMPTY; ONE.TXT.
static void fill_small(struct image *im)
{
    uint32_t bytes = im->csize * SECTOR_SIZE;
    const uint32_t clusters[] = {10, 11, 20, 21, 5};
    uint32_t size = 4 * bytes + bytes / 2 + 3;

    image_chain(im, 10, 2, 20);
    image_chain(im, 20, 2, 5);
    image_chain(im, 5, 1, 0);
    for (uint32_t i = 0; i < size; i++) {
        cluster_at(im, clusters[i / bytes])[i % bytes] = pattern(i);
    }
    image_entry(im, "A       BIN", 10, size);
    image_entry(im, "EMPTY      ", 0, 0);
    image_chain(im, 30, 1, 0);
    memcpy(cluster_at(im, 30), "hello", 5);
    image_entry(im, "ONE     TXT", 30, 5);
}

static uint32_t small_size(const struct image *im)
{
    return 4 * im->csize * SECTOR_SIZE + im->csize * SECTOR_SIZE / 2 + 3;
}

static void expect_file(const struct image *im)
{
    uint32_t size = small_size(im);
    unsigned char *buf = malloc(size + 1);

    assert_non_null(buf);
    assert_int_equal(fs_read("/a.bin", 0, buf, size), OK);
    for (uint32_t i = 0; i < size; i++) {
        assert_int_equal(buf[i], pattern(i));
    }
    assert_int_equal(fs_read("/A.BIN", 0, buf, size + 1), E_PARTIAL);
    for (uint32_t off = 1; off < size; off += 777) {
        uint32_t len = size - off < 1500 ? size - off : 1500;

        memset(buf, 0, size);
        assert_int_equal(fs_read("/a.bin", off, buf, len), OK);
        for (uint32_t i = 0; i < len; i++) {
            assert_int_equal(buf[i], pattern(off + i));
        }
        assert_int_equal(buf[len], 0);
    }
    assert_int_equal(fs_read("/a.bin", UINT64_MAX, buf, 1), E_PARTIAL);
    free(buf);
}

static void read_from(unsigned fat_bits, uint32_t clusters, uint32_t csize, uint32_t part)
{
    struct image im;
    uint64_t size = 0;
    char text[5];

    image_create(&im, fat_bits, clusters, csize, part);
    fill_small(&im);
    disk_insert(&im);
    assert_int_equal(fs_init(), OK);
    assert_true(fs_present());
    expect_file(&im);
    assert_int_equal(fs_size("/empty", &size), OK);
    assert_int_equal(size, 0);
    assert_int_equal(fs_size("/one.txt", &size), OK);
    assert_int_equal(size, 5);
    assert_int_equal(fs_read("/one.txt", 0, text, 5), OK);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(fs_size("/none", &size), E_NOENT);
    assert_int_equal(fs_size("/no/such/folder", &size), E_NOENT);
    assert_int_equal(fs_size("relative", &size), E_INVAL);
    image_destroy(&im);
}

static void fat12_is_read(void **state)
{
    (void)state;
    read_from(12, 2000, 1, 0);
    read_from(12, 2000, 2, 63);
}

static void fat16_is_read(void **state)
{
    (void)state;
    read_from(16, 6000, 4, 0);
    read_from(16, 6000, 8, 2048);
}

static void fat32_is_read(void **state)
{
    (void)state;
    read_from(32, 70000, 1, 0);
    read_from(32, 70000, 8, 2048);
}

static bool note(const char *name, uint64_t size, void *ctx)
{
    char *seen = ctx;
    char line[64];

    snprintf(line, sizeof(line), "%s=%lu;", name, (unsigned long)size);
    strcat(seen, line);
    return strcmp(name, "EMPTY") != 0;
}

static void folders_are_listed(void **state)
{
    struct image im;
    char seen[256] = "";

    (void)state;
    image_create(&im, 16, 6000, 1, 0);
    fill_small(&im);
    disk_insert(&im);
    assert_int_equal(fs_init(), OK);
    assert_int_equal(fs_list("/", note, seen), OK);
    assert_string_equal(seen, "A.BIN=2307;EMPTY=0;"); // stops where it is told to
    assert_int_equal(fs_list("/lodge", note, seen), E_NOENT);
    image_destroy(&im);
}

static void fragments_become_extents(void **state)
{
    struct image im;
    struct fs_extents e;

    (void)state;
    image_create(&im, 16, 6000, 4, 100);
    fill_small(&im);
    disk_insert(&im);
    assert_int_equal(fs_init(), OK);
    assert_int_equal(fs_resolve("/a.bin", &e), OK);
    assert_ptr_equal(e.dev, &disk);
    assert_int_equal(e.size, small_size(&im));
    assert_int_equal(e.count, 3);
    assert_int_equal(e.extents[0].file_sector, 0);
    assert_int_equal(e.extents[0].disk_sector, 100 + im.data + 8 * 4);
    assert_int_equal(e.extents[0].count, 8);
    assert_int_equal(e.extents[1].file_sector, 8);
    assert_int_equal(e.extents[1].disk_sector, 100 + im.data + 18 * 4);
    assert_int_equal(e.extents[1].count, 8);
    assert_int_equal(e.extents[2].file_sector, 16);
    assert_int_equal(e.extents[2].disk_sector, 100 + im.data + 3 * 4);
    assert_int_equal(e.extents[2].count, 3); // up to the file's last sector, not the cluster's
    fs_extents_free(&e);
    assert_int_equal(fs_resolve("/empty", &e), OK);
    assert_int_equal(e.count, 0);
    fs_extents_free(&e);
    image_destroy(&im);
}

// 1 GiB in two pieces, clusters of 4 KiB: a quarter of a million links.
static void large_file_is_resolved_once(void **state)
{
    struct image im;
    struct fs_extents e;
    unsigned char byte = 0;
    uint32_t clusters = (uint32_t)(GIB(1) / KIB(4));

    (void)state;
    image_create(&im, 32, clusters + 1000, 8, 2048);
    image_chain(&im, 100, clusters / 2, 100 + clusters / 2 + 10);
    image_chain(&im, 100 + clusters / 2 + 10, clusters / 2, 0);
    image_entry(&im, "BIG     IMG", 100, (uint32_t)GIB(1));
    cluster_at(&im, 100 + clusters / 2 + 10 + clusters / 2 - 1)[KIB(4) - 1] = 0x5a;
    disk_insert(&im);
    assert_int_equal(fs_init(), OK);
    disk_requests = 0;
    assert_int_equal(fs_resolve("/big.img", &e), OK);
    assert_int_equal(e.size, GIB(1));
    assert_int_equal(e.count, 2);
    assert_int_equal(e.extents[0].count, MIB(512) / SECTOR_SIZE);
    assert_int_equal(e.extents[1].file_sector, MIB(512) / SECTOR_SIZE);
    assert_int_equal(e.extents[1].disk_sector, e.extents[0].disk_sector + e.extents[0].count + 80);
    assert_in_range(disk_requests, 1, 100); // the FAT is read in large pieces
    assert_int_equal(fs_read("/big.img", GIB(1) - 1, &byte, 1), OK);
    assert_int_equal(byte, 0x5a);
    fs_extents_free(&e);
    image_destroy(&im);
}

static enum status resolve_damaged(struct image *im, uint32_t cluster, uint32_t next)
{
    struct fs_extents e;

    fill_small(im);
    fat_set(im, cluster, next);
    disk_insert(im);
    assert_int_equal(fs_init(), OK);

    enum status s = fs_resolve("/a.bin", &e);

    assert_true(s == OK || e.count == 0);
    fs_extents_free(&e);
    return s;
}

static void damaged_chains_are_refused(void **state)
{
    // cluster, its entry: too short, cyclic, free, outside, too long, bad
    const uint32_t cases[][2] = {{11, 0xffff}, {5, 10}, {20, 0}, {21, 0x7000}, {5, 40}, {20, 1}, {10, 10}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct image im;

        image_create(&im, 16, 6000, 4, 0);
        // Beyond the end is an end mark too, so 0x7000 here ends the chain early.
        assert_int_equal(resolve_damaged(&im, cases[i][0], cases[i][1]), E_CORRUPT);
        image_destroy(&im);
    }
}

static void wrong_volumes_are_named(void **state)
{
    struct image im;
    uint64_t size;

    (void)state;
    image_create(&im, 16, 6000, 4, 0);
    disk_insert(&im);
    put16(sector_at(&im, 0) + 11, 17); // bytes per sector
    assert_int_equal(fs_init(), E_CORRUPT);
    assert_false(fs_present());
    assert_int_equal(fs_size("/a.bin", &size), E_STATE);
    memset(sector_at(&im, 0), 0, SECTOR_SIZE);
    assert_int_equal(fs_init(), E_NOENT);
    sector_at(&im, 0)[510] = 0x55;
    sector_at(&im, 0)[511] = 0xaa;
    sector_at(&im, 0)[450] = 0xee; // GPT
    assert_int_equal(fs_init(), E_NOENT);
    sector_at(&im, 0)[450] = 0xcd; // the image of a CD, made to boot from a disk as well
    sector_at(&im, 0)[0] = 0xeb;
    memset(sector_at(&im, 0) + 1, 0x90, 24);
    assert_int_equal(fs_init(), E_NOENT);
    sector_at(&im, 0)[450] = 0x0c; // a partition that is not there
    assert_int_equal(fs_init(), E_CORRUPT);
    disk_budget = 0;
    disk_requests = 0;
    assert_int_equal(fs_init(), E_IO);
    image_destroy(&im);
}

static void failing_disk_gives_errors(void **state)
{
    struct image im;
    unsigned char buf[4096];

    (void)state;
    image_create(&im, 16, 6000, 4, 0);
    fill_small(&im);
    for (uint64_t budget = 0; budget < 12; budget++) {
        disk_insert(&im);
        assert_int_equal(fs_init(), OK);
        disk_requests = 0;
        disk_budget = budget;

        enum status s = fs_read("/a.bin", 0, buf, sizeof(buf));

        assert_true(s == OK || s == E_IO);
        assert_true(budget > 0 || s == E_IO);
    }
    image_destroy(&im);
}

static bool count(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    ++*(unsigned *)ctx;
    return true;
}

// Flips each bit of boot sector, start of the FAT and root directory: everything may fail, nothing may break
// or hang.
static void flipped_bits_do_no_harm(void **state)
{
    struct image im;
    static unsigned char buf[8192];
    unsigned mounted = 0;

    (void)state;
    image_create(&im, 16, 6000, 4, 0);
    fill_small(&im);
    disk_insert(&im);

    const uint32_t sectors[] = {0, im.fat, im.root};

    for (unsigned s = 0; s < ARRAY_SIZE(sectors); s++) {
        for (unsigned bit = 0; bit < (s == 0 ? SECTOR_SIZE : 128) * 8; bit++) {
            unsigned char *p = sector_at(&im, sectors[s]) + bit / 8;
            unsigned files = 0;
            struct fs_extents e;

            *p ^= (unsigned char)(1u << bit % 8);
            disk_requests = 0;
            if (fs_init() == OK) {
                mounted++;
                if (fs_list("/", count, &files) == OK) {
                    assert_in_range(files, 0, 65536);
                }
                (void)!fs_read("/a.bin", 100, buf, sizeof(buf));
                if (fs_resolve("/a.bin", &e) == OK) {
                    for (unsigned i = 0; i < e.count; i++) {
                        assert_true(e.extents[i].disk_sector + e.extents[i].count <= disk.sector_count);
                    }
                    fs_extents_free(&e);
                }
            }
            *p ^= (unsigned char)(1u << bit % 8);
        }
    }
    assert_true(mounted > 100);
    image_destroy(&im);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fat12_is_read),
        cmocka_unit_test(fat16_is_read),
        cmocka_unit_test(fat32_is_read),
        cmocka_unit_test(folders_are_listed),
        cmocka_unit_test(fragments_become_extents),
        cmocka_unit_test(large_file_is_resolved_once),
        cmocka_unit_test(damaged_chains_are_refused),
        cmocka_unit_test(wrong_volumes_are_named),
        cmocka_unit_test(failing_disk_gives_errors),
        cmocka_unit_test(flipped_bits_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
