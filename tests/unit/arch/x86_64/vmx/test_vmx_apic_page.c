// SPDX-License-Identifier: Apache-2.0
//
// The hardware's local APIC as bits: what CPUs have of it, what the VMCS repeats of a page, what a guest reaches as MSRs.
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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

#define PIN (PIN_INTERRUPT | PIN_POSTED)
#define EXIT (EXIT_HOST_64 | EXIT_ACKNOWLEDGE)

static void choose_posts(uint32_t pin, uint32_t exit, enum vmx_apic_level level, bool wanted, bool chosen)
{
    uint32_t controls[VMX_CONTROL_COUNT] = {[VMX_PIN] = pin, [VMX_EXIT] = exit};

    assert_int_equal(vmx_posts_choose(controls, level, wanted), chosen);
    assert_int_equal(controls[VMX_PIN], chosen ? PIN : PIN_INTERRUPT);
    assert_int_equal(controls[VMX_EXIT], chosen ? EXIT : EXIT_HOST_64);
}

// All or nothing: an exit that acknowledges wants another way to the host's handlers.
static void test_posts_choice(void **state)
{
    (void)state;
    choose_posts(PIN, EXIT, VMX_APIC_DELIVERY, true, true);
    choose_posts(PIN, EXIT, VMX_APIC_DELIVERY, false, false);
    choose_posts(PIN, EXIT, VMX_APIC_PRIORITY, true, false);
    choose_posts(PIN, EXIT, VMX_APIC_NONE, true, false);
    choose_posts(PIN_INTERRUPT, EXIT, VMX_APIC_DELIVERY, true, false);
    choose_posts(PIN, EXIT_HOST_64, VMX_APIC_DELIVERY, true, false);
}

static void test_posts_wanted(void **state)
{
    (void)state;
    assert_true(vmx_posts_wanted("posted=on"));
    assert_true(vmx_posts_wanted(" a  posted=on b"));
    assert_false(vmx_posts_wanted(NULL));
    assert_false(vmx_posts_wanted(""));
    assert_false(vmx_posts_wanted("posted=off xposted=on posted=only posted"));
}

// As the hardware has it: 256 requests, then ON.
static void test_posts_layout(void **state)
{
    struct vmx_posts p = {0};
    const uint8_t *bytes = (const uint8_t *)&p;

    (void)state;
    assert_int_equal(sizeof(p), 64);
    assert_true(vmx_posts_add(&p, 0x41));
    assert_false(vmx_posts_add(&p, 0xFF));
    assert_int_equal(bytes[8], 0x02);
    assert_int_equal(bytes[31], 0x80);
    assert_int_equal(bytes[32], 0x01);
    vmx_posts_drop(&p);
    for (unsigned i = 0; i < sizeof(p); i++) {
        assert_int_equal(bytes[i], 0);
    }
}

static void test_posts_move(void **state)
{
    static struct vmx_posts p;
    uint32_t page[1024] = {[APIC_PAGE_WORD(0x22)] = 1};

    (void)state;
    assert_false(vmx_posts_move(&p, page));
    assert_true(vmx_posts_add(&p, 0x41));
    assert_true(vmx_posts_move(&p, page));
    assert_int_equal(page[APIC_PAGE_WORD(0x22)], 3); // what was there stays
    assert_int_equal(vmx_apic_status(page), 0x41);
    assert_false(vmx_posts_move(&p, page));
    assert_true(vmx_posts_add(&p, 0x31)); // a notification of its own again
    // Between a request and its ON: it is left for the next time, or found this time and ON is of no use.
    atomic_store(&p.requests[7], 1);
    assert_true(vmx_posts_move(&p, page));
    assert_int_equal(vmx_apic_status(page), 0xE0);
    assert_true(vmx_posts_add(&p, 0xE1));
}

// Nothing is lost: who is told not to notify finds that the one who was told to has been heard afterwards.
#define POSTERS 2
#define POSTS 20000u

static struct vmx_posts shared;
static _Atomic unsigned notified, working;

static void *poster(void *first)
{
    for (unsigned i = 0; i < POSTS; i++) {
        if (vmx_posts_add(&shared, (uint8_t)(uintptr_t)first)) {
            atomic_fetch_add(&notified, 1);
        }
        while (atomic_load(&shared.requests[(uintptr_t)first / 32]) >> (uintptr_t)first % 32 & 1) {
            sched_yield();
        }
    }
    atomic_fetch_sub(&working, 1);
    return NULL;
}

static void test_posts_at_once(void **state)
{
    pthread_t threads[POSTERS];
    unsigned heard = 0, seen = 0;

    (void)state;
    atomic_store(&working, POSTERS);
    for (uintptr_t i = 0; i < POSTERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, poster, (void *)(0x41 + i)), 0);
    }
    while (atomic_load(&working)) { // moves only when it is told to
        uint32_t page[1024] = {0};

        if (atomic_load(&notified) == heard) {
            sched_yield();
            continue;
        }
        heard++;
        (void)vmx_posts_move(&shared, page);
        seen += (unsigned)__builtin_popcount(page[APIC_PAGE_WORD(0x22)]);
    }
    for (unsigned i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(seen, POSTERS * POSTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_status),        cmocka_unit_test(test_msrs),
        cmocka_unit_test(test_posts_choice),  cmocka_unit_test(test_posts_wanted),
        cmocka_unit_test(test_posts_layout),  cmocka_unit_test(test_posts_move),
        cmocka_unit_test(test_posts_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
