// SPDX-License-Identifier: Apache-2.0
//
// The run-time half of the shared console.
//
// `lock` protects the logic's state, the staging buffers and the ring of typed bytes. It is held for bounded
// work only and never while the wire, a front end or the composition root is called. The worker sleeps until
// somebody kicks it: kick() is cheap when it has been kicked already.
#include "vmm/backend/char_mux.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/time.h"
#include "kernel/log/console.h"
#include "kernel/log/log.h"
#include "kernel/mm/pool.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"
#include "kernel/time/timer.h"
#include "vmm/backend/char_mux_core.h"

#define STAGE_SIZE (CHAR_MUX_STEP_MAX + 4096)
#define TYPED_SIZE 256u // a power of two
#define TYPED_PER_PASS 64u
#define LOG_LINES_PER_PASS 16u
#define POLL_MS 10u
#define GATHER_MS 2u // how long a guest's output may gather before the worker is woken for it

struct channel {
    struct char_backend be;
    struct char_mux_guest guest;
    int slot;
};

static UNCLEARED char stage[2][STAGE_SIZE]; // apart, so that it takes no room in the image

static struct {
    struct spinlock lock;
    bool ready;   // the lock and the logic are initialised
    bool started; // there is a worker
    struct char_mux_core core;
    struct channel *channels[CHAR_MUX_GUEST_MAX]; // by slot
    int in_callback;                              // slot whose front end the worker is calling, -1: none
    size_t staged;                                // bytes in stage[filling]
    unsigned filling;
    uint8_t typed[TYPED_SIZE];
    struct char_ring typed_ring;
    const struct char_mux_ops *ops;

    // The worker's own.
    struct thread *thread;
    struct completion work;
    _Atomic bool kicked;
    struct timer gather;
    _Atomic bool gathering; // the timer is set
    _Atomic bool busy;      // there is something that is not on the wire yet
    uint64_t wire_time;     // spent writing since it last rested
    uint64_t log_position;
    char log_line[LOG_LINE_MAX];
    size_t log_len;
} mux = {.lock = SPINLOCK_INIT(LOCK_CONSOLE), .in_callback = -1};

static void kick(void)
{
    atomic_store_explicit(&mux.busy, true, memory_order_release);
    if (mux.started && !atomic_exchange_explicit(&mux.kicked, true, memory_order_acq_rel)) {
        completion_signal(&mux.work);
    }
}

static void gather_fired(struct timer *t)
{
    (void)t;
    atomic_store_explicit(&mux.gathering, false, memory_order_release);
    kick();
}

// A guest prints byte by byte: waking the worker for each would cost far more than the byte.
static void kick_soon(void)
{
    atomic_store_explicit(&mux.busy, true, memory_order_release);
    if (!mux.started || atomic_load_explicit(&mux.gathering, memory_order_relaxed) ||
        atomic_exchange_explicit(&mux.gathering, true, memory_order_acq_rel)) {
        return;
    }
    timer_set(&mux.gather, arch_time_now() + time_from_ms(GATHER_MS));
}

// Called by the logic, under the lock.
static void stage_emit(void *ctx, const char *text, size_t len)
{
    size_t room = STAGE_SIZE - mux.staged;

    (void)ctx;
    len = len < room ? len : room;
    memcpy(&stage[mux.filling][mux.staged], text, len);
    mux.staged += len;
}

static void prepare_locked(void)
{
    if (!mux.ready) {
        char_mux_core_init(&mux.core, false, time_from_ms(1));
        mux.core.emit = stage_emit;
        mux.ready = true;
    }
}

// ---- the guests' side -------------------------------------------------------------------------------------

static struct channel *channel_of(struct char_backend *be)
{
    return container_of(be, struct channel, be);
}

static size_t channel_write(struct char_backend *be, const void *buf, size_t len)
{
    struct channel *c = channel_of(be);
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    size_t n = char_mux_write(&mux.core, c->slot, buf, len);
    bool filling = char_ring_used(&c->guest.out) > CHAR_MUX_OUT_SIZE / 2;

    spin_unlock_irqrestore(&mux.lock, irq);
    if (filling) {
        kick();
    } else {
        kick_soon();
    }
    return n;
}

static size_t channel_read(struct char_backend *be, void *buf, size_t len)
{
    struct channel *c = channel_of(be);
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    size_t n = char_mux_read(&mux.core, c->slot, buf, len);

    spin_unlock_irqrestore(&mux.lock, irq);
    return n;
}

static void channel_detach(struct char_backend *be)
{
    struct channel *c = channel_of(be);
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    __atomic_store_n(&be->front, NULL, __ATOMIC_RELEASE);
    while (mux.in_callback == c->slot) {
        spin_unlock_irqrestore(&mux.lock, irq);
        thread_sleep(time_from_ms(1));
        irq = spin_lock_irqsave(&mux.lock);
    }
    spin_unlock_irqrestore(&mux.lock, irq);
}

