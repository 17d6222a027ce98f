// SPDX-License-Identifier: Apache-2.0
//
// The configuration space's registers: "PCI Local Bus Specification 3.0", 6.1, 6.2, 6.7, 6.8.2; bridges: "PCI-to-PCI Bridge
// Architecture Specification 1.2", 3.2.
#pragma once

#define PCI_CONFIG_SIZE 256u

enum pci_register {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08, // the upper three bytes of this word: class code
    PCI_HEADER_TYPE = 0x0E,
    PCI_BAR_0 = 0x10,
    PCI_SECONDARY_BUS = 0x19, // of a bridge
    PCI_SUBSYSTEM_ID = 0x2E,
    PCI_CAPABILITIES = 0x34,
    PCI_FIRST_CAPABILITY = 0x40 // none lies below
};

#define PCI_COMMAND_IO 0x0001u
#define PCI_COMMAND_MEMORY 0x0002u
#define PCI_COMMAND_MASTER 0x0004u
#define PCI_COMMAND_NO_INTX 0x0400u
#define PCI_STATUS_CAPABILITIES 0x0010u

#define PCI_HEADER_MULTI 0x80u // of function 0: there are others
#define PCI_HEADER_LAYOUT 0x7Fu
#define PCI_HEADER_NORMAL 0u
#define PCI_HEADER_BRIDGE 1u

#define PCI_BARS 6u
#define PCI_BAR_PORT 0x1u
#define PCI_BAR_PORT_FLAGS 0x3u
#define PCI_BAR_FLAGS 0xFu
#define PCI_BAR_TYPE 0x6u
#define PCI_BAR_TYPE_64 0x4u
#define PCI_BAR_TYPE_RESERVED 0x6u

#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_MSIX 0x11u

// In the MSI-X capability, and in its table's entries.
#define PCI_MSIX_CONTROL 2u
#define PCI_MSIX_TABLE 4u
#define PCI_MSIX_SIZE 12u
#define PCI_MSIX_ENABLE 0x8000u
#define PCI_MSIX_MASK_ALL 0x4000u
#define PCI_MSIX_TABLE_LAST 0x07FFu // size - 1
#define PCI_MSIX_BAR 0x7u
#define PCI_MSIX_ENTRY_SIZE 16u
#define PCI_MSIX_ENTRY_ADDRESS 0u
#define PCI_MSIX_ENTRY_DATA 8u
#define PCI_MSIX_ENTRY_CONTROL 12u
