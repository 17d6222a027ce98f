// SPDX-License-Identifier: Apache-2.0
//
// 16550A: registers and their bank, both FIFOs against a back end that fills up, interrupts by priority,
// modem lines and loopback, ports instead of memory, save and load.
#include "tests/unit/vmm/devices/bench.h"

#include "vmm/devices/v16550.h"

#define UART 0x10000000u
#define IRQ 10u

enum {
    DATA,
    IER,
    IIR,
    LCR,
    MCR,
    LSR,
    MSR,
    SCR
};
#define FCR IIR
#define DLAB 0x80u
#define THRE_TEMT 0x60u

// A back end with little room on both sides.
struct wire {
    struct char_backend be;
    char out[4096];
    size_t out_len, room;
    char in[512];
    size_t in_len, in_at;
};

static size_t wire_write(struct char_backend *be, const void *buf, size_t len)
{
    struct wire *w = container_of(be, struct wire, be);
    size_t n = len < w->room ? len : w->room;

    n = n < sizeof(w->out) - w->out_len ? n : sizeof(w->out) - w->out_len;
    memcpy(&w->out[w->out_len], buf, n);
    w->out_len += n;
    w->room -= n;
    return n;
}

static size_t wire_read(struct char_backend *be, void *buf, size_t len)
{
    struct wire *w = container_of(be, struct wire, be);
    size_t n = w->in_len - w->in_at;

    n = len < n ? len : n;
    memcpy(buf, &w->in[w->in_at], n);
    w->in_at += n;
    return n;
}

static const struct char_backend_ops wire_ops = {.write = wire_write, .read = wire_read};

struct fixture {
    struct bench b;
    struct wire w;
    struct vdev *dev;
};

static const struct plan_device plan =
    {.model = MODEL_UART, .name = "uart0", .base = UART, .size = 0x100, .irq = IRQ, .config_index = -1};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    bench_init(&f->b);
    f->w.be.ops = &wire_ops;
    f->w.room = SIZE_MAX;
    assert_int_equal(v16550_create(&f->b.vm, &plan, &f->w.be, &f->dev), OK);
}

static void fixture_fini(struct fixture *f)
{
    f->dev->ops->destroy(f->dev);
    assert_null(f->w.be.front);
    bench_fini(&f->b);
}

static int setup(void **state)
{
    struct fixture *f = malloc(sizeof(*f));

    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_fini(*state);
    free(*state);
    return 0;
}

static uint8_t rd(struct fixture *f, unsigned reg)
{
    uint64_t v = 0xdeadbeef;

    assert_int_equal(bench_access(&f->b, UART + reg, 1, false, &v), IO_DONE);
    return (uint8_t)v;
}

static void wr(struct fixture *f, unsigned reg, uint8_t value)
{
    uint64_t v = value;

    assert_int_equal(bench_access(&f->b, UART + reg, 1, true, &v), IO_DONE);
}

static bool line(const struct fixture *f)
{
    return f->b.level[IRQ];
}

static void type(struct fixture *f, const char *text)
{
    memcpy(&f->w.in[f->w.in_len], text, strlen(text));
    f->w.in_len += strlen(text);
    f->w.be.front->rx_ready(f->w.be.dev);
}

static void send(struct fixture *f, const char *text)
{
    while (*text) {
        wr(f, DATA, (uint8_t)*text++);
    }
}

static void creation(void **state)
{
    struct fixture *f = *state;
    struct vdev *second;
    struct vdev_desc d;

    assert_int_equal(v16550_create(&f->b.vm, &plan, NULL, &second), E_EXISTS);
    f->dev->ops->describe(f->dev, &d);
    assert_string_equal(d.node, "serial");
    assert_string_equal(d.compatible, "ns16550a");
    assert_int_equal(d.clock_frequency, 3686400);
    assert_true(d.is_console);
}

static void reset_values(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rd(f, IER), 0);
    assert_int_equal(rd(f, IIR), 0x01);
    assert_int_equal(rd(f, LCR), 0);
    assert_int_equal(rd(f, MCR), 0);
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    assert_int_equal(rd(f, MSR), 0xb0);
    assert_int_equal(rd(f, DATA), 0);
    assert_false(line(f));
}

