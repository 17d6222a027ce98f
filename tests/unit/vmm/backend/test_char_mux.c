// SPDX-License-Identifier: Apache-2.0
//
// The shared console at work on the fake machine: worker thread, log sink, typed input, front ends, a slow
// wire.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/log/console.h"
#include "kernel/log/log.h"
#include "kernel/sched/thread.h"
#include "kernel/time/timer.h"
#include "vmm/backend/char_mux.h"

// ---- the wire ---------------------------------------------------------------------------------------------

static char wire[1 << 18];
static size_t wire_len;
static uint64_t us_per_char;
static void (*input)(char c);

static void wire_putc(char c)
{
    if (wire_len < sizeof(wire) - 1) {
        wire[wire_len++] = c;
    }
    if (us_per_char > 0) {
        host_time_advance(time_from_us(us_per_char));
    }
}

static void wire_set_input(void (*fn)(char c))
{
    input = fn;
}

static const struct console_device device = {.name = "wire", .putc = wire_putc, .set_input = wire_set_input};

static bool seen(const char *text)
{
    wire[wire_len] = '\0';
    return strstr(wire, text) != NULL;
}

static void keys(const char *text)
{
    for (; *text; text++) {
        input(*text);
    }
}

static void run_ms(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        (void)host_run_until(NULL, NULL, 0);
        host_time_advance(time_from_ms(1));
    }
    (void)host_run_until(NULL, NULL, 0);
}

// Runs fn on a worker thread, as what may sleep has to be.
static void in_thread(void (*fn)(void *arg), void *arg, unsigned ms)
{
    const struct thread_attr attr = {.name = "test", .entry = fn, .arg = arg, .prio = PRIO_WORKER};
    struct thread *t = thread_create(&attr);

    assert_non_null(t);
    thread_start(t);
    run_ms(ms);
}

// ---- front ends -------------------------------------------------------------------------------------------

struct front {
    struct char_backend *be;
    unsigned rx, tx;
    char got[256];
    size_t got_len;
};

static struct front uart[2];

static void rx_ready(void *dev)
{
    struct front *f = dev;

    f->rx++;
    f->got_len += f->be->ops->read(f->be, &f->got[f->got_len], sizeof(f->got) - f->got_len - 1);
    f->got[f->got_len] = '\0';
}

static void tx_ready(void *dev)
{
    ((struct front *)dev)->tx++;
}

static const struct char_frontend_ops front_ops = {.rx_ready = rx_ready, .tx_ready = tx_ready};

static void say(unsigned i, const char *text)
{
    assert_int_equal(uart[i].be->ops->write(uart[i].be, text, strlen(text)), strlen(text));
}

static unsigned poweroffs;

static void state_of(void *ctx, const char *name, char *buf, size_t size)
{
    (void)ctx;
    snprintf(buf, size, "state of %s", name);
}

static void poweroff(void *ctx)
{
    (void)ctx;
    log_info("last words");
    char_mux_flush(100); // from the worker itself
    assert_true(seen("[lodge] last words"));
    poweroffs++;
}

static const struct char_mux_ops ops = {.state = state_of, .poweroff = poweroff};

// ---- tests, one story in order ----------------------------------------------------------------------------

static void channels_before_the_start(void **state)
{
    static const char *const names[] = {"linux", "heartbeat"};

    (void)state;
    console_register(&device);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(char_mux_open(names[i], &uart[i].be), OK);
        char_backend_attach(uart[i].be, &front_ops, &uart[i]);
    }
    say(0, "early line\n");
    assert_int_equal(wire_len, 0);
    log_info("before the start");
    assert_int_equal(char_mux_start(CONSOLE_MERGED, &ops, 0), OK);
    run_ms(1);
    assert_true(seen("[linux] early line\r\n"));
    assert_true(seen("[lodge] input goes to linux"));
    assert_false(seen("before the start")); // that was on the early console
}

static void lines_and_log(void **state)
{
    (void)state;
    wire_len = 0;
    say(1, "beat 1\n");
    log_info("hello %d", 42);
    say(0, "booting\r\n");
    run_ms(3); // output gathers for a moment
    assert_true(seen("[heartbeat] beat 1\r\n"));
    assert_true(seen("[lodge] hello 42\r\n"));
    assert_true(seen("[linux] booting\r\n"));
}

static void prompt_after_a_pause_then_silence(void **state)
{
    (void)state;
    wire_len = 0;
    say(0, "~ # ");
    run_ms(59);
    assert_int_equal(wire_len, 0);
    run_ms(4);
    assert_true(seen("[linux] ~ # "));
    run_ms(1000);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX); // the worker sleeps without a timer
}

