// SPDX-License-Identifier: Apache-2.0
//
// Guest memory: regions, look-up, copies at every kind of edge, permissions, dirty log, words that are never
// torn.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/core/gmem.h"

#define RW (PERM_R | PERM_W)
#define RWX (PERM_R | PERM_W | PERM_X)

// One backing page-aligned buffer that regions take pieces of.
#define BACKING_PAGES 64

struct fixture {
    struct gmem gm;
    uint8_t *mem;
    struct gmem_extent extents[16];
    unsigned extent_count;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (posix_memalign((void **)&f->mem, PAGE_SIZE, BACKING_PAGES * PAGE_SIZE) != 0) {
        return -1;
    }
    memset(f->mem, 0, BACKING_PAGES * PAGE_SIZE);
    assert_int_equal(gmem_init(&f->gm), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    gmem_destroy(&f->gm);
    free(f->mem);
    free(f);
    return 0;
}

static hpa_t backing(struct fixture *f, unsigned page)
{
    return hpa((uintptr_t)f->mem + page * PAGE_SIZE);
}

// A region of `pages` pages at `base`, backed by one extent at backing page `at`.
static struct gmem_region region(struct fixture *f, uint64_t base, unsigned pages, unsigned at)
{
    struct gmem_extent *e = &f->extents[f->extent_count++];

    *e = (struct gmem_extent){.offset = 0, .hpa = backing(f, at), .size = pages * PAGE_SIZE};
    return (struct gmem_region){.base = gpa(base),
                                .size = pages * PAGE_SIZE,
                                .kind = GMEM_RAM,
                                .perm = RWX,
                                .extent_count = 1,
                                .extents = e};
}

static void add(struct fixture *f, uint64_t base, unsigned pages, unsigned at)
{
    struct gmem_region r = region(f, base, pages, at);

    assert_int_equal(gmem_add(&f->gm, &r), OK);
}

// ---- the collection ---------------------------------------------------------------------------------------

static void empty_collection(void **state)
{
    struct fixture *f = *state;
    uint64_t done = 1, piece = 1;
    uint8_t b = 0;

    assert_int_equal(gmem_region_count(&f->gm), 0);
    assert_null(gmem_region(&f->gm, 0));
    assert_null(gmem_find(&f->gm, gpa(0)));
    assert_int_equal(gmem_read(&f->gm, gpa(0), &b, 1, &done), E_RANGE);
    assert_int_equal(done, 0);
    assert_null(gmem_ptr(&f->gm, gpa(0), 1, PERM_R, &piece));
    assert_int_equal(piece, 0);
    assert_false(gmem_check(&f->gm, gpa(0), 1, PERM_R));
    assert_true(gmem_check(&f->gm, gpa(0), 0, PERM_R));
}

static void regions_are_sorted_whatever_the_order(void **state)
{
    struct fixture *f = *state;
    static const unsigned order[] = {3, 0, 4, 1, 2};

    for (unsigned i = 0; i < 5; i++) {
        add(f, order[i] * 0x10000u, 1, order[i]);
    }
    assert_int_equal(gmem_region_count(&f->gm), 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(gmem_region(&f->gm, i)->base.v, i * 0x10000u);
    }
    assert_int_equal(gmem_size(&f->gm, GMEM_RAM), 5 * PAGE_SIZE);
    assert_int_equal(gmem_size(&f->gm, GMEM_ROM), 0);
}

static void overlaps_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t base;
        unsigned pages;
        enum status st;
    } t[] = {
        {0x10000, 1, E_EXISTS}, {0x11000, 1, E_EXISTS}, {0x13000, 1, E_EXISTS}, {0xf000, 2, E_EXISTS},
        {0xf000, 8, E_EXISTS},  {0x13000, 4, E_EXISTS}, {0xf000, 1, OK},        {0x14000, 1, OK},
    };

    add(f, 0x10000, 4, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        struct gmem_region r = region(f, t[i].base, t[i].pages, 8);

        assert_int_equal(gmem_add(&f->gm, &r), t[i].st);
    }
    assert_int_equal(gmem_region_count(&f->gm), 3);
}

