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

static void test_local_apic(void **state)
{
    struct x86_exit w = decode((struct vmx_exit){.reason = REASON_APIC_WRITE, .qualification = 0x300});
    struct x86_exit e = decode((struct vmx_exit){.reason = REASON_EOI, .qualification = 0x72});
    struct x86_exit t = decode((struct vmx_exit){.reason = REASON_TPR});

    (void)state;
    assert_int_equal(w.kind, X86_EXIT_APIC);
    assert_int_equal(w.apic.event, X86_APIC_WRITTEN);
    assert_int_equal(w.apic.value, 0x30);
    assert_int_equal(e.apic.event, X86_APIC_EOI);
    assert_int_equal(e.apic.value, 0x72);
    assert_int_equal(t.apic.event, X86_APIC_PRIORITY);
}

static struct x86_exit apic_access(unsigned type)
{
    return decode((struct vmx_exit){
        .reason = REASON_APIC_ACCESS, .qualification = type << 12 | 0x390, .gpa = 0xFEE00390});
}

// Accesses to its page that the processor does not carry out are those to any device.
static void test_apic_accesses(void **state)
{
    struct x86_exit r = apic_access(0), w = apic_access(1), d = apic_access(3);

    (void)state;
    assert_int_equal(r.kind, X86_EXIT_NESTED_FAULT);
    assert_int_equal(r.fault.gpa, 0xFEE00390);
    assert_true(!r.fault.write && !r.fault.fetch && !r.fault.walk && !r.delivering);
    assert_true(w.fault.write && !w.fault.walk);
    assert_true(apic_access(2).fault.fetch);
    assert_true(d.delivering && !d.fault.walk);
    assert_true(apic_access(10).delivering && apic_access(10).fault.walk);
    assert_true(apic_access(15).fault.walk && !apic_access(15).delivering);
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
        cmocka_unit_test(test_local_apic),
        cmocka_unit_test(test_apic_accesses),
        cmocka_unit_test(test_what_a_guest_has_not),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
