// SPDX-License-Identifier: Apache-2.0
//
// Several simulated CPUs: where threads run, how much they get, what guests are told, and 1,000 random schedules with
// everything checked on the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/host/machine.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define CPUS_ALL 0xFFu

struct cell {
    struct thread *thread;
    uint64_t until;
    uint64_t run_ticks; // at its end
    uint32_t seen;      // CPUs it was seen on
    unsigned loaded_on; // whose registers hold something of it
    bool trap, loaded, done;
    unsigned leaves, switches, rescheds;
    struct timer wake;
};

static struct cpumask mask_of(unsigned bits)
{
    struct cpumask m = {{bits}};

    return m;
}

// A vCPU's registers: loaded where it runs, out before it runs elsewhere.
static void cell_in(void *arg)
{
    struct cell *c = arg;

    assert_false(arch_irq_enabled());
    if (c->loaded) {
        assert_int_equal(c->loaded_on, this_cpu()->index);
    }
    c->loaded = true;
    c->loaded_on = this_cpu()->index;
    c->thread->held = true;
    c->switches++;
}

static void cell_leave(void *arg)
{
    struct cell *c = arg;

    assert_false(arch_irq_enabled());
    if (c->loaded) {
        assert_int_equal(c->loaded_on, this_cpu()->index);
        c->loaded = false;
        c->leaves++;
        c->thread->held = false;
    }
}

static void cell_resched(void *arg)
{
    ((struct cell *)arg)->rescheds++;
    ipi_send(this_cpu()->index, IPI_RESCHED);
}

static void cell_trap(void *arg, bool trap)
{
    ((struct cell *)arg)->trap = trap;
}

static const struct thread_ops cell_ops = {.switch_in = cell_in,
                                           .leave = cell_leave,
                                           .resched = cell_resched,
                                           .trap_idle = cell_trap};

// How much time one step takes, beside the few ticks of a spin.
static uint64_t grain = 1000;

// As guest code: interrupts are taken between any two instructions.
static void step(struct cell *c)
{
    if (host_irq_deliverable()) {
        irq_dispatch();
    }
    c->seen |= 1u << this_cpu()->index;
    host_m.now += grain;
    arch_cpu_relax();
}

static void burn(void *arg)
{
    struct cell *c = arg;

    while (arch_time_now() < c->until) {
        step(c);
    }
    c->run_ticks = c->thread->run_ticks + (arch_time_now() - this_cpu()->rq->switched_at);
    c->done = true;
}

static void guest_burn(void *arg)
{
    thread_set_active(true);
    burn(arg);
    thread_set_active(false);
    cell_leave(arg);
}

static struct thread_attr attr_of(struct cell *c, void (*entry)(void *), const struct cpumask *allowed)
{
    return (struct thread_attr){.name = "cell",
                                .entry = entry,
                                .arg = c,
                                .ops = &cell_ops,
                                .prio = 8,
                                .guest = true,
                                .allowed = allowed};
}

static void make(struct cell *c, const struct thread_attr *attr)
{
    c->thread = thread_create(attr);
    assert_non_null(c->thread);
}

static bool is_done(void *ctx)
{
    return ((struct cell *)ctx)->done;
}

static void wait_done(struct cell *cells, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_true(host_run_until(is_done, &cells[i], HOST_HZ * UINT64_C(20)));
    }
}

static void start_all(struct cell *cells, unsigned n)
{
    arch_irq_disable();
    for (unsigned i = 0; i < n; i++) {
        thread_start(cells[i].thread);
    }
    arch_irq_enable();
}

// ---- the server, pure -------------------------------------------------------------------------------------------------

static void test_server(void **state)
{
    struct server s = {.budget = 20, .period = 100};

    (void)state;
    server_wake(&s, 1000);
    assert_int_equal(s.left, 20);
    assert_int_equal(s.end, 1100);
    assert_false(server_charge(&s, 15));
    server_wake(&s, 1050); // 5 of 50: less than a fifth: goes on
    assert_int_equal(s.left, 5);
    server_wake(&s, 1090); // 5 of 10 would be too much
    assert_int_equal(s.left, 20);
    assert_int_equal(s.end, 1190);
    assert_true(server_charge(&s, 21));
    assert_int_equal(s.left, 0);
    server_wake(&s, 1100);
    assert_int_equal(s.left, 0);
    s = (struct server){0};
    server_wake(&s, 5);
    assert_false(server_charge(&s, UINT64_MAX));
}