static void malformed_regions_are_refused(void **state)
{
    struct fixture *f = *state;
    struct gmem_region good = region(f, 0x10000, 2, 0), r;
    struct gmem_extent two[2];

    r = good, r.size = 0;
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.base.v += 1;
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.size -= 1;
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.extent_count = 0;
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.size += PAGE_SIZE; // extents too short
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.size -= PAGE_SIZE; // extents too long
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    r = good, r.base.v = UINT64_MAX - PAGE_SIZE + 1;
    assert_int_equal(gmem_add(&f->gm, &r), E_OVERFLOW);

    two[0] = (struct gmem_extent){.offset = 0, .hpa = backing(f, 0), .size = PAGE_SIZE};
    two[1] = (struct gmem_extent){.offset = 2 * PAGE_SIZE, .hpa = backing(f, 1), .size = PAGE_SIZE};
    r = good, r.extents = two, r.extent_count = 2; // a gap
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    two[1].offset = PAGE_SIZE, two[1].hpa.v += 8; // not page-aligned
    assert_int_equal(gmem_add(&f->gm, &r), E_INVAL);
    two[1].hpa.v -= 8;
    assert_int_equal(gmem_add(&f->gm, &r), OK);
    assert_int_equal(gmem_region_count(&f->gm), 1);
}

static void find_at_the_edges(void **state)
{
    struct fixture *f = *state;

    add(f, 0x1000, 1, 0);
    add(f, 0x2000, 1, 1);
    add(f, 0x8000, 2, 2);
    assert_null(gmem_find(&f->gm, gpa(0xfff)));
    assert_int_equal(gmem_find(&f->gm, gpa(0x1000))->base.v, 0x1000);
    assert_int_equal(gmem_find(&f->gm, gpa(0x1fff))->base.v, 0x1000);
    assert_int_equal(gmem_find(&f->gm, gpa(0x2000))->base.v, 0x2000);
    assert_null(gmem_find(&f->gm, gpa(0x3000)));
    assert_null(gmem_find(&f->gm, gpa(0x7fff)));
    assert_int_equal(gmem_find(&f->gm, gpa(0x9fff))->base.v, 0x8000);
    assert_null(gmem_find(&f->gm, gpa(0xa000)));
    assert_null(gmem_find(&f->gm, gpa(UINT64_MAX)));
}

static void find_among_many(void **state)
{
    struct fixture *f = *state;
    static struct gmem_extent e;

    e = (struct gmem_extent){.offset = 0, .hpa = backing(f, 0), .size = PAGE_SIZE};
    for (uint64_t i = 0; i < 200; i++) {
        struct gmem_region r = {
            .base = gpa(i * 0x3000), .size = PAGE_SIZE, .perm = RW, .extent_count = 1, .extents = &e};

        assert_int_equal(gmem_add(&f->gm, &r), OK);
    }
    for (uint64_t a = 0; a < 200 * 0x3000; a += 0x800) {
        const struct gmem_region *r = gmem_find(&f->gm, gpa(a));

        if (a % 0x3000 < 0x1000) {
            assert_int_equal(r->base.v, a - a % 0x3000);
        } else {
            assert_null(r);
        }
    }
}

static void remove_and_reuse(void **state)
{
    struct fixture *f = *state;
    uint8_t b = 7;

    add(f, 0x1000, 1, 0);
    add(f, 0x2000, 1, 1);
    assert_int_equal(gmem_remove(&f->gm, gpa(0x1800)), E_NOENT);
    assert_int_equal(gmem_remove(&f->gm, gpa(0x3000)), E_NOENT);
    const struct gmem_region *old = gmem_find(&f->gm, gpa(0x1000));

    assert_int_equal(gmem_remove(&f->gm, gpa(0x1000)), OK);
    assert_int_equal(old->base.v, 0x1000); // a reader of the old snapshot is undisturbed until quiesce
    assert_int_equal(gmem_read(&f->gm, gpa(0x1000), &b, 1, NULL), E_RANGE);
    assert_int_equal(gmem_read(&f->gm, gpa(0x2000), &b, 1, NULL), OK);
    gmem_quiesce(&f->gm);
    add(f, 0x1000, 1, 2);
    assert_int_equal(gmem_region_count(&f->gm), 2);
    assert_int_equal(gmem_remove(&f->gm, gpa(0x1000)), OK);
    assert_int_equal(gmem_remove(&f->gm, gpa(0x2000)), OK);
    assert_int_equal(gmem_region_count(&f->gm), 0);
}

