// SPDX-License-Identifier: Apache-2.0
//
// A 16550 UART and its kin (PC16550D data sheet), used as the host's console: output polled and bounded in
// time, input by interrupt where it has one. Line settings are the firmware's. Registers lie "reg-shift"
// apart and are accessed with the width that "reg-io-width" says.
#include "arch/cpu.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/irq/irq.h"
#include "kernel/log/console.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"
#include "kernel/time/timer.h"

enum uart_reg {
    UART_DATA = 0,
    UART_IER = 1,
    UART_IIR = 2,
    UART_FCR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_REGS = 8
};

#define IER_RX BIT64(0)
#define IIR_NONE BIT64(0)
#define FCR_ENABLE BIT64(0)
#define FCR_CLEAR MASK64(1, 2)
#define LCR_8N1 MASK64(0, 2)
#define MCR_DTR_RTS_OUT2 0x0bu // OUT2 gates the interrupt on PCs
#define LSR_DR BIT64(0)
#define LSR_ERRORS MASK64(1, 4)
#define LSR_THRE BIT64(5)

#define FIFO_DEPTH 16u
#define RX_BURST_MAX 4096 // characters taken in one interrupt; far more than any FIFO holds
#define TX_WAIT_US 20000u // a FIFO that does not drain for this long: the character is dropped

static volatile void *regs; // NULL: I/O ports
static uint16_t port;
static uint32_t reg_shift;
static bool wide; // 32-bit accesses
static void (*input)(char c);

static uint32_t uart_read(enum uart_reg reg)
{
    size_t off = (size_t)reg << reg_shift;

    if (!regs) {
        return arch_port_read((uint16_t)(port + off), 1);
    }
    return wide ? mmio_read32(regs, off) & 0xff : mmio_read8(regs, off);
}

static void uart_write(enum uart_reg reg, uint32_t value)
{
    size_t off = (size_t)reg << reg_shift;

    if (!regs) {
        arch_port_write((uint16_t)(port + off), 1, value);
    } else if (wide) {
        mmio_write32(regs, off, value);
    } else {
        mmio_write8(regs, off, (uint8_t)value);
    }
}

static void ns16550_putc(char c)
{
    for (unsigned us = 0; !(uart_read(UART_LSR) & LSR_THRE); us++) {
        if (us == TX_WAIT_US) {
            return;
        }
        time_delay_us(1);
    }
    uart_write(UART_DATA, (uint8_t)c);
}

// The FIFO is empty when THRE is set: then it takes as many as it has places.
static size_t ns16550_write(const char *buf, size_t len)
{
    size_t n = 0;

    if (!(uart_read(UART_LSR) & LSR_THRE)) {
        return 0;
    }
    while (n < len && n < FIFO_DEPTH) {
        uart_write(UART_DATA, (uint8_t)buf[n++]);
    }
    return n;
}

static int ns16550_getc(void)
{
    uint32_t lsr;

    while ((lsr = uart_read(UART_LSR)) & LSR_DR) {
        uint32_t c = uart_read(UART_DATA);

        if (!(lsr & LSR_ERRORS)) {
            return (int)c;
        }
    }
    return -1;
}

static enum irq_result ns16550_interrupt(unsigned irq, void *ctx)
{
    (void)irq;
    (void)ctx;
    (void)uart_read(UART_IIR);
    for (unsigned i = 0; i < RX_BURST_MAX; i++) {
        int c = ns16550_getc();

        if (c < 0) {
            break;
        }
        if (input) {
            input((char)c);
        }
    }
    return IRQ_HANDLED;
}

static void ns16550_set_input(void (*fn)(char c))
{
    input = fn;
}

static const struct console_device with_interrupt = {.name = "16550",
                                                     .write = ns16550_write,
                                                     .putc = ns16550_putc,
                                                     .set_input = ns16550_set_input};
static const struct console_device polled = {.name = "16550",
                                             .write = ns16550_write,
                                             .putc = ns16550_putc,
                                             .getc = ns16550_getc};

static void set_up(void)
{
    uart_write(UART_IER, 0);
    uart_write(UART_LCR, LCR_8N1);
    uart_write(UART_FCR, FCR_ENABLE | FCR_CLEAR);
    uart_write(UART_MCR, MCR_DTR_RTS_OUT2);
}

static enum status ns16550_probe(const struct hw_desc *hw)
{
    uint32_t width = 1;

    if (!hw->is_console) {
        return E_UNSUPPORTED;
    }
    reg_shift = 0;
    (void)hw_prop_u32(hw, "reg-shift", &reg_shift);
    (void)hw_prop_u32(hw, "reg-io-width", &width);
    if (hw->reg_count < 1 || reg_shift > 3 || (width != 1 && width != 4) || (width == 4 && reg_shift < 2) ||
        hw->regs[0].size < (uint64_t)UART_REGS << reg_shift) {
        log_err("%s: registers of a 16550 that Lodge does not know", hw->name);
        return E_UNSUPPORTED;
    }
    wide = width == 4;
    port = (uint16_t)hw->regs[0].base.v;
    regs = hw->regs[0].port ? NULL : mmio_map(hw->regs[0].base, (uint64_t)UART_REGS << reg_shift);
    if (!regs && !hw->regs[0].port) {
        return E_NOMEM;
    }
    set_up();

    enum status s = E_NOENT;

    if (hw->irq_count > 0) {
        s = irq_register(hw->irqs[0].irq, hw->irqs[0].level ? IRQ_LEVEL : IRQ_EDGE, ns16550_interrupt, NULL);
    }
    if (s == OK) {
        uart_write(UART_IER, IER_RX);
    } else {
        log_warn("%s: no interrupt (%s): console input is polled", hw->name, status_name(s));
    }
    console_register(s == OK ? &with_interrupt : &polled);
    return OK;
}

static const char *const ns16550_ids[] = {"ns16550a", "ns16550", "snps,dw-apb-uart", "PNP0501", NULL};

static const struct driver ns16550_driver = {
    .name = "ns16550",
    .class = DRIVER_CONSOLE,
    .ids = ns16550_ids,
    .probe = ns16550_probe,
};

DRIVER_DEFINE(ns16550_driver);
