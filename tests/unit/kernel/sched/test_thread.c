// SPDX-License-Identifier: Apache-2.0
//
// Threads on the simulated clock: order, fairness, preemption, tickless behaviour, waking without losing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/mm/page.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/mutex.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"

static char trace[256];
static size_t trace_len;

static void note(char c)
{
    if (trace_len + 1 < sizeof(trace)) {
        trace[trace_len++] = c;
        trace[trace_len] = '\0';
    }
}

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(64), 1);
    trace_len = 0;
    trace[0] = '\0';
    return 0;
}

static struct thread *spawn(const char *name, void (*entry)(void *), void *arg, uint8_t prio, unsigned cpu)
{
    struct thread_attr attr = {.name = name, .entry = entry, .arg = arg, .cpu = cpu, .prio = prio};
    struct thread *t = thread_create(&attr);

    assert_non_null(t);
    thread_start(t);
    return t;
}

static void say(void *arg)
{
    note(*(const char *)arg);
}

static void test_runs_at_once_and_is_reaped(void **state)
{
    struct page_stats before, after;
    struct pool_stats live0, live1;

    (void)state;
    spawn("warm", say, "w", 8, 0); // slabs for its size
    sched_reap();
    page_stats_get(&before);
    pool_stats_get(&live0);
    spawn("a", say, "a", 8, 0);
    assert_string_equal(trace, "wa");
    sched_reap();
    pool_stats_get(&live1);
    assert_int_equal(live1.live_objects, live0.live_objects);
    page_stats_get(&after);
    // Slabs and page tables may stay; a stack must not.
    assert_true(before.free - after.free < KIB(16));
}

static void hog(void *arg)
{
    while (!*(volatile bool *)arg) {
        arch_cpu_relax();
    }
}

struct bulk {
    bool over;
    uint64_t took, hogged;
};

static void bulk_work(void *arg)
{
    struct bulk *b = arg;
    struct thread *self = thread_current(), *other = spawn("hog", hog, &b->over, 20, 0);
    uint64_t start = arch_time_now(), ran = self->run_ticks;

    thread_set_bulk(true);
    while (self->run_ticks - ran < time_from_us(10 * BULK_BUDGET_US)) {
        arch_cpu_relax();
    }
    thread_set_bulk(false);
    assert_int_equal(self->prio, PRIO_WORKER);
    b->took = arch_time_now() - start;
    b->hogged = other->run_ticks;
    b->over = true;
}

// A better guest that never gives up the CPU is hardly delayed, and does not stop it.
static void test_bulk_work_gets_on(void **state)
{
    struct bulk b = {false, 0, 0};

    (void)state;
    spawn("bulk", bulk_work, &b, PRIO_WORKER, 0);
    assert_true(b.over);
    assert_in_range(b.took, time_from_ms(9 * BULK_PERIOD_MS), time_from_ms(12 * BULK_PERIOD_MS));
    assert_in_range(b.hogged, b.took / 100 * 97, b.took);
}

struct buried {
    bool over;
    uint64_t before, after;
};

static uint64_t objects(void)
{
    struct pool_stats live;

    pool_stats_get(&live);
    return live.live_objects;
}

static void end_one(void *arg)
{
    struct buried *b = arg;
    char c = 'x';

    b->before = objects();
    spawn("short", say, &c, PRIO_WORKER + 1, 0);
    thread_sleep(time_from_ms(1));
    b->after = objects();
    b->over = true;
}

// The idle thread never runs.
static void test_reaped_on_a_busy_machine(void **state)
{
    struct buried b = {false, 0, 1};

    (void)state;
    assert_int_equal(sched_reaper_start(), OK);
    spawn("burier", end_one, &b, PRIO_WORKER, 0);
    spawn("hog", hog, &b.over, 8, 0);
    assert_string_equal(trace, "x");
    assert_int_equal(b.after, b.before + 1); // the hog
}

static void wait_irq_state(void *arg)
{
    *(bool *)arg = arch_irq_enabled();
}

