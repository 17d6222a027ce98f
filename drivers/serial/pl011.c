// SPDX-License-Identifier: Apache-2.0
//
// Arm PrimeCell UART (PL011, Arm DDI 0183), used as the host's console: output polled and bounded in time,
// input by interrupt where it has one. Line settings are the firmware's; a UART that nobody turned on is set
// to 8N1 at whatever rate it has.
#include "kernel/dev/hw_desc.h"
#include "kernel/irq/irq.h"
#include "kernel/log/console.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/timer.h"

enum pl011_reg {
    UARTDR = 0x00,
    UARTFR = 0x18,
    UARTLCR_H = 0x2c,
    UARTCR = 0x30,
    UARTIFLS = 0x34,
    UARTIMSC = 0x38,
    UARTICR = 0x44,
    PL011_SIZE = 0x1000
};

#define FR_RXFE BIT64(4)
#define FR_TXFF BIT64(5)
#define LCR_H_FEN BIT64(4)
#define LCR_H_WLEN_8 MASK64(5, 2)
#define CR_UARTEN BIT64(0)
#define CR_TXE BIT64(8)
#define CR_RXE BIT64(9)
#define IFLS_RX_1_8 0u
#define INT_RX BIT64(4)
#define INT_RT BIT64(6) // receive time-out: something waits below the FIFO threshold
#define INT_ALL MASK64(0, 11)
#define DR_ERRORS MASK64(8, 4)

#define RX_BURST_MAX 4096 // characters taken in one interrupt; far more than any FIFO holds
#define TX_WAIT_US 20000u // a FIFO that does not drain for this long: the character is dropped

static volatile void *regs;
static void (*input)(char c);

static void pl011_putc(char c)
{
    for (unsigned us = 0; mmio_read32(regs, UARTFR) & FR_TXFF; us++) {
        if (us == TX_WAIT_US) {
            return;
        }
        time_delay_us(1);
    }
    mmio_write32(regs, UARTDR, (uint8_t)c);
}

static enum irq_result pl011_interrupt(unsigned irq, void *ctx)
{
    (void)irq;
    (void)ctx;
    mmio_write32(regs, UARTICR, INT_RX | INT_RT);
    for (unsigned i = 0; i < RX_BURST_MAX && !(mmio_read32(regs, UARTFR) & FR_RXFE); i++) {
        uint32_t dr = mmio_read32(regs, UARTDR);

        if (!(dr & DR_ERRORS) && input) {
            input((char)(dr & 0xff));
        }
    }
    return IRQ_HANDLED;
}

static void pl011_set_input(void (*fn)(char c))
{
    input = fn;
}

static size_t pl011_write(const char *buf, size_t len)
{
    size_t n = 0;

    while (n < len && !(mmio_read32(regs, UARTFR) & FR_TXFF)) {
        mmio_write32(regs, UARTDR, (uint8_t)buf[n++]);
    }
    return n;
}

// For a UART without an interrupt.
static int pl011_getc(void)
{
    while (!(mmio_read32(regs, UARTFR) & FR_RXFE)) {
        uint32_t dr = mmio_read32(regs, UARTDR);

        if (!(dr & DR_ERRORS)) {
            return (int)(dr & 0xff);
        }
    }
    return -1;
}

static const struct console_device with_interrupt = {.name = "PL011",
                                                     .write = pl011_write,
                                                     .putc = pl011_putc,
                                                     .set_input = pl011_set_input};
static const struct console_device polled = {.name = "PL011",
                                             .write = pl011_write,
                                             .putc = pl011_putc,
                                             .getc = pl011_getc};

// The order of the PrimeCell manual, 3.3.8: the line control register is written while the UART is off.
static void set_up(void)
{
    uint32_t cr = mmio_read32(regs, UARTCR);

    mmio_write32(regs, UARTIMSC, 0);
    if (!(cr & CR_UARTEN)) {
        mmio_write32(regs, UARTLCR_H, LCR_H_FEN | LCR_H_WLEN_8);
    }
    mmio_write32(regs, UARTIFLS, IFLS_RX_1_8);
    mmio_write32(regs, UARTICR, INT_ALL);
    mmio_write32(regs, UARTCR, cr | CR_UARTEN | CR_TXE | CR_RXE);
}

static enum status pl011_probe(const struct hw_desc *hw)
{
    if (!hw->is_console) {
        return E_UNSUPPORTED;
    }
    if (hw->reg_count < 1 || hw->regs[0].size < PL011_SIZE) {
        log_err("%s: no registers for a PL011", hw->name);
        return E_CORRUPT;
    }
    regs = mmio_map(hw->regs[0].base, PL011_SIZE);
    if (!regs) {
        return E_NOMEM;
    }
    set_up();

    enum status s = E_NOENT;

    if (hw->irq_count > 0) {
        s = irq_register(hw->irqs[0].irq, hw->irqs[0].level ? IRQ_LEVEL : IRQ_EDGE, pl011_interrupt, NULL);
    }
    if (s == OK) {
        mmio_write32(regs, UARTIMSC, INT_RX | INT_RT);
    } else {
        log_warn("%s: no interrupt (%s): console input is polled", hw->name, status_name(s));
    }
    console_register(s == OK ? &with_interrupt : &polled);
    return OK;
}

static const char *const pl011_ids[] = {"arm,pl011", NULL};

static const struct driver pl011_driver = {
    .name = "pl011",
    .class = DRIVER_CONSOLE,
    .ids = pl011_ids,
    .probe = pl011_probe,
};

DRIVER_DEFINE(pl011_driver);