static void writable_bits(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR, 0x7f);
    assert_int_equal(rd(f, LCR), 0x7f);
    wr(f, IER, 0xff);
    assert_int_equal(rd(f, IER), 0x0f);
    wr(f, IER, 0);
    wr(f, MCR, 0xff);
    assert_int_equal(rd(f, MCR), 0x1f);
    wr(f, MCR, 0);
    wr(f, SCR, 0xa5);
    assert_int_equal(rd(f, SCR), 0xa5);
    wr(f, LSR, 0);
    assert_int_equal(rd(f, LSR), THRE_TEMT);
}

static void divisor_latch(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR, DLAB | 3);
    wr(f, DATA, 0x34);
    wr(f, IER, 0x12);
    assert_int_equal(rd(f, DATA), 0x34);
    assert_int_equal(rd(f, IER), 0x12);
    wr(f, LCR, 3);
    assert_int_equal(rd(f, IER), 0);
    assert_int_equal(f->w.out_len, 0);
    wr(f, DATA, 'x');
    assert_int_equal(f->w.out_len, 1);
    wr(f, LCR, DLAB | 3);
    assert_int_equal(rd(f, DATA), 0x34);
}

static void access_sweep(void **state)
{
    struct fixture *f = *state;

    for (uint64_t off = 0; off < 0x100; off++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            uint64_t v = UINT64_MAX;
            enum io_result want = off + size > 0x100 ? IO_UNCLAIMED : size == 8 ? IO_BAD : IO_DONE;

            assert_int_equal(bench_access(&f->b, UART + off, (uint8_t)size, false, &v), want);
            assert_true(want != IO_DONE || v <= 0xff);
            assert_true(want != IO_DONE || off < 8 || v == 0);
            v = off ^ 0x5a;
            assert_int_equal(bench_access(&f->b, UART + off, (uint8_t)size, true, &v), want);
        }
    }
}

static void transmit(void **state)
{
    struct fixture *f = *state;

    send(f, "hello");
    assert_memory_equal(f->w.out, "hello", 5);
    assert_int_equal(rd(f, LSR), THRE_TEMT);
}

static void back_pressure(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    f->w.room = 3;
    send(f, "0123456789abcdefghijk"); // 3 out, 16 wait, 2 are lost
    assert_int_equal(f->w.out_len, 3);
    assert_int_equal(rd(f, LSR), 0);
    f->w.room = 10;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_int_equal(f->w.out_len, 13);
    assert_int_equal(rd(f, LSR), 0);
    f->w.room = 100;
    assert_int_equal(rd(f, LSR), THRE_TEMT); // polling moves it on, too
    assert_int_equal(f->w.out_len, 19);
    assert_memory_equal(f->w.out, "0123456789abcdefghi", 19);
}

static void without_fifo_one_byte_waits(void **state)
{
    struct fixture *f = *state;

    f->w.room = 0;
    send(f, "ab");
    f->w.room = 10;
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    assert_int_equal(f->w.out_len, 1);
    assert_int_equal(f->w.out[0], 'a');
}

static void transmit_interrupt(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    wr(f, IER, 0x02); // empty already: at once
    assert_true(line(f));
    assert_int_equal(rd(f, IIR), 0xc2);
    assert_false(line(f)); // reading answers it
    assert_int_equal(rd(f, IIR), 0xc1);
    send(f, "x");
    assert_true(line(f));
    wr(f, IER, 0x00);
    assert_false(line(f));
    wr(f, IER, 0x02);
    assert_true(line(f));
    f->w.room = 0;
    send(f, "y"); // waits: THR is not empty
    assert_false(line(f));
    assert_int_equal(rd(f, IIR), 0xc1);
    f->w.room = 1;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_true(line(f));
}

static void receive(void **state)
{
    struct fixture *f = *state;

    type(f, "ok");
    assert_int_equal(rd(f, LSR), THRE_TEMT | 1);
    assert_int_equal(rd(f, DATA), 'o');
    assert_int_equal(rd(f, LSR), THRE_TEMT | 1);
    assert_int_equal(rd(f, DATA), 'k');
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    assert_int_equal(rd(f, DATA), 0);
    assert_false(line(f));
}

static void receive_interrupts(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x81); // trigger at 8
    wr(f, IER, 0x01);
    type(f, "abc");
    assert_true(line(f));
    assert_int_equal(rd(f, IIR), 0xcc); // below the trigger: time-out
    type(f, "defgh");
    assert_int_equal(rd(f, IIR), 0xc4);
    for (unsigned i = 0; i < 8; i++) {
        assert_true(line(f));
        assert_int_equal(rd(f, DATA), 'a' + i);
    }
    assert_false(line(f));
    assert_int_equal(rd(f, IIR), 0xc1);
}

