// SPDX-License-Identifier: Apache-2.0
//
// 16550: polled output, input by interrupt into a ring. Without one, the firmware's console.
#include "guests/lib/riscv64/cpu.h"

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
#define SBI_LEGACY_PUTCHAR 1

static volatile unsigned ring_in, ring_out;
static char ring[256];

void uart_setup(void)
{
    if (board.uart) {
        mmio_write8(board.uart + UART_IER, 0);
        mmio_write8(board.uart + UART_LCR, LCR_8N1);
        mmio_write8(board.uart + UART_FCR, FCR_ENABLE_CLEAR);
        mmio_write8(board.uart + UART_MCR, MCR_DTR_RTS_OUT2);
        mmio_write8(board.uart + UART_IER, IER_RX);
    }
}

void put_char(char c)
{
    if (!board.uart) {
        sbi_call(SBI_LEGACY_PUTCHAR, 0, (unsigned char)c, 0, 0, 0);
        return;
    }
    while (!(mmio_read8(board.uart + UART_LSR) & LSR_THRE)) {
    }
    mmio_write8(board.uart + UART_THR, (unsigned char)c);
}

void uart_drain(void)
{
    uint8_t status = mmio_read8(board.uart + UART_LSR);

    while (status & LSR_DATA) {
        uint8_t v = mmio_read8(board.uart + UART_RBR);
        if (!(status & LSR_ERRORS) && ring_in - ring_out < sizeof(ring)) {
            ring[ring_in % sizeof(ring)] = (char)v;
            ring_in = ring_in + 1;
        }
        status = mmio_read8(board.uart + UART_LSR);
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
