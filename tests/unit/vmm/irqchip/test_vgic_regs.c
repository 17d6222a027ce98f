// SPDX-License-Identifier: Apache-2.0
//
// The register maps of the virtual GIC: every offset in every width and alignment, what identification says,
// which bits exist, and that saved state is refused when it is not ours.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/irqchip/fake_gic.h"

#define SPIS 256u
#define LAST_BLOCK (SPIS / 32 + 1)

static int setup(void **state)
{
    (void)state;
    return fake_start(3, 4, SPIS) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fake_stop();
    return fake.stuck ? -1 : 0;
}

// Any access to any place ends in DONE or BAD, and the controller still works.
static void sweep(uint64_t base, uint64_t size)
{
    static const uint64_t values[] = {0, UINT64_MAX, 0x5555555555555555, 1};

    for (uint64_t off = 0; off < size; off += off % 0x10000 < 0x1000 || off % 0x10000 > 0xff00 ? 1 : 61) {
        for (unsigned width = 1; width <= 8; width *= 2) {
            struct io_access a = {.size = (uint8_t)width};

            bool straddles = off < GICD_MAP_SIZE && off + width > GICD_MAP_SIZE; // two regions: nobody's

            if (off + width > size || straddles) {
                continue;
            }
            assert_int_not_equal(fake_access(1, base + off, &a), IO_UNCLAIMED);
            a = (struct io_access){.size = (uint8_t)width, .write = true, .value = values[off % 4]};
            assert_int_not_equal(fake_access((unsigned)off % 3, base + off, &a), IO_UNCLAIMED);
        }
        fake_enter_all();
    }
}

static void test_sweep(void **state)
{
    (void)state;
    sweep(FAKE_GICD, 0x10000);
    sweep(FAKE_GICR, 3 * 0x20000);
    for (unsigned v = 0; v < 3; v++) {
        fake.current = v;
        fake.chip->ops->put(fake.chip, v);
    }
    fake.chip->ops->reset(fake.chip);
    for (unsigned v = 0; v < 3; v++) {
        fake.current = v;
        fake.chip->ops->load(fake.chip, v);
    }
    fake_write(0, FAKE_GICD, 4, 2);
    fake_setup_irq(0, 40, 0x80);
    fake_line(40, true);
    assert_int_equal(fake_ack(0), 40);
    fake_end(0, 40);
}

static void test_widths(void **state)
{
    struct io_access a = {.size = 2};

    (void)state;
    assert_int_equal(fake_access(0, FAKE_GICD, &a), IO_BAD);
    a = (struct io_access){.size = 1};
    assert_int_equal(fake_access(0, FAKE_GICD + 0x104, &a), IO_BAD);
    a = (struct io_access){.size = 8};
    assert_int_equal(fake_access(0, FAKE_GICD + 0x108, &a), IO_BAD);
    a = (struct io_access){.size = 4};
    assert_int_equal(fake_access(0, FAKE_GICD + 0x105, &a), IO_BAD);
    a = (struct io_access){.size = 8};
    assert_int_equal(fake_access(0, FAKE_GICD + 0x6100, &a), IO_DONE);
}

static void test_identification(void **state)
{
    (void)state;
    assert_int_equal(fake_read(0, FAKE_GICD + 0x4, 4), (LAST_BLOCK - 1) | 9u << 19 | 1u << 25);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x8, 4) & 0xfff, 0x43b);
    assert_int_equal(fake_read(0, FAKE_GICD, 4), 0x50); // ARE, DS
    fake_write(0, FAKE_GICD, 4, UINT32_MAX);
    assert_int_equal(fake_read(0, FAKE_GICD, 4), 0x53);
    for (unsigned frame = 0; frame < 7; frame++) {
        uint64_t base = frame == 0 ? FAKE_GICD : FAKE_GICR + (frame - 1) * 0x10000;

        assert_int_equal(fake_read(0, base + 0xffe8, 4), 0x3b);
        assert_int_equal(fake_read(0, base + 0xfff0, 4), 0x0d);
        assert_int_equal(fake_read(0, base + 0xfff4, 4), 0xf0);
        assert_int_equal(fake_read(0, base + 0xfff8, 4), 0x05);
        assert_int_equal(fake_read(0, base + 0xfffc, 4), 0xb1);
    }
}