// More than fits stays with the back end and comes later.
static void long_input(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    type(f, "the quick brown fox jumps over the lazy dog");
    assert_int_equal(f->w.in_at, 16);
    for (const char *p = "the quick brown fox jumps over the lazy dog"; *p; p++) {
        assert_int_equal(rd(f, LSR), THRE_TEMT | 1);
        assert_int_equal(rd(f, DATA), *p);
    }
    assert_int_equal(rd(f, LSR), THRE_TEMT);
}

static void fifo_control(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    assert_int_equal(rd(f, IIR), 0xc1);
    type(f, "abc");
    wr(f, FCR, 0x03); // clear the receive FIFO
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    type(f, "abc");
    wr(f, FCR, 0x00); // switching it off clears, too
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    assert_int_equal(rd(f, IIR), 0x01);
    wr(f, FCR, 0xc6); // without enable nothing takes
    assert_int_equal(rd(f, IIR), 0x01);
    wr(f, FCR, 0x01);
    f->w.room = 0;
    send(f, "lost");
    assert_int_equal(rd(f, LSR), 0);
    wr(f, FCR, 0x05);
    assert_int_equal(rd(f, LSR), THRE_TEMT);
    f->w.room = 100;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_int_equal(f->w.out_len, 0);
}

static void loopback(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0x01);
    wr(f, MCR, 0x10);
    assert_int_equal(rd(f, MSR) & 0xf0, 0);
    send(f, "xyz");
    assert_int_equal(f->w.out_len, 0);
    assert_int_equal(rd(f, DATA), 'x');
    assert_int_equal(rd(f, DATA), 'y');
    type(f, "later"); // not while looped back
    assert_int_equal(rd(f, DATA), 'z');
    assert_int_equal(rd(f, DATA), 0);
    wr(f, IER, 0x04);
    send(f, "0123456789abcdefg"); // one too many
    assert_true(line(f));
    assert_int_equal(rd(f, IIR), 0xc6);
    assert_int_equal(rd(f, LSR), THRE_TEMT | 3);
    assert_false(line(f));
    assert_int_equal(rd(f, LSR), THRE_TEMT | 1);
    wr(f, FCR, 0x03);
    wr(f, MCR, 0);
    assert_int_equal(rd(f, DATA), 'l');
}

static void modem_lines(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint8_t mcr, msr;
    } steps[] = {
        {0x10, 0x0b}, // CTS, DSR, DCD went
        {0x12, 0x11}, // RTS is CTS
        {0x13, 0x32}, // DTR is DSR
        {0x17, 0x70}, // OUT1 is RI: its leading edge says nothing
        {0x1b, 0xbc}, // OUT2 is DCD; RI's trailing edge
        {0x1b, 0xb0}, {0x00, 0xb0},
    };

    (void)rd(f, MSR);
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        wr(f, MCR, steps[i].mcr);
        assert_int_equal(rd(f, MSR), steps[i].msr);
    }
    wr(f, IER, 0x08);
    assert_false(line(f));
    wr(f, MCR, 0x10);
    assert_true(line(f));
    assert_int_equal(rd(f, IIR), 0x00);
    assert_true(line(f)); // only MSR answers it
    (void)rd(f, MSR);
    assert_false(line(f));
}

// Overrun, received data, transmit, modem: in this order.
static void priorities(void **state)
{
    struct fixture *f = *state;

    wr(f, MCR, 0x10);
    send(f, "ab");
    wr(f, IER, 0x0f);
    assert_int_equal(rd(f, IIR), 0x06);
    (void)rd(f, LSR);
    assert_int_equal(rd(f, IIR), 0x04);
    (void)rd(f, DATA);
    assert_int_equal(rd(f, IIR), 0x02);
    assert_int_equal(rd(f, IIR), 0x00);
    (void)rd(f, MSR);
    assert_int_equal(rd(f, IIR), 0x01);
    assert_false(line(f));
}

static void at_ports(void **state)
{
    struct bench b;
    struct plan_device p = plan;
    struct vdev *dev;
    struct io_access a = {.offset = 0, .size = 1, .write = true, .value = 0x5a};
    struct io_cache cache = {0};

    (void)state;
    bench_init(&b);
    p.port = true;
    p.base = 0x3f8;
    p.size = 8;
    assert_int_equal(v16550_create(&b.vm, &p, NULL, &dev), OK);
    assert_int_equal(io_bus_access(&b.vm.pio, &cache, 0x3ff, &a), IO_DONE);
    a = (struct io_access){.size = 1};
    assert_int_equal(io_bus_access(&b.vm.pio, &cache, 0x3ff, &a), IO_DONE);
    assert_int_equal(a.value, 0x5a);
    a = (struct io_access){.size = 1};
    assert_int_equal(io_bus_access(&b.vm.mmio, &b.cache, 0x3ff, &a), IO_UNCLAIMED);
    dev->ops->destroy(dev);
    bench_fini(&b);
}

