// SPDX-License-Identifier: Apache-2.0
//
// Log levels, sink, ring, the token bucket, and panic.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/log/log.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"

static char lines[8][LOG_LINE_MAX];
static unsigned line_count;
static bool last_urgent;

static void take_line(enum log_level level, const char *text, bool urgent)
{
    (void)level;
    (void)snprintf(lines[line_count++ % 8], LOG_LINE_MAX, "%s", text);
    last_urgent = urgent;
}

static const struct log_sink sink = {.line = take_line};

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(16), 1);
    (void)host_console_take();
    log_set_level(LOG_INFO);
    line_count = 0;
    return 0;
}

static void test_before_a_sink(void **state)
{
    (void)state;
    log_info("hello %d", 3);
    log_err("bad");
    log_debug("not shown");
    assert_string_equal(host_console_take(), "hello 3\nerror: bad\n");
}

static void test_sink_and_levels(void **state)
{
    (void)state;
    log_set_sink(&sink);
    log_warn("w");
    log_set_level(LOG_ERR);
    log_warn("hidden");
    log_set_level(LOG_DEBUG);
    log_debug("d\n");
    assert_int_equal(line_count, 2);
    assert_string_equal(lines[0], "w");
    assert_string_equal(lines[1], "d");
    assert_false(last_urgent);
    assert_string_equal(host_console_take(), "");
    assert_int_equal(log_level_parse("warn"), LOG_WARN);
    assert_int_equal(log_level_parse("nonsense"), LOG_LEVEL_COUNT);
}

static void test_long_line_is_cut(void **state)
{
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_set_sink(&sink);
    log_info("%s", text);
    assert_int_equal(strlen(lines[0]), LOG_LINE_MAX - 1);
}

static void test_ring(void **state)
{
    uint64_t pos = UINT64_MAX;
    char buf[20000];
    size_t n;

    (void)state;
    log_set_sink(&sink);
    for (unsigned i = 0; i < 2000; i++) {
        log_info("line %u of many", i);
    }
    n = log_read(&pos, buf, sizeof(buf));
    assert_int_equal(n, 16384);
    buf[n] = '\0';
    assert_non_null(strstr(buf, "line 1999 of many\n"));
    assert_null(strstr(buf, "line 0 of many\n"));
    assert_int_equal(log_read(&pos, buf, sizeof(buf)), 0);
    log_info("new");
    assert_int_equal(log_read(&pos, buf, sizeof(buf)), 4);
}

static void test_limit(void **state)
{
    struct log_limit limit = {.burst = 3, .per_second = 10};
    uint32_t dropped = 99;
    unsigned ok = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        ok += log_limit_ok(&limit, &dropped) ? 1 : 0;
    }
    assert_int_equal(ok, 3);
    host_time_advance(HOST_HZ / 10);
    assert_true(log_limit_ok(&limit, &dropped));
    assert_int_equal(dropped, 97);
    assert_false(log_limit_ok(&limit, &dropped));
    // A long silence gives the burst, not more.
    host_time_advance(HOST_HZ * UINT64_C(1000));
    ok = 0;
    for (unsigned i = 0; i < 100; i++) {
        ok += log_limit_ok(&limit, &dropped) ? 1 : 0;
    }
    assert_int_equal(ok, 3);
}

static void test_panic(void **state)
{
    const char *out;

    (void)state;
    if (!HOST_CATCH_PANIC()) {
        panic("value %d", 42);
    }
    host_catch_end();
    out = host_console_take();
    assert_non_null(strstr(out, "PANIC on cpu 0, thread idle\nvalue 42\n"));
    assert_non_null(strstr(out, "  #0 0x"));
}

static void panic_there(void *arg)
{
    (void)arg;
    panic("in a thread");
}

static void test_panic_in_thread(void **state)
{
    struct thread_attr attr = {.name = "bad", .entry = panic_there, .prio = 8};

    (void)state;
    log_set_sink(&sink);
    if (!HOST_CATCH_PANIC()) {
        thread_start(thread_create(&attr));
        fail();
    }
    host_catch_end();
    assert_true(last_urgent);
    assert_string_equal(lines[0], "PANIC on cpu 0, thread bad");
    assert_string_equal(lines[1], "in a thread");
}

// ---- lock rules (debug builds) -----------------------------------------------------------------------------------------

static struct spinlock low = SPINLOCK_INIT(LOCK_VM), high = SPINLOCK_INIT(LOCK_PAGE);

static void lock_wrong_order(void)
{
    spin_lock(&high);
    spin_lock(&low);
}

static void lock_twice(void)
{
    spin_lock(&low);
    spin_lock(&low);
}

static void lock_not_held(void)
{
    spin_assert_held(&low);
}

static bool panics(void (*fn)(void))
{
    spin_init(&low, LOCK_VM);
    spin_init(&high, LOCK_PAGE);
    if (!HOST_CATCH_PANIC()) {
        fn();
        host_catch_end();
        return false;
    }
    host_catch_end();
    host_boot(MIB(16), 1);
    return true;
}

static void lock_right(void)
{
    spin_lock(&low);
    spin_lock(&high);
    spin_assert_held(&low);
    spin_unlock(&high);
    spin_unlock(&low);
}

static void test_lock_rules(void **state)
{
    irq_state_t irq;

    (void)state;
    assert_false(panics(lock_right));
    assert_true(panics(lock_wrong_order));
    assert_true(panics(lock_twice));
    assert_true(panics(lock_not_held));
    spin_init(&low, LOCK_VM);
    spin_init(&high, LOCK_PAGE);
    assert_true(arch_irq_enabled());
    spin_lock(&low);
    assert_false(arch_irq_enabled());
    irq = spin_lock_irqsave(&high);
    assert_false(spin_trylock(&low));
    spin_unlock_irqrestore(&high, irq);
    assert_false(arch_irq_enabled());
    spin_unlock(&low);
    assert_true(arch_irq_enabled());
    assert_true(spin_trylock(&low));
    spin_unlock(&low);
    assert_true(arch_irq_enabled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_a_sink, setup),
        cmocka_unit_test_setup(test_sink_and_levels, setup),
        cmocka_unit_test_setup(test_long_line_is_cut, setup),
        cmocka_unit_test_setup(test_ring, setup),
        cmocka_unit_test_setup(test_limit, setup),
        cmocka_unit_test_setup(test_panic, setup),
        cmocka_unit_test_setup(test_panic_in_thread, setup),
        cmocka_unit_test_setup(test_lock_rules, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
