// SPDX-License-Identifier: Apache-2.0
//
// The hardware's local APIC as bits: what CPUs have of it, what the VMCS repeats of a page, what a guest reaches as MSRs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/vmx/vmcs.h"
#include "arch/x86_64/vmx/vmx_apic_page.h"

#define CR8 (PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE)
#define OTHERS (SECONDARY_EPT | SECONDARY_UNRESTRICTED)
#define ALL \
    (SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC | SECONDARY_APIC_REGISTERS | SECONDARY_VIRTUAL_INTERRUPTS)

static void check(uint32_t primary, uint32_t secondary, enum vmx_apic_level level, uint32_t left)
{
    uint32_t controls[VMX_CONTROL_COUNT] = {[VMX_PRIMARY] = primary, [VMX_SECONDARY] = secondary};

    assert_int_equal(vmx_apic_choose(controls), level);
    assert_int_equal(controls[VMX_PRIMARY], left);
    assert_int_equal(controls[VMX_SECONDARY], OTHERS);
}

static void test_choice(void **state)
{
    (void)state;
    check(CR8 | PRIMARY_IO, OTHERS, VMX_APIC_NONE, CR8 | PRIMARY_IO);
    check(CR8 | PRIMARY_IO, OTHERS | ALL, VMX_APIC_NONE, CR8 | PRIMARY_IO);
    check(CR8 | PRIMARY_TPR_SHADOW, OTHERS, VMX_APIC_PRIORITY, PRIMARY_TPR_SHADOW);
    check(CR8 | PRIMARY_TPR_SHADOW, OTHERS | ALL, VMX_APIC_DELIVERY, PRIMARY_TPR_SHADOW);
    for (uint32_t bit = 1; bit; bit <<= 1) {
        if (ALL & bit) {
            check(CR8 | PRIMARY_TPR_SHADOW, OTHERS | (ALL & ~bit), VMX_APIC_PRIORITY, PRIMARY_TPR_SHADOW);
        }
    }
}

// The two modes exclude each other (26.2.1.1).
static void test_modes(void **state)
{
    (void)state;
    assert_int_equal(vmx_apic_secondary(APIC_OFF), 0);
    assert_int_equal(vmx_apic_secondary(APIC_MMIO), ALL & ~SECONDARY_X2APIC);
    assert_int_equal(vmx_apic_secondary(APIC_X2), ALL & ~SECONDARY_APIC_ACCESSES);
}

static void test_status(void **state)
{
    uint32_t page[1024] = {0};

    (void)state;
    assert_int_equal(vmx_apic_status(page), 0);
    page[0x200 / 4] = 1u << 0x1F;
    assert_int_equal(vmx_apic_status(page), 0x001F);
    page[0x230 / 4] = 0x80000001;
    page[0x170 / 4] = 0x81;
    page[0x160 / 4] = UINT32_MAX;
    assert_int_equal(vmx_apic_status(page), 0xE77F);
    page[0x204 / 4] = page[0x274 / 4] = UINT32_MAX; // between two registers
    assert_int_equal(vmx_apic_status(page), 0xE77F);
}

static void test_msrs(void **state)
{
    static const uint8_t hidden[] = {0x00, 0x09, 0x0B, 0x0C, 0x0E, 0x29, 0x2F,
                                     0x31, 0x39, 0x3A, 0x3D, 0x3F, 0x40, 0xFF};
    static const uint8_t shown[] = {0x02, 0x03, 0x08, 0x0A, 0x0D, 0x0F, 0x10,
                                    0x27, 0x28, 0x30, 0x32, 0x37, 0x38, 0x3E};
    unsigned writable = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
        assert_false(vmx_apic_reads(hidden[i]));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(shown); i++) {
        assert_true(vmx_apic_reads(shown[i]));
    }
    for (unsigned r = 0; r < 0x100; r++) {
        writable += vmx_apic_writes(r);
    }
    assert_int_equal(writable, 3);
    assert_true(vmx_apic_writes(0x08) && vmx_apic_writes(0x0B) && vmx_apic_writes(0x3F));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_msrs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
