// SPDX-License-Identifier: Apache-2.0
//
// PL011: identification, every register and width, both FIFOs against a back end that fills up, interrupts,
// loopback, save and load.
#include "tests/unit/vmm/devices/bench.h"

#include "vmm/devices/vpl011.h"

#define UART 0x9000000u
#define IRQ 33u

#define DR (UART + 0x00)
#define RSR (UART + 0x04)
#define FR (UART + 0x18)
#define LCR_H (UART + 0x2c)
#define CR (UART + 0x30)
#define IFLS (UART + 0x34)
#define IMSC (UART + 0x38)
#define RIS (UART + 0x3c)
#define MIS (UART + 0x40)
#define ICR (UART + 0x44)

#define FR_MODEM 0x07u
#define RXFE 0x10u
#define TXFF 0x20u
#define RXFF 0x40u
#define TXFE 0x80u
#define BUSY 0x08u
#define INT_RX 0x10u
#define INT_TX 0x20u
#define INT_RT 0x40u
#define INT_OE 0x400u
#define FEN 0x10u

// A back end with little room on both sides.
struct wire {
    struct char_backend be;
    char out[512];
    size_t out_len, room;
    char in[512];
    size_t in_len, in_at;
    unsigned reads, writes;
};

static size_t wire_write(struct char_backend *be, const void *buf, size_t len)
{
    struct wire *w = container_of(be, struct wire, be);
    size_t n = len < w->room ? len : w->room;

    w->writes++;
    memcpy(&w->out[w->out_len], buf, n);
    w->out_len += n;
    w->room -= n;
    return n;
}

static size_t wire_read(struct char_backend *be, void *buf, size_t len)
{
    struct wire *w = container_of(be, struct wire, be);
    size_t n = w->in_len - w->in_at;

    w->reads++;
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
    {.model = MODEL_UART, .name = "uart0", .base = UART, .size = 0x1000, .irq = IRQ, .config_index = -1};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    bench_init(&f->b);
    f->w.be.ops = &wire_ops;
    f->w.room = SIZE_MAX;
    assert_int_equal(vpl011_create(&f->b.vm, &plan, &f->w.be, &f->dev), OK);
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

static uint32_t rd(struct fixture *f, uint64_t addr)
{
    return bench_read(&f->b, addr);
}

static void wr(struct fixture *f, uint64_t addr, uint32_t v)
{
    bench_write(&f->b, addr, v);
}

static void type(struct fixture *f, const char *text)
{
    memcpy(&f->w.in[f->w.in_len], text, strlen(text));
    f->w.in_len += strlen(text);
    f->w.be.front->rx_ready(f->w.be.dev);
}

// ---- creation and identification --------------------------------------------------------------------------

static void creation(void **state)
{
    struct fixture *f = *state;
    struct vdev *second;
    struct vdev_desc d;

    assert_string_equal(f->dev->name, "uart0");
    assert_ptr_equal(f->dev->vm, &f->b.vm);
    assert_ptr_equal(f->b.vm.devices.next, &f->dev->node);
    assert_int_equal(vpl011_create(&f->b.vm, &plan, NULL, &second), E_EXISTS);
    f->dev->ops->describe(f->dev, &d);
    assert_string_equal(d.node, "pl011");
    assert_int_equal(d.compatible_len, sizeof("arm,pl011\0arm,primecell"));
    assert_memory_equal(d.compatible, "arm,pl011\0arm,primecell", d.compatible_len);
    assert_int_equal(d.clocks, 2);
    assert_true(d.is_console);
}

static void reset_values(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t off, value;
    } t[] = {
        {0x000, 0},    {0x004, 0},     {0x018, TXFE | RXFE | FR_MODEM},
        {0x020, 0},    {0x024, 0},     {0x028, 0},
        {0x02c, 0},    {0x030, 0x300}, {0x034, 0x12},
        {0x038, 0},    {0x03c, 0},     {0x040, 0},
        {0x044, 0},    {0x048, 0},     {0xfe0, 0x11},
        {0xfe4, 0x10}, {0xfe8, 0x14},  {0xfec, 0},
        {0xff0, 0x0d}, {0xff4, 0xf0},  {0xff8, 0x05},
        {0xffc, 0xb1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        assert_int_equal(rd(f, UART + t[i].off), t[i].value);
    }
}

static void writable_bits(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t off, mask;
    } t[] = {{0x20, 0xff},  {0x24, 0xffff}, {0x28, 0x3f}, {0x2c, 0xff}, {0x30, 0xff87}, {0x34, 0x3f},
             {0x38, 0x7ff}, {0x48, 0},      {0x18, 0},    {0x3c, 0},    {0x40, 0},      {0xfe0, 0},
             {0x04c, 0},    {0x080, 0},     {0x100, 0},   {0xfd0, 0}};

    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        uint32_t before = rd(f, UART + t[i].off);

        wr(f, UART + t[i].off, 0xffffffff);
        if (t[i].mask != 0) {
            assert_int_equal(rd(f, UART + t[i].off), t[i].mask);
            wr(f, UART + t[i].off, 0);
            assert_int_equal(rd(f, UART + t[i].off), 0);
        } else {
            assert_int_equal(rd(f, UART + t[i].off) & ~FR_MODEM, before & ~FR_MODEM);
        }
    }
}