static void test_redistributor(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 3; v++) {
        uint64_t typer = fake_read(0, fake_gicr(v, 8), 8);

        assert_int_equal(typer >> 32, v);
        assert_int_equal(typer >> 8 & 0xffff, v);
        assert_int_equal(typer >> 4 & 1, v == 2); // Last
        assert_int_equal(typer & 0xf, 0);         // no LPIs
        assert_int_equal(fake_read(0, fake_gicr(v, 8), 4), typer & UINT32_MAX);
        assert_int_equal(fake_read(0, fake_gicr(v, 12), 4), typer >> 32);
    }
    assert_int_equal(fake_read(1, fake_gicr(1, 0x14), 4), 6);
    fake_write(1, fake_gicr(1, 0x14), 4, 0);
    assert_int_equal(fake_read(1, fake_gicr(1, 0x14), 4), 0);
    fake_write(1, fake_gicr(1, 0x14), 4, UINT32_MAX);
    assert_int_equal(fake_read(1, fake_gicr(1, 0x14), 4), 6);
    fake_write(1, fake_gicr(1, 0x70), 8, UINT64_MAX); // PROPBASER
    assert_int_equal(fake_read(1, fake_gicr(1, 0x70), 8), 0);
}

// Affinities over sixteen and Last, on a larger machine.
static void test_large(void **state)
{
    (void)state;
    fake_stop();
    assert_true(fake_start(20, 4, 988));
    assert_int_equal(fake_read(0, fake_gicr(17, 8), 8) >> 32, 0x101);
    assert_int_equal(fake_read(0, fake_gicr(19, 8), 8) >> 4 & 1, 1);
    assert_int_equal(fake_read(0, FAKE_GICD + 4, 4) & 0x1f, 31);
    fake_write(0, FAKE_GICD + 0x100 + 31 * 4, 4, UINT32_MAX);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x100 + 31 * 4, 4), 0x0fffffff); // 1020 to 1023 are special
    fake_write(0, FAKE_GICD, 4, 2);
    fake_setup_irq(0, 1019, 0x80);
    fake_write(0, FAKE_GICD + 0x6000 + 1019 * 8, 8, 0x101);
    fake_line(1019, true);
    fake_enter_all();
    assert_int_equal(fake_ack(17), 1019);
    fake_line(1020, true);
    fake_line(5000, true);
    fake_end(17, 1019);
}

static void test_bits(void **state)
{
    static const struct {
        unsigned set, clear;
    } pairs[] = {{0x100, 0x180}, {0x200, 0x280}, {0x300, 0x380}};

    (void)state;
    for (unsigned p = 0; p < ARRAY_SIZE(pairs); p++) {
        for (unsigned i = 0; i < 32; i++) {
            uint64_t set = FAKE_GICD + pairs[p].set + i * 4, clear = FAKE_GICD + pairs[p].clear + i * 4;
            uint32_t all = i > 0 && i < LAST_BLOCK ? UINT32_MAX : 0;

            fake_write(0, set, 4, UINT32_MAX);
            assert_int_equal(fake_read(0, set, 4), all);
            assert_int_equal(fake_read(0, clear, 4), all);
            fake_write(0, clear, 4, 0xff00ff00);
            assert_int_equal(fake_read(0, set, 4), all & 0x00ff00ff);
            fake_write(0, set, 4, 0); // zeroes do nothing
            assert_int_equal(fake_read(0, set, 4), all & 0x00ff00ff);
            fake_write(0, clear, 4, UINT32_MAX);
            assert_int_equal(fake_read(0, set, 4), 0);
        }
        fake_write(2, fake_gicr(2, 0x10000 + pairs[p].set), 4, UINT32_MAX);
        assert_int_equal(fake_read(2, fake_gicr(2, 0x10000 + pairs[p].set), 4), UINT32_MAX);
        assert_int_equal(fake_read(1, fake_gicr(1, 0x10000 + pairs[p].set), 4), 0);
        fake_write(2, fake_gicr(2, 0x10000 + pairs[p].clear), 4, UINT32_MAX);
        assert_int_equal(fake_read(2, fake_gicr(2, 0x10000 + pairs[p].set), 4), 0);
    }
}

