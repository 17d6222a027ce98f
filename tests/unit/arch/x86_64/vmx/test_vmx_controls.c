// SPDX-License-Identifier: Apache-2.0
//
// VMX controls against capability MSRs, and what a guest's MOV to CR0 may ask for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86_64/vmx/vmx_controls.h"

#define PE 0x1u
#define ET 0x10u
#define NE 0x20u
#define NW 0x20000000u
#define CD 0x40000000u
#define PG 0x80000000u
#define PAE 0x20u
#define LME 0x100u
#define LMA 0x400u

static const struct vmx_wish wish = {.required = 0x9, .optional = 0x30, .unwanted = 0x100};

static void test_all_possible(void **state)
{
    uint32_t out = 0;

    (void)state;
    assert_true(vmx_controls_fit(&wish, UINT64_C(0xFFFFFFFF) << 32 | 0x2, &out));
    assert_int_equal(out, 0x9 | 0x30 | 0x2);
}

static void test_optional_left_out(void **state)
{
    uint32_t out = 0;

    (void)state;
    assert_true(vmx_controls_fit(&wish, UINT64_C(0x1B) << 32 | 0x2, &out));
    assert_int_equal(out, 0x9 | 0x10 | 0x2);
}

static void test_required_missing(void **state)
{
    uint32_t out;

    (void)state;
    assert_false(vmx_controls_fit(&wish, UINT64_C(0x39 & ~8) << 32, &out));
}

static void test_unwanted_forced(void **state)
{
    uint32_t out;

    (void)state;
    assert_false(vmx_controls_fit(&wish, UINT64_C(0xFFFFFFFF) << 32 | 0x100, &out));
}

static void test_cr0(void **state)
{
    const struct vmx_paging real = {.cr0 = ET}, off = {.cr0 = PE | ET | NE, .cr4 = PAE, .efer = LME};
    const struct vmx_paging code64 = {
        .cr0 = PE | ET | NE | PG, .cr4 = PAE, .efer = LME | LMA, .code64 = true};
    struct vmx_paging now;

    (void)state;
    assert_true(vmx_cr0_allowed(&real, PE | NE));
    assert_true(vmx_cr0_allowed(&real, CD | NW));
    assert_false(vmx_cr0_allowed(&real, NW));
    assert_false(vmx_cr0_allowed(&real, PG));
    assert_false(vmx_cr0_allowed(&real, UINT64_C(1) << 32));
    assert_true(vmx_cr0_allowed(&off, PE | PG));
    now = off;
    now.cr4 = 0; // long mode wants PAE
    assert_false(vmx_cr0_allowed(&now, PE | PG));
    now = off;
    now.code64 = true; // CS.L set before
    assert_false(vmx_cr0_allowed(&now, PE | PG));
    assert_true(vmx_cr0_allowed(&code64, PE | PG | CD));
    assert_false(vmx_cr0_allowed(&code64, PE));
    now = code64;
    now.code64 = false; // compatibility mode may leave
    assert_true(vmx_cr0_allowed(&now, PE));
}

static void test_pdptes(void **state)
{
    (void)state;
    assert_true(vmx_pdpte_allowed(0x12345001, 40));
    assert_true(vmx_pdpte_allowed(0x12345E19, 40));     // PWT, PCD, ignored bits
    assert_true(vmx_pdpte_allowed(UINT64_MAX - 1, 40)); // not present
    assert_false(vmx_pdpte_allowed(0x12345003, 40));
    assert_false(vmx_pdpte_allowed(0x12345021, 40));
    assert_false(vmx_pdpte_allowed(UINT64_C(1) << 40 | 1, 40));
    assert_true(vmx_pdpte_allowed(UINT64_C(1) << 40 | 1, 46));
    assert_false(vmx_pdpte_allowed(UINT64_C(1) << 63 | 1, 46));
}

// Locked without VMXON: nothing can be done about it. Not locked: it is switched on here.
static void test_refusals(void **state)
{
    (void)state;
    assert_null(vmx_refusal(0, true));
    assert_null(vmx_refusal(5, true));
    assert_null(vmx_refusal(4, true));
    assert_non_null(strstr(vmx_refusal(1, true), "switched off by the firmware"));
    assert_non_null(strstr(vmx_refusal(3, false), "switched off by the firmware")); // inside SMX only
    assert_non_null(strstr(vmx_refusal(5, false), "without EPT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_possible),
        cmocka_unit_test(test_optional_left_out),
        cmocka_unit_test(test_required_missing),
        cmocka_unit_test(test_unwanted_forced),
        cmocka_unit_test(test_cr0),
        cmocka_unit_test(test_pdptes),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
