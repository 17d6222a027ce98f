// SPDX-License-Identifier: Apache-2.0
//
// A VM of scripted vCPUs: what exits do, requests, starting and stopping vCPUs against each other, pause, calls, the fault
// card, another life after a reset.
#include "tests/unit/vmm/core/vm_bench.h"

#include <stdio.h>

// ---- exits -----------------------------------------------------------------------------------------------------------

static enum io_result device(void *dev, struct io_access *a)
{
    *(uint64_t *)dev = a->offset << 8 | a->value;
    a->value = 0x55;
    return a->offset == 8 ? IO_BAD : IO_DONE;
}

static void test_mmio(void **state)
{
    uint64_t seen = 0;
    struct io_region io = {.base = 0x1000, .size = 0x100, .access = device, .dev = &seen, .name = "thing"};
    struct host_step steps[] = {
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x1004}, .size = 4}}},
        {.exit = {.kind = VCPU_EXIT_MMIO,
                  .mmio = {.gpa = {0x1010}, .size = 4, .write = true, .value = 0xAB}}},
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x1008}, .size = 4}}},
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x5000}, .size = 4}}},
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x1004}, .size = 4, .exec = true}}},
        {.exit = {.kind = VCPU_EXIT_PIO, .pio = {.port = 0x99, .access.size = 2}}},
    };

    (void)state;
    make(1, 1);
    assert_int_equal(io_bus_add(&vm.mmio, &io, NULL), OK);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_int_equal(steps[0].exit.mmio.value, 0x55);
    assert_int_equal(steps[0].verdict, VCPU_RESUME);
    assert_int_equal(seen >> 8, 8); // the last one that reached it
    assert_int_equal(steps[1].verdict, VCPU_RESUME);
    for (unsigned i = 2; i < 5; i++) {
        assert_int_equal(steps[i].verdict, VCPU_ABORT);
    }
    assert_int_equal(steps[5].exit.pio.access.value, 0xFFFF);
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_MMIO].count, 5);
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_MMIO].timed, 0);
    assert_int_equal(vm.state, VM_STOPPING);
    assert_int_equal(vm.stop_reason, VM_STOP_POWEROFF);
    assert_true(stops >= 1);
    end();
}

// The quick way first, as an architecture does: one exit, one access.
static void asks_twice(struct arch_vcpu *av)
{
    struct io_access a = {.size = 4};
    struct vcpu_exit e = {.kind = VCPU_EXIT_MMIO, .mmio = {.refused = true, .gpa = {0x1008}}};

    assert_int_equal(av->up->mmio(av, &a, gpa(0x1004)), 0);
    assert_int_not_equal(av->up->mmio(av, &a, gpa(0x1008)), 0);
    e.mmio.access = a;
    assert_int_equal(av->up->exit(av, &e), VCPU_ABORT);
}

static enum io_result counts(void *dev, struct io_access *a)
{
    (*(unsigned *)dev)++;
    return a->offset == 8 ? IO_BAD : IO_DONE;
}

static void test_refused_mmio_counts_once(void **state)
{
    unsigned accesses = 0;
    struct io_region io = {
        .base = 0x1000, .size = 0x100, .access = counts, .dev = &accesses, .name = "thing"};
    struct host_step steps[] = {{.kind = HOST_STEP_CALL, .fn = asks_twice}};

    (void)state;
    make(1, 1);
    assert_int_equal(io_bus_add(&vm.mmio, &io, NULL), OK);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_MMIO].count, 2);
    assert_int_equal(accesses, 2); // the device is not asked again
    end();
}

