// SPDX-License-Identifier: Apache-2.0
//
// What emulated UARTs have in common: two FIFOs, one thread at a time that moves bytes between each of them and
// the character back end, and the interrupt line.
//
// Everything is under `lock`, except while the back end is called: who comes meanwhile leaves a note (tx_again,
// rx_again) and goes. The device's own registers are under the same lock.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/sync/spinlock.h"
#include "vmm/backend/backend.h"
#include "vmm/core/irq_line.h"

#define UART_FIFO_DEPTH 16u

// A part of the device's saved state.
struct uart_fifo {
    uint8_t head; // index of the oldest byte
    uint8_t count;
    uint8_t data[UART_FIFO_DEPTH];
};

struct uart_port;

// What the device decides. All are called with the lock held.
struct uart_port_ops {
    unsigned (*depth)(const struct uart_port *u);       // how much fits into a FIFO now
    bool (*loopback)(const struct uart_port *u);        // no input is taken meanwhile
    void (*receive)(struct uart_port *u, uint8_t byte); // into the FIFO, or an overrun
    void (*received)(struct uart_port *u);              // one or more bytes were
    void (*sent)(struct uart_port *u);                  // bytes left the transmit FIFO
    void (*update)(struct uart_port *u);                // status registers and line follow the FIFOs
};

struct uart_port {
    struct spinlock lock; // protects all below
    const struct uart_port_ops *ops;
    struct uart_fifo *tx;
    struct uart_fifo *rx;
    bool tx_busy, tx_again;
    bool rx_busy, rx_again;
    bool rx_more; // the back end may have input that did not fit
    bool line_level;
    struct irq_line line;
    struct char_backend *be; // NULL: nobody listens
};

// The FIFOs lie in the device's state. `be` may be NULL.
void uart_port_init(struct uart_port *u, const struct uart_port_ops *ops, struct uart_fifo *tx,
                    struct uart_fifo *rx, struct char_backend *be);

// From here on the back end calls; until uart_port_disconnect().
void uart_port_connect(struct uart_port *u);
void uart_port_disconnect(struct uart_port *u);

static inline void uart_fifo_push(struct uart_fifo *f, uint8_t byte)
{
    f->data[(f->head + f->count) % UART_FIFO_DEPTH] = byte;
    f->count++;
}

static inline uint8_t uart_fifo_pop(struct uart_fifo *f)
{
    uint8_t byte = f->data[f->head];

    f->head = (uint8_t)((f->head + 1) % UART_FIFO_DEPTH);
    f->count--;
    return byte;
}

// Whether a saved FIFO can be one that holds at most `depth` bytes.
static inline bool uart_fifo_valid(const struct uart_fifo *f, unsigned depth)
{
    return f->head < UART_FIFO_DEPTH && f->count <= depth;
}

// Drives the line; with the lock held, so changes arrive in order.
void uart_port_set_line(struct uart_port *u, bool level);

// Sends what the transmit FIFO holds until it is empty or the back end is full. Without the lock.
void uart_port_drain(struct uart_port *u);

// Fills the receive FIFO from the back end. Only this function asks for input, so the room it saw stays unless
// the guest makes it smaller meanwhile: then what does not fit is lost, as it would be on the wire. Without the
// lock.
void uart_port_fill(struct uart_port *u);
