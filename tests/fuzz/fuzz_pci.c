// SPDX-License-Identifier: Apache-2.0
//
// A PCI bus whose functions have the input as their configuration space: the scan, then for each function what a driver of a
// virtio device asks. Six bytes of bus, device and which bits of its base address registers can be written, then a short piece of
// configuration space for each function.
#include <stdint.h>
#include <stdlib.h>

#include "drivers/virtio/virtio_pci.h"
#include "tests/unit/drivers/pci/fake_pci.h"

#define PIECE 128u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned found;

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static enum status note(const struct pci_function *fn, void *ctx)
{
    (void)ctx;
    require(++found <= PCI_FUNCTIONS_MAX);
    for (unsigned i = 0; i <= PCI_BARS; i++) {
        struct pci_bar bar;

        if (pci_bar_get(fn, i, &bar) == OK) {
            require(i < PCI_BARS && bar.size != 0 && bar.base != 0);
            require(bar.size - 1 <= UINT64_MAX - bar.base);
        }
    }
    for (unsigned type = 0; type < 8; type++) {
        struct virtio_pci_part part;

        if (virtio_pci_find(fn, (enum virtio_pci_type)type, &part)) {
            require(part.cap >= PCI_FIRST_CAPABILITY && part.cap <= PCI_CONFIG_SIZE - 16 &&
                    part.bar < PCI_BARS);
        }
    }
    (void)pci_find_capability(fn, PCI_CAP_MSIX, 0, PCI_MSIX_SIZE);
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fake_count = 0;
    found = 0;
    while (size > 6 && fake_count < 32) {
        struct fake_function *f = fake_add(data[0] & 7, data[1] & 3, data[1] >> 2 & 7, 0x10421AF4);
        size_t n = size - 6 < PIECE ? size - 6 : PIECE;

        for (unsigned i = 0; i < PCI_BARS; i++) {
            f->bar_writable[i] = UINT32_MAX << (data[2 + i % 4] & 31);
        }
        // The header as it is, then the list of capabilities.
        memcpy(f->config + PCI_COMMAND, data + 6, n);
        f->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
        data += 6 + n;
        size -= 6 + n;
    }
    require(pci_scan(&fake_host, note, NULL) == OK);
    return 0;
}