// H11: every offset and width either works or is refused; nothing else happens.
static void access_sweep(void **state)
{
    struct fixture *f = *state;

    for (unsigned off = 0; off <= 0x1000; off++) {
        for (unsigned size = 1; size <= 16; size++) {
            uint64_t v = 0xa5a5a5a5a5a5a5a5;
            bool natural = (size & (size - 1)) == 0 && size <= 8 && off % size == 0 && off + size <= 0x1000;
            enum io_result r = bench_access(&f->b, UART + off, (uint8_t)size, (off + size) & 1, &v);

            if (off + size > 0x1000) {
                assert_int_equal(r, IO_UNCLAIMED);
            } else if (natural && size <= 4) {
                assert_int_equal(r, IO_DONE);
            } else if (size <= 8 && !natural) {
                assert_int_equal(r, IO_BAD);
            }
        }
    }
}

static void narrow_access(void **state)
{
    struct fixture *f = *state;
    uint64_t v = 0x41;

    assert_int_equal(bench_access(&f->b, DR, 1, true, &v), IO_DONE);
    v = 0x4242;
    assert_int_equal(bench_access(&f->b, DR, 2, true, &v), IO_DONE);
    v = 0x43;
    assert_int_equal(bench_access(&f->b, DR + 1, 1, true, &v), IO_DONE); // not the data byte
    assert_memory_equal(f->w.out, "AB", 2);
    assert_int_equal(f->w.out_len, 2);
    wr(f, CR, 0x301);
    v = 0x0f;
    assert_int_equal(bench_access(&f->b, CR + 1, 1, true, &v), IO_DONE);
    assert_int_equal(rd(f, CR), 0xf01);
    type(f, "xy");
    assert_int_equal(bench_access(&f->b, DR + 2, 2, false, &v), IO_DONE); // pops nothing
    assert_int_equal(bench_access(&f->b, DR, 1, false, &v), IO_DONE);
    assert_int_equal(v, 'x');
    assert_int_equal(bench_access(&f->b, DR, 8, false, &v), IO_BAD);
}

// ---- transmit ---------------------------------------------------------------------------------------------

static void transmit_goes_straight_out(void **state)
{
    struct fixture *f = *state;

    for (const char *p = "hello"; *p; p++) {
        assert_false(rd(f, FR) & TXFF);
        wr(f, DR, (uint32_t)*p);
        assert_int_equal(rd(f, FR) & (TXFE | BUSY), TXFE);
    }
    assert_int_equal(f->w.out_len, 5);
    assert_memory_equal(f->w.out, "hello", 5);
}

static void back_pressure(void **state)
{
    struct fixture *f = *state;

    f->w.room = 3;
    wr(f, LCR_H, FEN | 0x60);
    for (unsigned i = 0; i < 3 + 16; i++) {
        assert_false(rd(f, FR) & TXFF);
        wr(f, DR, 'a' + i);
    }
    assert_int_equal(rd(f, FR) & (TXFF | TXFE | BUSY), TXFF | BUSY);
    wr(f, DR, '!'); // written into a full FIFO: lost
    assert_int_equal(f->w.out_len, 3);
    f->w.room = 10;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_int_equal(f->w.out_len, 13);
    assert_int_equal(rd(f, FR) & (TXFF | TXFE), 0);
    f->w.room = 100;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_memory_equal(f->w.out, "abcdefghijklmnopqrs", 19);
    assert_int_equal(f->w.out_len, 19);
    assert_true(rd(f, FR) & TXFE);
}

static void without_fifo_one_byte_waits(void **state)
{
    struct fixture *f = *state;

    f->w.room = 0;
    wr(f, DR, 'a');
    assert_int_equal(rd(f, FR) & (TXFF | TXFE), TXFF);
    wr(f, DR, 'b');
    f->w.room = 9;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_int_equal(f->w.out_len, 1);
}

