// SPDX-License-Identifier: Apache-2.0
//
// Moving bytes between an emulated UART's FIFOs and its back end.
#include "vmm/devices/uart_port.h"

// How often one call goes to the back end: other vCPUs that keep the FIFO busy cannot hold this one in here.
#define ROUND_MAX 4u

void uart_port_set_line(struct uart_port *u, bool level)
{
    if (level != u->line_level) {
        u->line_level = level;
        irq_line_set(&u->line, level);
    }
}

void uart_port_drain(struct uart_port *u)
{
    uint8_t buf[UART_FIFO_DEPTH];
    irq_state_t irq = spin_lock_irqsave(&u->lock);

    if (u->tx_busy) {
        u->tx_again = true;
        spin_unlock_irqrestore(&u->lock, irq);
        return;
    }
    u->tx_busy = true;
    for (unsigned round = 0; u->tx->count > 0 && round < ROUND_MAX; round++) {
        unsigned count = u->tx->count;

        for (unsigned i = 0; i < count; i++) {
            buf[i] = u->tx->data[(u->tx->head + i) % UART_FIFO_DEPTH];
        }
        u->tx_again = false;
        spin_unlock_irqrestore(&u->lock, irq);
        size_t taken = u->be ? u->be->ops->write(u->be, buf, count) : count;

        irq = spin_lock_irqsave(&u->lock);
        for (size_t i = 0; i < taken && i < count && u->tx->count > 0; i++) {
            (void)uart_fifo_pop(u->tx);
        }
        if (taken > 0) {
            u->ops->sent(u);
        } else if (!u->tx_again) {
            break;
        }
    }
    u->tx_busy = false;
    u->ops->update(u);
    spin_unlock_irqrestore(&u->lock, irq);
}

void uart_port_fill(struct uart_port *u)
{
    uint8_t buf[UART_FIFO_DEPTH];
    irq_state_t irq = spin_lock_irqsave(&u->lock);

    u->rx_again = true;
    if (u->rx_busy || !u->be || u->ops->loopback(u)) {
        u->rx_more = true;
        spin_unlock_irqrestore(&u->lock, irq);
        return;
    }
    u->rx_busy = true;
    for (unsigned round = 0; u->rx_again && u->rx->count < u->ops->depth(u) && round < ROUND_MAX; round++) {
        unsigned room = u->ops->depth(u) - u->rx->count;

        u->rx_again = false;
        spin_unlock_irqrestore(&u->lock, irq);
        size_t got = u->be->ops->read(u->be, buf, room);

        irq = spin_lock_irqsave(&u->lock);
        u->rx_more = got == room;
        u->rx_again |= got == room;
        for (size_t i = 0; i < got && i < room; i++) {
            u->ops->receive(u, buf[i]);
        }
        if (got > 0) {
            u->ops->received(u);
        }
    }
    u->rx_more |= u->rx_again;
    u->rx_busy = false;
    u->ops->update(u);
    spin_unlock_irqrestore(&u->lock, irq);
}

static void backend_rx_ready(void *dev)
{
    uart_port_fill(dev);
}

static void backend_tx_ready(void *dev)
{
    uart_port_drain(dev);
}

static const struct char_frontend_ops frontend_ops = {.rx_ready = backend_rx_ready,
                                                      .tx_ready = backend_tx_ready};

void uart_port_init(struct uart_port *u, const struct uart_port_ops *ops, struct uart_fifo *tx,
                    struct uart_fifo *rx, struct char_backend *be)
{
    *u = (struct uart_port){.ops = ops, .tx = tx, .rx = rx, .be = be, .rx_more = true};
    spin_init(&u->lock, LOCK_VDEV);
}

void uart_port_connect(struct uart_port *u)
{
    if (u->be) {
        char_backend_attach(u->be, &frontend_ops, u);
    }
}

void uart_port_disconnect(struct uart_port *u)
{
    if (u->be) {
        char_backend_detach(u->be);
    }
}
