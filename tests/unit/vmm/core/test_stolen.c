// SPDX-License-Identifier: Apache-2.0
//
// Stolen time: what a better thread took, in our own record and in one in the guest's memory.
#include "tests/unit/vmm/core/vm_bench.h"

#include "vmm/core/stolen.h"

static uint64_t told[2];

static void note_stolen(struct arch_vcpu *av)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_HYPERCALL, .hypercall = {.function = VCPU_CALL_STOLEN_TIME}};
    const uint8_t *record = vm.stolen;
    unsigned i = told[0] != 0;

    if (i == 0) {
        assert_int_equal(av->up->exit(av, &e), VCPU_RESUME);
        assert_true(e.hypercall.handled);
        assert_int_equal(e.hypercall.result[0], vm.plan.stolen_base);
    }
    memcpy(&told[i], record + 8, sizeof(told[i]));
    told[i]++; // 0 is "not yet"
}

static void hog_ms(void *arg)
{
    uint64_t end = arch_time_now() + time_from_ms(7);

    (void)arg;
    while (arch_time_now() < end) {
        arch_cpu_relax();
    }
}

static void steal(struct arch_vcpu *av)
{
    struct thread_attr thief = {.name = "thief", .entry = hog_ms, .prio = PRIO_GUEST(20)};

    (void)av;
    thread_start(thread_create(&thief)); // better: it runs before the guest's next entry
}

// What a better thread took is told in the guest's own record, and nothing else: not its own time, nor its sleep.
static void test_stolen_time(void **state)
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_RUN, .ticks = SECOND / 100}, {.kind = HOST_STEP_CALL, .fn = note_stolen},
        {.kind = HOST_STEP_CALL, .fn = steal},          {.kind = HOST_STEP_RUN, .ticks = SECOND / 100},
        {.kind = HOST_STEP_CALL, .fn = note_stolen},
    };

    (void)state;
    told[0] = told[1] = 0;
    stolen_base = RAM + MIB(16);
    make(1, 1);
    stolen_base = 0;
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_int_equal(told[0], 1);
    assert_in_range(told[1], 7000000, 7100000); // ns
    end();
}

// The same in the guest's memory, at the place it names (SBI 2.0, 16).
#define RECORD (RAM + 0x10040)
#define RECORD_AT (RECORD - RAM)

static void share_at(struct arch_vcpu *av, uint64_t at, enum status expected)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_HYPERCALL,
                          .hypercall = {.function = VCPU_CALL_STOLEN_SHARE, .args = {at}}};

    assert_int_equal(av->up->exit(av, &e), VCPU_RESUME);
    assert_int_equal(e.hypercall.result[0], expected);
}

static void share_record(struct arch_vcpu *av)
{
    memset(ram + RECORD_AT - 64, 0xAA, 192);
    share_at(av, RECORD + 8, E_INVAL);
    share_at(av, RAM + MIB(2), E_RANGE);
    share_at(av, RAM - 64, E_RANGE);
    share_at(av, UINT64_MAX - 63, E_RANGE);
    assert_int_equal(ram[RECORD_AT], 0xAA);
    share_at(av, RECORD, OK);
    assert_int_equal(ram[RECORD_AT - 1], 0xAA);
    assert_int_equal(ram[RECORD_AT + 64], 0xAA);
}

// Sequence, flags, nanoseconds; the rest stays 0.
static void read_record(uint32_t *sequence, uint64_t *steal)
{
    uint32_t flags;

    memcpy(sequence, ram + RECORD_AT, sizeof(*sequence));
    memcpy(&flags, ram + RECORD_AT + 4, sizeof(flags));
    memcpy(steal, ram + RECORD_AT + 8, sizeof(*steal));
    assert_int_equal(*sequence % 2, 0);
    assert_int_equal(flags, 0);
    for (unsigned i = 16; i < 64; i++) {
        assert_int_equal(ram[RECORD_AT + i], 0);
    }
}

static void note_shared(struct arch_vcpu *av)
{
    uint32_t sequence;

    read_record(&sequence, &told[0]);
    assert_true(sequence > 0);
    share_at(av, STOLEN_NOWHERE, OK);
    memset(ram + RECORD_AT, 0, 64);
}

static void note_unshared(struct arch_vcpu *av)
{
    uint32_t sequence;

    (void)av;
    read_record(&sequence, &told[1]);
    assert_int_equal(sequence, 0);
}

static void test_stolen_time_in_guest_memory(void **state)
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_CALL, .fn = share_record},   {.kind = HOST_STEP_CALL, .fn = steal},
        {.kind = HOST_STEP_RUN, .ticks = SECOND / 100}, {.kind = HOST_STEP_CALL, .fn = note_shared},
        {.kind = HOST_STEP_CALL, .fn = steal},          {.kind = HOST_STEP_RUN, .ticks = SECOND / 100},
        {.kind = HOST_STEP_CALL, .fn = note_unshared},
    };

    (void)state;
    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_in_range(told[0], 7000000, 7100000); // ns
    assert_int_equal(told[1], 0);
    end();
}

// Likewise for KVM's guests, who look for nanoseconds first.
static void share_kvm(struct arch_vcpu *av)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_HYPERCALL,
                          .hypercall = {.function = VCPU_CALL_STOLEN_SHARE, .args = {RECORD, 7}}};

    av->up->exit(av, &e);
    assert_int_equal(e.hypercall.result[0], E_INVAL);
    e.hypercall.args[1] = STOLEN_KVM;
    av->up->exit(av, &e);
    assert_int_equal(e.hypercall.result[0], OK);
}

static void note_kvm(struct arch_vcpu *av)
{
    uint32_t version;

    (void)av;
    memcpy(&told[0], ram + RECORD_AT, sizeof(told[0]));
    memcpy(&version, ram + RECORD_AT + 8, sizeof(version));
    assert_true(version != 0 && version % 2 == 0);
}

static void test_stolen_time_of_kvm(void **state)
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_CALL, .fn = share_kvm},
        {.kind = HOST_STEP_CALL, .fn = steal},
        {.kind = HOST_STEP_RUN, .ticks = SECOND / 100},
        {.kind = HOST_STEP_CALL, .fn = note_kvm},
    };

    (void)state;
    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_in_range(told[0], 7000000, 7100000); // ns
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stolen_time),
        cmocka_unit_test(test_stolen_time_in_guest_memory),
        cmocka_unit_test(test_stolen_time_of_kvm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