static void test_values(void **state)
{
    (void)state;
    fake_write(0, FAKE_GICD + 0x84, 4, 0xa5a5a5a5); // IGROUPR
    assert_int_equal(fake_read(0, FAKE_GICD + 0x84, 4), 0xa5a5a5a5);
    fake_write(0, FAKE_GICD + 0x84, 4, 0x5a5a5a5a);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x84, 4), 0x5a5a5a5a);
    fake_write(0, FAKE_GICD + 0xc08, 4, UINT32_MAX); // ICFGR: the lower bits are RES0
    assert_int_equal(fake_read(0, FAKE_GICD + 0xc08, 4), 0xaaaaaaaa);
    fake_write(0, FAKE_GICD + 0xc08, 4, 0x0a0a0a0a);
    assert_int_equal(fake_read(0, FAKE_GICD + 0xc08, 4), 0x0a0a0a0a);
    fake_write(0, fake_gicr(0, 0x10c00), 4, 0); // SGIs
    assert_int_equal(fake_read(0, fake_gicr(0, 0x10c00), 4), 0xaaaaaaaa);
    fake_write(0, fake_gicr(0, 0x10c04), 4, 0x80000002);
    assert_int_equal(fake_read(0, fake_gicr(0, 0x10c04), 4), 0x80000002);
    fake_write(0, FAKE_GICD + 0x424, 4, 0xffeeddcc); // five bits
    assert_int_equal(fake_read(0, FAKE_GICD + 0x424, 4), 0xf8e8d8c8);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x426, 1), 0xe8);
    fake_write(0, FAKE_GICD + 0x425, 1, 0x10);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x424, 4), 0xf8e810c8);
    fake_write(0, FAKE_GICD + 0x400, 4, UINT32_MAX); // private ones: RAZ/WI here
    assert_int_equal(fake_read(0, FAKE_GICD + 0x400, 4), 0);
    fake_write(0, fake_gicr(0, 0x10404), 4, 0x40302010);
    assert_int_equal(fake_read(0, fake_gicr(0, 0x10404), 4), 0x40302010);
    fake_write(0, FAKE_GICD + 0x400 + 32 * 12, 4, UINT32_MAX); // beyond the last SPI
    assert_int_equal(fake_read(0, FAKE_GICD + 0x400 + 32 * 12, 4), 0);
    fake_write(0, FAKE_GICD + 0x800 + 40, 4, UINT32_MAX); // ITARGETSR
    assert_int_equal(fake_read(0, FAKE_GICD + 0x800 + 40, 4), 0);
}

static void test_routes(void **state)
{
    uint64_t reg = FAKE_GICD + 0x6000 + 40 * 8;

    (void)state;
    fake_write(0, reg, 8, UINT64_MAX);
    assert_int_equal(fake_read(0, reg, 8), 0x00ffffff);
    fake_write(0, reg, 4, 2);
    fake_write(0, reg + 4, 4, UINT32_MAX);
    assert_int_equal(fake_read(0, reg, 8), 2);
    assert_int_equal(fake_read(0, reg, 4), 2);
    assert_int_equal(fake_read(0, reg + 4, 4), 0);
    fake_write(0, FAKE_GICD + 0x6000 + (32 + SPIS) * 8, 8, 1); // no such SPI
    assert_int_equal(fake_read(0, FAKE_GICD + 0x6000 + (32 + SPIS) * 8, 8), 0);
}

static void test_saved_refused(void **state)
{
    static _Alignas(8) uint8_t buf[16384];
    uint32_t size = fake.chip->ops->save(fake.chip, NULL, 0);

    (void)state;
    assert_true(size <= sizeof(buf));
    assert_int_equal(fake.chip->ops->save(fake.chip, buf, size - 1), size); // untouched
    assert_int_equal(buf[0], 0);
    assert_int_equal(fake.chip->ops->save(fake.chip, buf, sizeof(buf)), size);
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), E_STATE); // loaded
    for (unsigned v = 0; v < 3; v++) {
        fake.current = v;
        fake.chip->ops->put(fake.chip, v);
    }
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size - 4), E_CORRUPT);
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, 3), E_CORRUPT);
    buf[0] ^= 0x10;
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), E_UNSUPPORTED);
    buf[0] ^= 0x10;
    buf[8] ^= 1; // vCPUs
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), E_INVAL);
    buf[8] ^= 1;
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), OK);
    memset(buf + 24, 0xff, size - 24); // nonsense is clamped
    assert_int_equal(fake.chip->ops->restore(fake.chip, buf, size), OK);
    for (unsigned v = 0; v < 3; v++) {
        fake.current = v;
        fake.chip->ops->load(fake.chip, v);
    }
    fake_enter_all();
    assert_int_equal(fake_read(0, FAKE_GICD + 0x400 + 40, 1), 0xf8);
    assert_int_equal(fake_read(0, FAKE_GICD + 0x6000 + 40 * 8, 8), 0x00ffffff);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sweep),         TEST(test_widths), TEST(test_identification),
        TEST(test_redistributor), TEST(test_large),  TEST(test_bits),
        TEST(test_values),        TEST(test_routes), TEST(test_saved_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