// ---- copies -----------------------------------------------------------------------------------------------

static void five_bytes_across_regions(void **state)
{
    struct fixture *f = *state;
    uint8_t out[5] = {1, 2, 3, 4, 5}, in[5] = {0};
    uint64_t done;

    add(f, 0x1000, 1, 4); // adjacent for the guest, far apart in the host
    add(f, 0x2000, 1, 0);
    for (uint64_t at = 0x1ffb; at <= 0x2000; at++) {
        memset(in, 0, sizeof(in));
        assert_int_equal(gmem_write(&f->gm, gpa(at), out, 5, &done), OK);
        assert_int_equal(done, 5);
        assert_int_equal(gmem_read(&f->gm, gpa(at), in, 5, &done), OK);
        assert_memory_equal(in, out, 5);
    }
    assert_int_equal(f->mem[0], 1);
}

static void extents_are_one_region(void **state)
{
    struct fixture *f = *state;
    const struct gmem_extent e[3] = {{0, backing(f, 8), PAGE_SIZE},
                                     {PAGE_SIZE, backing(f, 2), 2 * PAGE_SIZE},
                                     {3 * PAGE_SIZE, backing(f, 5), PAGE_SIZE}};
    const struct gmem_region r = {
        .base = gpa(0x40000000), .size = 4 * PAGE_SIZE, .perm = RW, .extent_count = 3, .extents = e};
    static uint8_t out[4 * PAGE_SIZE], in[4 * PAGE_SIZE];
    uint64_t piece;

    for (unsigned i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7 + i / 256);
    }
    assert_int_equal(gmem_add(&f->gm, &r), OK);
    assert_int_equal(gmem_write(&f->gm, r.base, out, sizeof(out), NULL), OK);
    assert_int_equal(gmem_read(&f->gm, r.base, in, sizeof(in), NULL), OK);
    assert_memory_equal(in, out, sizeof(out));
    assert_memory_equal(&f->mem[8 * PAGE_SIZE], out, PAGE_SIZE);
    assert_memory_equal(&f->mem[2 * PAGE_SIZE], &out[PAGE_SIZE], 2 * PAGE_SIZE);
    assert_ptr_equal(gmem_ptr(&f->gm, gpa(0x40000ff0), 0x100, PERM_R, &piece),
                     &f->mem[8 * PAGE_SIZE + 0xff0]);
    assert_int_equal(piece, 0x10);
    assert_ptr_equal(gmem_ptr(&f->gm, gpa(0x40001010), 0x4000, PERM_R, &piece),
                     &f->mem[2 * PAGE_SIZE + 0x10]);
    assert_int_equal(piece, 2 * PAGE_SIZE - 0x10);
}

static void short_at_a_hole(void **state)
{
    struct fixture *f = *state;
    uint8_t buf[64];
    uint64_t done;

    add(f, 0x1000, 1, 0);
    add(f, 0x3000, 1, 1);
    memset(buf, 0xaa, sizeof(buf));
    assert_int_equal(gmem_write(&f->gm, gpa(0x1ff0), buf, 64, &done), E_PARTIAL);
    assert_int_equal(done, 16);
    memset(buf, 0, sizeof(buf));
    assert_int_equal(gmem_read(&f->gm, gpa(0x1ff8), buf, 64, &done), E_PARTIAL);
    assert_int_equal(done, 8);
    assert_int_equal(buf[7], 0xaa);
    assert_int_equal(buf[8], 0);
    assert_int_equal(gmem_read(&f->gm, gpa(0x2ff8), buf, 64, &done), E_RANGE); // begins in the hole
    assert_int_equal(done, 0);
    assert_int_equal(gmem_load(&f->gm, gpa(0x1ff8), buf, 16), E_PARTIAL);
    assert_int_equal(gmem_load(&f->gm, gpa(0x2000), buf, 16), E_RANGE);
    assert_int_equal(gmem_zero(&f->gm, gpa(0x1ff8), 16), E_PARTIAL);
}