// A word is swapped when it is what was expected; elsewhere there is none.
static void swaps(struct arch_vcpu *av)
{
    gpa_t where = gmem_region(&vm.gmem, 0)->base;
    uint64_t old = 5, v = UINT64_MAX, now = 0;

    assert_true(av->up->write(av, where, &v, sizeof(v)));
    assert_true(av->up->swap(av, where, 8, &old, 7));
    assert_true(old == UINT64_MAX);
    assert_true(av->up->swap(av, where, 8, &old, 7));
    assert_true(av->up->read(av, where, &now, sizeof(now)) && now == 7);
    old = 0;
    assert_true(av->up->swap(av, gpa(where.v + 4), 4, &old, UINT64_MAX) && old == 0);
    assert_true(av->up->read(av, where, &now, sizeof(now)) && now == 0xFFFFFFFF00000007);
    assert_false(av->up->swap(av, gpa(where.v + 4), 8, &old, 1));
    assert_false(av->up->swap(av, gpa(0x1000), 8, &old, 1));
}

static void test_swap(void **state)
{
    struct host_step steps[] = {{.kind = HOST_STEP_CALL, .fn = swaps}};

    (void)state;
    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    end();
}

static void slow(struct arch_vcpu *av)
{
    (void)av;
    vcpu_time_exits(true);
}

// WFI has an upcall of its own; a timer has expired, so it is over at once.
static void nap(struct arch_vcpu *av)
{
    av->timer_lines = 1;
    av->up->idle(av);
    av->timer_lines = 0;
}

static void test_timed_exits(void **state)
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_CALL, .fn = slow},
        {.kind = HOST_STEP_CALL, .fn = nap},
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x5000}, .size = 4}}},
        {.exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x5000}, .size = 4}}},
    };

    (void)state;
    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    vcpu_time_exits(false);
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_MMIO].timed, 2);
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_IDLE].timed, 1);
    end();
}

// ---- vCPUs start and stop each other ---------------------------------------------------------------------------------

static void test_cpu_on(void **state)
{
    struct host_step first[] = {
        ON(7, RAM),          // no such CPU
        ON(0, RAM),          // itself: it is on
        ON(1, RAM - 4),      // entry outside RAM
        STATE_OF(1),         // off
        ON(1, RAM + 0x2000), // good
        ON(1, RAM + 0x3000), // already: coming up or on
        YIELD,
        STATE_OF(9),
    };
    struct host_step second[] = {{.kind = HOST_STEP_RUN, .ticks = 1000},
                                 {.exit = {.kind = VCPU_EXIT_CPU_OFF}}};

    (void)state;
    make(2, 2);
    host_guest_script(0, first, ARRAY_SIZE(first));
    host_guest_script(1, second, ARRAY_SIZE(second));
    vm_start(&vm, &entry);
    run_to_end();
    assert_int_equal(first[0].exit.cpu_on.result, -E_NOENT);
    assert_int_equal(first[1].exit.cpu_on.result, -E_STATE);
    assert_int_equal(first[2].exit.cpu_on.result, -E_RANGE);
    assert_int_equal(first[3].exit.hypercall.result[0], 1);
    assert_int_equal(first[4].exit.cpu_on.result, OK);
    assert_true(first[5].exit.cpu_on.result == -E_BUSY || first[5].exit.cpu_on.result == -E_STATE);
    assert_false(first[7].exit.hypercall.handled);
    assert_true(second[1].executed);
    assert_int_equal(arch_vcpu_reg(&vm.vcpus[1]->arch, 0), 9);
    end();
}

static void test_last_cpu_off_ends_the_vm(void **state)
{
    struct host_step steps[] = {{.exit = {.kind = VCPU_EXIT_CPU_OFF}}};

    (void)state;
    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
    assert_int_equal(vm.stop_reason, VM_STOP_POWEROFF);
    assert_true(stops >= 1);
    end();
}

// ---- stop and pause --------------------------------------------------------------------------------------------------

static bool done;
static enum status result;
static const struct host_step for_ever[] = {
    {.kind = HOST_STEP_EXIT, .exit = {.kind = VCPU_EXIT_IDLE}},
    {.kind = HOST_STEP_EXIT, .exit = {.kind = VCPU_EXIT_IDLE}},
};
static struct host_step sleeper[2];

