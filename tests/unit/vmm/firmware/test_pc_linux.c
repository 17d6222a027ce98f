// SPDX-License-Identifier: Apache-2.0
//
// Linux's zero page by the offsets of Documentation/arch/x86/zero-page.rst, and page tables walked as the CPU does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vmm/firmware/pc_linux.h"
#include "vmm/firmware/pc_start_info.h"

static uint8_t page[PAGE_SIZE];
static uint8_t tables[PC_PAGE_TABLE_COUNT][PAGE_SIZE];

static uint64_t get(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, p, bytes);
    return v;
}

static void test_zero_page(void **state)
{
    static const struct vm_plan plan = {
        .region_count = 2,
        .regions = {{.base = 0, .size = GIB(3), .kind = REGION_RAM},
                    {.base = GIB(4), .size = GIB(1), .kind = REGION_RAM}},
    };
    uint8_t setup[PC_SETUP_MAX];
    const struct pc_linux_input in = {.plan = &plan,
                                      .setup = setup,
                                      .setup_size = sizeof(setup),
                                      .cmdline = PC_CMDLINE,
                                      .rsdp = 0xE0000,
                                      .initrd_base = MIB(64),
                                      .initrd_size = 12345};

    (void)state;
    memset(setup, 0x77, sizeof(setup));
    memset(page, 0xEE, sizeof(page));
    pc_linux_zero_page(&in, page);
    assert_int_equal(page[0x1F1], 0x77);
    assert_int_equal(page[0x28F], 0x77);
    assert_int_equal(page[0x290], 0); // the EDD area: not the file's
    assert_int_equal(page[0x210], 0xFF);
    assert_int_equal(get(page + 0x70, 8), 0xE0000);
    assert_int_equal(get(page + 0x228, 4), PC_CMDLINE);
    assert_int_equal(get(page + 0x218, 4), MIB(64));
    assert_int_equal(get(page + 0x21C, 4), 12345);
    assert_int_equal(page[0x1E8], 4);
    assert_int_equal(get(page + 0x2D0 + 3 * 20, 8), GIB(4));
    assert_int_equal(get(page + 0x2D0 + 3 * 20 + 8, 8), GIB(1));
    assert_int_equal(get(page + 0x2D0 + 3 * 20 + 16, 4), 1);
    assert_int_equal(get(page + 0x2D0 + 1 * 20 + 16, 4), 2);
    assert_int_equal(page[PAGE_SIZE - 1], 0);
}

// Present and writable at every level, and a block at the last.
static uint64_t walk(uint64_t va)
{
    const uint8_t *table = tables[0];

    for (unsigned shift = 39; shift >= 21; shift -= 9) {
        uint64_t e = get(table + (va >> shift & 511) * 8, 8), next = e & ~UINT64_C(0xFFF);

        assert_int_equal(e & 3, 3);
        assert_int_equal(e >> 7 & 1, shift == 21);
        if (shift == 21) {
            return next | (va & (BLOCK_SIZE - 1));
        }
        assert_in_range(next, PC_PAGE_TABLES, PC_PAGE_TABLES + (PC_PAGE_TABLE_COUNT - 1) * PAGE_SIZE);
        table = tables[(next - PC_PAGE_TABLES) / PAGE_SIZE];
    }
    return 0;
}

static void test_page_tables(void **state)
{
    (void)state;
    memset(tables, 0xEE, sizeof(tables));
    for (unsigned i = 0; i < PC_PAGE_TABLE_COUNT; i++) {
        pc_linux_page_table(i, tables[i]);
    }
    for (uint64_t va = 0; va < GIB(4); va += BLOCK_SIZE) {
        assert_int_equal(walk(va + 0x1234), va + 0x1234);
    }
    assert_int_equal(get(tables[0] + 8, 8), 0);
    assert_int_equal(get(tables[1] + 32, 8), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_page),
        cmocka_unit_test(test_page_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