static void zero_length_always_succeeds(void **state)
{
    struct fixture *f = *state;
    uint64_t done = 9;

    assert_int_equal(gmem_read(&f->gm, gpa(0x5000), NULL, 0, &done), OK);
    assert_int_equal(done, 0);
    assert_int_equal(gmem_write(&f->gm, gpa(UINT64_MAX), NULL, 0, &done), OK);
    assert_int_equal(gmem_load(&f->gm, gpa(UINT64_MAX), NULL, 0), OK);
    assert_int_equal(gmem_zero(&f->gm, gpa(0), 0), OK);
    assert_true(gmem_check(&f->gm, gpa(UINT64_MAX), 0, RWX));
}

static void top_of_the_address_space(void **state)
{
    struct fixture *f = *state;
    const uint64_t top = UINT64_MAX - PAGE_SIZE + 1;
    uint8_t buf[PAGE_SIZE];
    uint64_t done, piece, v;

    add(f, top, 1, 0);
    add(f, 0, 1, 1);
    memset(buf, 0x5a, sizeof(buf));
    assert_int_equal(gmem_write(&f->gm, gpa(top), buf, PAGE_SIZE, &done), OK);
    assert_int_equal(done, PAGE_SIZE);
    assert_true(gmem_check(&f->gm, gpa(top), PAGE_SIZE, RW));
    assert_int_equal(gmem_load64(&f->gm, gpa(UINT64_MAX - 7), &v), OK);
    assert_int_equal(v, 0x5a5a5a5a5a5a5a5a);
    // One byte past the end is a wrap, not a visit to address 0.
    assert_int_equal(gmem_read(&f->gm, gpa(UINT64_MAX), buf, 2, &done), E_OVERFLOW);
    assert_int_equal(done, 0);
    assert_int_equal(gmem_write(&f->gm, gpa(top), buf, UINT64_MAX, &done), E_OVERFLOW);
    assert_false(gmem_check(&f->gm, gpa(top), PAGE_SIZE + 1, RW));
    assert_null(gmem_ptr(&f->gm, gpa(UINT64_MAX), 2, PERM_R, &piece));
    assert_non_null(gmem_ptr(&f->gm, gpa(UINT64_MAX), 1, PERM_R, &piece));
    assert_int_equal(f->mem[PAGE_SIZE], 0);
}

static void permissions(void **state)
{
    struct fixture *f = *state;
    struct gmem_region rom = region(f, 0x1000, 1, 0);
    struct gmem_region ram = region(f, 0x2000, 1, 1);
    struct gmem_region dev = region(f, 0x3000, 1, 2);
    uint8_t buf[16] = {1};
    uint64_t done, piece;

    rom.kind = GMEM_ROM, rom.perm = PERM_R | PERM_X;
    dev.kind = GMEM_DEVICE, dev.perm = RW;
    assert_int_equal(gmem_add(&f->gm, &rom), OK);
    assert_int_equal(gmem_add(&f->gm, &ram), OK);
    assert_int_equal(gmem_add(&f->gm, &dev), OK);
    assert_int_equal(gmem_write(&f->gm, gpa(0x1000), buf, 1, &done), E_PERM);
    assert_int_equal(gmem_read(&f->gm, gpa(0x1000), buf, 1, &done), OK);
    assert_int_equal(gmem_read(&f->gm, gpa(0x1ff8), buf, 16, &done), OK);
    assert_int_equal(gmem_store32(&f->gm, gpa(0x1000), 1), E_PERM);
    assert_null(gmem_ptr(&f->gm, gpa(0x1000), 1, PERM_W, &piece));
    assert_non_null(gmem_ptr(&f->gm, gpa(0x1000), 1, PERM_R, &piece));
    assert_int_equal(gmem_load(&f->gm, gpa(0x1000), buf, 16), OK);                // loaders may fill a ROM
    assert_int_equal(gmem_write(&f->gm, gpa(0x2ff8), buf, 16, &done), E_PARTIAL); // stops before the device
    assert_int_equal(done, 8);
    assert_int_equal(gmem_read(&f->gm, gpa(0x3000), buf, 1, &done), E_PERM); // holds no data
    assert_int_equal(gmem_load(&f->gm, gpa(0x3000), buf, 1), E_PERM);
    assert_false(gmem_check(&f->gm, gpa(0x1000), 0x2000, RW));
    assert_true(gmem_check(&f->gm, gpa(0x1000), 0x2000, PERM_R));
    assert_false(gmem_check(&f->gm, gpa(0x2000), 0x1001, PERM_R));
}