// A guest that polls FR gets on even when nobody calls tx_ready.
static void polling_gets_on(void **state)
{
    struct fixture *f = *state;

    f->w.room = 0;
    wr(f, DR, 'a');
    assert_true(rd(f, FR) & TXFF);
    f->w.room = 1;
    assert_false(rd(f, FR) & TXFF);
    assert_int_equal(f->w.out_len, 1);
}

static void transmit_interrupt(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR_H, FEN);
    wr(f, IMSC, INT_TX);
    assert_false(f->b.level[IRQ]); // nothing has left the FIFO yet (3.4)
    wr(f, DR, 'a');
    assert_true(f->b.level[IRQ]);
    assert_int_equal(rd(f, RIS), INT_TX);
    assert_int_equal(rd(f, MIS), INT_TX);
    wr(f, ICR, INT_TX);
    assert_false(f->b.level[IRQ]);
    wr(f, DR, 'b'); // each byte that leaves says so again
    assert_true(f->b.level[IRQ]);
    f->w.room = 0;
    for (unsigned i = 0; i < 8; i++) {
        wr(f, DR, 'c');
    }
    assert_true(f->b.level[IRQ]);
    wr(f, DR, 'd'); // above the trigger level: condition gone
    assert_false(f->b.level[IRQ]);
    f->w.room = 1;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_true(f->b.level[IRQ]);
    wr(f, IMSC, 0);
    assert_false(f->b.level[IRQ]);
    assert_int_equal(rd(f, RIS) & INT_TX, INT_TX);
    assert_int_equal(rd(f, MIS), 0);
}

static void without_a_back_end_output_vanishes(void **state)
{
    struct bench b;
    struct vdev *dev;

    (void)state;
    bench_init(&b);
    b.vm.irqchip = NULL;
    assert_int_equal(vpl011_create(&b.vm, &plan, NULL, &dev), OK);
    bench_write(&b, IMSC, 0x7ff);
    for (unsigned i = 0; i < 100; i++) {
        bench_write(&b, DR, 'a');
        assert_true(bench_read(&b, FR) & TXFE);
    }
    assert_int_equal(bench_read(&b, DR), 0);
    dev->ops->destroy(dev);
    bench_fini(&b);
}

// ---- receive ----------------------------------------------------------------------------------------------

static void receive_by_polling(void **state)
{
    struct fixture *f = *state;
    const char *text = "the quick brown fox jumps over the lazy dog";

    wr(f, LCR_H, FEN);
    type(f, text);
    assert_int_equal(rd(f, FR) & (RXFE | RXFF), RXFF);
    for (const char *p = text; *p; p++) {
        assert_false(rd(f, FR) & RXFE);
        assert_int_equal(rd(f, DR), *p);
    }
    assert_true(rd(f, FR) & RXFE);
    assert_int_equal(rd(f, DR), 0);
    assert_int_equal(rd(f, RSR), 0); // nothing was overrun: the rest waited in the back end
}

static void no_needless_back_end_reads(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR_H, FEN);
    type(f, "abc");
    unsigned reads = f->w.reads;

    assert_int_equal(rd(f, DR), 'a');
    assert_int_equal(rd(f, DR), 'b');
    assert_int_equal(rd(f, DR), 'c');
    assert_int_equal(rd(f, DR), 0);
    assert_int_equal(f->w.reads, reads);
}

static void receive_interrupts(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR_H, FEN);
    wr(f, IMSC, INT_RX | INT_RT);
    type(f, "a");
    assert_true(f->b.level[IRQ]);
    assert_int_equal(rd(f, MIS), INT_RX | INT_RT);
    wr(f, ICR, INT_RX | INT_RT);
    assert_false(f->b.level[IRQ]);
    type(f, "bc");
    assert_true(f->b.level[IRQ]);
    assert_int_equal(rd(f, DR), 'a');
    assert_true(f->b.level[IRQ]);
    assert_int_equal(rd(f, DR), 'b');
    assert_int_equal(rd(f, DR), 'c');
    assert_false(f->b.level[IRQ]); // empty: both are gone
    assert_int_equal(rd(f, RIS), 0);
}

// What stays in the FIFO after an acknowledged interrupt is announced again by the time-out.
static void time_out_after_reading_a_part(void **state)
{
    struct fixture *f = *state;

    wr(f, LCR_H, FEN);
    wr(f, IMSC, INT_RT);
    type(f, "0123456789");
    assert_false(f->b.level[IRQ]); // 10 >= the trigger level of 8
    for (unsigned i = 0; i < 3; i++) {
        (void)rd(f, DR);
    }
    assert_true(f->b.level[IRQ]);
    wr(f, ICR, INT_RT);
    assert_false(f->b.level[IRQ]);
    (void)rd(f, DR);
    assert_true(f->b.level[IRQ]);
}