static void test_interrupt_state_of_new_threads(void **state)
{
    bool worker = false;
    bool guest = true;
    struct thread_attr attr = {.name = "g", .entry = wait_irq_state, .arg = &guest, .prio = 8, .guest = true};

    (void)state;
    spawn("w", wait_irq_state, &worker, 8, 0);
    thread_start(thread_create(&attr));
    assert_true(worker);
    assert_false(guest);
    assert_true(arch_irq_enabled());
}

static void block_say(void *arg)
{
    const char *s = arg;

    note(s[0]);
    thread_block();
    note(s[1]);
}

static void test_block_wake(void **state)
{
    struct thread *t;

    (void)state;
    t = spawn("t", block_say, "ab", 8, 0);
    assert_string_equal(trace, "a");
    thread_wake(t);
    assert_string_equal(trace, "ab");
}

static void wake_self(void *arg)
{
    (void)arg;
    thread_wake(thread_current());
    note('1');
    thread_block(); // returns at once
    note('2');
    thread_block();
    note('3');
}

static void test_wake_before_block_is_kept(void **state)
{
    struct thread *t;

    (void)state;
    t = spawn("t", wake_self, NULL, 8, 0);
    assert_string_equal(trace, "12");
    thread_wake(t);
    assert_string_equal(trace, "123");
}

static void start_better(void *arg)
{
    (void)arg;
    note('l');
    spawn("h", say, "h", 20, 0);
    note('L');
}

static void test_priority_preempts_at_once(void **state)
{
    (void)state;
    spawn("l", start_better, NULL, 4, 0);
    assert_string_equal(trace, "lhL");
}

static void start_worse(void *arg)
{
    (void)arg;
    note('h');
    spawn("l", say, "l", 4, 0);
    note('H');
}

static void test_worse_waits(void **state)
{
    (void)state;
    spawn("h", start_worse, NULL, 20, 0);
    assert_string_equal(trace, "hHl");
}

// Burns simulated time until `arg`'s counter reaches its limit.
struct burner {
    uint64_t ticks, until;
    bool done;
};

static void burn(void *arg)
{
    struct burner *b = arg;
    uint64_t last = arch_time_now();

    while (arch_time_now() < b->until) {
        arch_cpu_relax();
        b->ticks += 16;
        last = arch_time_now();
    }
    (void)last;
    b->done = true;
}

static void test_round_robin_is_fair(void **state)
{
    struct burner b[4];
    uint64_t until = arch_time_now() + time_from_ms(800);
    bool preemptible = false;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        b[i] = (struct burner){.until = until};
    }
    // A better thread starts them, so that all are ready before one runs.
    arch_irq_disable();
    for (unsigned i = 0; i < 4; i++) {
        spawn("b", burn, &b[i], 8, 0);
    }
    arch_irq_enable();
    for (unsigned i = 0; i < 4; i++) {
        assert_true(b[i].done);
        assert_in_range(b[i].ticks, time_from_ms(175), time_from_ms(225));
        preemptible |= b[i].ticks > 0;
    }
    assert_true(preemptible);
}

static void test_alone_is_tickless(void **state)
{
    struct burner b = {.until = arch_time_now() + time_from_ms(100)};
    uint64_t ticks_before = irq_count(arch_timer_irq());

    (void)state;
    spawn("b", burn, &b, 8, 0);
    assert_true(b.done);
    assert_int_equal(irq_count(arch_timer_irq()), ticks_before);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX);
}

static void sleeper(void *arg)
{
    thread_sleep(time_from_ms(*(unsigned *)arg));
    note((char)('0' + *(unsigned *)arg));
}

static void test_sleep_order(void **state)
{
    static unsigned ms[3] = {5, 1, 3};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        spawn("s", sleeper, &ms[i], 8, 0);
    }
    host_time_advance(time_from_ms(4));
    assert_string_equal(trace, "13");
    host_time_advance(time_from_ms(2));
    assert_string_equal(trace, "135");
}

static void yielder(void *arg)
{
    for (int i = 0; i < 3; i++) {
        note(*(const char *)arg);
        thread_yield();
    }
}

static void test_yield_alternates(void **state)
{
    (void)state;
    arch_irq_disable();
    spawn("a", yielder, "a", 8, 0);
    spawn("b", yielder, "b", 8, 0);
    arch_irq_enable();
    assert_string_equal(trace, "ababab");
}

