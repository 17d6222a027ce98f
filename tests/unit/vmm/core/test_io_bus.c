// SPDX-License-Identifier: Apache-2.0
//
// I/O bus: sorted regions, overlaps, edges, and a cache that never outlives a change.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/core/io_bus.h"

struct dev {
    unsigned calls;
    struct io_access last;
    enum io_result answer;
};

static enum io_result dev_access(void *arg, struct io_access *a)
{
    struct dev *d = arg;

    d->calls++;
    d->last = *a;
    if (!a->write) {
        a->value = 0x100 + a->offset;
    }
    return d->answer;
}

static struct io_bus bus;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(io_bus_init(&bus), OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    io_bus_destroy(&bus);
    return 0;
}

static enum status add(uint64_t base, uint64_t size, struct dev *d, const char *name, const char **clash)
{
    const struct io_region r = {.base = base, .size = size, .access = dev_access, .dev = d, .name = name};

    return io_bus_add(&bus, &r, clash);
}

static enum io_result rd(struct io_cache *c, uint64_t addr, uint8_t size, uint64_t *value)
{
    struct io_access a = {.size = size};
    enum io_result res = io_bus_access(&bus, c, addr, &a);

    if (value) {
        *value = a.value;
    }
    return res;
}

static void empty_bus(void **state)
{
    struct io_cache c = {0};
    struct io_region r;

    (void)state;
    assert_int_equal(rd(&c, 0, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, UINT64_MAX, 1, NULL), IO_UNCLAIMED);
    assert_false(io_bus_nearest(&bus, 0, &r));
    assert_int_equal(io_bus_remove(&bus, 0), E_NOENT);
}

static void access_reaches_its_device(void **state)
{
    struct io_cache c = {0};
    struct dev d[3] = {0};
    uint64_t v;

    (void)state;
    assert_int_equal(add(0x3000, 0x1000, &d[2], "c", NULL), OK);
    assert_int_equal(add(0x1000, 0x1000, &d[0], "a", NULL), OK);
    assert_int_equal(add(0x2000, 0x200, &d[1], "b", NULL), OK);
    for (unsigned round = 0; round < 2; round++) { // through the cache and past it
        assert_int_equal(rd(&c, 0x1ffc, 4, &v), IO_DONE);
        assert_int_equal(v, 0x100 + 0xffc);
        assert_int_equal(rd(&c, 0x1000, 8, &v), IO_DONE);
        assert_int_equal(d[0].last.size, 8);
        assert_int_equal(rd(&c, 0x2000, 1, &v), IO_DONE);
        assert_int_equal(rd(&c, 0x3010, 2, &v), IO_DONE);
        assert_int_equal(v, 0x110);
    }
    assert_int_equal(d[0].calls, 4);
    assert_int_equal(d[1].calls, 2);
    assert_int_equal(d[2].calls, 2);
    struct io_access w = {.size = 4, .write = true, .value = 0x1234, .vcpu = 3};

    assert_int_equal(io_bus_access(&bus, &c, 0x3ffc, &w), IO_DONE);
    assert_int_equal(d[2].last.value, 0x1234);
    assert_int_equal(d[2].last.offset, 0xffc);
    assert_int_equal(d[2].last.vcpu, 3);
    assert_true(d[2].last.write);
    d[2].answer = IO_BAD;
    assert_int_equal(rd(&c, 0x3000, 4, NULL), IO_BAD);
}

// The last two regions are known; neither outlives a change of the bus.
static void two_regions_in_turn(void **state)
{
    struct io_cache c = {0};
    struct dev d[3] = {0};
    uint64_t v;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(add(0x1000 * (i + 1), 0x1000, &d[i], "d", NULL), OK);
    }
    for (unsigned turn = 0; turn < 9; turn++) {
        unsigned i = turn % (turn < 6 ? 2 : 3);

        assert_int_equal(rd(&c, 0x1000 * (i + 1) + turn, 1, &v), IO_DONE);
        assert_int_equal(d[i].last.offset, turn);
    }
    assert_int_equal(d[0].calls, 4);
    assert_int_equal(d[1].calls, 4);
    assert_int_equal(d[2].calls, 1);
    assert_int_equal(io_bus_remove(&bus, 0x2000), OK);
    assert_int_equal(rd(&c, 0x2000, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x3000, 4, NULL), IO_DONE);
    assert_int_equal(d[1].calls, 4);
}

