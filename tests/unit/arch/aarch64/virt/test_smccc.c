// SPDX-License-Identifier: Apache-2.0
//
// Firmware calls of aarch64 guests: SMCCC (Arm DEN0028), PSCI (Arm DEN0022), TRNG (Arm DEN0098) and stolen time (Arm
// DEN0057): their numbers, widths, answers and limits. The core behind them is a script, the random numbers are ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/aarch64/virt/exit.h"
#include "kernel/dev/random.h"

#define HVC ((uint64_t)EC_HVC64 << 26)
#define SMC ((uint64_t)EC_SMC64 << 26)
#define PC UINT64_C(0x40001000)
#define DIRT UINT64_C(0xdeadbeefcafe0000)
#define SMC64 UINT64_C(0x40000000) // set in a function's number

enum {
    NOT_SUPPORTED = -1,
    INVALID_PARAMETERS = -2,
    DENIED = -3,
    ALREADY_ON = -4,
    ON_PENDING = -5,
    INTERNAL_FAILURE = -6,
    INVALID_ADDRESS = -9
};
enum {
    PSCI_VERSION = 0x84000000,
    CPU_SUSPEND,
    CPU_OFF,
    CPU_ON,
    AFFINITY_INFO,
    MIGRATE
};
enum {
    MIGRATE_INFO_TYPE = 0x84000006,
    SYSTEM_OFF = 0x84000008,
    SYSTEM_RESET,
    PSCI_FEATURES,
    SYSTEM_RESET2 = 0x84000012,
    TRNG_VERSION = 0x84000050,
    TRNG_FEATURES,
    TRNG_GET_UUID,
    TRNG_RND
};
#define SMCCC_VERSION 0x80000000
#define SMCCC_ARCH_FEATURES 0x80000001
#define PV_TIME_FEATURES 0xC5000020
#define PV_TIME_ST 0xC5000021

static bool seeded = true;

bool random_seeded(void)
{
    return seeded;
}

void random_bytes(void *buf, size_t size)
{
    memset(buf, 0xff, size);
}

// ---- the core ---------------------------------------------------------------------------------------------------------

static struct vcpu_exit seen; // the last upcall
static unsigned upcalls;
static int64_t cpu_on_result;
static bool handled;
static uint64_t call_result;
static enum vcpu_verdict verdict;

static enum vcpu_verdict core_exit(struct arch_vcpu *av, struct vcpu_exit *e)
{
    (void)av;
    if (e->kind == VCPU_EXIT_CPU_ON) {
        e->cpu_on.result = cpu_on_result;
    } else if (e->kind == VCPU_EXIT_HYPERCALL) {
        e->hypercall.handled = handled;
        e->hypercall.result[0] = call_result;
    }
    seen = *e;
    upcalls++;
    return verdict;
}

static const struct vcpu_upcalls core = {.exit = core_exit};
static struct arch_vcpu vcpu;
static struct guest_frame frame;

static int setup(void **state)
{
    (void)state;
    seeded = handled = true;
    verdict = VCPU_RESUME;
    upcalls = 0;
    return 0;
}

// What x0 holds afterwards.
static int64_t call(uint64_t esr, uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    vcpu.up = &core;
    frame = (struct guest_frame){.x = {function, a1, a2, a3}, .pc = PC, .vcpu = &vcpu};
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(exit_smccc(&frame, esr, false), verdict == VCPU_LEAVE ? EXIT_LEAVE : EXIT_RESUME);
    return (int64_t)frame.x[0];
}

static int64_t hvc(uint64_t function, uint64_t a1, uint64_t a2)
{
    return call(HVC, function, a1, a2, 0x77);
}

// ---- the convention ---------------------------------------------------------------------------------------------------

