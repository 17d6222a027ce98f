// SPDX-License-Identifier: Apache-2.0
//
// INIT and start-up messages against a CPU that runs, sleeps or is just coming, on a machine that interleaves its CPUs at
// random: as on a real PC, INIT takes effect at once and the next start-up message counts.
#include "tests/unit/vmm/core/vm_bench.h"
#include "vmm/irqchip/vapic.h"

#define LAPIC UINT64_C(0xFEE00000)
#define TPR 0x80
#define PPR 0xA0
#define SVR 0xF0
#define ICR 0x300
#define ICR_HIGH 0x310
#define INITIAL 0x380
#define SELF 0x44000
#define INIT 0x4500
#define STARTUP 0x4600
#define ROUNDS 6u
#define VECTOR(round) (0x10 + (round))

static struct virqchip *chip;
static unsigned asked, booted,
    strays; // the round; the last one that the other CPU came up in; how often elsewhere, or not as new
static bool reported; // it says that it is as good as off
// What the first does: waits for that, interrupts whatever the other does, or does not even wait for it to come up.
static enum {
    RESTED,
    IN_MID_RUN,
    HASTY
} manner;

static uint32_t lapic(struct arch_vcpu *av, uint32_t reg, bool write, uint32_t value)
{
    struct vcpu_exit e = {
        .kind = VCPU_EXIT_MMIO,
        .mmio = {.gpa = gpa(LAPIC + reg), .access = {.size = 4, .write = write, .value = value}}};

    (void)av->up->exit(av, &e);
    return (uint32_t)e.mmio.access.value;
}

static void ipi(struct arch_vcpu *av, unsigned target, uint32_t command)
{
    (void)lapic(av, ICR_HIGH, true, target << 24);
    (void)lapic(av, ICR, true, command);
}

// INIT has left nothing of the CPU's last life (SDM 11.4.7.3). This one leaves an interrupt in service, a priority, a timer.
static bool lapic_is_new(struct arch_vcpu *av)
{
    bool is_new = lapic(av, SVR, false, 0) == 0xFF && lapic(av, TPR, false, 0) == 0 &&
                  lapic(av, PPR, false, 0) == 0 && lapic(av, INITIAL, false, 0) == 0;

    (void)lapic(av, SVR, true, 0x1FF);
    (void)lapic(av, ICR, true, SELF | 0x61);
    (void)av->up->take_irq(av);
    (void)lapic(av, TPR, true, 0x20);
    (void)lapic(av, INITIAL, true, 1u << 30);
    return is_new;
}

// Sleeps until the other CPU has news.
static void wait_for(struct arch_vcpu *av, unsigned round)
{
    while (booted < round || (manner == RESTED && !reported)) {
        struct vcpu_exit idle = {.kind = VCPU_EXIT_IDLE};

        (void)av->up->exit(av, &idle);
        if (av->up->requests(av) == VCPU_LEAVE) {
            return;
        }
    }
}

// As kernels do it: INIT, two start-up messages in short order, and no third.
static void start_again_and_again(struct arch_vcpu *av)
{
    for (unsigned round = 1; round <= ROUNDS; round++) {
        asked = round;
        reported = false;
        ipi(av, 1, INIT);
        ipi(av, 1, STARTUP | VECTOR(round));
        ipi(av, 1, STARTUP | VECTOR(round));
        if (manner != HASTY || round == ROUNDS) {
            wait_for(av, round);
        }
    }
}

static void come_up(struct arch_vcpu *av)
{
    uint64_t at = arch_vcpu_reg(av, 32) - 1; // the step has counted itself already
    unsigned round = (unsigned)(at >> 12) - VECTOR(0);

    strays += at % 0x1000 != 0 || round <= booted || round > asked || !lapic_is_new(av);
    booted = round;
    vcpu_request(vm.vcpus[0], VCPU_REQ_IRQ);
}

static void report_dead(struct arch_vcpu *av)
{
    (void)av;
    reported = true;
    vcpu_request(vm.vcpus[0], VCPU_REQ_IRQ);
}

static void notify(struct vm *v, unsigned vcpu)
{
    vcpu_request(v->vcpus[vcpu], VCPU_REQ_IRQ);
}

static void start_rounds(unsigned seed)
{
    struct host_step first[] = {{.kind = HOST_STEP_CALL, .fn = start_again_and_again},
                                {.exit = {.kind = VCPU_EXIT_POWEROFF}}};
    struct host_step second[] = {{.kind = HOST_STEP_CALL, .fn = come_up},
                                 {.kind = HOST_STEP_RUN, .ticks = seed % 5 * 100},
                                 {.kind = HOST_STEP_CALL, .fn = report_dead},
                                 {.exit = {.kind = VCPU_EXIT_IDLE, .idle = {.deaf = true}}}};

    make(1 + seed % 3, 2);
    assert_int_equal(vapic_create(&vm, LAPIC, UINT64_C(0xFEC00000), &chip), OK);
    chip->notify = notify;
    vm.irqchip = chip;
    asked = booted = strays = 0;
    reported = false;
    host_guest_script(0, first, ARRAY_SIZE(first));
    host_guest_script(1, second, ARRAY_SIZE(second));
    host_interleave(seed, 1 + seed % 7);
    vm_start(&vm, &entry);
    run_to_end();
    host_interleave(0, 0);
    assert_int_equal(booted, ROUNDS);
    assert_int_equal(strays, 0);
    assert_int_equal(stops, 1);
    assert_int_equal(vm.stop_reason, VM_STOP_POWEROFF);
    chip->ops->destroy(chip);
    vm.irqchip = NULL;
    end();
}

static void rounds(int how)
{
    manner = how;
    for (unsigned seed = 1; seed <= 300; seed++) {
        start_rounds(seed);
    }
}

static void test_off_and_on(void **state)
{
    (void)state;
    rounds(RESTED);
}

static void test_in_mid_run(void **state)
{
    (void)state;
    rounds(IN_MID_RUN);
}

// The last one counts.
static void test_hasty(void **state)
{
    (void)state;
    rounds(HASTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_off_and_on),
        cmocka_unit_test(test_in_mid_run),
        cmocka_unit_test(test_hasty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
