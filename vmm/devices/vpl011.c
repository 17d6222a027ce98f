// SPDX-License-Identifier: Apache-2.0
//
// PL011 UART: register table, FIFOs, interrupts (Arm DDI 0183, chapters 2 and 3).
//
// Reads of plain registers and of UARTFR take no lock: each is one word, kept up to date by whoever changes
// the FIFOs. Everything else runs under the port's lock.
#include "vmm/devices/vpl011.h"

#include <string.h>

#include "kernel/mm/pool.h"
#include "kernel/sync/spinlock.h"
#include "vmm/core/vreg.h"
#include "vmm/devices/uart_port.h"

#define REG_SIZE 0x1000u

// UARTFR, 3.3.3
#define FR_CTS 0x001u
#define FR_DSR 0x002u
#define FR_DCD 0x004u
#define FR_RXFE 0x010u
#define FR_TXFF 0x020u
#define FR_RXFF 0x040u
#define FR_TXFE 0x080u
#define FR_RI 0x100u
#define FR_BUSY 0x008u

// UARTLCR_H, 3.3.7
#define LCRH_FEN 0x10u
#define LCRH_MASK 0xffu

// UARTCR, 3.3.8
#define CR_LBE 0x0080u
#define CR_TXE 0x0100u
#define CR_RXE 0x0200u
#define CR_DTR 0x0400u
#define CR_RTS 0x0800u
#define CR_OUT1 0x1000u
#define CR_OUT2 0x2000u
#define CR_MASK 0xff87u

// UARTIMSC, UARTRIS, UARTMIS, UARTICR, 3.3.10 to 3.3.13
#define INT_RX 0x010u
#define INT_TX 0x020u
#define INT_RT 0x040u
#define INT_OE 0x400u
#define INT_MASK 0x7ffu

#define DR_OE 0x800u  // UARTDR, 3.3.1
#define RSR_OE 0x008u // UARTRSR, 3.3.2

#define ILPR_MASK 0xffu
#define IBRD_MASK 0xffffu
#define FBRD_MASK 0x3fu
#define IFLS_MASK 0x3fu
#define IFLS_RESET 0x12u

// What the guest can see; everything that is saved.
struct vpl011_state {
    uint32_t fr;
    uint32_t rsr;
    uint32_t ilpr;
    uint32_t ibrd;
    uint32_t fbrd;
    uint32_t lcr_h;
    uint32_t cr;
    uint32_t ifls;
    uint32_t imsc;
    uint32_t ris;
    struct uart_fifo tx;
    struct uart_fifo rx;
    uint32_t overrun; // the next byte read from UARTDR carries OE
};

struct vpl011 {
    struct vreg_map map; // first: the access path finds it without an offset
    struct vdev vdev;
    struct uart_port port; // its lock protects all below
    struct vpl011_state s;
    uint64_t base;
};

// ---- FIFOs ------------------------------------------------------------------------------------------------

static unsigned fifo_depth(const struct vpl011_state *s)
{
    return s->lcr_h & LCRH_FEN ? UART_FIFO_DEPTH : 1;
}

// The level of `select`, a field of UARTIFLS (3.3.9): 1/8, 1/4, 1/2, 3/4, 7/8; reserved values behave as 7/8.
static unsigned fifo_trigger(const struct vpl011_state *s, unsigned select)
{
    static const uint8_t level[8] = {2, 4, 8, 12, 14, 14, 14, 14};

    return s->lcr_h & LCRH_FEN ? level[select & 7] : 1;
}

// ---- flags and interrupts ---------------------------------------------------------------------------------

static uint32_t modem_flags(const struct vpl011_state *s)
{
    if (!(s->cr & CR_LBE)) {
        return FR_CTS | FR_DSR | FR_DCD; // a terminal is always connected
    }
    return (s->cr & CR_RTS ? FR_CTS : 0) | (s->cr & CR_DTR ? FR_DSR : 0) | (s->cr & CR_OUT1 ? FR_DCD : 0) |
           (s->cr & CR_OUT2 ? FR_RI : 0);
}