// ---- how much ---------------------------------------------------------------------------------------------------------

static void test_weights(void **state)
{
    static const uint32_t weights[3] = {100, 300, 50};
    struct cell c[3] = {{0}};
    struct cpumask all = mask_of(CPUS_ALL);

    (void)state;
    host_boot(MIB(32), 1);
    for (unsigned i = 0; i < 3; i++) {
        struct thread_attr a = attr_of(&c[i], burn, &all);

        a.weight = weights[i];
        c[i].until = arch_time_now() + time_from_ms(900);
        make(&c[i], &a);
    }
    start_all(c, 3);
    wait_done(c, 3);
    assert_in_range(c[0].run_ticks, time_from_ms(190), time_from_ms(212));
    assert_in_range(c[1].run_ticks, time_from_ms(580), time_from_ms(615));
    assert_in_range(c[2].run_ticks, time_from_ms(90), time_from_ms(112));
}

static void test_budget_holds(void **state)
{
    struct cell c[2] = {{0}};
    struct thread_attr a = attr_of(&c[0], burn, NULL), b = attr_of(&c[1], burn, NULL);

    (void)state;
    host_boot(MIB(32), 1);
    a.prio = 20; // the runaway one
    a.budget = time_from_ms(2);
    a.period = time_from_ms(10);
    c[0].until = c[1].until = arch_time_now() + time_from_ms(500);
    make(&c[0], &a);
    make(&c[1], &b);
    start_all(c, 2);
    wait_done(c, 2);
    assert_in_range(c[0].run_ticks, time_from_ms(95), time_from_ms(103));
    assert_in_range(c[1].run_ticks, time_from_ms(395), time_from_ms(405));
}

static void test_budget_needs_a_period(void **state)
{
    struct cell c = {0};
    struct thread_attr a = attr_of(&c, burn, NULL);

    (void)state;
    host_boot(MIB(32), 1);
    a.budget = 5;
    assert_null(thread_create(&a));
    a.budget = 0;
    a.weight = WEIGHT_MAX + 1;
    assert_null(thread_create(&a));
}

// ---- where ------------------------------------------------------------------------------------------------------------

static void test_spreads(void **state)
{
    struct cell c[2] = {{0}};
    struct cpumask all = mask_of(CPUS_ALL);

    (void)state;
    host_boot(MIB(32), 2);
    for (unsigned i = 0; i < 2; i++) {
        struct thread_attr a = attr_of(&c[i], guest_burn, &all);

        c[i].until = arch_time_now() + time_from_ms(100);
        make(&c[i], &a);
    }
    start_all(c, 2);
    wait_done(c, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_in_range(c[i].run_ticks, time_from_ms(99), time_from_ms(101));
        assert_false(c[i].trap); // alone again
    }
    assert_int_equal(c[0].seen | c[1].seen, 3);
}

static void test_three_share_two(void **state)
{
    struct cell c[3] = {{0}};
    struct cpumask all = mask_of(CPUS_ALL);

    (void)state;
    host_boot(MIB(32), 2);
    for (unsigned i = 0; i < 3; i++) {
        struct thread_attr a = attr_of(&c[i], guest_burn, &all);

        c[i].until = arch_time_now() + time_from_ms(1000);
        make(&c[i], &a);
    }
    start_all(c, 3);
    wait_done(c, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_in_range(c[i].run_ticks, time_from_ms(560), time_from_ms(780));
    }
}