static void every_length_and_alignment(void **state)
{
    struct fixture *f = *state;
    uint8_t out[80], in[80];

    add(f, 0, 1, 0);
    for (unsigned i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i + 1);
    }
    for (unsigned at = 0; at < 9; at++) {
        for (unsigned buf_at = 0; buf_at < 3; buf_at++) {
            for (unsigned len = 0; len + buf_at <= sizeof(out); len++) {
                memset(f->mem, 0, 128);
                memset(in, 0, sizeof(in));
                assert_int_equal(gmem_write(&f->gm, gpa(at), &out[buf_at], len, NULL), OK);
                assert_memory_equal(&f->mem[at], &out[buf_at], len);
                assert_int_equal(f->mem[at + len], 0);
                assert_int_equal(gmem_read(&f->gm, gpa(at), &in[buf_at], len, NULL), OK);
                assert_memory_equal(&in[buf_at], &out[buf_at], len);
            }
        }
    }
}

static void zero_ragged(void **state)
{
    struct fixture *f = *state;

    add(f, 0, 8, 0);
    memset(f->mem, 0xff, 8 * PAGE_SIZE);
    assert_int_equal(gmem_zero(&f->gm, gpa(0x800), 4 * PAGE_SIZE + 0x10), OK);
    assert_int_equal(f->mem[0x7ff], 0xff);
    assert_int_equal(f->mem[0x800 + 4 * PAGE_SIZE + 0x10], 0xff);
    for (unsigned i = 0x800; i < 0x810 + 4 * PAGE_SIZE; i++) {
        assert_int_equal(f->mem[i], 0);
    }
    assert_int_equal(gmem_zero(&f->gm, gpa(0x10), 8), OK);
    assert_int_equal(f->mem[0xf], 0xff);
    assert_int_equal(f->mem[0x17], 0);
    assert_int_equal(f->mem[0x18], 0xff);
}

// ---- words ------------------------------------------------------------------------------------------------

static void words(void **state)
{
    struct fixture *f = *state;
    uint16_t h;
    uint32_t w;
    uint64_t d;

    add(f, 0x1000, 1, 0);
    assert_int_equal(gmem_store64(&f->gm, gpa(0x1ff8), 0x1122334455667788), OK);
    assert_int_equal(gmem_load64(&f->gm, gpa(0x1ff8), &d), OK);
    assert_int_equal(d, 0x1122334455667788);
    assert_int_equal(gmem_load32(&f->gm, gpa(0x1ffc), &w), OK);
    assert_int_equal(w, 0x11223344);
    assert_int_equal(gmem_load16(&f->gm, gpa(0x1ffa), &h), OK);
    assert_int_equal(h, 0x5566);
    assert_int_equal(gmem_store16(&f->gm, gpa(0x1000), 0xabcd), OK);
    assert_int_equal(gmem_store32(&f->gm, gpa(0x1004), 0xdeadbeef), OK);
    assert_int_equal(f->mem[0], 0xcd);
    assert_int_equal(f->mem[7], 0xde);
    assert_int_equal(gmem_load16(&f->gm, gpa(0x1001), &h), E_INVAL);
    assert_int_equal(gmem_load32(&f->gm, gpa(0x1002), &w), E_INVAL);
    assert_int_equal(gmem_load64(&f->gm, gpa(0x1004), &d), E_INVAL);
    assert_int_equal(gmem_store64(&f->gm, gpa(0x1004), 1), E_INVAL);
    assert_int_equal(gmem_load64(&f->gm, gpa(0x2000), &d), E_RANGE);
    assert_int_equal(gmem_store16(&f->gm, gpa(0x0ffe), 1), E_RANGE);
}

// A second host thread flips a word between two patterns; a reader must never see a mixture.
struct tearing {
    struct gmem *gm;
    uint64_t at;
    unsigned size;
    _Atomic bool stop;
};

static void *flipper(void *arg)
{
    struct tearing *t = arg;
    uint8_t pattern[2][8];

    memset(pattern[0], 0x00, 8);
    memset(pattern[1], 0xff, 8);
    for (unsigned i = 0; !t->stop; i++) {
        (void)!gmem_write(t->gm, gpa(t->at), pattern[i & 1], t->size, NULL);
    }
    return NULL;
}