static void linux_style_session(void **state)
{
    struct fixture *f = *state;
    char got[64];
    size_t n = 0;

    // pl011_startup(): IFLS, FIFO on, stale interrupts cleared, receive interrupts on.
    wr(f, ICR, 0x7ff);
    wr(f, IFLS, 0x12);
    wr(f, CR, 0x301);
    wr(f, LCR_H, 0x70);
    wr(f, IMSC, INT_RX | INT_RT);
    type(f, "ls -l /proc/self\r");
    while (f->b.level[IRQ]) {
        uint32_t mis = rd(f, MIS);

        wr(f, ICR, mis & ~(INT_TX | INT_RT | INT_RX));
        if (mis & (INT_RX | INT_RT)) {
            while (!(rd(f, FR) & RXFE)) {
                got[n++] = (char)rd(f, DR);
            }
        }
    }
    assert_int_equal(n, 17);
    assert_memory_equal(got, "ls -l /proc/self\r", 17);
    // Output by interrupt, eight bytes at each, while the other side is slow.
    const char *text = "a line of output that is longer than the FIFO is deep\n";
    size_t sent = 0, len = strlen(text);

    f->w.room = 5;
    while (sent < len && !(rd(f, FR) & TXFF)) {
        wr(f, DR, (uint32_t)text[sent++]);
    }
    wr(f, IMSC, INT_RX | INT_RT | INT_TX);
    for (unsigned turn = 0; sent < len && turn < 100; turn++) {
        f->w.room = 3;
        f->w.be.front->tx_ready(f->w.be.dev);
        while (f->b.level[IRQ] && sent < len) {
            for (unsigned i = 0; i < 8 && sent < len; i++) {
                wr(f, DR, (uint32_t)text[sent++]);
            }
        }
    }
    f->w.room = 100;
    f->w.be.front->tx_ready(f->w.be.dev);
    assert_int_equal(f->w.out_len, len);
    assert_memory_equal(f->w.out, text, len);
}

static void input_waits_for_a_bigger_fifo(void **state)
{
    struct fixture *f = *state;

    type(f, "abcd");
    assert_int_equal(rd(f, FR) & (RXFE | RXFF), RXFF); // one byte deep
    wr(f, LCR_H, FEN);
    assert_int_equal(rd(f, FR) & (RXFE | RXFF), 0);
    assert_int_equal(rd(f, DR), 'a');
    assert_int_equal(rd(f, DR), 'b');
}

static void loopback(void **state)
{
    struct fixture *f = *state;

    wr(f, CR, 0x381);
    type(f, "outside");
    assert_true(rd(f, FR) & RXFE);
    wr(f, DR, 'x');
    assert_int_equal(f->w.out_len, 0);
    wr(f, DR, 'y'); // one byte deep: overrun
    assert_int_equal(rd(f, RIS) & INT_OE, INT_OE);
    assert_int_equal(rd(f, RSR), 8);
    assert_int_equal(rd(f, DR), 'x' | 0x800);
    wr(f, RSR, 0);
    assert_int_equal(rd(f, RSR), 0);
    // Modem outputs come back as inputs (3.3.8): RTS, DTR, Out1, Out2.
    assert_int_equal(rd(f, FR) & 0x107, 0);
    wr(f, CR, 0x381 | 0x0800);
    assert_int_equal(rd(f, FR) & 0x107, 1);
    wr(f, CR, 0x381 | 0x0400);
    assert_int_equal(rd(f, FR) & 0x107, 2);
    wr(f, CR, 0x381 | 0x3000);
    assert_int_equal(rd(f, FR) & 0x107, 0x104);
    wr(f, CR, 0x301);
    assert_int_equal(rd(f, DR), 'o'); // what waited outside comes in now
}

// ---- reset, save, load ------------------------------------------------------------------------------------

static void reset_is_power_on(void **state)
{
    struct fixture *f = *state;

    f->w.room = 0;
    wr(f, LCR_H, FEN);
    wr(f, IMSC, 0x7ff);
    type(f, "abc");
    wr(f, DR, 'x');
    assert_true(f->b.level[IRQ]);
    f->dev->ops->reset(f->dev);
    assert_false(f->b.level[IRQ]);
    reset_values(state);
    f->w.room = 5;
    wr(f, DR, 'y'); // still attached
    assert_int_equal(f->w.out_len, 1);
    assert_int_equal(f->w.out[0], 'y');
}