static void typing(void **state)
{
    (void)state;
    keys("ls\r");
    run_ms(1);
    assert_string_equal(uart[0].got, "ls\r");
    assert_int_equal(uart[1].rx, 0);
    keys("\x1dn"
         "x");
    run_ms(1);
    assert_string_equal(uart[1].got, "x");
    assert_true(seen("[lodge] input goes to heartbeat"));
    assert_int_equal(char_mux_select("linux"), OK);
    assert_int_equal(char_mux_select("nobody"), E_NOENT);
    keys("y");
    run_ms(1);
    assert_string_equal(uart[0].got, "ls\ry");
}

static void listing_and_power(void **state)
{
    (void)state;
    wire_len = 0;
    keys("\x1dl");
    run_ms(1);
    assert_true(seen("1 * linux            state of linux"));
    assert_true(seen("2   heartbeat        state of heartbeat"));
    keys("\x1dq");
    run_ms(1);
    assert_int_equal(poweroffs, 1);
    assert_true(seen("[lodge] powering off"));
}

static void room_is_announced(void **state)
{
    static char big[8192];
    size_t n;

    (void)state;
    memset(big, '.', sizeof(big));
    n = uart[1].be->ops->write(uart[1].be, big, sizeof(big));
    assert_true(n > 0 && n < sizeof(big));
    run_ms(5);
    assert_int_equal(uart[1].tx, 1);
    assert_int_equal(uart[1].be->ops->write(uart[1].be, "\n", 1), 1);
    run_ms(600);
}

static bool flushed;

static void flush(void *arg)
{
    (void)arg;
    char_mux_flush(2000);
    flushed = true;
}

static void destroy(void *arg)
{
    struct char_backend *be = arg;

    be->ops->destroy(be);
}

static void a_slow_wire_loses_nothing(void **state)
{
    (void)state;
    wire_len = 0;
    us_per_char = 87;
    for (unsigned i = 0; i < 20; i++) {
        char text[32];

        snprintf(text, sizeof(text), "slow line %02u\n", i);
        say(1, text);
    }
    in_thread(flush, NULL, 2000);
    assert_true(flushed);
    us_per_char = 0;
    for (unsigned i = 0; i < 20; i++) {
        char text[64];

        snprintf(text, sizeof(text), "[heartbeat] slow line %02u\r\n", i);
        assert_true(seen(text));
    }
}

static void a_long_log_comes_out_whole(void **state)
{
    (void)state;
    wire_len = 0;
    for (unsigned i = 0; i < 100; i++) {
        log_info("log line %u of many", i);
    }
    run_ms(10);
    for (unsigned i = 0; i < 100; i++) {
        char text[64];

        snprintf(text, sizeof(text), "[lodge] log line %u of many\r\n", i);
        assert_true(seen(text));
    }
}

static void urgent_lines_pass_everything(void **state)
{
    (void)state;
    wire_len = 0;
    log_get_sink()->line(LOG_ERR, "panic: gone", true);
    assert_true(seen("\r\n[lodge] panic: gone\r\n"));
}

static void closing(void **state)
{
    struct char_backend *be;
    unsigned rx = uart[0].rx;

    (void)state;
    wire_len = 0;
    say(0, "unfinished");
    char_backend_detach(uart[0].be);
    keys("lost");
    run_ms(1);
    assert_int_equal(uart[0].rx, rx);
    in_thread(destroy, uart[0].be, 200);
    run_ms(1);
    assert_true(seen("[linux] ~ # unfinished\r\n"));
    assert_true(seen("[lodge] input goes to heartbeat"));
    keys("z");
    run_ms(1);
    assert_string_equal(uart[1].got, "xz");
    assert_int_equal(char_mux_open("linux", &be), OK);
    in_thread(destroy, be, 200);
    in_thread(destroy, uart[1].be, 200);
    keys("nobody listens\x1dn\x1dl");
    log_info("still here");
    run_ms(1);
    assert_true(seen("[lodge] still here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_before_the_start),
        cmocka_unit_test(lines_and_log),
        cmocka_unit_test(prompt_after_a_pause_then_silence),
        cmocka_unit_test(typing),
        cmocka_unit_test(listing_and_power),
        cmocka_unit_test(room_is_announced),
        cmocka_unit_test(a_slow_wire_loses_nothing),
        cmocka_unit_test(a_long_log_comes_out_whole),
        cmocka_unit_test(urgent_lines_pass_everything),
        cmocka_unit_test(closing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