static void channel_destroy(struct char_backend *be)
{
    struct channel *c = channel_of(be);

    channel_detach(be);
    char_mux_flush(100);
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    char_mux_remove(&mux.core, c->slot);
    mux.channels[c->slot] = NULL;
    spin_unlock_irqrestore(&mux.lock, irq);
    kick();
    pool_free(c, sizeof(*c));
}

static const struct char_backend_ops channel_ops = {.write = channel_write,
                                                    .read = channel_read,
                                                    .detach = channel_detach,
                                                    .destroy = channel_destroy};

static enum status open_channel(const char *name,
                                int (*add)(struct char_mux_core *m, struct char_mux_guest *g,
                                           const char *name),
                                struct char_backend **out)
{
    struct channel *c = pool_alloc(sizeof(*c));

    if (!c) {
        return E_NOMEM;
    }
    c->be.ops = &channel_ops;
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    prepare_locked();
    c->slot = add(&mux.core, &c->guest, name);
    if (c->slot >= 0) {
        mux.channels[c->slot] = c;
    }
    spin_unlock_irqrestore(&mux.lock, irq);
    if (c->slot < 0) {
        pool_free(c, sizeof(*c));
        return E_BUSY;
    }
    kick();
    *out = &c->be;
    return OK;
}

enum status char_mux_open(const char *name, struct char_backend **out)
{
    return open_channel(name, char_mux_add, out);
}

enum status char_mux_open_shell(const char *name, struct char_backend **out)
{
    return open_channel(name, char_mux_add_shell, out);
}

enum status char_mux_select(const char *name)
{
    enum status st = E_NOENT;
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    for (int i = 0; i < CHAR_MUX_GUEST_MAX && st != OK; i++) {
        if (mux.channels[i] && strcmp(mux.channels[i]->guest.name, name) == 0) {
            st = OK;
            if (mux.core.focus != i) {
                char_mux_focus(&mux.core, i);
            }
        }
    }
    spin_unlock_irqrestore(&mux.lock, irq);
    kick();
    return st;
}

// ---- the worker -------------------------------------------------------------------------------------------

// Sends what is staged. The worker rests as long as it wrote: half a core at most, however fast the line.
static void send_staged(void)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    const char *text = stage[mux.filling];
    size_t len = mux.staged;

    mux.filling ^= 1;
    mux.staged = 0;
    spin_unlock_irqrestore(&mux.lock, irq);
    while (len > 0) {
        size_t n = len < 256 ? len : 256;
        uint64_t start = arch_time_now();

        console_write(text, n);
        text += n;
        len -= n;
        mux.wire_time += arch_time_now() - start;
        if (mux.wire_time > time_from_ms(1)) {
            uint64_t rest = mux.wire_time;

            mux.wire_time = 0;
            thread_sleep(rest);
        }
    }
}

static void list_guests(void)
{
    for (int i = 0; i < CHAR_MUX_GUEST_MAX; i++) {
        char name[CHAR_MUX_NAME_MAX], state[80] = "";
        irq_state_t irq = spin_lock_irqsave(&mux.lock);
        bool there = mux.channels[i] != NULL && i != mux.core.shell;

        if (there) {
            memcpy(name, mux.channels[i]->guest.name, sizeof(name));
        }
        spin_unlock_irqrestore(&mux.lock, irq);
        if (!there) {
            continue;
        }
        if (mux.ops && mux.ops->state) {
            mux.ops->state(mux.ops->ctx, name, state, sizeof(state));
        }
        irq = spin_lock_irqsave(&mux.lock);
        if (mux.channels[i]) {
            char_mux_list(&mux.core, i, state);
        }
        spin_unlock_irqrestore(&mux.lock, irq);
    }
}

// Handles typed bytes; true when there are more.
static bool take_typed(void)
{
    for (unsigned n = 0; n < TYPED_PER_PASS; n++) {
        enum char_mux_action action = CHAR_MUX_NOTHING;
        irq_state_t irq = spin_lock_irqsave(&mux.lock);
        bool any = char_ring_used(&mux.typed_ring) > 0;

        if (any) {
            action = char_mux_input(&mux.core, mux.typed[mux.typed_ring.tail++ % TYPED_SIZE]);
        }
        spin_unlock_irqrestore(&mux.lock, irq);
        if (!any) {
            return false;
        }
        if (action == CHAR_MUX_LIST) {
            list_guests();
        } else if (action == CHAR_MUX_POWEROFF && mux.ops && mux.ops->poweroff) {
            send_staged();
            mux.ops->poweroff(mux.ops->ctx);
        }
    }
    return true;
}

static void host_line(void)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    char_mux_host_line(&mux.core, mux.log_line, mux.log_len);
    spin_unlock_irqrestore(&mux.lock, irq);
    mux.log_len = 0;
}

// Moves lines from the log's ring to the screen; true when there are more.
static bool take_log(void)
{
    for (unsigned lines = 0; lines < LOG_LINES_PER_PASS;) {
        char c;

        if (log_read(&mux.log_position, &c, 1) == 0) {
            return false;
        }
        if (c != '\n') {
            mux.log_line[mux.log_len++] = c;
        }
        if (c == '\n' || mux.log_len == sizeof(mux.log_line)) {
            host_line();
            lines++;
        }
    }
    return true;
}