static uint32_t flags(const struct vpl011_state *s)
{
    uint32_t fr = modem_flags(s);

    fr |= s->rx.count == 0 ? FR_RXFE : 0;
    fr |= s->rx.count >= fifo_depth(s) ? FR_RXFF : 0;
    fr |= s->tx.count == 0 ? FR_TXFE : FR_BUSY;
    fr |= s->tx.count >= fifo_depth(s) ? FR_TXFF : 0;
    return fr;
}

// Brings UARTFR and the interrupt line up to date. The line is driven under the lock, so changes arrive in
// order.
static void update_locked(struct vpl011 *u)
{
    __atomic_store_n(&u->s.fr, flags(&u->s), __ATOMIC_RELAXED);
    uart_port_set_line(&u->port, (u->s.ris & u->s.imsc) != 0);
}

// Interrupt state after bytes came into the receive FIFO or left it.
static void rx_changed_locked(struct vpl011_state *s, bool arrived)
{
    if (s->rx.count == 0) {
        s->ris &= ~(INT_RX | INT_RT);
        return;
    }
    if (arrived) {
        s->ris |= INT_RX;
    }
    if (s->rx.count < fifo_trigger(s, s->ifls >> 3)) {
        s->ris |= INT_RT; // whatever waits now has waited for 32 bit periods
    }
}

// Interrupt state after bytes left the transmit FIFO: as if the wire were fast, not by crossing the trigger
// level alone, or a guest that sends byte by byte would never hear again.
static void tx_left_locked(struct vpl011_state *s)
{
    if (s->tx.count <= fifo_trigger(s, s->ifls)) {
        s->ris |= INT_TX;
    }
}

// ---- the port ---------------------------------------------------------------------------------------------

static const struct vpl011_state *state_of(const struct uart_port *port)
{
    return &container_of((struct uart_port *)(uintptr_t)port, struct vpl011, port)->s;
}

static struct vpl011 *from_port(struct uart_port *port)
{
    return container_of(port, struct vpl011, port);
}

static unsigned port_depth(const struct uart_port *port)
{
    return fifo_depth(state_of(port));
}

static bool port_loopback(const struct uart_port *port)
{
    return (state_of(port)->cr & CR_LBE) != 0;
}

static void port_receive(struct uart_port *port, uint8_t byte)
{
    struct vpl011_state *s = &from_port(port)->s;

    if (s->rx.count >= fifo_depth(s)) {
        s->rsr |= RSR_OE;
        s->overrun = 1;
        s->ris |= INT_OE;
        return;
    }
    uart_fifo_push(&s->rx, byte);
}

static void port_received(struct uart_port *port)
{
    rx_changed_locked(&from_port(port)->s, true);
}

