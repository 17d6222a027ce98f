// SPDX-License-Identifier: Apache-2.0
//
// 16550A: register table, FIFOs, interrupts (PC16550D data sheet, chapter 8).
//
// Reads of LSR while nothing waits and of plain registers take no lock: each is one byte, kept up to date by
// whoever changes the FIFOs. Everything else runs under the port's lock.
#include "vmm/devices/v16550.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/devices/uart_port.h"

#define CLOCK_HZ 3686400u // what QEMU's `virt` board says

enum v16550_reg {
    REG_DATA = 0, // RBR, THR; DLL with DLAB
    REG_IER = 1,  // DLM with DLAB
    REG_IIR = 2,  // FCR when written
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,
    REG_COUNT
};

#define IER_RX 0x01u
#define IER_TX 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_TX 0x02u
#define IIR_RX 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFOS 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RX 0x02u
#define FCR_CLEAR_TX 0x04u
#define FCR_KEPT 0xc9u // enable, DMA mode, trigger level
#define FCR_TRIGGER_SHIFT 6

#define LCR_DLAB 0x80u

#define MCR_DTR 0x01u
#define MCR_RTS 0x02u
#define MCR_OUT1 0x04u
#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u

#define MSR_DELTAS 0x0fu
#define MSR_TERI 0x04u
#define MSR_CTS 0x10u
#define MSR_DSR 0x20u
#define MSR_RI 0x40u
#define MSR_DCD 0x80u

// What the guest can see; everything that is saved.
struct v16550_state {
    uint8_t ier, fcr, lcr, mcr;
    uint8_t lsr, msr, scr;
    uint8_t dll, dlm;
    uint8_t tx_empty; // the transmit interrupt waits: THR ran empty and nobody has looked
    struct uart_fifo tx;
    struct uart_fifo rx;
};

struct v16550 {
    struct vdev vdev;
    struct uart_port port; // its lock protects all below
    struct v16550_state s;
    struct io_bus *bus;
    uint64_t base;
};

// ---- FIFOs ------------------------------------------------------------------------------------------------

static unsigned fifo_depth(const struct v16550_state *s)
{
    return s->fcr & FCR_ENABLE ? UART_FIFO_DEPTH : 1;
}