static void reset_is_power_on(void **state)
{
    struct fixture *f = *state;

    wr(f, FCR, 0xc1);
    type(f, "abc");
    wr(f, IER, 0x0f);
    wr(f, SCR, 1);
    assert_true(line(f));
    f->dev->ops->reset(f->dev);
    assert_false(line(f));
    reset_values(state);
    assert_int_equal(rd(f, SCR), 0);
}

// ---- save and load ----------------------------------------------------------------------------------------

static uint32_t random_step(struct fixture *f, uint32_t r)
{
    unsigned reg = r >> 8 & 7;

    switch (r >> 4 & 7) {
    case 0:
        f->w.room += r >> 16 & 7;
        f->w.be.front->tx_ready(f->w.be.dev);
        return 0;
    case 1:
        if (f->w.in_len < 500) {
            type(f, "?");
        }
        return 0;
    case 2:
    case 3:
    case 4:
        return rd(f, reg);
    default:
        wr(f, reg, (uint8_t)(r >> 16));
        return 0;
    }
}

static uint32_t next_random(uint32_t *r)
{
    *r = *r * 1664525 + 1013904223;
    return *r >> 3;
}

static void save_load_same_behaviour(void **state)
{
    struct fixture *a = *state;

    for (uint32_t seed = 1; seed < 40; seed++) {
        struct fixture *b = malloc(sizeof(*b));
        uint8_t buf[256];
        uint32_t r = seed;

        a->w.room = 5;
        a->w.out_len = a->w.in_at = a->w.in_len = 0;
        for (unsigned i = 0; i < 400; i++) {
            random_step(a, next_random(&r));
        }
        a->w.in_len = a->w.in_at; // what is still with the back end is not the device's
        a->w.room = 0;
        (void)rd(a, LSR);
        assert_int_equal(vdev_save(a->dev, buf, sizeof(buf)), OK);
        fixture_init(b);
        b->w.room = 0;
        assert_int_equal(vdev_load(b->dev, 1, buf, a->dev->ops->state_size), OK);
        assert_int_equal(line(a), line(b));
        for (unsigned i = 0; i < 400; i++) {
            uint32_t step = next_random(&r);

            assert_int_equal(random_step(a, step), random_step(b, step));
            assert_int_equal(line(a), line(b));
        }
        fixture_fini(b);
        free(b);
    }
}

static void load_refuses_nonsense(void **state)
{
    struct fixture *f = *state;
    uint8_t good[256], bad[256];
    uint32_t size = f->dev->ops->state_size;
    uint32_t r = 5;

    assert_int_equal(vdev_save(f->dev, good, 8), E_RANGE);
    assert_int_equal(vdev_save(f->dev, good, sizeof(good)), OK);
    assert_int_equal(vdev_load(f->dev, 2, good, size), E_UNSUPPORTED);
    assert_int_equal(vdev_load(f->dev, 1, good, size - 1), E_INVAL);
    for (unsigned i = 0; i < 5000; i++) { // whatever is taken cannot do harm
        memcpy(bad, good, size);
        for (unsigned n = 0; n < 3; n++) {
            bad[next_random(&r) % size] = (uint8_t)next_random(&r);
        }
        (void)!vdev_load(f->dev, 1, bad, size);
        for (unsigned reg = 0; reg < 8; reg++) {
            (void)rd(f, reg);
        }
        wr(f, DATA, 'x');
        f->w.out_len = 0;
    }
    memset(bad, 0xff, size);
    assert_int_equal(vdev_load(f->dev, 1, bad, size), E_CORRUPT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(creation),
        T(reset_values),
        T(writable_bits),
        T(divisor_latch),
        T(access_sweep),
        T(transmit),
        T(back_pressure),
        T(without_fifo_one_byte_waits),
        T(transmit_interrupt),
        T(receive),
        T(receive_interrupts),
        T(long_input),
        T(fifo_control),
        T(loopback),
        T(modem_lines),
        T(priorities),
        T(at_ports),
        T(reset_is_power_on),
        T(save_load_same_behaviour),
        T(load_refuses_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