static void test_convention(void **state)
{
    static const uint64_t unknown[] = {0,          0x84000007, 0x8400001f, 0xC4000000,
                                       0xC4000008, 0x86000000, 0xFFFFFFFF};

    (void)state;
    assert_int_equal(hvc(PSCI_VERSION, 0, 0), 0x10001);
    assert_int_equal(frame.pc, PC);
    assert_int_equal(call(SMC, PSCI_VERSION, 0, 0, 0), 0x10001);
    assert_int_equal(frame.pc, PC + 4); // a trapped SMC has not been passed yet
    assert_int_equal(call(HVC | 1, PSCI_VERSION, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(call(SMC | 0xffff, SYSTEM_OFF, 0, 0, 0), NOT_SUPPORTED);
    assert_int_equal(hvc(DIRT << 32 | PSCI_VERSION, 0, 0), 0x10001); // W0 alone is the number
    for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_int_equal(hvc(unknown[i], 0, 0), NOT_SUPPORTED);
    }
    assert_int_equal(hvc(SMCCC_VERSION, 0, 0), 0x10002);
    assert_int_equal(hvc(SMCCC_ARCH_FEATURES, SMCCC_VERSION, 0), 0);
    assert_int_equal(hvc(SMCCC_ARCH_FEATURES, 0x80008000, 0), NOT_SUPPORTED); // no such workaround
    assert_int_equal(hvc(SMCCC_ARCH_FEATURES, PV_TIME_FEATURES, 0), 0);
    assert_int_equal(upcalls, 0);
}

static void test_features(void **state)
{
    static const struct {
        uint64_t function;
        int expected;
    } rows[] = {
        {PSCI_VERSION, 0},
        {CPU_SUSPEND, 0},
        {CPU_SUSPEND | SMC64, 0},
        {CPU_OFF, 0},
        {CPU_OFF | SMC64, NOT_SUPPORTED},
        {CPU_ON, 0},
        {CPU_ON | SMC64, 0},
        {AFFINITY_INFO | SMC64, 0},
        {MIGRATE, NOT_SUPPORTED},
        {MIGRATE_INFO_TYPE, 0},
        {SYSTEM_OFF, 0},
        {SYSTEM_RESET, 0},
        {PSCI_FEATURES, 0},
        {SYSTEM_RESET2 | SMC64, 0},
        {SMCCC_VERSION, 0},
        {0x84000013, NOT_SUPPORTED}, // MEM_PROTECT
        {DIRT, NOT_SUPPORTED},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(hvc(PSCI_FEATURES, rows[i].function, 0), rows[i].expected);
    }
    assert_int_equal(hvc(MIGRATE_INFO_TYPE, 0, 0), 2);
    assert_int_equal(hvc(MIGRATE, 0, 0), NOT_SUPPORTED);
}

// ---- PSCI -------------------------------------------------------------------------------------------------------------

static void test_cpu_on(void **state)
{
    static const struct {
        int64_t status;
        int expected;
    } rows[] = {{OK, 0},
                {-E_STATE, ALREADY_ON},
                {-E_BUSY, ON_PENDING},
                {-E_NOENT, INVALID_PARAMETERS},
                {-E_RANGE, INVALID_ADDRESS},
                {-E_NOMEM, INTERNAL_FAILURE}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        cpu_on_result = rows[i].status;
        assert_int_equal(hvc(CPU_ON | SMC64, 0x101, 0x140000000), rows[i].expected);
        assert_int_equal(seen.kind, VCPU_EXIT_CPU_ON);
        assert_int_equal(seen.cpu_on.target, 0x101);
        assert_int_equal(seen.cpu_on.entry, 0x140000000);
        assert_int_equal(seen.cpu_on.arg, 0x77);
    }
    // SMC32: the upper halves are not part of the call. SMC64: MPIDR's bit 31 and the like name no CPU, the core is asked as
    // the guest did.
    hvc(CPU_ON, DIRT << 32 | 1, DIRT << 32 | 0x40000000);
    assert_int_equal(seen.cpu_on.target, 1);
    assert_int_equal(seen.cpu_on.entry, 0x40000000);
    hvc(CPU_ON | SMC64, 0x80000001, 0x40000000);
    assert_int_equal(seen.cpu_on.target, 0x80000001);
}

static void test_affinity_info(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        call_result = i; // on, off, coming up
        assert_int_equal(hvc(AFFINITY_INFO | SMC64, 3, 0), i);
        assert_int_equal(seen.hypercall.function, VCPU_CALL_CPU_STATE);
        assert_int_equal(seen.hypercall.args[0], 3);
    }
    handled = false;
    assert_int_equal(hvc(AFFINITY_INFO, 0x80000003, 0), INVALID_PARAMETERS);
    upcalls = 0;
    for (uint64_t level = 1; level < 5; level++) {
        assert_int_equal(hvc(AFFINITY_INFO | SMC64, 3, level), INVALID_PARAMETERS);
    }
    assert_int_equal(hvc(AFFINITY_INFO | SMC64, 3, DIRT), INVALID_PARAMETERS);
    assert_int_equal(upcalls, 0);
}