static unsigned rx_trigger(const struct v16550_state *s)
{
    static const uint8_t level[4] = {1, 4, 8, 14};

    return s->fcr & FCR_ENABLE ? level[s->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

// ---- status and interrupts --------------------------------------------------------------------------------

static uint8_t line_status(const struct v16550_state *s)
{
    return (uint8_t)((s->lsr & LSR_OE) | (s->rx.count ? LSR_DR : 0) |
                     (s->tx.count ? 0 : LSR_THRE | LSR_TEMT));
}

// Table 4, by priority.
static unsigned pending_interrupt(const struct v16550_state *s)
{
    if ((s->ier & IER_LINE) && (s->lsr & LSR_OE)) {
        return IIR_LINE;
    }
    if ((s->ier & IER_RX) && s->rx.count > 0) {
        return s->rx.count >= rx_trigger(s) ? IIR_RX : IIR_TIMEOUT;
    }
    if ((s->ier & IER_TX) && s->tx_empty) {
        return IIR_TX;
    }
    return (s->ier & IER_MODEM) && (s->msr & MSR_DELTAS) ? IIR_MODEM : IIR_NONE;
}

// Brings LSR and the interrupt line up to date. The line is driven under the lock, so changes arrive in
// order.
static void update_locked(struct v16550 *u)
{
    __atomic_store_n(&u->s.lsr, line_status(&u->s), __ATOMIC_RELAXED);
    uart_port_set_line(&u->port, pending_interrupt(&u->s) != IIR_NONE);
}

static uint8_t modem_inputs(const struct v16550_state *s)
{
    if (!(s->mcr & MCR_LOOP)) {
        return MSR_CTS | MSR_DSR | MSR_DCD;
    }
    return (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

// The deltas lie four bits below their inputs; RI's tells of its trailing edge only.
static void modem_changed_locked(struct v16550_state *s)
{
    unsigned now = modem_inputs(s);
    unsigned changed = (now ^ s->msr) & 0xf0u;
    unsigned deltas = changed >> 4;

    if (now & MSR_RI) {
        deltas &= ~MSR_TERI;
    }
    s->msr = (uint8_t)(now | (s->msr & MSR_DELTAS) | deltas);
}

// ---- the port ---------------------------------------------------------------------------------------------

static const struct v16550_state *state_of(const struct uart_port *port)
{
    return &container_of((struct uart_port *)(uintptr_t)port, struct v16550, port)->s;
}

static struct v16550 *from_port(struct uart_port *port)
{
    return container_of(port, struct v16550, port);
}

static unsigned port_depth(const struct uart_port *port)
{
    return fifo_depth(state_of(port));
}

static bool port_loopback(const struct uart_port *port)
{
    return (state_of(port)->mcr & MCR_LOOP) != 0;
}

static void port_receive(struct uart_port *port, uint8_t byte)
{
    struct v16550_state *s = &from_port(port)->s;

    if (s->rx.count < fifo_depth(s)) {
        uart_fifo_push(&s->rx, byte);
    } else {
        s->lsr |= LSR_OE;
    }
}

static void port_received(struct uart_port *port)
{
    (void)port; // the receive interrupt follows the FIFO
}

static void port_sent(struct uart_port *port)
{
    struct v16550_state *s = &from_port(port)->s;

    s->tx_empty |= s->tx.count == 0;
}

static void port_update(struct uart_port *port)
{
    update_locked(from_port(port));
}

static const struct uart_port_ops port_ops = {
    .depth = port_depth,
    .loopback = port_loopback,
    .receive = port_receive,
    .received = port_received,
    .sent = port_sent,
    .update = port_update,
};

// ---- registers --------------------------------------------------------------------------------------------

static uint8_t rbr_read(struct v16550 *u)
{
    uint8_t value = 0;
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    if (u->s.rx.count > 0) {
        value = uart_fifo_pop(&u->s.rx);
        update_locked(u);
    }
    bool more = u->port.rx_more;

    spin_unlock_irqrestore(&u->port.lock, irq);
    if (more) {
        uart_port_fill(&u->port);
    }
    return value;
}

static void thr_write(struct v16550 *u, uint8_t value)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    u->s.tx_empty = 0;
    if (u->s.mcr & MCR_LOOP) {
        port_receive(&u->port, value);
        u->s.tx_empty = 1;
        update_locked(u);
        spin_unlock_irqrestore(&u->port.lock, irq);
        return;
    }
    if (u->s.tx.count < fifo_depth(&u->s)) { // else the byte is lost, as on the real one
        uart_fifo_push(&u->s.tx, value);
    }
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_drain(&u->port);
}

static uint8_t dll_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.dll, __ATOMIC_RELAXED);
}

static void dll_write(struct v16550 *u, uint8_t value)
{
    __atomic_store_n(&u->s.dll, value, __ATOMIC_RELAXED);
}

static uint8_t dlm_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.dlm, __ATOMIC_RELAXED);
}

static void dlm_write(struct v16550 *u, uint8_t value)
{
    __atomic_store_n(&u->s.dlm, value, __ATOMIC_RELAXED);
}

static uint8_t ier_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.ier, __ATOMIC_RELAXED);
}

// Turning the transmit interrupt on while THR is empty raises it: drivers start that way.
static void ier_write(struct v16550 *u, uint8_t value)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);
    unsigned on = value & ~(unsigned)u->s.ier & IER_MASK;

    __atomic_store_n(&u->s.ier, value & IER_MASK, __ATOMIC_RELAXED);
    if ((on & IER_TX) && u->s.tx.count == 0) {
        u->s.tx_empty = 1;
    }
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
}

// Reading IIR answers the transmit interrupt, if that is what it shows.
static uint8_t iir_read(struct v16550 *u)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);
    unsigned id = pending_interrupt(&u->s);

    if (id == IIR_TX) {
        u->s.tx_empty = 0;
        update_locked(u);
    }
    id |= u->s.fcr & FCR_ENABLE ? IIR_FIFOS : 0;
    spin_unlock_irqrestore(&u->port.lock, irq);
    return (uint8_t)id;
}