static void switched(void *arg)
{
    assert_false(arch_irq_enabled());
    note(*(const char *)arg);
}

static void test_switch_in(void **state)
{
    static const struct thread_ops ops = {.switch_in = switched};
    struct thread_attr attr = {.name = "t", .entry = block_say, .arg = "xy", .ops = &ops, .prio = 8};
    struct thread *t = thread_create(&attr);

    (void)state;
    thread_start(t);
    thread_wake(t);
    assert_string_equal(trace, "xxxy");
}

static void test_create_refuses(void **state)
{
    struct thread_attr attr = {.name = "x", .entry = say, .prio = 8, .cpu = 5};

    (void)state;
    assert_null(thread_create(&attr));
    attr.cpu = 0;
    attr.prio = PRIO_IDLE;
    assert_null(thread_create(&attr));
    attr.prio = PRIO_COUNT;
    assert_null(thread_create(&attr));
}

// A guest thread's handler (interrupts masked) wakes a worker: it runs when interrupts are next taken, at the latest.
static struct thread *worker;

static void masked_waker(void *arg)
{
    (void)arg;
    note('g');
    thread_wake(worker);
    note('G');
    arch_irq_enable();
    arch_irq_disable();
    note('e');
}

static void test_masked_wake_comes_by_interrupt(void **state)
{
    struct thread_attr attr = {.name = "g", .entry = masked_waker, .prio = 8, .guest = true};

    (void)state;
    worker = spawn("w", block_say, "wW", 24, 0);
    thread_start(thread_create(&attr));
    assert_string_equal(trace, "wgGWe");
}

// ---- several CPUs ---------------------------------------------------------------------------------------------------

static void on_cpu(void *arg)
{
    *(unsigned *)arg = this_cpu()->index;
}

static void test_secondaries(void **state)
{
    unsigned got[3] = {9, 9, 9};

    (void)state;
    host_boot(MIB(64), 3);
    assert_int_equal(cpu_online_count(), 3);
    for (unsigned i = 0; i < 3; i++) {
        spawn("t", on_cpu, &got[i], 8, i);
    }
    host_cpu_yield();
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(got[i], i);
    }
    for (unsigned i = 0; i < 3; i++) {
        got[i] = 9;
        assert_int_equal(cpu_call(i, on_cpu, &got[i]), OK);
        assert_int_equal(got[i], i);
    }
    assert_int_equal(cpu_call(3, on_cpu, &got[0]), E_NOENT);
}

// ---- random schedules -------------------------------------------------------------------------------------------------

#define ACTORS 6
#define ROUNDS 20

struct ring_actor {
    struct completion done;
    struct wait_queue wq;
    _Atomic unsigned tokens, received;
    struct ring_actor *next;
};

static struct ring_actor actors[ACTORS];
static struct mutex ring_lock;
static unsigned inside, total;

static bool has_token(void *ctx)
{
    return ((struct ring_actor *)ctx)->tokens > 0;
}

// Takes a token, works under the mutex, passes it on.
static void actor_main(void *arg)
{
    struct ring_actor *a = arg;

    while (a->received < ROUNDS) {
        wait_event(&a->wq, has_token, a);
        a->tokens--;
        a->received++;
        mutex_lock(&ring_lock);
        assert_int_equal(inside++, 0);
        total++;
        if (total % 7 == 0) {
            thread_sleep(100);
        }
        inside--;
        mutex_unlock(&ring_lock);
        a->next->tokens++;
        wait_wake_all(&a->next->wq);
    }
    completion_signal(&a->done);
}

static bool all_done(void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < ACTORS; i++) {
        if (!actors[i].done.done) {
            return false;
        }
    }
    return true;
}