static void start_sleeper(unsigned cpus)
{
    make(cpus, 1);
    memcpy(sleeper, for_ever, sizeof(sleeper));
    host_guest_script(0, sleeper, ARRAY_SIZE(sleeper));
    pcpus[0] = 0;
    vm_start(&vm, &entry);
    run_ms(1);
    assert_int_equal(vm.vcpus[0]->state, VCPU_WAITING);
}

static void stop_main(void *arg)
{
    vm_request_stop(&vm, VM_STOP_FORCED);
    result = vm_wait_stopped(&vm, SECOND);
    *(bool *)arg = true;
}

static void test_stop_while_asleep(void **state)
{
    (void)state;
    start_sleeper(1);
    assert_true(in_worker(stop_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(vm.stop_reason, VM_STOP_FORCED);
    assert_int_equal(vm.running_vcpus, 0);
    assert_false(vm.vcpus[0]->arch.loaded);
    vm_request_stop(&vm, VM_STOP_FAULT); // the first reason counts
    assert_int_equal(vm.stop_reason, VM_STOP_FORCED);
    end();
}

// HLT with interrupts masked: they wait, and it does not spin. A request is looked at (it might be an NMI), once.
static void test_deaf_sleep(void **state)
{
    (void)state;
    make(1, 1);
    sleeper[0] = sleeper[1] = (struct host_step){.exit = {.kind = VCPU_EXIT_IDLE, .idle.deaf = true}};
    host_guest_script(0, sleeper, 2);
    vm_start(&vm, &entry);
    run_ms(1);
    assert_int_equal(vm.vcpus[0]->state, VCPU_WAITING);
    vcpu_request(vm.vcpus[0], VCPU_REQ_IRQ);
    run_ms(1);
    assert_int_equal(vm.vcpus[0]->state, VCPU_WAITING);
    assert_int_equal(vm.vcpus[0]->exits[VCPU_EXIT_IDLE].count, 2);
    assert_true(in_worker(stop_main, &done));
    assert_int_equal(result, OK);
    end();
}

static void pause_main(void *arg)
{
    result = vm_pause(&vm, SECOND);
    *(bool *)arg = true;
}

static void note_pc(struct vcpu *v, void *ctx)
{
    *(uint64_t *)ctx = arch_vcpu_reg(&v->arch, 32) | (uint64_t)v->arch.loaded << 63;
}

static uint64_t called_pc;

static void call_main(void *arg)
{
    result = vcpu_call(vm.vcpus[0], note_pc, &called_pc, SECOND);
    *(bool *)arg = true;
}

static void test_pause_call_resume(void **state)
{
    (void)state;
    start_sleeper(1);
    assert_true(in_worker(pause_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(vm.state, VM_PAUSED);
    assert_int_equal(vm.vcpus[0]->state, VCPU_HELD);
    assert_false(vm.vcpus[0]->arch.loaded);
    assert_true(in_worker(pause_main, &done));
    assert_int_equal(result, E_STATE);
    // Wakes do not make it run, and do not leave it loaded.
    vcpu_request(vm.vcpus[0], VCPU_REQ_IRQ);
    run_ms(1);
    assert_int_equal(vm.vcpus[0]->state, VCPU_HELD);
    assert_false(vm.vcpus[0]->arch.loaded);
    assert_true(in_worker(call_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(called_pc, (entry.pc + 1) | BIT64(63)); // loaded while it is asked
    assert_false(vm.vcpus[0]->arch.loaded);
    vm_resume(&vm);
    run_ms(1);
    assert_int_equal(vm.state, VM_RUNNING);
    assert_int_equal(vm.vcpus[0]->state, VCPU_WAITING); // in its second sleep, or the first again
    assert_true(in_worker(call_main, &done));
    assert_int_equal(result, OK);
    assert_true(in_worker(stop_main, &done));
    end();
}

static void test_stop_while_paused(void **state)
{
    (void)state;
    start_sleeper(1);
    assert_true(in_worker(pause_main, &done));
    assert_true(in_worker(stop_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(vm.held_vcpus, 0);
    assert_true(in_worker(call_main, &done)); // off: asked on the caller's own thread
    assert_int_equal(result, OK);
    assert_int_equal(called_pc >> 63, 0);
    end();
}

// ---- urgent: not only when it is the vCPU's turn ---------------------------------------------------------------------

#define SOON (SECOND / 100)

static struct host_step busy[1];

// Its budget of 1 ms in 10 s is used up.
static void start_throttled(void)
{
    budget_us = 1000;
    period_us = 10000000;
    make(1, 1);
    budget_us = period_us = 0;
    busy[0] = (struct host_step){.kind = HOST_STEP_RUN, .ticks = 100ull * SECOND};
    host_guest_script(0, busy, 1);
    vm_start(&vm, &entry);
    assert_int_equal(vm.vcpus[0]->thread->state, THREAD_THROTTLED);
    assert_in_range(vm.vcpus[0]->thread->run_ticks, SECOND / 1000, SECOND / 500);
}

static void test_throttled_stops_at_once(void **state)
{
    uint64_t start;

    (void)state;
    start_throttled();
    start = arch_time_now();
    assert_true(in_worker(stop_main, &done));
    assert_int_equal(result, OK);
    end(); // its thread ends on credit too
    assert_in_range(arch_time_now() - start, 0, SOON);
}

static void test_throttled_pauses_and_answers_at_once(void **state)
{
    struct thread *t;
    uint64_t start, ran;

    (void)state;
    start_throttled();
    t = vm.vcpus[0]->thread;
    ran = t->run_ticks;
    start = arch_time_now();
    assert_true(in_worker(call_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(t->state, THREAD_THROTTLED); // the guest got nothing more
    assert_int_equal(t->prio, PRIO_VCPU_DEFAULT);
    assert_true(in_worker(pause_main, &done));
    assert_int_equal(result, OK);
    assert_int_equal(vm.vcpus[0]->state, VCPU_HELD);
    assert_true(in_worker(call_main, &done));
    assert_int_equal(result, OK);
    vm_resume(&vm);
    assert_int_equal(t->prio, PRIO_VCPU_DEFAULT);
    assert_in_range(arch_time_now() - start, 0, SOON);
    assert_in_range(t->run_ticks - ran, 0, SOON);
    run_ms(10000); // the next period
    assert_in_range(t->run_ticks - ran, SECOND / 1001, SECOND / 500);
    assert_true(in_worker(stop_main, &done));
    end();
}

static void hog_main(void *arg)
{
    while (!*(volatile bool *)arg) {
        if (host_irq_deliverable()) {
            irq_dispatch();
        }
        arch_cpu_relax();
    }
}

static void destroy_starved(void *arg)
{
    struct thread_attr hog = {.name = "hog", .entry = hog_main, .arg = arg, .prio = 20, .guest = true};

    thread_start(thread_create(&hog));
    vm_start(&vm, &entry);
    assert_int_equal(vm.vcpus[0]->state, VCPU_ON_PENDING);
    vm_request_stop(&vm, VM_STOP_FORCED);
    result = vm_wait_stopped(&vm, SOON);
    vm_core_destroy(&vm);
    *(bool *)arg = true;
}

// Somebody better never gives up the core.
static void test_starved_is_destroyed(void **state)
{
    (void)state;
    make(1, 1);
    busy[0] = (struct host_step){.kind = HOST_STEP_RUN, .ticks = 100ull * SECOND};
    host_guest_script(0, busy, 1);
    assert_true(in_worker(destroy_starved, &done));
    assert_int_equal(result, OK);
    assert_false(busy[0].executed);
}

// ---- the fault card --------------------------------------------------------------------------------------------------

static void put_word(uint64_t at, uint64_t v)
{
    memcpy(ram + (at - RAM), &v, sizeof(v));
}

static void make_frames(struct arch_vcpu *av)
{
    av->regs[29] = RAM + 0x8000;
    put_word(RAM + 0x8000, RAM + 0x8040);
    put_word(RAM + 0x8008, 0x1111);
    put_word(RAM + 0x8040, RAM + 0x8080);
    put_word(RAM + 0x8048, 0x2222);
    put_word(RAM + 0x8080, RAM + 0x8000); // back: a loop
    put_word(RAM + 0x8088, 0x3333);
}

static void make_wild_frames(struct arch_vcpu *av)
{
    av->regs[29] = RAM + 0x8001; // misaligned
}

static void fault_with(void (*frames)(struct arch_vcpu *av))
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_CALL, .fn = frames},
        {.exit = {.kind = VCPU_EXIT_FAULT,
                  .fault = {.reason = "it fell", .syndrome = 0xBAD, .gpa = {RAM + 5}, .gpa_valid = true}}},
    };

    make(1, 1);
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    vm_start(&vm, &entry);
    run_to_end();
}

static void test_fault_card(void **state)
{
    const char *text;

    (void)state;
    fault_with(make_frames);
    text = host_console_take();
    assert_non_null(strstr(text, "guest 'test' stopped: it fell"));
    assert_non_null(strstr(text, "syndrome 0xbad"));
    assert_non_null(strstr(text, "called from  0000000000001111  0000000000002222  0000000000003333"));
    assert_null(strstr(text, "3333  0")); // the loop ends there
    assert_non_null(strstr(text, "test.toml:3"));
    assert_int_equal(vm.stop_reason, VM_STOP_FAULT);
    assert_non_null(strstr(vm.fault, "it fell"));
    end();
    fault_with(make_wild_frames);
    assert_null(strstr(host_console_take(), "called from"));
    end();
}

static void test_another_life(void **state)
{
    (void)state;
    fault_with(make_frames);
    for (unsigned i = 0; i < 5; i++) {
        struct host_step steps[] = {{.kind = HOST_STEP_RUN, .ticks = 100},
                                    {.exit = {.kind = VCPU_EXIT_RESET}}};

        host_guest_script(0, steps, ARRAY_SIZE(steps));
        vm_start(&vm, &entry);
        assert_int_equal(vm.fault[0], 0);
        run_to_end();
        assert_int_equal(vm.stop_reason, VM_STOP_RESET);
        assert_true(steps[1].executed);
    }
    end();
}

// Out of memory at any point of creation leaves nothing.
static void test_create_is_all_or_nothing(void **state)
{
    struct page_stats before, after;

    (void)state;
    host_boot(MIB(2), 1);
    memset(&vm, 0, sizeof(vm));
    memset(&config, 0, sizeof(config));
    strcpy(config.name, "big");
    config.cpus = 200; // more stacks than there is memory
    config.sched.priority = 8;
    vm.config = &config;
    memset(pcpus, 0, sizeof(pcpus));
    static uint16_t many[200];

    page_stats_get(&before);
    assert_int_not_equal(vm_core_create(&vm, many), OK);
    (void)host_run_until(NULL, NULL, 0);
    sched_reap();
    page_stats_get(&after);
    assert_int_equal(vm_vmids_used(), 0);
    assert_true(before.free - after.free <= 16 * PAGE_SIZE); // tables and slabs that stay for the next one
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mmio),
        cmocka_unit_test(test_refused_mmio_counts_once),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_timed_exits),
        cmocka_unit_test(test_cpu_on),
        cmocka_unit_test(test_last_cpu_off_ends_the_vm),
        cmocka_unit_test(test_stop_while_asleep),
        cmocka_unit_test(test_deaf_sleep),
        cmocka_unit_test(test_pause_call_resume),
        cmocka_unit_test(test_stop_while_paused),
        cmocka_unit_test(test_throttled_stops_at_once),
        cmocka_unit_test(test_throttled_pauses_and_answers_at_once),
        cmocka_unit_test(test_starved_is_destroyed),
        cmocka_unit_test(test_fault_card),
        cmocka_unit_test(test_another_life),
        cmocka_unit_test(test_create_is_all_or_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