// Changing the enable empties both FIFOs; without it the other bits do not take (8.4).
static void fcr_write(struct v16550 *u, uint8_t value)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);
    struct v16550_state *s = &u->s;
    bool toggled = ((value ^ s->fcr) & FCR_ENABLE) != 0;

    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX))) {
        s->rx = (struct uart_fifo){0};
    }
    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_TX))) {
        s->tx_empty |= s->tx.count != 0;
        s->tx = (struct uart_fifo){0};
    }
    s->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_fill(&u->port);
}

static uint8_t lcr_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.lcr, __ATOMIC_RELAXED);
}

static void lcr_write(struct v16550 *u, uint8_t value)
{
    __atomic_store_n(&u->s.lcr, value, __ATOMIC_RELAXED);
}

static uint8_t mcr_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.mcr, __ATOMIC_RELAXED);
}

static void mcr_write(struct v16550 *u, uint8_t value)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    __atomic_store_n(&u->s.mcr, value & MCR_MASK, __ATOMIC_RELAXED);
    modem_changed_locked(&u->s);
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_fill(&u->port); // loopback may have ended
}

// Reading clears the error. Somebody who waits for room makes us try again: whoever was to tell us may have
// missed it.
__attribute__((noinline)) static uint8_t lsr_read_slow(struct v16550 *u, uint8_t seen)
{
    irq_state_t irq;

    if (!(seen & LSR_THRE)) {
        uart_port_drain(&u->port);
    }
    irq = spin_lock_irqsave(&u->port.lock);
    seen = (uint8_t)((u->s.lsr & LSR_OE) | line_status(&u->s));
    u->s.lsr &= (uint8_t)~LSR_OE;
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
    return seen;
}

static uint8_t lsr_read(struct v16550 *u)
{
    uint8_t lsr = __atomic_load_n(&u->s.lsr, __ATOMIC_RELAXED);

    return (lsr & (LSR_THRE | LSR_OE)) == LSR_THRE ? lsr : lsr_read_slow(u, lsr);
}

static uint8_t msr_read(struct v16550 *u)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);
    uint8_t msr = u->s.msr;

    u->s.msr &= (uint8_t)~MSR_DELTAS;
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
    return msr;
}

static uint8_t scr_read(struct v16550 *u)
{
    return __atomic_load_n(&u->s.scr, __ATOMIC_RELAXED);
}

static void scr_write(struct v16550 *u, uint8_t value)
{
    __atomic_store_n(&u->s.scr, value, __ATOMIC_RELAXED);
}

struct reg_row {
    uint8_t (*read)(struct v16550 *u);
    void (*write)(struct v16550 *u, uint8_t value); // NULL: ignored
};

// Table 2; the second row set holds with LCR.DLAB.
static const struct reg_row rows[2][REG_COUNT] = {
    {
        [REG_DATA] = {rbr_read, thr_write},
        [REG_IER] = {ier_read, ier_write},
        [REG_IIR] = {iir_read, fcr_write},
        [REG_LCR] = {lcr_read, lcr_write},
        [REG_MCR] = {mcr_read, mcr_write},
        [REG_LSR] = {lsr_read, NULL},
        [REG_MSR] = {msr_read, NULL},
        [REG_SCR] = {scr_read, scr_write},
    },
    {
        [REG_DATA] = {dll_read, dll_write},
        [REG_IER] = {dlm_read, dlm_write},
        [REG_IIR] = {iir_read, fcr_write},
        [REG_LCR] = {lcr_read, lcr_write},
        [REG_MCR] = {mcr_read, mcr_write},
        [REG_LSR] = {lsr_read, NULL},
        [REG_MSR] = {msr_read, NULL},
        [REG_SCR] = {scr_read, scr_write},
    },
};

// A byte-wide bus: a wider access reaches the register at its address, in the lowest byte.
static enum io_result v16550_access(void *dev, struct io_access *a)
{
    struct v16550 *u = dev;
    const struct reg_row *row;

