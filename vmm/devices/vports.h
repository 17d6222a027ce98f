// SPDX-License-Identifier: Apache-2.0
//
// Devices at I/O ports of one byte each, at several places of the port space. A wider access is one of each byte in turn, lowest
// first, as the ISA bus does it.
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "vmm/core/io_bus.h"

struct vm;

struct vports_ops {
    uint8_t (*read)(void *dev, uint16_t port);
    void (*write)(void *dev, uint16_t port, uint8_t value);
};

// Adjacent ports; lives as long as it is on the bus.
struct vports {
    const struct vports_ops *ops;
    void *dev; // given to `ops`
    uint16_t base, count;
};

// Adds `count` banks to vm->pio, all or none. Worker thread or boot. What io_bus_add() says; `name` is static.
enum status vports_add(struct vm *vm, struct vports *banks, unsigned count, const char *name);
// Their vCPUs are quiet. Worker thread.
void vports_remove(struct vm *vm, const struct vports *banks, unsigned count);
