// SPDX-License-Identifier: Apache-2.0
//
// A PCI bus of plain memory for tests and fuzzing: functions with 256 bytes of configuration space, whose base address
// registers answer as real ones do.
#pragma once

#include <string.h>

#include "drivers/pci/pci.h"

#define FAKE_FUNCTIONS 512u

struct fake_function {
    uint8_t bus, devfn;
    uint8_t config[PCI_CONFIG_SIZE];
    uint32_t bar_writable[PCI_BARS]; // bits that hold an address
};

static struct fake_function fake_functions[FAKE_FUNCTIONS];
static unsigned fake_count;
static unsigned
    fake_sizing_with_decoding; // how often a base address register was written while the function decoded

static inline struct fake_function *fake_at(uint8_t bus, uint8_t devfn)
{
    for (unsigned i = 0; i < fake_count; i++) {
        if (fake_functions[i].bus == bus && fake_functions[i].devfn == devfn) {
            return &fake_functions[i];
        }
    }
    return NULL;
}

static inline bool fake_open_bus(struct pci_host *host, uint8_t bus)
{
    (void)host;
    (void)bus;
    return true;
}

static inline uint32_t fake_read(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off,
                                 unsigned size)
{
    struct fake_function *f = fake_at(bus, devfn);
    uint32_t v = 0;

    (void)host;
    if (off > PCI_CONFIG_SIZE - size) {
        __builtin_trap(); // nobody may ask for that
    }
    if (!f) {
        return UINT32_MAX >> (32 - 8 * size);
    }
    memcpy(&v, f->config + off, size);
    return v;
}

static inline void fake_write(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off,
                              unsigned size, uint32_t v)
{
    struct fake_function *f = fake_at(bus, devfn);

    (void)host;
    if (off > PCI_CONFIG_SIZE - size) {
        __builtin_trap();
    }
    if (!f) {
        return;
    }
    if (off >= PCI_BAR_0 && off < PCI_BAR_0 + 4 * PCI_BARS) {
        uint32_t mask = f->bar_writable[(off - PCI_BAR_0) / 4], old;

        memcpy(&old, f->config + off, 4);
        v = (old & ~mask) | (v & mask);
        fake_sizing_with_decoding += (f->config[PCI_COMMAND] & (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)) != 0;
    }
    memcpy(f->config + off, &v, size);
}

static const struct pci_config_ops fake_ops = {
    .open_bus = fake_open_bus,
    .read = fake_read,
    .write = fake_write,
};

static struct pci_host fake_host = {.ops = &fake_ops, .bus_count = PCI_BUSES_MAX};

static inline void fake_put(struct fake_function *f, unsigned off, uint32_t v, unsigned size)
{
    memcpy(f->config + off, &v, size);
}

static inline struct fake_function *fake_add(uint8_t bus, unsigned device, unsigned function, uint32_t id)
{
    struct fake_function *f = &fake_functions[fake_count++];

    memset(f, 0, sizeof(*f));
    f->bus = bus;
    f->devfn = PCI_DEVFN(device, function);
    fake_put(f, PCI_VENDOR_ID, id, 4);
    return f;
}

static inline struct fake_function *fake_add_bridge(uint8_t bus, unsigned device, uint8_t secondary)
{
    struct fake_function *f = fake_add(bus, device, 0, 0x00018086);

    f->config[PCI_HEADER_TYPE] = PCI_HEADER_BRIDGE;
    f->config[PCI_SECONDARY_BUS] = secondary;
    return f;
}

// A register of `size` bytes (a power of two) that has an address and, in its low bits, flags.
static inline void fake_bar(struct fake_function *f, unsigned index, uint64_t base, uint64_t size,
                            uint32_t flags)
{
    fake_put(f, PCI_BAR_0 + 4 * index, (uint32_t)base | flags, 4);
    f->bar_writable[index] =
        (uint32_t) ~(size - 1) & ~(flags & PCI_BAR_PORT ? PCI_BAR_PORT_FLAGS : PCI_BAR_FLAGS);
    if ((flags & PCI_BAR_TYPE) == PCI_BAR_TYPE_64 && !(flags & PCI_BAR_PORT)) {
        fake_put(f, PCI_BAR_0 + 4 * index + 4, (uint32_t)(base >> 32), 4);
        f->bar_writable[index + 1] = (uint32_t)(~(size - 1) >> 32);
    }
}

// Puts a capability at `off`, as the first of the list.
static inline uint8_t *fake_capability(struct fake_function *f, uint8_t off, uint8_t id)
{
    f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    f->config[off] = id;
    f->config[off + 1] = f->config[PCI_CAPABILITIES];
    f->config[PCI_CAPABILITIES] = off;
    return f->config + off;
}

static inline struct pci_function fake_handle(const struct fake_function *f)
{
    struct pci_function fn = {.host = &fake_host, .bus = f->bus, .devfn = f->devfn, .name = "pci fake"};

    memcpy(&fn.vendor, f->config + PCI_VENDOR_ID, 2);
    memcpy(&fn.device, f->config + PCI_DEVICE_ID, 2);
    return fn;
}
