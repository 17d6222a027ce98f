// SPDX-License-Identifier: Apache-2.0
//
// The walk over all functions behind a host bridge. See pci.h.
#include <stdio.h>

#include "drivers/pci/pci.h"
#include "kernel/log/log.h"

#define DEVICES 32u
#define FUNCTIONS 8u

struct scan {
    struct pci_host *host;
    enum status (*found)(const struct pci_function *fn, void *ctx);
    void *ctx;
    unsigned count;
    uint8_t reachable[PCI_BUSES_MAX / 8]; // a bitmap of bus numbers
};

// All zeroes and all ones stand for an empty slot; some bridges answer with a mixture.
static bool is_there(const struct pci_function *fn)
{
    uint32_t id = pci_read(fn, PCI_VENDOR_ID, 4);

    return id != 0 && id != UINT32_MAX && id != 0x0000FFFF && id != 0xFFFF0000;
}

static void follow_bridge(struct scan *scan, const struct pci_function *fn)
{
    uint32_t secondary = pci_read(fn, PCI_SECONDARY_BUS, 1);

    if (secondary > fn->bus && secondary < scan->host->bus_count) {
        scan->reachable[secondary / 8] |= (uint8_t)(1u << secondary % 8);
    }
}

static enum status report(struct scan *scan, struct pci_function *fn)
{
    fn->vendor = (uint16_t)pci_read(fn, PCI_VENDOR_ID, 2);
    fn->device = (uint16_t)pci_read(fn, PCI_DEVICE_ID, 2);
    fn->class_code = pci_read(fn, PCI_REVISION_ID, 4) >> 8;
    snprintf(fn->name, sizeof(fn->name), "pci %02x:%02x.%u", fn->bus, fn->devfn >> 3, fn->devfn & 7u);
    snprintf(fn->ids[0], sizeof(fn->ids[0]), "pci:%04x:%04x", fn->vendor, fn->device);
    snprintf(fn->ids[1], sizeof(fn->ids[1]), "pci:class:%04x", (unsigned)(fn->class_code >> 8 & 0xFFFF));
    if (++scan->count > PCI_FUNCTIONS_MAX) {
        log_warn("PCI: more than %u functions; from %s on none is used", PCI_FUNCTIONS_MAX, fn->name);
        return E_RANGE;
    }
    return scan->found(fn, scan->ctx);
}

static enum status scan_function(struct scan *scan, struct pci_function *fn)
{
    switch (pci_read(fn, PCI_HEADER_TYPE, 1) & PCI_HEADER_LAYOUT) {
    case PCI_HEADER_NORMAL:
        return report(scan, fn);
    case PCI_HEADER_BRIDGE:
        follow_bridge(scan, fn);
        return OK;
    default:
        return OK;
    }
}

static enum status scan_device(struct scan *scan, uint8_t bus, unsigned device)
{
    struct pci_function first = {.host = scan->host, .bus = bus, .devfn = PCI_DEVFN(device, 0)};
    bool multi = is_there(&first) && (pci_read(&first, PCI_HEADER_TYPE, 1) & PCI_HEADER_MULTI);

    for (unsigned i = 0; i < (multi ? FUNCTIONS : 1); i++) {
        struct pci_function fn = {.host = scan->host, .bus = bus, .devfn = PCI_DEVFN(device, i)};
        enum status s = is_there(&fn) ? scan_function(scan, &fn) : OK;

        if (s != OK) {
            return s;
        }
    }
    return OK;
}

enum status pci_scan(struct pci_host *host, enum status (*found)(const struct pci_function *fn, void *ctx),
                     void *ctx)
{
    struct scan scan = {.host = host, .found = found, .ctx = ctx, .reachable = {1}};
    enum status s = OK;

    for (unsigned bus = 0; bus < host->bus_count && s == OK; bus++) {
        if (!(scan.reachable[bus / 8] >> bus % 8 & 1) || !host->ops->open_bus(host, (uint8_t)bus)) {
            continue;
        }
        for (unsigned device = 0; device < DEVICES && s == OK; device++) {
            s = scan_device(&scan, (uint8_t)bus, device);
        }
    }
    return s == E_RANGE ? OK : s;
}
