// SPDX-License-Identifier: Apache-2.0
//
// Which VMID a VM has where the hart has few bits of them, or none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/riscv64/mmu/vmid.h"

#define VMS 255u

// Never more than the bits hold; 0 for exactly those that share; all others have one of their own.
static void check(unsigned bits)
{
    unsigned users[1u << 8] = {0};

    for (unsigned vm = 1; vm <= VMS; vm++) {
        uint64_t hw = vmid_in_hardware(vm, bits);

        assert_true(hw >> bits == 0);
        assert_int_equal(vmid_is_shared(vm, bits), hw == 0);
        users[hw]++;
    }
    for (unsigned hw = 1; hw < 1u << 8; hw++) {
        assert_int_equal(users[hw], hw >> bits == 0 && hw <= VMS ? 1 : 0);
    }
}

static void test_no_bits(void **state)
{
    (void)state;
    check(0);
    assert_true(vmid_is_shared(1, 0));
}

static void test_few_bits(void **state)
{
    (void)state;
    check(1);
    check(2);
    assert_int_equal(vmid_in_hardware(3, 2), 3);
    assert_true(vmid_is_shared(4, 2));
}

static void test_all_bits(void **state)
{
    (void)state;
    check(7);
    check(14);
    assert_false(vmid_is_shared(VMS, 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_bits),
        cmocka_unit_test(test_few_bits),
        cmocka_unit_test(test_all_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