    if (a->size > 4) {
        return IO_BAD;
    }
    if (a->offset >= REG_COUNT) {
        a->value = a->write ? a->value : 0;
        return IO_DONE;
    }
    row = &rows[lcr_read(u) & LCR_DLAB ? 1 : 0][a->offset];
    if (!a->write) {
        a->value = row->read(u);
    } else if (row->write) {
        row->write(u, (uint8_t)a->value);
    }
    return IO_DONE;
}

// ---- the device -------------------------------------------------------------------------------------------

static struct v16550 *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct v16550, vdev);
}

// The divisor latch and the scratch register survive the real one's reset (table 3); a new machine has
// zeroes.
static void state_reset(struct v16550_state *s)
{
    *s = (struct v16550_state){.lsr = LSR_THRE | LSR_TEMT, .msr = MSR_CTS | MSR_DSR | MSR_DCD};
}

static void v16550_reset(struct vdev *dev)
{
    struct v16550 *u = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    state_reset(&u->s);
    u->port.rx_more = true;
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
}

static void v16550_destroy(struct vdev *dev)
{
    struct v16550 *u = from_vdev(dev);

    uart_port_disconnect(&u->port);
    (void)!io_bus_remove(u->bus, u->base);
    list_remove(&dev->node);
    pool_free(u, sizeof(*u));
}

static void v16550_describe(const struct vdev *dev, struct vdev_desc *out)
{
    static const char compatible[] = "ns16550a";

    (void)dev;
    *out = (struct vdev_desc){.node = "serial",
                              .compatible = compatible,
                              .compatible_len = sizeof(compatible),
                              .clock_frequency = CLOCK_HZ,
                              .is_console = true};
}

static void v16550_save(const struct vdev *dev, void *state)
{
    struct v16550 *u = container_of((struct vdev *)(uintptr_t)dev, struct v16550, vdev);
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    memcpy(state, &u->s, sizeof(u->s));
    spin_unlock_irqrestore(&u->port.lock, irq);
}

static bool state_valid(const struct v16550_state *s)
{
    const unsigned depth = fifo_depth(s);

    return uart_fifo_valid(&s->tx, depth) && uart_fifo_valid(&s->rx, depth) && s->tx_empty <= 1 &&
           !(s->ier & ~IER_MASK) && !(s->mcr & ~MCR_MASK) && !(s->fcr & ~FCR_KEPT) &&
           ((s->fcr & FCR_ENABLE) || s->fcr == 0) && (s->msr & ~MSR_DELTAS) == modem_inputs(s);
}

static enum status v16550_load(struct vdev *dev, const void *state)
{
    struct v16550 *u = from_vdev(dev);
    struct v16550_state next;

    memcpy(&next, state, sizeof(next));
    if (!state_valid(&next)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    u->s = next;
    u->port.rx_more = true;
    update_locked(u); // works out LSR afresh
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_drain(&u->port);
    uart_port_fill(&u->port);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "16550",
    .state_version = 1,
    .state_size = sizeof(struct v16550_state),
    .reset = v16550_reset,
    .destroy = v16550_destroy,
    .describe = v16550_describe,
    .save = v16550_save,
    .load = v16550_load,
};

enum status v16550_create(struct vm *vm, const struct plan_device *p, struct char_backend *be,
                          struct vdev **out)
{
    struct v16550 *u = pool_alloc(sizeof(*u));
    struct io_region region = {.base = p->base, .size = p->size, .access = v16550_access, .name = p->name};
    enum status st;

    if (!u) {
        return E_NOMEM;
    }
    uart_port_init(&u->port, &port_ops, &u->s.tx, &u->s.rx, be);
    u->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = p->name, .state = &u->s};
    u->port.line = (struct irq_line){.chip = vm->irqchip, .line = p->irq};
    u->bus = p->port ? &vm->pio : &vm->mmio;
    u->base = p->base;
    state_reset(&u->s);
    region.dev = u;
    st = io_bus_add(u->bus, &region, NULL);
    if (st != OK) {
        pool_free(u, sizeof(*u));
        return st;
    }
    list_push_back(&vm->devices, &u->vdev.node);
    uart_port_connect(&u->port);
    *out = &u->vdev;
    return OK;
}