static void port_sent(struct uart_port *port)
{
    tx_left_locked(&from_port(port)->s);
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

static uint64_t dr_read(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;
    uint32_t value = 0;

    if (a->byte != 0) {
        return 0; // the upper half of the register alone pops nothing
    }
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    if (u->s.rx.count > 0) {
        value = uart_fifo_pop(&u->s.rx) | (u->s.overrun ? DR_OE : 0);
        u->s.overrun = 0;
        rx_changed_locked(&u->s, false);
        update_locked(u);
    }
    bool more = u->port.rx_more;

    spin_unlock_irqrestore(&u->port.lock, irq);
    if (more) {
        uart_port_fill(&u->port);
    }
    return value;
}

static void dr_write(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;

    if (a->byte != 0) {
        return;
    }
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    if (u->s.cr & CR_LBE) {
        port_receive(&u->port, (uint8_t)a->value);
        rx_changed_locked(&u->s, true);
        tx_left_locked(&u->s);
        update_locked(u);
        spin_unlock_irqrestore(&u->port.lock, irq);
        return;
    }
    if (u->s.tx.count < fifo_depth(&u->s)) { // else the byte is lost, as on the real one
        uart_fifo_push(&u->s.tx, (uint8_t)a->value);
        if (u->s.tx.count > fifo_trigger(&u->s, u->s.ifls)) {
            u->s.ris &= ~INT_TX;
        }
        update_locked(u);
    }
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_drain(&u->port);
}

// Somebody waits for room: try again, whoever was to tell us may have missed it.
__attribute__((noinline)) static uint64_t fr_read_sending(struct vpl011 *u, const struct vreg_access *a)
{
    uart_port_drain(&u->port);
    return vreg_part(__atomic_load_n(&u->s.fr, __ATOMIC_RELAXED), a);
}

static uint64_t fr_read(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;
    uint32_t fr = __atomic_load_n(&u->s.fr, __ATOMIC_RELAXED);

    return fr & FR_TXFE ? vreg_part(fr, a) : fr_read_sending(u, a);
}

static uint64_t rsr_read(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;

    return vreg_part(__atomic_load_n(&u->s.rsr, __ATOMIC_RELAXED), a);
}

static void rsr_write(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    (void)a; // any value clears (UARTECR)
    u->s.rsr = 0;
    u->s.overrun = 0;
    spin_unlock_irqrestore(&u->port.lock, irq);
}

// A register that is a field of the state with a mask of writable bits.
static void field_write(struct vpl011 *u, uint32_t *field, uint32_t mask, const struct vreg_access *a)
{
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    __atomic_store_n(field, (uint32_t)vreg_merge(*field, a) & mask, __ATOMIC_RELAXED);
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
}

#define DEFINE_FIELD(field, mask)                                            \
    static uint64_t field##_read(void *dev, const struct vreg_access *a)     \
    {                                                                        \
        struct vpl011 *u = dev;                                              \
                                                                             \
        return vreg_part(__atomic_load_n(&u->s.field, __ATOMIC_RELAXED), a); \
    }                                                                        \
                                                                             \
    static void field##_write(void *dev, const struct vreg_access *a)        \
    {                                                                        \
        struct vpl011 *u = dev;                                              \
                                                                             \
        field_write(u, &u->s.field, mask, a);                                \
    }

DEFINE_FIELD(ilpr, ILPR_MASK)
DEFINE_FIELD(ibrd, IBRD_MASK)
DEFINE_FIELD(fbrd, FBRD_MASK)
DEFINE_FIELD(ifls, IFLS_MASK)
DEFINE_FIELD(imsc, INT_MASK)
DEFINE_FIELD(lcr_h, LCRH_MASK)
DEFINE_FIELD(cr, CR_MASK)

// FEN changes how much fits, LBE where bytes come from: look for input again.
static void lcr_h_changed(void *dev, const struct vreg_access *a)
{
    lcr_h_write(dev, a);
    uart_port_fill(&((struct vpl011 *)dev)->port);
}

static void cr_changed(void *dev, const struct vreg_access *a)
{
    cr_write(dev, a);
    uart_port_fill(&((struct vpl011 *)dev)->port);
}

static uint64_t ris_read(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;

    return vreg_part(__atomic_load_n(&u->s.ris, __ATOMIC_RELAXED), a);
}

static uint64_t mis_read(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;

    return vreg_part(
        __atomic_load_n(&u->s.ris, __ATOMIC_RELAXED) & __atomic_load_n(&u->s.imsc, __ATOMIC_RELAXED), a);
}

static void icr_write(void *dev, const struct vreg_access *a)
{
    struct vpl011 *u = dev;
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    u->s.ris &= ~((uint32_t)vreg_merge(0, a) & INT_MASK);
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
}

#define W_ALL (VREG_W8 | VREG_W16 | VREG_W32)
#define ROW(off, n, rd, wr, id)                                                                              \
    {                                                                                                        \
        .offset = (off), .count = (n), .size = 4, .widths = W_ALL, .read = (rd), .write = (wr), .name = (id) \
    }
#define ROW_CONST(off, value, id)                                                               \
    {                                                                                           \
        .offset = (off), .count = 1, .size = 4, .widths = W_ALL, .reset = (value), .name = (id) \
    }

// Table 3-1. What the manual reserves (0x008-0x014, 0x01c, 0x04c-0x07c, 0x090-0xfcc, 0xfd0-0xfdc) has no row:
// RAZ/WI, counted.
static const struct vreg rows[] = {
    ROW(0x000, 1, dr_read, dr_write, "UARTDR"),
    ROW(0x004, 1, rsr_read, rsr_write, "UARTRSR/UARTECR"),
    ROW(0x018, 1, fr_read, NULL, "UARTFR"),
    ROW(0x020, 1, ilpr_read, ilpr_write, "UARTILPR"),
    ROW(0x024, 1, ibrd_read, ibrd_write, "UARTIBRD"),
    ROW(0x028, 1, fbrd_read, fbrd_write, "UARTFBRD"),
    ROW(0x02c, 1, lcr_h_read, lcr_h_changed, "UARTLCR_H"),
    ROW(0x030, 1, cr_read, cr_changed, "UARTCR"),
    ROW(0x034, 1, ifls_read, ifls_write, "UARTIFLS"),
    ROW(0x038, 1, imsc_read, imsc_write, "UARTIMSC"),
    ROW(0x03c, 1, ris_read, NULL, "UARTRIS"),
    ROW(0x040, 1, mis_read, NULL, "UARTMIS"),
    ROW(0x044, 1, NULL, icr_write, "UARTICR"),
    ROW_CONST(0x048, 0, "UARTDMACR"), // no DMA interface: RAZ/WI
    ROW_CONST(0x080, 0, "UARTTCR"),   // integration test registers (chapter 4): RAZ/WI
    ROW_CONST(0x084, 0, "UARTITIP"),
    ROW_CONST(0x088, 0, "UARTITOP"),
    ROW_CONST(0x08c, 0, "UARTTDR"),
    ROW_CONST(0xfe0, 0x11, "UARTPeriphID0"),
    ROW_CONST(0xfe4, 0x10, "UARTPeriphID1"),
    ROW_CONST(0xfe8, 0x14, "UARTPeriphID2"),
    ROW_CONST(0xfec, 0x00, "UARTPeriphID3"),
    ROW_CONST(0xff0, 0x0d, "UARTPCellID0"),
    ROW_CONST(0xff4, 0xf0, "UARTPCellID1"),
    ROW_CONST(0xff8, 0x05, "UARTPCellID2"),
    ROW_CONST(0xffc, 0xb1, "UARTPCellID3"),
};

static enum io_result vpl011_access(void *dev, struct io_access *a)
{
    struct vpl011 *u = dev;

    return vreg_map_access(&u->map, u, a);
}

// ---- the device -------------------------------------------------------------------------------------------

static struct vpl011 *from_vdev(struct vdev *dev)
{
    return container_of(dev, struct vpl011, vdev);
}

static void state_reset(struct vpl011_state *s)
{
    *s = (struct vpl011_state){.cr = CR_TXE | CR_RXE, .ifls = IFLS_RESET};
}

static void vpl011_reset(struct vdev *dev)
{
    struct vpl011 *u = from_vdev(dev);
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    state_reset(&u->s);
    u->port.rx_more = true;
    update_locked(u);
    spin_unlock_irqrestore(&u->port.lock, irq);
}

static void vpl011_destroy(struct vdev *dev)
{
    struct vpl011 *u = from_vdev(dev);

    uart_port_disconnect(&u->port);
    (void)!io_bus_remove(&dev->vm->mmio, u->base);
    list_remove(&dev->node);
    vreg_map_destroy(&u->map);
    pool_free(u, sizeof(*u));
}

static void vpl011_describe(const struct vdev *dev, struct vdev_desc *out)
{
    static const char compatible[] = "arm,pl011\0arm,primecell";
    static const char clock_names[] = "uartclk\0apb_pclk";

    (void)dev;
    *out = (struct vdev_desc){.node = "pl011",
                              .compatible = compatible,
                              .compatible_len = sizeof(compatible),
                              .clocks = 2,
                              .clock_names = clock_names,
                              .clock_names_len = sizeof(clock_names),
                              .is_console = true};
}

static void vpl011_save(const struct vdev *dev, void *state)
{
    struct vpl011 *u = container_of((struct vdev *)(uintptr_t)dev, struct vpl011, vdev);
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    memcpy(state, &u->s, sizeof(u->s));
    spin_unlock_irqrestore(&u->port.lock, irq);
}

static bool state_valid(const struct vpl011_state *s)
{
    return uart_fifo_valid(&s->tx, UART_FIFO_DEPTH) && uart_fifo_valid(&s->rx, UART_FIFO_DEPTH) &&
           s->overrun <= 1 && (s->rsr & ~RSR_OE) == 0 && (s->ilpr & ~ILPR_MASK) == 0 &&
           (s->ibrd & ~IBRD_MASK) == 0 && (s->fbrd & ~FBRD_MASK) == 0 && (s->lcr_h & ~LCRH_MASK) == 0 &&
           (s->cr & ~CR_MASK) == 0 && (s->ifls & ~IFLS_MASK) == 0 && ((s->imsc | s->ris) & ~INT_MASK) == 0;
}

static enum status vpl011_load(struct vdev *dev, const void *state)
{
    struct vpl011 *u = from_vdev(dev);
    struct vpl011_state next;

    memcpy(&next, state, sizeof(next));
    if (!state_valid(&next)) {
        return E_CORRUPT;
    }
    irq_state_t irq = spin_lock_irqsave(&u->port.lock);

    u->s = next;
    u->port.rx_more = true;
    update_locked(u); // works out UARTFR afresh
    spin_unlock_irqrestore(&u->port.lock, irq);
    uart_port_drain(&u->port);
    uart_port_fill(&u->port);
    return OK;
}

static const struct vdev_ops vdev_ops = {
    .model = "pl011",
    .state_version = 1,
    .state_size = sizeof(struct vpl011_state),
    .reset = vpl011_reset,
    .destroy = vpl011_destroy,
    .describe = vpl011_describe,
    .save = vpl011_save,
    .load = vpl011_load,
};

enum status vpl011_create(struct vm *vm, const struct plan_device *p, struct char_backend *be,
                          struct vdev **out)
{
    struct vpl011 *u = pool_alloc(sizeof(*u));

    if (!u) {
        return E_NOMEM;
    }
    enum status st = vreg_map_create(&u->map, rows, ARRAY_SIZE(rows), REG_SIZE);
    if (st != OK) {
        goto out_free;
    }
    uart_port_init(&u->port, &port_ops, &u->s.tx, &u->s.rx, be);
    u->vdev = (struct vdev){.ops = &vdev_ops, .vm = vm, .name = p->name, .state = &u->s};
    u->port.line = (struct irq_line){.chip = vm->irqchip, .line = p->irq};
    u->base = p->base;
    state_reset(&u->s);
    update_locked(u);
    const struct io_region region = {
        .base = p->base, .size = p->size, .access = vpl011_access, .dev = u, .name = p->name};

    st = io_bus_add(&vm->mmio, &region, NULL);
    if (st != OK) {
        goto out_map;
    }
    list_push_back(&vm->devices, &u->vdev.node);
    uart_port_connect(&u->port);
    *out = &u->vdev;
    return OK;

out_map:
    vreg_map_destroy(&u->map);
out_free:
    pool_free(u, sizeof(*u));
    return st;
}