static void test_suspend(void **state)
{
    static const uint64_t good[] = {0, 1, 0x10000, 0x01000000, 0x0301ffff};
    static const uint64_t bad[] = {0x80000000, 0x00020000, 0x04000000, 0xffffffff};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(hvc(CPU_SUSPEND | (i & 1 ? SMC64 : 0), good[i], 0), 0);
        assert_int_equal(seen.kind, VCPU_EXIT_IDLE);
        assert_false(seen.idle.deaf);
    }
    upcalls = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(hvc(CPU_SUSPEND | SMC64, bad[i], 0), INVALID_PARAMETERS);
    }
    assert_int_equal(upcalls, 0);
}

static void test_ends(void **state)
{
    (void)state;
    verdict = VCPU_LEAVE;
    hvc(CPU_OFF, 0, 0);
    assert_int_equal(seen.kind, VCPU_EXIT_CPU_OFF);
    hvc(SYSTEM_OFF, 0, 0);
    assert_int_equal(seen.kind, VCPU_EXIT_POWEROFF);
    hvc(SYSTEM_RESET, 0, 0);
    assert_int_equal(seen.kind, VCPU_EXIT_RESET);
    hvc(SYSTEM_RESET2 | SMC64, 0, DIRT);
    assert_int_equal(seen.kind, VCPU_EXIT_RESET);
    verdict = VCPU_RESUME; // the core refuses
    assert_int_equal(hvc(CPU_OFF, 0, 0), DENIED);
    assert_int_equal(hvc(SYSTEM_OFF, 0, 0), INTERNAL_FAILURE);
    upcalls = 0;
    assert_int_equal(hvc(SYSTEM_RESET2, 1, 0), INVALID_PARAMETERS);
    assert_int_equal(hvc(SYSTEM_RESET2 | SMC64, 0x80000000, 0), INVALID_PARAMETERS); // a vendor's
    assert_int_equal(upcalls, 0);
}

// ---- random numbers ---------------------------------------------------------------------------------------------------

static void test_trng_limits(void **state)
{
    static const uint64_t bad32[] = {0, 97, 0xffffffff, UINT64_C(1) << 32};
    static const uint64_t bad64[] = {0, 193, 0xffffffff, UINT64_C(1) << 32, UINT64_MAX};

    (void)state;
    assert_int_equal(hvc(TRNG_VERSION, 0, 0), 0x10000);
    for (uint64_t f = TRNG_VERSION; f <= TRNG_RND; f++) {
        assert_int_equal(hvc(TRNG_FEATURES, f, 0), 0);
    }
    assert_int_equal(hvc(TRNG_FEATURES, TRNG_RND | SMC64, 0), 0);
    assert_int_equal(hvc(TRNG_FEATURES, TRNG_RND + 1, 0), NOT_SUPPORTED);
    assert_int_equal(hvc(TRNG_FEATURES, TRNG_VERSION | SMC64, 0), NOT_SUPPORTED);
    for (unsigned i = 0; i < ARRAY_SIZE(bad32); i++) {
        assert_int_equal(hvc(TRNG_RND, bad32[i], DIRT), INVALID_PARAMETERS);
        assert_true(frame.x[1] == 0 && frame.x[2] == 0 && frame.x[3] == 0);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad64); i++) {
        assert_int_equal(hvc(TRNG_RND | SMC64, bad64[i], DIRT), INVALID_PARAMETERS);
        assert_true(frame.x[1] == 0 && frame.x[2] == 0 && frame.x[3] == 0);
    }
    hvc(TRNG_GET_UUID, 0, 0);
    assert_true(frame.x[0] != 0xffffffff && (frame.x[0] | frame.x[1] | frame.x[2] | frame.x[3]) >> 32 == 0);
}

