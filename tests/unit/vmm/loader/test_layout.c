// SPDX-License-Identifier: Apache-2.0
//
// Placement of kernel, initrd and device tree: the usual board, small and odd ones, and a sweep over sizes that checks
// the rules themselves.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/lib/range.h"
#include "vmm/loader/layout.h"

static struct vm_plan plan;
static struct image image;
static struct layout layout;
static struct load_error error;

static int setup(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof(plan));
    plan.region_count = 1;
    plan.regions[0] = (struct plan_region){.base = 0x40000000, .size = MIB(256), .kind = REGION_RAM};
    image = (struct image){.align = MIB(2), .span = MIB(31)};
    layout = (struct layout){.fdt_size = KIB(64)};
    return 0;
}

static bool in_ram(uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < plan.region_count; i++) {
        if (plan.regions[i].kind == REGION_RAM &&
            range_contains(plan.regions[i].base, plan.regions[i].size, base, size)) {
            return true;
        }
    }
    return false;
}

// Runs the layout and checks what must hold for every one that is accepted.
static enum status lay(void)
{
    enum status st;

    error.text[0] = 0;
    st = layout_build(&plan, &image, &layout, &error);
    assert_int_equal(st == OK, error.text[0] == 0);
    if (st != OK) {
        return st;
    }
    assert_int_equal(layout.kernel, image.base);
    assert_true(in_ram(layout.kernel, layout.kernel_size));
    assert_true(in_ram(layout.fdt, layout.fdt_size));
    assert_true(layout.fdt != 0 && layout.fdt % 8 == 0);
    assert_false(range_overlaps(layout.kernel, layout.kernel_size, layout.fdt, layout.fdt_size));
    if (!image.fixed) {
        assert_int_equal(layout.kernel % image.align, image.offset % image.align);
    }
    if (!image.firmware_fdt) {
        assert_int_equal(layout.fdt / MIB(512), layout.kernel / MIB(512));
    }
    if (layout.initrd_size) {
        assert_true(in_ram(layout.initrd, layout.initrd_size));
        assert_true(layout.initrd != 0 && layout.initrd % PAGE_SIZE == 0);
        assert_false(range_overlaps(layout.initrd, layout.initrd_size, layout.kernel, layout.kernel_size));
        assert_false(range_overlaps(layout.initrd, layout.initrd_size, layout.fdt, layout.fdt_size));
    }
    return st;
}

static void refused(enum status st, const char *part)
{
    assert_int_equal(lay(), st);
    if (!strstr(error.text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
    }
}

static void test_linux(void **state)
{
    (void)state;
    layout.initrd_size = 1234567;
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0x40000000);
    assert_int_equal(layout.initrd, 0x42000000);
    assert_int_equal(layout.fdt, 0x4fe00000);
}

static void test_text_offset(void **state)
{
    (void)state;
    image.offset = 0x80000;
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0x40080000);
}

static void test_misaligned_ram(void **state)
{
    (void)state;
    plan.regions[0].base = 0x40001000;
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0x40200000);
}

static void test_fdt_stays_in_the_kernels_window(void **state)
{
    (void)state;
    plan.regions[0].size = GIB(4);
    layout.initrd_size = MIB(700); // does not fit below the tree: goes behind it
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.fdt, 0x5fe00000);
    assert_int_equal(layout.initrd, 0x60000000);
}

static void test_raw_gets_its_tree_at_the_ram_base(void **state)
{
    (void)state;
    image = (struct image){.align = MIB(2), .offset = KIB(512), .span = 0x8000, .firmware_fdt = true};
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0x40080000);
    assert_int_equal(layout.fdt, 0x40000000);
    layout.fdt_size = KIB(512) + 8; // no room below
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.fdt, 0x4fe00000);
}

static void test_fixed_raw_at_the_ram_base(void **state)
{
    (void)state;
    image = (struct image){.fixed = true, .base = 0x40000000, .span = 0x8000, .firmware_fdt = true};
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.fdt, 0x4fe00000);
}

static void test_fixed_outside_ram(void **state)
{
    (void)state;
    image = (struct image){.fixed = true, .base = 0x3ffff000, .span = 0x8000};
    refused(E_RANGE, "at 0x3ffff000, which is not RAM of this guest (0x40000000-0x4fffffff)");
    image.base = 0x4fff9000;
    refused(E_RANGE, "not RAM");
    image.base = UINT64_MAX - 0xfff;
    refused(E_RANGE, "not RAM");
    image = (struct image){.fixed = true, .base = 0x40000000, .span = UINT64_MAX};
    refused(E_RANGE, "not RAM");
}