// Tells the front end of one channel about input or room.
static void notify(int slot)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    struct channel *c = mux.channels[slot];
    const struct char_frontend_ops *front = c ? __atomic_load_n(&c->be.front, __ATOMIC_ACQUIRE) : NULL;

    if (!front) {
        spin_unlock_irqrestore(&mux.lock, irq);
        return;
    }
    bool rx = c->guest.has_input;
    bool tx = c->guest.refused && char_ring_used(&c->guest.out) <= CHAR_MUX_OUT_SIZE / 2;
    void *dev = c->be.dev;

    c->guest.has_input = false;
    c->guest.refused &= !tx;
    mux.in_callback = slot;
    spin_unlock_irqrestore(&mux.lock, irq);
    if (rx) {
        front->rx_ready(dev);
    }
    if (tx) {
        front->tx_ready(dev);
    }
    irq = spin_lock_irqsave(&mux.lock);
    mux.in_callback = -1;
    spin_unlock_irqrestore(&mux.lock, irq);
}

static bool pass(void)
{
    bool more = take_typed();
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    // Guests first: what one printed before it was stopped stands before the lines about that.
    more |= char_mux_step(&mux.core, arch_time_now());
    spin_unlock_irqrestore(&mux.lock, irq);
    send_staged();
    more |= take_log();
    send_staged();
    for (int i = 0; i < CHAR_MUX_GUEST_MAX; i++) {
        notify(i);
    }
    return more;
}

static void sleep_until_kicked(void)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    uint64_t due = char_mux_deadline(&mux.core);

    spin_unlock_irqrestore(&mux.lock, irq);
    uint64_t now = arch_time_now();

    if (console_needs_poll()) {
        due = min_u64(due, now + time_from_ms(POLL_MS));
    }
    if (due == UINT64_MAX) {
        completion_wait(&mux.work);
    } else if (due > now) {
        (void)completion_wait_timeout(&mux.work, due - now);
    }
}

static void worker(void *arg)
{
    (void)arg;
    for (;;) {
        completion_reset(&mux.work);
        atomic_store_explicit(&mux.kicked, false, memory_order_release); // who kicks from now on signals
        console_poll();
        if (pass()) {
            thread_yield();
            continue;
        }
        atomic_store_explicit(&mux.busy, false, memory_order_release);
        sleep_until_kicked();
    }
}

// ---- the machine's side -----------------------------------------------------------------------------------

// A received character, in interrupt context. A full ring loses it.
static void typed(char c)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    if (char_ring_used(&mux.typed_ring) < TYPED_SIZE) {
        mux.typed[mux.typed_ring.head++ % TYPED_SIZE] = (uint8_t)c;
    }
    spin_unlock_irqrestore(&mux.lock, irq);
    kick();
}

// The text itself comes out of the log's ring; only a panic writes here, past everything.
static void sink_line(enum log_level level, const char *text, bool urgent)
{
    (void)level;
    if (!urgent) {
        kick();
        return;
    }
    console_write("\r\n[lodge] ", 10);
    console_write(text, strlen(text));
    console_write("\r\n", 2);
}

static const struct log_sink sink = {.line = sink_line};

enum status char_mux_start(enum console_mode mode, const struct char_mux_ops *ops, unsigned cpu)
{
    const struct thread_attr attr = {.name = "console", .entry = worker, .cpu = cpu, .prio = PRIO_WORKER};
    struct thread *t = thread_create(&attr);
    char skip[128];

    if (!t) {
        return E_NOMEM;
    }
    completion_init(&mux.work);
    timer_setup(&mux.gather, gather_fired);
    mux.ops = ops;
    mux.thread = t;
    irq_state_t irq = spin_lock_irqsave(&mux.lock);

    prepare_locked();
    if (mode == CONSOLE_FOCUS) {
        char_mux_set_mode(&mux.core, true);
    }
    spin_unlock_irqrestore(&mux.lock, irq);
    while (log_read(&mux.log_position, skip, sizeof(skip)) > 0) {
    }
    mux.started = true;
    log_set_sink(&sink);
    console_set_input(typed);
    thread_start(t);
    return OK;
}

static bool drained(void)
{
    irq_state_t irq = spin_lock_irqsave(&mux.lock);
    bool quiet = mux.staged == 0 && !atomic_load_explicit(&mux.busy, memory_order_acquire) &&
                 !atomic_load_explicit(&mux.kicked, memory_order_acquire);

    spin_unlock_irqrestore(&mux.lock, irq);
    return quiet;
}

void char_mux_flush(unsigned ms)
{
    uint64_t end = arch_time_now() + time_from_ms(ms);

    if (!mux.started) {
        return;
    }
    if (thread_current() == mux.thread) { // from one of its own callbacks: nobody else would do it
        while (pass() && arch_time_now() < end) {
        }
        return;
    }
    kick();
    while (!drained() && arch_time_now() < end) {
        thread_sleep(time_from_ms(1));
    }
}
