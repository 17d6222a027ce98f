// SPDX-License-Identifier: Apache-2.0
//
// Writing ACPI's static tables (ACPI 6.5, 5.2); for vmm/firmware alone.
#pragma once

#include "vmm/firmware/table_out.h"

#define ACPI_HEADER_SIZE 36u
#define ACPI_RSDP_SIZE 36u

// Begins a table aligned to 16 bytes; returns where, for acpi_end(), which fills in length and checksum.
size_t acpi_begin(struct table_out *o, const char *signature, uint8_t revision);
void acpi_end(struct table_out *o, size_t table);

// Generic address structure of `bits` I/O ports, or of memory (5.2.3.2). Port 0: all zero, there is no such register.
void acpi_port(struct table_out *o, uint16_t port, uint8_t bits);
void acpi_memory(struct table_out *o, uint64_t base);

// The RSDP of revision 2 at `at`, where ACPI_RSDP_SIZE bytes were left.
void acpi_rsdp(struct table_out *o, size_t at, uint64_t rsdt, uint64_t xsdt);
