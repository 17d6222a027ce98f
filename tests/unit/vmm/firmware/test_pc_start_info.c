// SPDX-License-Identifier: Apache-2.0
//
// start_info as a PVH guest reads it: offsets are those of Xen's hvm/start_info.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vmm/firmware/pc_start_info.h"

static struct vm_plan plan;
static struct pc_start_info_input in;
static uint8_t page[PC_START_INFO_CAPACITY];
static size_t size;

static uint32_t get32(uint64_t at)
{
    uint32_t v;

    memcpy(&v, page + at, 4);
    return v;
}

static uint64_t get64(uint64_t at)
{
    uint64_t v;

    memcpy(&v, page + at, 8);
    return v;
}

static int setup(void **state)
{
    (void)state;
    memset(&plan, 0, sizeof(plan));
    memset(page, 0xee, sizeof(page));
    plan.region_count = 1;
    plan.regions[0] = (struct plan_region){.base = 0, .size = MIB(16), .kind = REGION_RAM};
    in = (struct pc_start_info_input){.plan = &plan};
    return 0;
}

static void expect_entry(unsigned i, uint64_t base, uint64_t end, uint32_t type)
{
    uint64_t at = get64(40) - PC_START_INFO + 24 * (uint64_t)i;

    assert_true(at + 24 <= size);
    assert_int_equal(get64(at), base);
    assert_int_equal(get64(at + 8), end - base);
    assert_int_equal(get32(at + 16), type);
}

static void test_plain(void **state)
{
    (void)state;
    size = pc_start_info_build(&in, page);
    assert_int_equal(get32(0), 0x336ec578);
    assert_int_equal(get32(4), 1);
    assert_int_equal(get32(12), 0);
    assert_int_equal(get64(16), 0);
    assert_int_equal(get64(24), 0);
    assert_int_equal(get64(32), 0);
    assert_int_equal(get32(48), 3);
    assert_int_equal(get32(52), 0);
    expect_entry(0, 0, 0x9FC00, 1);
    expect_entry(1, 0x9FC00, 0x100000, 2);
    expect_entry(2, 0x100000, MIB(16), 1);
}

static void test_everything(void **state)
{
    (void)state;
    plan.regions[1] = (struct plan_region){.base = GIB(1), .size = KIB(4), .kind = REGION_ROM};
    plan.regions[2] = (struct plan_region){.base = GIB(4), .size = GIB(1), .kind = REGION_RAM};
    plan.region_count = 3;
    in.has_cmdline = true;
    in.rsdp = 0xE0000;
    in.initrd_base = MIB(8);
    in.initrd_size = 12345;
    size = pc_start_info_build(&in, page);
    assert_int_equal(get64(24), PC_CMDLINE);
    assert_int_equal(get64(32), 0xE0000);
    assert_int_equal(get32(12), 1);
    assert_int_equal(get64(get64(16) - PC_START_INFO), MIB(8));
    assert_int_equal(get64(get64(16) - PC_START_INFO + 8), 12345);
    assert_int_equal(get32(48), 4);
    expect_entry(3, GIB(4), GIB(5), 1);
}

// RAM that begins in the hole, or ends below it.
static void test_odd_ram(void **state)
{
    (void)state;
    plan.regions[0].size = KIB(64);
    plan.regions[1] = (struct plan_region){.base = 0xF0000, .size = MIB(1), .kind = REGION_RAM};
    plan.region_count = 2;
    size = pc_start_info_build(&in, page);
    assert_int_equal(get32(48), 3);
    expect_entry(0, 0, KIB(64), 1);
    expect_entry(1, 0xF0000, 0x100000, 2);
    expect_entry(2, 0x100000, 0x1F0000, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_plain, setup),
        cmocka_unit_test_setup(test_everything, setup),
        cmocka_unit_test_setup(test_odd_ram, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
