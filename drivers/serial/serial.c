// SPDX-License-Identifier: Apache-2.0
//
// Where a UART driver leaves the console for whoever owns the screen.
#include "drivers/serial/serial.h"

#include <stddef.h>

static const struct serial_port *console;

const struct serial_port *serial_console(void)
{
    return console;
}

void serial_console_set(const struct serial_port *port)
{
    console = port;
}
