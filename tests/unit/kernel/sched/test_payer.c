// SPDX-License-Identifier: Apache-2.0
//
// Workers that run on a guest's account, on the simulated clock: they come soon, but however much a guest makes them do, its
// neighbours get what is theirs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/sched/sched.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

#define PRIO PRIO_GUEST(8)
#define RUN_MS 400u
#define SLACK_US 200u // what switches and timers take on the simulated clock

struct actor {
    struct thread *thread;
    uint64_t until;        // computes (or works) until then
    uint64_t work;         // a worker: so long at each wake, ticks
    uint64_t last, gap;    // longest time between two looks at the clock
    uint64_t asked, delay; // a worker: when it was woken, longest time until it ran
    uint64_t ran;          // at its end
    bool idle;             // sleeps instead of computing
    bool done;
};

static void computes(void *arg)
{
    struct actor *a = arg;

    a->last = arch_time_now();
    while (arch_time_now() < a->until) {
        uint64_t now = arch_time_now();

        a->gap = max_u64(a->gap, now - a->last);
        a->last = now;
        if (a->idle) {
            thread_sleep(time_from_ms(1));
        } else {
            arch_cpu_relax();
        }
    }
    a->ran = thread_run_ticks(a->thread);
    a->done = true;
}

static void works(void *arg)
{
    struct actor *a = arg;

    while (arch_time_now() < a->until) {
        thread_block();
        uint64_t start = thread_run_ticks(a->thread);

        a->delay = a->asked ? max_u64(a->delay, arch_time_now() - a->asked) : a->delay;
        a->asked = 0;
        while (thread_run_ticks(a->thread) - start < a->work && arch_time_now() < a->until) {
            arch_cpu_relax();
        }
    }
    a->ran = thread_run_ticks(a->thread);
    a->done = true;
}

// The guest's kicks: the worker is woken every so often.
static struct {
    struct timer timer;
    struct actor *worker;
    uint64_t every;
} kicks;

static void kick(struct timer *t)
{
    if (kicks.worker->done) {
        return;
    }
    timer_set(t, arch_time_now() + kicks.every);
    kicks.worker->asked = kicks.worker->asked ? kicks.worker->asked : arch_time_now();
    thread_wake(kicks.worker->thread);
}

static struct thread *make(struct actor *a, void (*entry)(void *), struct thread_attr attr)
{
    attr.name = "t";
    attr.entry = entry;
    attr.arg = a;
    attr.prio = attr.prio ? attr.prio : PRIO;
    a->until = arch_time_now() + time_from_ms(RUN_MS);
    a->thread = thread_create(&attr);
    assert_non_null(a->thread);
    return a->thread;
}

static void start_kicks(struct actor *worker, uint64_t every_us)
{
    kicks.worker = worker;
    kicks.every = time_from_us(every_us);
    timer_setup(&kicks.timer, kick);
    timer_set(&kicks.timer, arch_time_now() + kicks.every);
}

static bool all_done(void *ctx)
{
    struct actor **list = ctx;

    for (; *list; list++) {
        if (!(*list)->done) {
            return false;
        }
    }
    return true;
}

static void run(struct actor **list)
{
    arch_irq_disable();
    for (struct actor **a = list; *a; a++) {
        thread_start((*a)->thread);
    }
    arch_irq_enable();
    host_run_until(all_done, list, time_from_ms(RUN_MS * 3));
    for (struct actor **a = list; *a; a++) {
        assert_true((*a)->done);
    }
}

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    return 0;
}

// However the other guest makes its worker work, an equal neighbour waits at most one slice because of that, and one more
// for the other guest's own turn if that computes; and it has half of the core.
static void flood(bool guest_idle, uint64_t work_us, uint64_t every_us)
{
    struct actor guest = {.idle = guest_idle}, worker = {.work = time_from_us(work_us)}, neighbour = {0};
    struct actor *all[] = {&guest, &worker, &neighbour, NULL};

    make(&guest, computes, (struct thread_attr){0});
    make(&worker, works, (struct thread_attr){.payer = guest.thread});
    make(&neighbour, computes, (struct thread_attr){0});
    start_kicks(&worker, every_us);
    run(all);
    assert_true(neighbour.gap <= time_from_ms(SLICE_MS) * (guest_idle ? 1 : 2) + time_from_us(SLACK_US));
    assert_true(neighbour.ran >= time_from_ms(RUN_MS) * 45 / 100);
}

static void test_flood_beside_an_equal(void **state)
{
    (void)state;
    flood(false, 1000000, 100); // never ends
}

static void test_flood_of_an_idle_guest(void **state)
{
    (void)state;
    flood(true, 1000000, 100);
}

static void test_flood_in_short_pieces(void **state)
{
    (void)state;
    flood(false, 900, 1000);
}

static void test_flood_with_pauses(void **state)
{
    (void)state;
    flood(false, 9000, 20000); // sleeps long enough to be in front again each time
}

// A better one does not notice.
static void test_flood_below_a_better(void **state)
{
    struct actor guest = {0}, worker = {.work = time_from_ms(1000)}, better = {0};
    struct actor *all[] = {&guest, &worker, &better, NULL};

    (void)state;
    make(&guest, computes, (struct thread_attr){0});
    make(&worker, works, (struct thread_attr){.payer = guest.thread});
    make(&better, computes, (struct thread_attr){.prio = PRIO_GUEST(9)});
    start_kicks(&worker, 100);
    run(all);
    assert_true(better.gap <= time_from_us(SLACK_US));
    assert_true(better.ran >= time_from_ms(RUN_MS) * 98 / 100);
}

// Little work comes at once, though an equal computes.
static void test_latency(void **state)
{
    struct actor guest = {.idle = true}, worker = {.work = time_from_us(50)}, neighbour = {0};
    struct actor *all[] = {&guest, &worker, &neighbour, NULL};

    (void)state;
    make(&guest, computes, (struct thread_attr){0});
    make(&worker, works, (struct thread_attr){.payer = guest.thread});
    make(&neighbour, computes, (struct thread_attr){0});
    start_kicks(&worker, 12000);
    run(all);
    assert_true(worker.delay <= time_from_us(SLACK_US));
}

// Guest and worker together stay inside the guest's budget.
static void budget(bool guest_idle)
{
    struct actor guest = {.idle = guest_idle}, worker = {.work = time_from_ms(1000)}, neighbour = {0};
    struct actor *all[] = {&guest, &worker, &neighbour, NULL};
    struct thread_attr limited = {
        .budget = time_from_ms(2), .period = time_from_ms(10), .prio = PRIO_GUEST(10)};

    make(&guest, computes, limited);
    limited.payer = guest.thread;
    make(&worker, works, limited);
    make(&neighbour, computes, (struct thread_attr){0});
    start_kicks(&worker, 100);
    run(all);
    assert_in_range(guest.ran + worker.ran, time_from_ms(RUN_MS) * 17 / 100, time_from_ms(RUN_MS) * 22 / 100);
    assert_true(neighbour.ran >= time_from_ms(RUN_MS) * 77 / 100);
}

static void test_budget_of_both(void **state)
{
    (void)state;
    budget(false);
}

static void test_budget_of_the_worker_alone(void **state)
{
    (void)state;
    budget(true);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_flood_beside_an_equal), T(test_flood_of_an_idle_guest),     T(test_flood_in_short_pieces),
        T(test_flood_with_pauses),     T(test_flood_below_a_better),       T(test_latency),
        T(test_budget_of_both),        T(test_budget_of_the_worker_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