// A port's region is small, and cached for single bytes: not one further.
static void small_region_by_bytes(void **state)
{
    struct io_cache c = {.narrow = true};
    struct dev d = {0};
    uint64_t v;

    (void)state;
    assert_int_equal(add(0x3F8, 8, &d, "uart", NULL), OK);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(rd(&c, 0x3F8 + i, 1, &v), IO_DONE);
        assert_int_equal(v, 0x100 + i);
    }
    assert_true(c.last.dev == &d && c.last.span == 7);
    assert_int_equal(rd(&c, 0x400, 1, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x3F7, 1, NULL), IO_UNCLAIMED);
    assert_int_equal(d.calls, 8);
}

static void edges_and_holes(void **state)
{
    struct io_cache c = {0};
    struct dev d[2] = {0};

    (void)state;
    assert_int_equal(add(0x1000, 0x100, &d[0], "a", NULL), OK);
    assert_int_equal(add(0x1100, 0x100, &d[1], "b", NULL), OK);
    assert_int_equal(rd(&c, 0xfff, 1, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0xffe, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x10ff, 1, NULL), IO_DONE);
    assert_int_equal(rd(&c, 0x10ff, 2, NULL), IO_UNCLAIMED); // straddles two devices, cached
    assert_int_equal(rd(&c, 0x10fc, 8, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x11fc, 4, NULL), IO_DONE);
    assert_int_equal(rd(&c, 0x11fe, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x1200, 1, NULL), IO_UNCLAIMED);
    assert_int_equal(d[0].calls + d[1].calls, 2);
}

static void top_of_the_space(void **state)
{
    struct io_cache c = {0};
    struct dev d = {0};

    (void)state;
    assert_int_equal(add(UINT64_MAX - 0xff, 0x101, &d, "x", NULL), E_OVERFLOW);
    assert_int_equal(add(UINT64_MAX - 0xff, 0x100, &d, "x", NULL), OK);
    assert_int_equal(rd(&c, UINT64_MAX, 1, NULL), IO_DONE);
    assert_int_equal(rd(&c, UINT64_MAX - 3, 4, NULL), IO_DONE);
    assert_int_equal(rd(&c, UINT64_MAX, 2, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0, 1, NULL), IO_UNCLAIMED);
}

static void overlaps_name_the_owner(void **state)
{
    struct dev d = {0};
    const char *clash = NULL;
    static const struct {
        uint64_t base, size;
    } bad[] = {{0x1000, 1}, {0x1fff, 1}, {0xfff, 2}, {0x800, 0x4000}, {0x1800, 0x1000}, {0, UINT64_MAX}};

    (void)state;
    assert_int_equal(add(0x1000, 0x1000, &d, "uart0", NULL), OK);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        clash = NULL;
        assert_int_equal(add(bad[i].base, bad[i].size, &d, "new", &clash), E_EXISTS);
        assert_string_equal(clash, "uart0");
    }
    assert_int_equal(add(0x5000, 0, &d, "empty", NULL), E_INVAL);
    assert_int_equal(add(0x0fff, 1, &d, "before", NULL), OK);
    assert_int_equal(add(0x2000, 1, &d, "after", NULL), OK);
}