static void test_stays_where_allowed(void **state)
{
    struct cell c[3] = {{0}};
    struct cpumask first = mask_of(1), others = mask_of(6);

    (void)state;
    host_boot(MIB(32), 3);
    for (unsigned i = 0; i < 3; i++) {
        struct thread_attr a = attr_of(&c[i], burn, i < 2 ? &first : &others);

        c[i].until = arch_time_now() + time_from_ms(60);
        make(&c[i], &a);
    }
    start_all(c, 3); // the third is made on CPU 0, where it may not run
    wait_done(c, 3);
    assert_int_equal(c[0].seen, 1);
    assert_int_equal(c[1].seen, 1);
    assert_int_equal(c[2].seen & 1u, 0);
    assert_in_range(c[0].run_ticks, time_from_ms(28), time_from_ms(41));
    assert_in_range(c[2].run_ticks, time_from_ms(58), time_from_ms(61));
}

static void pin_later(struct timer *t)
{
    struct cell *c = container_of(t, struct cell, wake);

    assert_int_equal(thread_migrate(c->thread, 1), OK);
    c->seen = 0;
}

static void test_migrates_while_running(void **state)
{
    struct cell c = {0};
    struct cpumask zero = mask_of(1);
    struct thread_attr a = attr_of(&c, guest_burn, &zero);

    (void)state;
    host_boot(MIB(32), 2);
    c.until = arch_time_now() + time_from_ms(50);
    make(&c, &a);
    timer_setup(&c.wake, pin_later);
    timer_set(&c.wake, arch_time_now() + time_from_ms(20));
    thread_start(c.thread);
    wait_done(&c, 1);
    assert_int_equal(c.seen, 2);
    assert_int_equal(c.leaves, 2); // by moving, and at its end
    assert_in_range(c.run_ticks, time_from_ms(49), time_from_ms(51));
}

static void sleep_then_note(void *arg)
{
    struct cell *c = arg;

    thread_block();
    c->seen = 1u << this_cpu()->index;
    c->done = true;
}

static void test_migrates_asleep(void **state)
{
    struct cell c = {0};
    struct thread_attr a = attr_of(&c, sleep_then_note, NULL);
    struct cpumask nowhere = mask_of(1u << 7);

    (void)state;
    host_boot(MIB(32), 3);
    make(&c, &a);
    thread_start(c.thread);
    assert_true(c.thread->held);
    assert_int_equal(thread_set_allowed(c.thread, &nowhere), E_INVAL);
    assert_int_equal(thread_migrate(c.thread, CPU_MAX), E_INVAL);
    assert_int_equal(thread_migrate(c.thread, 2), OK);
    thread_wake(c.thread);
    wait_done(&c, 1);
    assert_int_equal(c.seen, 4);
    assert_int_equal(c.leaves, 1);
}

// A better thread wakes on a CPU that runs a still better one: another CPU's worse one gives way.
static void test_wakes_on_the_lowest(void **state)
{
    struct cell c[3] = {{0}};
    struct cpumask all = mask_of(3), zero = mask_of(1), one = mask_of(2);
    struct thread_attr top = attr_of(&c[0], burn, &zero), low = attr_of(&c[1], burn, &one);
    struct thread_attr mid = attr_of(&c[2], burn, &all);

    (void)state;
    host_boot(MIB(32), 2);
    top.prio = 20;
    low.prio = 4;
    low.cpu = 1;
    mid.prio = 10;
    make(&c[0], &top);
    make(&c[1], &low);
    make(&c[2], &mid);
    c[0].until = c[1].until = arch_time_now() + time_from_ms(40);
    c[2].until = arch_time_now() + time_from_ms(20);
    start_all(c, 3);
    wait_done(c, 3);
    assert_int_equal(c[2].seen, 2);
    assert_in_range(c[2].run_ticks, time_from_ms(19), time_from_ms(21));
    assert_in_range(c[1].run_ticks, time_from_ms(19), time_from_ms(21));
}

// ---- what guests are told ---------------------------------------------------------------------------------------------

static void observe_alone(void *arg)
{
    struct cell *c = arg;

    thread_set_active(true);
    assert_false(c->trap);
    while (!c->trap) {
        step(c); // until the other one comes
    }
    c->seen = 0x80;
    while (c->trap) {
        step(c); // until it has gone
    }
    thread_set_active(false);
    c->done = true;
}