static void aligned_words_are_never_torn(void **state)
{
    struct fixture *f = *state;

    add(f, 0x1000, 1, 0);
    add(f, 0x2000, 1, 9);
    for (unsigned size = 2; size <= 8; size *= 2) {
        struct tearing t = {.gm = &f->gm, .at = 0x2000 - size, .size = size};
        pthread_t thread;

        assert_int_equal(gmem_zero(&f->gm, gpa(0x1ff8), 8), OK); // what the smaller word left
        assert_int_equal(pthread_create(&thread, NULL, flipper, &t), 0);
        for (unsigned i = 0; i < 200000; i++) {
            uint8_t v[8];

            assert_int_equal(gmem_read(&f->gm, gpa(t.at), v, size, NULL), OK);
            for (unsigned b = 1; b < size; b++) {
                assert_int_equal(v[b], v[0]);
            }
        }
        t.stop = true;
        pthread_join(thread, NULL);
    }
}

// ---- dirty log --------------------------------------------------------------------------------------------

static void add_tracked(struct fixture *f, uint64_t base, unsigned pages, _Atomic uint64_t *dirty)
{
    struct gmem_region r = region(f, base, pages, 0);

    r.dirty = dirty;
    assert_int_equal(gmem_add(&f->gm, &r), OK);
}

static uint64_t take1(struct fixture *f, uint64_t base)
{
    uint64_t w = 0;

    assert_int_equal(gmem_dirty_take(&f->gm, gpa(base), &w, 1), OK);
    return w;
}

static void every_write_path_marks(void **state)
{
    struct fixture *f = *state;
    static _Atomic uint64_t dirty[1];
    uint8_t buf[3 * PAGE_SIZE] = {0};
    uint64_t piece, w;
    uint32_t v;

    dirty[0] = 0;
    add_tracked(f, 0x10000, 16, dirty);
    assert_int_equal(gmem_write(&f->gm, gpa(0x10fff), buf, 2, NULL), OK);
    assert_int_equal(take1(f, 0x10000), 3);
    assert_int_equal(take1(f, 0x10000), 0); // taken means cleared
    assert_int_equal(gmem_write(&f->gm, gpa(0x12000), buf, 3 * PAGE_SIZE, NULL), OK);
    assert_int_equal(take1(f, 0x10000), 0x1c);
    assert_int_equal(gmem_store16(&f->gm, gpa(0x11000), 1), OK);
    assert_int_equal(gmem_store32(&f->gm, gpa(0x13000), 1), OK);
    assert_int_equal(gmem_store64(&f->gm, gpa(0x15ff8), 1), OK);
    assert_int_equal(take1(f, 0x10000), 0x2a);
    assert_int_equal(gmem_load(&f->gm, gpa(0x1ffff), buf, 1), OK);
    assert_int_equal(take1(f, 0x10000), 0x8000);
    assert_int_equal(gmem_zero(&f->gm, gpa(0x10000), 1), OK);
    assert_int_equal(take1(f, 0x10000), 1);
    assert_non_null(gmem_ptr(&f->gm, gpa(0x10000), 0x2001, PERM_W, &piece));
    assert_int_equal(take1(f, 0x10000), 7);
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(0x14000), 1), OK);
    assert_int_equal(take1(f, 0x10000), 0x10);
    // Reads and what was refused leave no mark.
    assert_int_equal(gmem_read(&f->gm, gpa(0x10000), buf, 64, NULL), OK);
    assert_int_equal(gmem_load32(&f->gm, gpa(0x10000), &v), OK);
    assert_non_null(gmem_ptr(&f->gm, gpa(0x10000), 0x2001, PERM_R, &piece));
    assert_int_equal(gmem_store32(&f->gm, gpa(0x10002), 1), E_INVAL);
    assert_int_equal(gmem_write(&f->gm, gpa(0x10000), buf, 0, NULL), OK);
    assert_int_equal(take1(f, 0x10000), 0);
    // A short write marks what it wrote.
    assert_int_equal(gmem_write(&f->gm, gpa(0x1fff0), buf, 64, NULL), E_PARTIAL);
    assert_int_equal(take1(f, 0x10000), 0x8000);
    assert_int_equal(gmem_dirty_take(&f->gm, gpa(0x11000), &w, 1), E_NOENT);
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(0x1fff0), 64), E_RANGE);
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(UINT64_MAX), 2), E_OVERFLOW);
}

