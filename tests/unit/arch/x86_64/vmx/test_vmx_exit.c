// SPDX-License-Identifier: Apache-2.0
//
// Exit reasons and qualifications of VMX in neutral words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/vmx/vmcs.h"
#include "arch/x86_64/vmx/vmx_exit.h"

static struct x86_exit decode(struct vmx_exit in)
{
    struct x86_exit out = {0};

    vmx_decode(&in, &out);
    return out;
}

static void test_plain(void **state)
{
    struct x86_exit x = decode((struct vmx_exit){.reason = REASON_CPUID, .length = 3});

    (void)state;
    assert_int_equal(x.kind, X86_EXIT_CPUID);
    assert_int_equal(x.length, 3);
    assert_int_equal(x.reason, REASON_CPUID);
    assert_int_equal(decode((struct vmx_exit){.reason = REASON_INTERRUPT}).kind, X86_EXIT_INTERRUPT);
    assert_int_equal(decode((struct vmx_exit){.reason = REASON_TRIPLE_FAULT}).kind, X86_EXIT_SHUTDOWN);
    assert_int_equal(decode((struct vmx_exit){.reason = REASON_INIT}).kind, X86_EXIT_NOTHING);
}

static void test_msr(void **state)
{
    (void)state;
    assert_false(decode((struct vmx_exit){.reason = REASON_RDMSR}).msr.write);
    assert_true(decode((struct vmx_exit){.reason = REASON_WRMSR}).msr.write);
}

static void test_ports(void **state)
{
    struct x86_exit in = decode((struct vmx_exit){.reason = REASON_IO, .qualification = 0x3F80008});
    struct x86_exit outs = decode((struct vmx_exit){.reason = REASON_IO, .qualification = 0x0CFC0033});

    (void)state;
    assert_int_equal(in.io.port, 0x3F8);
    assert_int_equal(in.io.access.size, 1);
    assert_true(!in.io.access.write && !in.io.string);
    assert_int_equal(outs.io.port, 0xCFC);
    assert_int_equal(outs.io.access.size, 4);
    assert_true(outs.io.access.write && outs.io.string);
}

static struct x86_exit violation(uint64_t qualification, bool vectoring)
{
    return decode((struct vmx_exit){.reason = REASON_EPT_VIOLATION,
                                    .qualification = qualification,
                                    .gpa = 0xFEC00010,
                                    .vectoring = vectoring});
}

// 0x181 and 0x182: a read and a write at the final address, as Bochs gives them.
static void test_faults(void **state)
{
    struct x86_exit r = violation(0x181, false), w = violation(0x182, false);

    (void)state;
    assert_int_equal(r.kind, X86_EXIT_NESTED_FAULT);
    assert_int_equal(r.fault.gpa, 0xFEC00010);
    assert_true(!r.fault.write && !r.fault.fetch && !r.fault.walk && !r.delivering);
    assert_true(w.fault.write && !w.fault.walk);
    assert_true(violation(0x184, false).fault.fetch);
    assert_true(violation(0x081, false).fault.walk);
    assert_true(violation(0x182, true).delivering);
}

static void test_what_a_guest_has_not(void **state)
{
    static const uint8_t undefined[] = {REASON_GETSEC,  REASON_RDPMC, REASON_VMCLEAR, REASON_VMCLEAR + 4,
                                        REASON_VMXON,   REASON_MWAIT, REASON_MONITOR, REASON_INVEPT,
                                        REASON_INVVPID, REASON_VMFUNC};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(undefined); i++) {
        assert_int_equal(decode((struct vmx_exit){.reason = undefined[i]}).kind, X86_EXIT_UNDEFINED);
    }
}

static void test_failures(void **state)
{
    (void)state;
    assert_int_equal(decode((struct vmx_exit){.reason = 0x80000021}).kind, X86_EXIT_FAILED);
    assert_int_equal(decode((struct vmx_exit){.reason = REASON_TASK_SWITCH}).kind, X86_EXIT_UNKNOWN);
    assert_int_equal(decode((struct vmx_exit){.reason = 1000}).kind, X86_EXIT_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_msr),
        cmocka_unit_test(test_ports),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_what_a_guest_has_not),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