static void start_other(struct timer *t)
{
    thread_start(container_of(t, struct cell, wake)->thread);
}

static void test_idle_traps_while_shared(void **state)
{
    struct cell c[2] = {{0}};
    struct thread_attr a = attr_of(&c[0], observe_alone, NULL), b = attr_of(&c[1], guest_burn, NULL);

    (void)state;
    host_boot(MIB(32), 1);
    make(&c[0], &a);
    b.prio = 4; // never runs before the first has given up the CPU, but waits for it
    make(&c[1], &b);
    timer_setup(&c[1].wake, start_other);
    timer_set(&c[1].wake, arch_time_now() + time_from_ms(5));
    timer_setup(&c[0].wake, pin_later); // the better one goes: nobody waits for it there
    host_boot(MIB(32), 2);
    make(&c[0], &a);
    make(&c[1], &b);
    timer_set(&c[1].wake, arch_time_now() + time_from_ms(5));
    timer_set(&c[0].wake, arch_time_now() + time_from_ms(9));
    c[1].until = arch_time_now() + time_from_ms(20);
    thread_start(c[0].thread);
    wait_done(c, 2);
}

static void observe_budget(void *arg)
{
    struct cell *c = arg;

    thread_set_active(true);
    assert_true(c->trap);
    thread_set_active(false);
    c->done = true;
}

static void test_budget_traps_idle(void **state)
{
    struct cell c = {0};
    struct thread_attr a = attr_of(&c, observe_budget, NULL);

    (void)state;
    host_boot(MIB(32), 1);
    a.budget = 1000;
    a.period = 10000;
    make(&c, &a);
    thread_start(c.thread);
    wait_done(&c, 1);
}

static struct cell waker_cell, woken_cell;

static void wakes_better(void *arg)
{
    struct cell *c = arg;

    thread_wake(woken_cell.thread);
    assert_int_equal(c->rescheds, 1); // a request, no switch in the middle of the exit
    assert_false(woken_cell.done);
    sched_preempt(); // as before entry
    assert_true(woken_cell.done);
    c->done = true;
}

static void test_masked_wake_is_a_request(void **state)
{
    struct thread_attr a = attr_of(&waker_cell, wakes_better, NULL);
    struct thread_attr b = attr_of(&woken_cell, sleep_then_note, NULL);

    (void)state;
    host_boot(MIB(32), 1);
    waker_cell = woken_cell = (struct cell){0};
    b.prio = 12;
    make(&woken_cell, &b);
    thread_start(woken_cell.thread);
    make(&waker_cell, &a);
    thread_start(waker_cell.thread);
    wait_done(&waker_cell, 1);
}

// ---- random schedules -------------------------------------------------------------------------------------------------

#define ACTORS 7
#define ROUNDS 12

static struct cell actors[ACTORS];
static _Atomic unsigned tokens[ACTORS], received[ACTORS];
static unsigned ended;

static unsigned rnd(unsigned n)
{
    return (unsigned)rand() % n;
}

// What must hold at any moment, seen from a thread that runs.
static void check_world(struct cell *c)
{
    struct cpu *cpu = this_cpu();
    struct run_queue *rq = cpu->rq;
    unsigned queued = 0, movable = 0, active = 0;

    assert_ptr_equal(cpu->current, c->thread);
    assert_int_equal(c->thread->state, THREAD_RUNNING);
    assert_int_equal(c->thread->cpu, cpu->index);
    assert_true(c->loaded && c->loaded_on == cpu->index);
    spin_lock(&rq->lock);
    for (unsigned p = 0; p < PRIO_COUNT; p++) {
        list_for_each(it, &rq->ready.lists[p])
        {
            struct thread *t = list_entry(it, struct thread, run_node);

            assert_int_equal(t->state, THREAD_READY);
            assert_int_equal(t->cpu, cpu->index);
            assert_int_equal(t->prio, p);
            queued++;
            movable += t->movable ? 1 : 0;
        }
        assert_int_equal(list_empty(&rq->ready.lists[p]), !runq_has(&rq->ready, p));
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        struct thread *t = actors[i].thread;

        active += !actors[i].done && t->active && t->cpu == cpu->index && t->state != THREAD_MOVING ? 1 : 0;
    }
    assert_int_equal(rq->queued, queued);
    assert_int_equal(rq->movable, movable);
    assert_int_equal(rq->active_guests, active);
    spin_unlock(&rq->lock);
    assert_true(list_empty(&rq->leaving));
}