// The lowest bits in x3, nothing above what was asked for.
static void expect_bits(uint64_t function, unsigned bits, unsigned width)
{
    assert_int_equal(hvc(function, bits, DIRT), 0);
    for (unsigned i = 3; i > 0; i--) {
        unsigned n = bits < width ? bits : width;

        assert_int_equal(frame.x[i], n ? MASK64(0, n) : 0);
        bits -= n;
    }
}

static void test_trng_bits(void **state)
{
    (void)state;
    for (unsigned bits = 1; bits <= 192; bits++) {
        expect_bits(TRNG_RND | SMC64, bits, 64);
    }
    for (unsigned bits = 1; bits <= 96; bits++) {
        expect_bits(TRNG_RND, bits, 32);
    }
    assert_int_equal(hvc(TRNG_RND, UINT64_C(5) << 32 | 1, 0), 0); // SMC32: 1 bit
    assert_int_equal(frame.x[3], 1);
}

// Without a seed there is no entropy: the service does not exist.
static void test_trng_without_entropy(void **state)
{
    (void)state;
    seeded = false;
    for (uint64_t f = TRNG_VERSION; f <= TRNG_RND; f++) {
        assert_int_equal(hvc(f, 32, 0), NOT_SUPPORTED);
        assert_int_equal(hvc(SMCCC_ARCH_FEATURES, f, 0), NOT_SUPPORTED);
    }
    assert_int_equal(hvc(TRNG_RND | SMC64, 64, 0), NOT_SUPPORTED);
}

// ---- stolen time ------------------------------------------------------------------------------------------------------

static void test_stolen_time(void **state)
{
    (void)state;
    call_result = 0x90a0040;
    assert_int_equal(hvc(PV_TIME_FEATURES, PV_TIME_FEATURES, 0), 0);
    assert_int_equal(hvc(PV_TIME_FEATURES, PV_TIME_ST, 0), 0);
    assert_int_equal(hvc(PV_TIME_FEATURES, PSCI_VERSION, 0), NOT_SUPPORTED);
    assert_int_equal(hvc(PV_TIME_ST, 0, 0), 0x90a0040);
    assert_int_equal(seen.hypercall.function, VCPU_CALL_STOLEN_TIME);
    handled = false; // no room for a record
    assert_int_equal(hvc(PV_TIME_FEATURES, PV_TIME_ST, 0), NOT_SUPPORTED);
    assert_int_equal(hvc(PV_TIME_ST, 0, 0), NOT_SUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_convention, setup),
        cmocka_unit_test_setup(test_features, setup),
        cmocka_unit_test_setup(test_cpu_on, setup),
        cmocka_unit_test_setup(test_affinity_info, setup),
        cmocka_unit_test_setup(test_suspend, setup),
        cmocka_unit_test_setup(test_ends, setup),
        cmocka_unit_test_setup(test_trng_limits, setup),
        cmocka_unit_test_setup(test_trng_bits, setup),
        cmocka_unit_test_setup(test_trng_without_entropy, setup),
        cmocka_unit_test_setup(test_stolen_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
