// SPDX-License-Identifier: Apache-2.0
//
// vCPUs against each other on a machine that interleaves its CPUs at random: starting one, and waking one that waits.
#include "tests/unit/vmm/core/vm_bench.h"

// Two callers race for a third CPU, however the machine interleaves them: one starts it, the other is told so.
static int64_t race_answers[2];
static unsigned racers_done;

static void race_main(struct arch_vcpu *av)
{
    struct vcpu_exit e = {.kind = VCPU_EXIT_CPU_ON,
                          .cpu_on = {.target = 2, .entry = RAM + 0x2000, .arg = arch_vcpu_hw_id(av)}};

    av->up->exit(av, &e);
    race_answers[arch_vcpu_hw_id(av)] = e.cpu_on.result;
    racers_done++;
    vcpu_request(vm.vcpus[2], VCPU_REQ_IRQ);
}

static void outlive_race(struct arch_vcpu *av)
{
    while (racers_done < 2) {
        struct vcpu_exit idle = {.kind = VCPU_EXIT_IDLE};

        av->up->exit(av, &idle);
        av->up->requests(av);
    }
}

static void test_cpu_on_race(void **state)
{
    unsigned busy = 0, on = 0;

    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct host_step first[] = {ON(1, RAM + 0x1000),
                                    {.kind = HOST_STEP_CALL, .fn = race_main},

                                    {.exit = {.kind = VCPU_EXIT_CPU_OFF}}};
        struct host_step second[] = {{.kind = HOST_STEP_CALL, .fn = race_main},
                                     {.exit = {.kind = VCPU_EXIT_CPU_OFF}}};
        struct host_step third[] = {{.kind = HOST_STEP_CALL, .fn = outlive_race},
                                    {.exit = {.kind = VCPU_EXIT_CPU_OFF}}};
        unsigned winner;

        make(3, 3);
        racers_done = 0;
        host_guest_script(0, first, ARRAY_SIZE(first));
        host_guest_script(1, second, ARRAY_SIZE(second));
        host_guest_script(2, third, ARRAY_SIZE(third));
        host_interleave(seed, 1 + seed % 7);
        vm_start(&vm, &entry);
        run_to_end();
        host_interleave(0, 0);
        assert_int_equal((race_answers[0] == OK) + (race_answers[1] == OK), 1);
        winner = race_answers[0] == OK ? 0 : 1;
        busy += race_answers[!winner] == -E_BUSY;
        on += race_answers[!winner] == -E_STATE;
        assert_true(third[1].executed);
        assert_int_equal(arch_vcpu_reg(&vm.vcpus[2]->arch, 0), winner);
        end();
    }
    assert_true(busy > 0 && on > 0 && busy + on == 300);
}

// A token goes round; who has it not sleeps in WFI. A wake-up lost between the look for something to do and the sleep would
// leave all of them asleep. A request that is there already does not let one sleep at all.
#define TURNS 60u
static unsigned turn;

static void pass_token(struct arch_vcpu *av)
{
    const unsigned self = (unsigned)arch_vcpu_hw_id(av);

    while (turn < TURNS) {
        struct vcpu_exit idle = {.kind = VCPU_EXIT_IDLE};
        struct vcpu_exit kick = {.kind = VCPU_EXIT_HYPERCALL,
                                 .hypercall = {.function = VCPU_CALL_KICK, .args = {(self + 1) % VCPUS}}};

        if (turn % VCPUS == self) {
            turn++;
            av->up->exit(av, &kick);
        } else {
            av->up->exit(av, &idle);
            av->up->requests(av);
        }
    }
    // The end is told to everybody.
    for (unsigned i = 0; i < VCPUS; i++) {
        vcpu_request(vm.vcpus[i], VCPU_REQ_IRQ);
    }
}

static void test_no_lost_wake_up(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct host_step first[] = {ON(1, RAM), ON(2, RAM), {.kind = HOST_STEP_CALL, .fn = pass_token}};
        struct host_step others[VCPUS][1] = {{{0}},
                                             {{.kind = HOST_STEP_CALL, .fn = pass_token}},
                                             {{.kind = HOST_STEP_CALL, .fn = pass_token}}};

        make(1 + seed % 3, VCPUS);
        turn = 0;
        host_guest_script(0, first, ARRAY_SIZE(first));
        host_guest_script(1, others[1], 1);
        host_guest_script(2, others[2], 1);
        host_interleave(seed, 1 + seed % 7);
        vm_start(&vm, &entry);
        run_to_end();
        host_interleave(0, 0);
        assert_in_range(turn, TURNS, TURNS + VCPUS);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_on_race),
        cmocka_unit_test(test_no_lost_wake_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