// RAM from 0 and a second region, as other boards have it.
static void test_custom_map(void **state)
{
    (void)state;
    plan.region_count = 2;
    plan.regions[0] = (struct plan_region){.base = 0, .size = MIB(128), .kind = REGION_RAM};
    plan.regions[1] = (struct plan_region){.base = 0x80000000, .size = MIB(256), .kind = REGION_RAM};
    layout.initrd_size = MIB(2);
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0);
    assert_int_equal(layout.fdt, MIB(126));
    assert_int_equal(layout.initrd, MIB(32));
    layout.initrd_size = MIB(200);
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.initrd, 0x80000000);
    image = (struct image){.align = MIB(2), .offset = KIB(512), .span = 0x8000, .firmware_fdt = true};
    layout.initrd_size = 0;
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, KIB(512));
    assert_int_equal(layout.fdt, MIB(126)); // never at 0, which reads as "none"
}

static void test_kernel_goes_to_the_region_that_holds_it(void **state)
{
    (void)state;
    plan.region_count = 3;
    plan.regions[0] = (struct plan_region){.base = 0, .size = MIB(64), .kind = REGION_ROM};
    plan.regions[1] = (struct plan_region){.base = 0x10000000, .size = MIB(16), .kind = REGION_RAM};
    plan.regions[2] = (struct plan_region){.base = 0x80000000, .size = MIB(256), .kind = REGION_RAM};
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.kernel, 0x80000000);
}

static void test_kernel_in_the_last_bytes(void **state)
{
    (void)state;
    plan.regions[0] = (struct plan_region){.base = 0 - MIB(64), .size = MIB(64), .kind = REGION_RAM};
    assert_int_equal(lay(), OK);
    assert_true(layout.fdt == 0 - MIB(2));
    plan.regions[0] = (struct plan_region){.base = UINT64_MAX - 0xfff, .size = 0x1000, .kind = REGION_RAM};
    refused(E_NOMEM, "does not fit");
}

static void test_too_little_ram(void **state)
{
    (void)state;
    plan.regions[0].size = MIB(16);
    refused(E_NOMEM,
            "a kernel of 31744 KiB does not fit in the guest's RAM (0x40000000-0x40ffffff): raise vm.memory");
    image.span = UINT64_MAX;
    refused(E_NOMEM, "a kernel");
    image.span = MIB(16);
    refused(E_NOMEM, "the device tree beside a kernel");
    image.span = MIB(14);
    layout.initrd_size = MIB(2);
    refused(E_NOMEM, "an initrd");
    layout.initrd_size = UINT64_MAX;
    refused(E_NOMEM, "an initrd");
    plan.region_count = 0;
    refused(E_NOMEM, "(none)");
}

static void test_tiny_ram_falls_back_to_pages(void **state)
{
    (void)state;
    plan.regions[0].size = MIB(1);
    image = (struct image){.align = MIB(2), .span = KIB(64)};
    layout.initrd_size = KIB(64);
    assert_int_equal(lay(), OK);
    assert_int_equal(layout.fdt, 0x400f0000);
    assert_int_equal(layout.initrd, 0x40010000);
}

// Fills RAM to the brim in small steps; lay() checks the rules each time.
static void test_sweep(void **state)
{
    unsigned fits = 0, refusals = 0;

    (void)state;
    plan.regions[0].size = MIB(8);
    for (uint64_t span = 1; span < MIB(9); span += 300007) {
        for (uint64_t initrd = 0; initrd < MIB(9); initrd += 400009) {
            for (uint64_t fdt = KIB(4); fdt < MIB(2); fdt += KIB(508)) {
                image = (struct image){.align = MIB(2), .offset = span & 1 ? KIB(512) : 0, .span = span};
                image.firmware_fdt = span & 1;
                layout = (struct layout){.initrd_size = initrd, .fdt_size = fdt};
                if (lay() == OK) {
                    fits++;
                } else {
                    refusals++;
                }
            }
        }
    }
    assert_in_range(fits, 100, 10000);
    assert_in_range(refusals, 100, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux, setup),
        cmocka_unit_test_setup(test_text_offset, setup),
        cmocka_unit_test_setup(test_misaligned_ram, setup),
        cmocka_unit_test_setup(test_fdt_stays_in_the_kernels_window, setup),
        cmocka_unit_test_setup(test_raw_gets_its_tree_at_the_ram_base, setup),
        cmocka_unit_test_setup(test_fixed_raw_at_the_ram_base, setup),
        cmocka_unit_test_setup(test_fixed_outside_ram, setup),
        cmocka_unit_test_setup(test_custom_map, setup),
        cmocka_unit_test_setup(test_kernel_goes_to_the_region_that_holds_it, setup),
        cmocka_unit_test_setup(test_kernel_in_the_last_bytes, setup),
        cmocka_unit_test_setup(test_too_little_ram, setup),
        cmocka_unit_test_setup(test_tiny_ram_falls_back_to_pages, setup),
        cmocka_unit_test_setup(test_sweep, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