static void removal_empties_every_cache(void **state)
{
    struct io_cache c[2] = {{.narrow = false}, {.narrow = false}};
    struct dev d = {0};

    (void)state;
    assert_int_equal(add(0x1000, 0x1000, &d, "a", NULL), OK);
    assert_int_equal(rd(&c[0], 0x1000, 4, NULL), IO_DONE);
    assert_int_equal(rd(&c[1], 0x1000, 4, NULL), IO_DONE);
    assert_int_equal(io_bus_remove(&bus, 0x1004), E_NOENT);
    assert_int_equal(io_bus_remove(&bus, 0x1000), OK);
    assert_int_equal(rd(&c[0], 0x1000, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c[1], 0x1000, 4, NULL), IO_UNCLAIMED);
    io_bus_quiesce(&bus);
    assert_int_equal(rd(&c[0], 0x1000, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(d.calls, 2);
}

static void a_new_neighbour_is_seen(void **state)
{
    struct io_cache c = {0};
    struct dev d[2] = {0};

    (void)state;
    assert_int_equal(add(0x1000, 0x1000, &d[0], "a", NULL), OK);
    assert_int_equal(rd(&c, 0x1000, 4, NULL), IO_DONE);
    assert_int_equal(io_bus_remove(&bus, 0x1000), OK);
    assert_int_equal(add(0x1000, 0x1000, &d[1], "b", NULL), OK);
    assert_int_equal(rd(&c, 0x1000, 4, NULL), IO_DONE);
    assert_int_equal(d[0].calls, 1);
    assert_int_equal(d[1].calls, 1);
}

static void moving(void **state)
{
    struct io_cache c = {0};
    struct dev d[2] = {0};

    (void)state;
    assert_int_equal(add(0x1000, 0x1000, &d[0], "a", NULL), OK);
    assert_int_equal(add(0x4000, 0x1000, &d[1], "b", NULL), OK);
    assert_int_equal(rd(&c, 0x1000, 4, NULL), IO_DONE);
    assert_int_equal(io_bus_move(&bus, 0x1000, 0x3001), E_EXISTS);
    assert_int_equal(io_bus_move(&bus, 0x1000, UINT64_MAX - 0xffe), E_OVERFLOW);
    assert_int_equal(io_bus_move(&bus, 0x2000, 0x8000), E_NOENT);
    assert_int_equal(rd(&c, 0x1000, 4, NULL), IO_DONE);      // nothing happened yet
    assert_int_equal(io_bus_move(&bus, 0x1000, 0x1800), OK); // may overlap its old place
    assert_int_equal(rd(&c, 0x1000, 4, NULL), IO_UNCLAIMED);
    assert_int_equal(rd(&c, 0x1800, 4, NULL), IO_DONE);
    assert_int_equal(d[0].last.offset, 0);
    assert_int_equal(io_bus_move(&bus, 0x1800, 0x9000), OK); // and pass others
    assert_int_equal(rd(&c, 0x9004, 4, NULL), IO_DONE);
    assert_int_equal(rd(&c, 0x4000, 4, NULL), IO_DONE);
    assert_int_equal(d[1].calls, 1);
}

static void nearest_names_the_neighbour(void **state)
{
    struct dev d = {0};
    struct io_region r;

    (void)state;
    assert_int_equal(add(0x1000, 0x100, &d, "a", NULL), OK);
    assert_int_equal(add(0x2000, 0x100, &d, "b", NULL), OK);
    assert_false(io_bus_nearest(&bus, 0xfff, &r));
    assert_true(io_bus_nearest(&bus, 0x1000, &r));
    assert_string_equal(r.name, "a");
    assert_true(io_bus_nearest(&bus, 0x1fff, &r));
    assert_string_equal(r.name, "a");
    assert_true(io_bus_nearest(&bus, UINT64_MAX, &r));
    assert_string_equal(r.name, "b");
}

// Random adds, removes, moves and accesses through two caches, against a list that is searched from end to
// end.
#define SLOTS 32

static void random_against_a_list(void **state)
{
    struct io_cache c[2] = {{.narrow = false}, {.narrow = false}};
    static struct dev d[SLOTS];
    static struct {
        bool used;
        uint64_t base, size;
    } model[SLOTS];

    (void)state;
    memset(d, 0, sizeof(d));
    memset(model, 0, sizeof(model));
    srand(11);
    for (unsigned n = 0; n < 30000; n++) {
        unsigned i = (unsigned)rand() % SLOTS;
        uint64_t base = (unsigned)rand() % 4096, size = 1 + (unsigned)rand() % 64;
        bool clash = false;

        if (rand() % 8 == 0 && model[i].used) {
            assert_int_equal(io_bus_remove(&bus, model[i].base), OK);
            model[i].used = false;
        } else if (rand() % 8 == 0 && !model[i].used) {
            for (unsigned k = 0; k < SLOTS; k++) {
                clash |= model[k].used && base < model[k].base + model[k].size && model[k].base < base + size;
            }
            assert_int_equal(add(base, size, &d[i], "d", NULL), clash ? E_EXISTS : OK);
            if (!clash) {
                model[i].used = true, model[i].base = base, model[i].size = size;
            }
        }
        uint8_t width = (uint8_t)(1u << (rand() % 4));
        int owner = -1;

        for (unsigned k = 0; k < SLOTS; k++) {
            if (model[k].used && base >= model[k].base && base + width <= model[k].base + model[k].size) {
                owner = (int)k;
            }
        }
        unsigned before = owner >= 0 ? d[owner].calls : 0;

        assert_int_equal(rd(&c[rand() & 1], base, width, NULL), owner >= 0 ? IO_DONE : IO_UNCLAIMED);
        if (owner >= 0) {
            assert_int_equal(d[owner].calls, before + 1);
            assert_int_equal(d[owner].last.offset, base - model[owner].base);
        }
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(empty_bus),
        T(access_reaches_its_device),
        T(two_regions_in_turn),
        T(small_region_by_bytes),
        T(edges_and_holes),
        T(top_of_the_space),
        T(overlaps_name_the_owner),
        T(removal_empties_every_cache),
        T(a_new_neighbour_is_seen),
        T(moving),
        T(nearest_names_the_neighbour),
        T(random_against_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
