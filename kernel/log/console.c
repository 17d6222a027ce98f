// SPDX-License-Identifier: Apache-2.0
//
// The raw console: one registered device, its input function, and writing to it with the waiting bounded.
#include "kernel/log/console.h"

#include "arch/boot.h"
#include "arch/cpu.h"
#include "arch/time.h"
#include "kernel/time/timer.h"

#define POLL_MAX 256u // characters taken in one console_poll()

static const struct console_device *device;
static void (*input)(char c);

void console_register(const struct console_device *dev)
{
    if (device) {
        return;
    }
    device = dev;
    if (input && dev->set_input) {
        dev->set_input(input);
    }
}

const struct console_device *console_get(void)
{
    return device;
}

void console_set_input(void (*fn)(char c))
{
    input = fn;
    if (device && device->set_input) {
        device->set_input(fn);
    }
}

bool console_needs_poll(void)
{
    return device && !device->set_input && device->getc;
}

void console_poll(void)
{
    int c = 0;

    if (!console_needs_poll() || !input) {
        return;
    }
    for (unsigned n = 0; n < POLL_MAX; n++) {
        c = device->getc();
        if (c < 0) {
            return;
        }
        input((char)c);
    }
}

static void write_waiting(const char *buf, size_t len)
{
    uint64_t patience = time_from_ms(CONSOLE_STUCK_MS), last = arch_time_now();

    while (len > 0) {
        size_t n = device->write(buf, len);

        buf += n;
        len -= n;
        if (n > 0) {
            last = arch_time_now();
        } else if (arch_time_now() - last > patience) {
            return;
        } else {
            arch_cpu_relax();
        }
    }
}

void console_write(const char *buf, size_t len)
{
    if (device && device->write) {
        write_waiting(buf, len);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        if (device && device->putc) {
            device->putc(buf[i]);
        } else {
            arch_early_putc(buf[i]);
        }
    }
}
