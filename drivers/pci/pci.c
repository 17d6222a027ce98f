// SPDX-License-Identifier: Apache-2.0
//
// Functions: capabilities, base address registers, MSI-X. See pci.h.
#include "drivers/pci/pci.h"

#include <inttypes.h>

#include "kernel/lib/range.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

uint32_t pci_read(const struct pci_function *fn, unsigned off, unsigned size)
{
    return fn->host->ops->read(fn->host, fn->bus, fn->devfn, off, size);
}

void pci_write(const struct pci_function *fn, unsigned off, unsigned size, uint32_t v)
{
    fn->host->ops->write(fn->host, fn->bus, fn->devfn, off, size, v);
}

void pci_enable(const struct pci_function *fn, uint16_t bits)
{
    pci_write(fn, PCI_COMMAND, 2, pci_read(fn, PCI_COMMAND, 2) | bits);
}

// 6.7: each points to the next, the lower two bits count for nothing.
unsigned pci_find_capability(const struct pci_function *fn, uint8_t id, unsigned after, unsigned size)
{
    unsigned at = after ? after + 1 : PCI_CAPABILITIES;

    if (!(pci_read(fn, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)) {
        return 0;
    }
    at = pci_read(fn, at, 1) & ~3u;
    // There is room for so many of four bytes: a longer list is a loop.
    for (unsigned left = PCI_CAPABILITIES_MAX; left && at >= PCI_FIRST_CAPABILITY; left--) {
        if (pci_read(fn, at, 1) == id && size <= PCI_CONFIG_SIZE - at) {
            return at;
        }
        at = pci_read(fn, at + 1, 1) & ~3u;
    }
    return 0;
}

// ---- base address registers ----------------------------------------

static bool is_64bit(uint32_t bar)
{
    return !(bar & PCI_BAR_PORT) && (bar & PCI_BAR_TYPE) == PCI_BAR_TYPE_64;
}

static uint32_t bar_read(const struct pci_function *fn, unsigned index)
{
    return pci_read(fn, PCI_BAR_0 + 4 * index, 4);
}

// Whether a register begins there: halves of 64-bit ones have numbers of their own.
static bool bar_begins(const struct pci_function *fn, unsigned index)
{
    unsigned i = 0;

    while (i < index) {
        i += is_64bit(bar_read(fn, i)) ? 2 : 1;
    }
    return i == index;
}

// 6.2.5.1: what reads as zero after all ones were written is the size's.
static uint32_t bar_mask(const struct pci_function *fn, unsigned index)
{
    uint32_t old = bar_read(fn, index);
    uint32_t mask;

    pci_write(fn, PCI_BAR_0 + 4 * index, 4, UINT32_MAX);
    mask = bar_read(fn, index);
    pci_write(fn, PCI_BAR_0 + 4 * index, 4, old);
    return mask;
}

static void bar_measure(const struct pci_function *fn, unsigned index, struct pci_bar *bar)
{
    uint32_t low = bar_read(fn, index);
    uint32_t flags = low & PCI_BAR_PORT ? PCI_BAR_PORT_FLAGS : PCI_BAR_FLAGS;
    uint64_t mask = bar_mask(fn, index) & ~flags;

    *bar = (struct pci_bar){.port = low & PCI_BAR_PORT, .base = low & ~flags};
    if (is_64bit(low)) {
        bar->base |= (uint64_t)bar_read(fn, index + 1) << 32;
        mask |= (uint64_t)bar_mask(fn, index + 1) << 32;
    } else if (mask != 0) {
        // Of ports the upper 16 bits may be missing.
        mask |= bar->port ? MASK64(16, 48) : MASK64(32, 32);
    }
    bar->size = ~mask + 1; // 0: the register is not there
}

enum status pci_bar_get(const struct pci_function *fn, unsigned index, struct pci_bar *bar)
{
    uint32_t command = pci_read(fn, PCI_COMMAND, 2);
    uint32_t low;

    if (index >= PCI_BARS || !bar_begins(fn, index)) {
        return E_NOENT;
    }
    low = bar_read(fn, index);
    if ((is_64bit(low) && index + 1 == PCI_BARS) ||
        (!(low & PCI_BAR_PORT) && (low & PCI_BAR_TYPE) == PCI_BAR_TYPE_RESERVED)) {
        return E_CORRUPT;
    }
    pci_write(fn, PCI_COMMAND, 2, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
    bar_measure(fn, index, bar);
    pci_write(fn, PCI_COMMAND, 2, command);
    if (bar->size == 0) {
        return E_NOENT;
    }
    if (bar->base == 0) {
        log_warn("%s: the firmware gave base address register %u no address", fn->name, index);
        return E_UNSUPPORTED;
    }
    return (bar->size & (bar->size - 1)) == 0 && range_valid(bar->base, bar->size) ? OK : E_CORRUPT;
}

volatile void *pci_map(const struct pci_function *fn, unsigned index, uint64_t off, uint64_t size)
{
    struct pci_bar bar;

    if (pci_bar_get(fn, index, &bar) != OK || bar.port || size == 0 ||
        !range_contains(0, bar.size, off, size)) {
        return NULL;
    }
    return mmio_map(hpa(bar.base + off), size);
}

// ---- MSI-X ----------------------------------------

// 6.8.2: an entry is masked after reset, and stays so but for the first.
enum status pci_msix_enable(const struct pci_function *fn, struct irq_msi *msi)
{
    unsigned cap = pci_find_capability(fn, PCI_CAP_MSIX, 0, PCI_MSIX_SIZE);
    uint32_t table = cap ? pci_read(fn, cap + PCI_MSIX_TABLE, 4) : 0;
    uint32_t control = cap ? pci_read(fn, cap + PCI_MSIX_CONTROL, 2) : 0;
    uint32_t size = ((control & PCI_MSIX_TABLE_LAST) + 1) * PCI_MSIX_ENTRY_SIZE;
    volatile void *entry;
    enum status s;

    if (!cap) {
        return E_UNSUPPORTED;
    }
    pci_enable(fn, PCI_COMMAND_MEMORY);
    entry = pci_map(fn, table & PCI_MSIX_BAR, table & ~PCI_MSIX_BAR, size);
    if (!entry) {
        return E_CORRUPT;
    }
    s = irq_msi_alloc(msi);
    if (s != OK) {
        return s;
    }
    pci_write(fn, cap + PCI_MSIX_CONTROL, 2, control | PCI_MSIX_ENABLE | PCI_MSIX_MASK_ALL);
    mmio_write32(entry, PCI_MSIX_ENTRY_ADDRESS, (uint32_t)msi->address);
    mmio_write32(entry, PCI_MSIX_ENTRY_ADDRESS + 4, (uint32_t)(msi->address >> 32));
    mmio_write32(entry, PCI_MSIX_ENTRY_DATA, msi->data);
    mmio_write32(entry, PCI_MSIX_ENTRY_CONTROL, 0);
    pci_write(fn, cap + PCI_MSIX_CONTROL, 2, (control | PCI_MSIX_ENABLE) & ~PCI_MSIX_MASK_ALL);
    pci_enable(fn, PCI_COMMAND_NO_INTX);
    return OK;
}