static void random_schedule(unsigned seed)
{
    srand(seed);
    host_boot(MIB(16), 1 + seed % 3);
    mutex_init(&ring_lock);
    total = inside = 0;
    for (unsigned i = 0; i < ACTORS; i++) {
        completion_init(&actors[i].done);
        wait_queue_init(&actors[i].wq);
        actors[i].tokens = i < 1 + seed % 4 ? 1 : 0;
        actors[i].received = 0;
        actors[i].next = &actors[(i + 1) % ACTORS];
    }
    host_interleave(seed, 3 + seed % 9);
    for (unsigned i = 0; i < ACTORS; i++) {
        spawn("actor", actor_main, &actors[i], (uint8_t)(1 + rand() % 10), (unsigned)rand() % cpu_count());
    }
    // Every token goes round, however the CPUs interleave: a lost wake-up would leave somebody waiting.
    assert_true(host_run_until(all_done, NULL, HOST_HZ * UINT64_C(100)));
    host_interleave(0, 0);
    assert_int_equal(total, ACTORS * ROUNDS);
}

static void test_random_schedules(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 1000; seed++) {
        random_schedule(seed);
    }
}

// ---- completions ------------------------------------------------------------------------------------------------------

struct timed {
    struct completion c;
    bool in_time;
    bool finished;
};

static void wait_timed(void *arg)
{
    struct timed *t = arg;

    t->in_time = completion_wait_timeout(&t->c, time_from_ms(10));
    t->finished = true;
}

static void test_completion_timeout(void **state)
{
    struct timed late = {0};
    struct timed ok = {0};

    (void)state;
    completion_init(&late.c);
    completion_init(&ok.c);
    spawn("l", wait_timed, &late, 8, 0);
    spawn("o", wait_timed, &ok, 8, 0);
    host_time_advance(time_from_ms(9));
    assert_false(late.finished || ok.finished);
    completion_signal(&ok.c);
    assert_true(ok.finished && ok.in_time);
    host_time_advance(time_from_ms(2));
    assert_true(late.finished);
    assert_false(late.in_time);
    completion_reset(&ok.c);
    ok.finished = false;
    spawn("o", wait_timed, &ok, 8, 0);
    assert_false(ok.finished);
    host_time_advance(time_from_ms(20));
    assert_true(ok.finished);
    assert_false(ok.in_time);
}

static void test_idle_may_wait(void **state)
{
    struct completion c;

    (void)state;
    completion_init(&c);
    // main() is the idle thread; it waits by idling.
    assert_false(completion_wait_timeout(&c, time_from_ms(3)));
}

static struct mutex m;
static void lock_sleep(void *arg)
{
    mutex_lock(&m);
    note(*(const char *)arg);
    thread_sleep(time_from_ms(1));
    note(*(const char *)arg);
    mutex_unlock(&m);
}

static void test_mutex_excludes(void **state)
{
    (void)state;
    mutex_init(&m);
    spawn("a", lock_sleep, "a", 8, 0);
    spawn("b", lock_sleep, "b", 9, 0);
    host_time_advance(time_from_ms(10));
    assert_string_equal(trace, "aabb");
    if (!HOST_CATCH_PANIC()) {
        mutex_unlock(&m);
        fail_msg("unlocking somebody else's mutex is a bug");
    }
    host_catch_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_runs_at_once_and_is_reaped, setup),
        cmocka_unit_test_setup(test_bulk_work_gets_on, setup),
        cmocka_unit_test_setup(test_reaped_on_a_busy_machine, setup),
        cmocka_unit_test_setup(test_interrupt_state_of_new_threads, setup),
        cmocka_unit_test_setup(test_block_wake, setup),
        cmocka_unit_test_setup(test_wake_before_block_is_kept, setup),
        cmocka_unit_test_setup(test_priority_preempts_at_once, setup),
        cmocka_unit_test_setup(test_worse_waits, setup),
        cmocka_unit_test_setup(test_round_robin_is_fair, setup),
        cmocka_unit_test_setup(test_alone_is_tickless, setup),
        cmocka_unit_test_setup(test_sleep_order, setup),
        cmocka_unit_test_setup(test_yield_alternates, setup),
        cmocka_unit_test_setup(test_switch_in, setup),
        cmocka_unit_test_setup(test_create_refuses, setup),
        cmocka_unit_test_setup(test_masked_wake_comes_by_interrupt, setup),
        cmocka_unit_test_setup(test_secondaries, setup),
        cmocka_unit_test_setup(test_random_schedules, setup),
        cmocka_unit_test_setup(test_completion_timeout, setup),
        cmocka_unit_test_setup(test_idle_may_wait, setup),
        cmocka_unit_test_setup(test_mutex_excludes, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