static void wander(struct cell *c)
{
    struct cpumask m = mask_of(1 + rnd((1u << cpu_count()) - 1));

    assert_int_equal(thread_set_allowed(actors[rnd(ACTORS)].done ? c->thread : c->thread, &m), OK);
    for (unsigned i = 0; i < 4; i++) {
        step(c);
    }
    // It is on its way at the next interrupt at the latest.
    assert_true(cpumask_test(&c->thread->allowed, this_cpu()->index) || host_irq_deliverable());
}

static void actor_main(void *arg)
{
    struct cell *c = arg;
    unsigned self = (unsigned)(c - actors);

    thread_set_active(true);
    while (received[self] < ROUNDS) {
        while (tokens[self] == 0) {
            thread_block();
        }
        tokens[self]--;
        received[self]++;
        check_world(c);
        if (rnd(4) == 0) {
            wander(c);
        }
        for (unsigned i = rnd(100); i > 0; i--) {
            step(c);
        }
        if (rnd(6) == 0) {
            thread_sleep(1 + rnd(200));
        }
        if (rnd(8) == 0) {
            thread_yield();
        }
        check_world(c);
        tokens[(self + 1) % ACTORS]++;
        if (!actors[(self + 1) % ACTORS].done) {
            thread_kick(actors[(self + 1) % ACTORS].thread);
        }
    }
    thread_set_active(false);
    cell_leave(c);
    c->done = true;
    c->thread->ops = NULL;
    ended++;
}

static bool all_ended(void *ctx)
{
    (void)ctx;
    return ended == ACTORS;
}

static void random_schedule(unsigned seed)
{
    srand(seed);
    host_boot(MIB(16), 1 + seed % 4);
    ended = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        struct cpumask m = mask_of(1 + rnd((1u << cpu_count()) - 1));
        struct thread_attr a = attr_of(&actors[i], actor_main, &m);

        actors[i] = (struct cell){0};
        tokens[i] = i < 1 + seed % 5 ? 1 : 0;
        received[i] = 0;
        a.cpu = rnd(cpu_count());
        a.prio = (uint8_t)(6 + rnd(4));
        a.weight = 1 + rnd(WEIGHT_MAX);
        a.budget = rnd(3) == 0 ? 2000 : 0;
        a.period = a.budget != 0 ? 10000 : 0;
        make(&actors[i], &a);
    }
    host_interleave(seed, 3 + seed % 9);
    arch_irq_disable();
    for (unsigned i = 0; i < ACTORS; i++) {
        thread_start(actors[i].thread);
    }
    arch_irq_enable();
    // A lost wake-up would leave somebody waiting.
    assert_true(host_run_until(all_ended, NULL, HOST_HZ * UINT64_C(100)));
    host_interleave(0, 0);
    for (unsigned i = 0; i < ACTORS; i++) {
        assert_int_equal(received[i], ROUNDS);
    }
}

static void test_random_schedules(void **state)
{
    (void)state;
    grain = 0;
    for (unsigned seed = 1; seed <= 1000; seed++) {
        random_schedule(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_budget_holds),
        cmocka_unit_test(test_budget_needs_a_period),
        cmocka_unit_test(test_spreads),
        cmocka_unit_test(test_three_share_two),
        cmocka_unit_test(test_stays_where_allowed),
        cmocka_unit_test(test_migrates_while_running),
        cmocka_unit_test(test_migrates_asleep),
        cmocka_unit_test(test_wakes_on_the_lowest),
        cmocka_unit_test(test_idle_traps_while_shared),
        cmocka_unit_test(test_budget_traps_idle),
        cmocka_unit_test(test_masked_wake_is_a_request),
        cmocka_unit_test(test_random_schedules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
