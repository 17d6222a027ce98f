// SPDX-License-Identifier: Apache-2.0
//
// PCI as drivers and the bus's enumerator see it ("PCI Local Bus Specification 3.0", chapter 6; "PCI Express Base
// Specification 4.0", 7.2.2 and 7.5): a host bridge's configuration space, the functions behind it, their base address
// registers and capabilities. Addresses, bus numbers and windows stay as the firmware left them. What a function's
// configuration space says is not trusted. All of it on the boot CPU, while devices are probed.
#pragma once

#include "drivers/pci/pci_regs.h"
#include "kernel/irq/irq.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define PCI_BUSES_MAX 256u
#define PCI_DEVFN(device, function) ((uint8_t)((device) << 3 | (function)))

struct pci_host;

// A way into the configuration space of segment 0. `off` is a multiple of `size` (1, 2, 4) below 256; where nothing is, reads
// give all ones.
struct pci_config_ops {
    bool (*open_bus)(struct pci_host *host,
                     uint8_t bus); // before the first access to that bus; false: there is no way to it
    uint32_t (*read)(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off, unsigned size);
    void (*write)(const struct pci_host *host, uint8_t bus, uint8_t devfn, unsigned off, unsigned size,
                  uint32_t v);
};

struct pci_host {
    const struct pci_config_ops *ops;
    unsigned bus_count; // numbers 0 to bus_count - 1, at most PCI_BUSES_MAX
};

// One function with a header of type 0.
struct pci_function {
    const struct pci_host *host;
    uint8_t bus, devfn;
    uint16_t vendor, device;
    uint32_t class_code; // base class, sub-class, programming interface
    char name[16];       // "pci 00:1f.2"
    // What drivers match: "pci:1af4:1042" and, by base class and sub-class, "pci:class:0101".
    char ids[2][16];
};

// Calls found() for each function behind the host bridge that is not a bridge, in the order of bus and device number, each
// once; at most PCI_FUNCTIONS_MAX. *fn is the caller's to copy. Buses are followed as bridges' registers number them, upwards
// only, so no loop of bridges is followed twice. Ends with the first error of found().
#define PCI_FUNCTIONS_MAX 256u
enum status pci_scan(struct pci_host *host, enum status (*found)(const struct pci_function *fn, void *ctx),
                     void *ctx);

uint32_t pci_read(const struct pci_function *fn, unsigned off, unsigned size);
void pci_write(const struct pci_function *fn, unsigned off, unsigned size, uint32_t v);

// Offset of the next capability `id` behind the one at `after` (0: of the first); 0 when there is none. Its first `size` bytes
// (at least 2) lie in the 256 bytes of the configuration space. A list that loops or leaves its place
// ends there; who looks for all of an id asks at most PCI_CAPABILITIES_MAX times.
#define PCI_CAPABILITIES_MAX 48u
unsigned pci_find_capability(const struct pci_function *fn, uint8_t id, unsigned after, unsigned size);

struct pci_bar {
    bool port;
    uint64_t base; // physical address, or first port
    uint64_t size; // a power of two
};

// The function's base address register `index` (0 to 5). Measuring takes the function off the bus for a moment: only its
// driver does so. E_NOENT: not there, or the upper half of one with 64 bits; E_UNSUPPORTED: the firmware gave it no address;
// E_CORRUPT: nonsense.
enum status pci_bar_get(const struct pci_function *fn, unsigned index, struct pci_bar *bar);

// Maps `size` bytes at `off` of a base address register of memory. NULL when they are not in it, and on the errors above.
volatile void *pci_map(const struct pci_function *fn, unsigned index, uint64_t off, uint64_t size);

// Sets bits of the command register (PCI_COMMAND_...).
void pci_enable(const struct pci_function *fn, uint16_t bits);

// Lets the function's MSI-X vector 0, and it alone, interrupt as `msi->irq`, and switches INTx off; irq_register() (IRQ_EDGE)
// is the caller's. E_UNSUPPORTED: no MSI-X, or no controller that takes messages; E_NOMEM; E_CORRUPT.
enum status pci_msix_enable(const struct pci_function *fn, struct irq_msi *msi);
