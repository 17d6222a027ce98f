// SPDX-License-Identifier: Apache-2.0
//
// PL011 (Arm DDI 0183): polled output, input by interrupt into a ring.
#include "guests/lib/aarch64/cpu.h"

enum {
    UART_DR = 0x00,
    UART_FR = 0x18,
    UART_IBRD = 0x24,
    UART_FBRD = 0x28,
    UART_LCRH = 0x2c,
    UART_CR = 0x30
};
enum {
    UART_IMSC = 0x38,
    UART_ICR = 0x44
};
#define FR_RXFE (1u << 4)
#define FR_TXFF (1u << 5)
#define LCRH_WLEN8 (3u << 5)
#define CR_UARTEN (1u << 0)
#define CR_TXE (1u << 8)
#define CR_RXE (1u << 9)
#define INT_RX (1u << 4)
#define INT_RT (1u << 6)
#define INT_ALL 0x7ffu
#define DR_DATA 0xffu
#define DR_ERRORS 0xf00u

static volatile unsigned ring_in, ring_out;
static char ring[256];

void uart_setup(void)
{
    mmio_write32(board.uart + UART_CR, 0);
    mmio_write32(board.uart + UART_ICR, INT_ALL);
    mmio_write32(board.uart + UART_IBRD, 13); // 115200 at 24 MHz
    mmio_write32(board.uart + UART_FBRD, 1);
    mmio_write32(board.uart + UART_LCRH, LCRH_WLEN8);
    mmio_write32(board.uart + UART_IMSC, INT_RX | INT_RT);
    mmio_write32(board.uart + UART_CR, CR_UARTEN | CR_TXE | CR_RXE);
}

void put_char(char c)
{
    while (mmio_read32(board.uart + UART_FR) & FR_TXFF) {
    }
    mmio_write32(board.uart + UART_DR, (unsigned char)c);
}

void uart_drain(void)
{
    while (!(mmio_read32(board.uart + UART_FR) & FR_RXFE)) {
        uint32_t v = mmio_read32(board.uart + UART_DR);
        if (!(v & DR_ERRORS) && ring_in - ring_out < sizeof(ring)) {
            ring[ring_in % sizeof(ring)] = (char)(v & DR_DATA);
            ring_in = ring_in + 1;
        }
    }
    mmio_write32(board.uart + UART_ICR, INT_RX | INT_RT);
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
