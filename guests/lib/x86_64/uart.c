// SPDX-License-Identifier: Apache-2.0
//
// 16550 at I/O ports: polled output, input into a ring.
#include "guests/lib/x86_64/cpu.h"

enum {
    UART_RBR = 0,
    UART_THR = 0,
    UART_IER = 1,
    UART_FCR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5
};
#define IER_RX 1u
#define FCR_ENABLE_CLEAR 7u
#define LCR_8N1 3u
#define MCR_DTR_RTS_OUT2 0x0bu
#define LSR_DATA 1u
#define LSR_ERRORS 0x1eu
#define LSR_THRE 0x20u

static volatile unsigned ring_in, ring_out;
static char ring[256];

static uint16_t port(unsigned reg)
{
    return (uint16_t)(board.uart + reg);
}

void uart_setup(void)
{
    out8(port(UART_IER), 0);
    out8(port(UART_LCR), LCR_8N1);
    out8(port(UART_FCR), FCR_ENABLE_CLEAR);
    out8(port(UART_MCR), MCR_DTR_RTS_OUT2);
    out8(port(UART_IER), IER_RX);
}

void put_char(char c)
{
    while (!(in8(port(UART_LSR)) & LSR_THRE)) {
    }
    out8(port(UART_THR), (uint8_t)c);
}

void uart_drain(void)
{
    uint8_t status = in8(port(UART_LSR));

    while ((status & LSR_DATA) && status != 0xFF) {
        uint8_t v = in8(port(UART_RBR));
        if (!(status & LSR_ERRORS) && ring_in - ring_out < sizeof(ring)) {
            ring[ring_in % sizeof(ring)] = (char)v;
            ring_in = ring_in + 1;
        }
        status = in8(port(UART_LSR));
    }
}

int get_char(void)
{
    unsigned char c;

    if (ring_in == ring_out) {
        return -1;
    }
    c = (unsigned char)ring[ring_out % sizeof(ring)];
    ring_out = ring_out + 1;
    return c;
}