static uint32_t prng(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

static void random_step(struct fixture *f, uint32_t r, uint32_t *log)
{
    static const uint32_t regs[] = {DR,  RSR, FR, LCR_H, CR, IFLS, IMSC, RIS,
                                    MIS, ICR, DR, FR,    DR, IMSC, ICR,  UART + 0x24};
    uint32_t reg = regs[r % ARRAY_SIZE(regs)];

    switch (r >> 8 & 7) {
    case 0:
        f->w.room = r >> 12 & 15;
        f->w.be.front->tx_ready(f->w.be.dev);
        break;
    case 1:
        if (f->w.in_len < sizeof(f->w.in) - 4) {
            type(f, "zyx");
        }
        break;
    case 2:
    case 3:
    case 4:
        wr(f, reg, r >> 11 & (reg == LCR_H ? 0xff : 0xffff));
        break;
    default:
        *log = rd(f, reg);
        break;
    }
    if (f->w.out_len > 400) {
        f->w.out_len = 0;
    }
    *log ^= f->b.level[IRQ] ? 0x80000000u : 0;
}

static void save_load_same_behaviour(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        static struct fixture a, b;
        uint32_t s = seed, log_a, log_b;
        uint8_t saved[256];

        fixture_init(&a);
        fixture_init(&b);
        for (unsigned i = 0; i < 200; i++) {
            random_step(&a, prng(&s), &log_a);
        }
        assert_true(a.dev->ops->state_size <= sizeof(saved));
        a.w.room = 0;
        assert_int_equal(vdev_save(a.dev, saved, sizeof(saved)), OK);
        b.w = (struct wire){.be = b.w.be, .in_len = a.w.in_len, .in_at = a.w.in_at, .out_len = a.w.out_len};
        memcpy(b.w.in, a.w.in, sizeof(b.w.in));
        assert_int_equal(vdev_load(b.dev, a.dev->ops->state_version, saved, a.dev->ops->state_size), OK);
        a.w.be.front->rx_ready(a.w.be.dev); // load looks for input, too
        for (unsigned i = 0; i < 400; i++) {
            uint32_t r = prng(&s);

            log_a = log_b = 0;
            random_step(&a, r, &log_a);
            random_step(&b, r, &log_b);
            assert_int_equal(log_a, log_b);
            assert_int_equal(a.w.out_len, b.w.out_len);
        }
        fixture_fini(&a);
        fixture_fini(&b);
    }
}

static void load_refuses_nonsense(void **state)
{
    struct fixture *f = *state;
    uint32_t size = f->dev->ops->state_size, version = f->dev->ops->state_version;
    uint8_t good[256], bad[256];

    wr(f, IMSC, 0x50);
    assert_int_equal(vdev_save(f->dev, good, size - 1), E_RANGE);
    assert_int_equal(vdev_save(f->dev, good, sizeof(good)), OK);
    assert_int_equal(vdev_load(f->dev, version + 1, good, size), E_UNSUPPORTED);
    assert_int_equal(vdev_load(f->dev, version, good, size - 1), E_INVAL);
    for (uint32_t i = 0; i < size; i++) { // every byte set to 0xff: refused, or a value the UART can have
        memcpy(bad, good, sizeof(bad));
        bad[i] = 0xff;
        if (vdev_load(f->dev, version, bad, size) == OK) {
            for (unsigned n = 0; n < 40; n++) {
                (void)rd(f, DR);
                (void)rd(f, FR);
            }
        }
        assert_int_equal(vdev_load(f->dev, version, good, size), OK);
    }
    memset(bad, 0xff, sizeof(bad));
    assert_int_equal(vdev_load(f->dev, version, bad, size), E_CORRUPT);
    assert_int_equal(rd(f, IMSC), 0x50); // nothing changed
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(creation),
        T(reset_values),
        T(writable_bits),
        T(access_sweep),
        T(narrow_access),
        T(transmit_goes_straight_out),
        T(back_pressure),
        T(without_fifo_one_byte_waits),
        T(polling_gets_on),
        T(transmit_interrupt),
        cmocka_unit_test(without_a_back_end_output_vanishes),
        T(receive_by_polling),
        T(no_needless_back_end_reads),
        T(receive_interrupts),
        T(time_out_after_reading_a_part),
        T(linux_style_session),
        T(input_waits_for_a_bigger_fifo),
        T(loopback),
        T(reset_is_power_on),
        cmocka_unit_test(save_load_same_behaviour),
        T(load_refuses_nonsense),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