static void marks_over_word_borders(void **state)
{
    struct fixture *f = *state;
    static _Atomic uint64_t dirty[4];
    static struct gmem_extent e[4];
    uint64_t out[6];

    // 200 pages that all share the first 50 of the backing.
    for (unsigned i = 0; i < 4; i++) {
        e[i] =
            (struct gmem_extent){.offset = i * 50 * PAGE_SIZE, .hpa = backing(f, 0), .size = 50 * PAGE_SIZE};
        dirty[i] = 0;
    }
    const struct gmem_region r = {
        .base = gpa(0), .size = 200 * PAGE_SIZE, .perm = RW, .extent_count = 4, .extents = e, .dirty = dirty};

    assert_int_equal(gmem_add(&f->gm, &r), OK);
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(63 * PAGE_SIZE), 66 * PAGE_SIZE), OK);
    memset(out, 0xee, sizeof(out));
    assert_int_equal(gmem_dirty_take(&f->gm, gpa(0), out, 6), OK);
    assert_int_equal(out[0], BIT64(63));
    assert_int_equal(out[1], UINT64_MAX);
    assert_int_equal(out[2], 1);
    assert_int_equal(out[3], 0);
    assert_int_equal(out[5], 0); // beyond the region: clean
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(0), 200 * PAGE_SIZE), OK);
    assert_int_equal(gmem_dirty_take(&f->gm, gpa(0), out, 2), OK);
    assert_int_equal(dirty[3], MASK64(0, 8));
    assert_int_equal(dirty[0], 0);
}

static void untracked_regions(void **state)
{
    struct fixture *f = *state;
    uint64_t w;

    add(f, 0, 1, 0);
    assert_int_equal(gmem_dirty_take(&f->gm, gpa(0), &w, 1), E_UNSUPPORTED);
    assert_int_equal(gmem_mark_dirty(&f->gm, gpa(0), 1), OK);
}

// ---- random against a flat model --------------------------------------------------------------------------

static void random_against_a_model(void **state)
{
    struct fixture *f = *state;
    static uint8_t model[16 * PAGE_SIZE];
    static bool present[16];
    uint8_t buf[600], got[600];

    memset(model, 0, sizeof(model));
    for (unsigned i = 0; i < 16; i++) {
        present[i] = i % 5 != 3;
        if (present[i]) {
            add(f, i * PAGE_SIZE, 1, 15 - i);
        }
    }
    srand(7);
    for (unsigned n = 0; n < 20000; n++) {
        uint64_t at = (unsigned)rand() % (16 * PAGE_SIZE), len = (unsigned)rand() % sizeof(buf), want = 0,
                 done;

        while (want < len && at + want < sizeof(model) && present[(at + want) / PAGE_SIZE]) {
            want++;
        }
        if (rand() & 1) {
            memset(buf, rand(), sizeof(buf));
            (void)!gmem_write(&f->gm, gpa(at), buf, len, &done);
            memcpy(&model[at], buf, want);
        } else {
            (void)!gmem_read(&f->gm, gpa(at), got, len, &done);
            assert_memory_equal(got, &model[at], want);
        }
        assert_int_equal(done, want);
        assert_int_equal(gmem_check(&f->gm, gpa(at), len, RW), want == len);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(empty_collection),
        T(regions_are_sorted_whatever_the_order),
        T(overlaps_are_refused),
        T(malformed_regions_are_refused),
        T(find_at_the_edges),
        T(find_among_many),
        T(remove_and_reuse),
        T(five_bytes_across_regions),
        T(extents_are_one_region),
        T(short_at_a_hole),
        T(zero_length_always_succeeds),
        T(top_of_the_address_space),
        T(permissions),
        T(every_length_and_alignment),
        T(zero_ragged),
        T(words),
        T(aligned_words_are_never_torn),
        T(every_write_path_marks),
        T(marks_over_word_borders),
        T(untracked_regions),
        T(random_against_a_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
