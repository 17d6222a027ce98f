// SPDX-License-Identifier: Apache-2.0
//
// See acpi_build.h.
#include "vmm/firmware/acpi_build.h"

#define OEM_ID "LODGE "
#define OEM_TABLE_ID "LODGEPC "
#define CREATOR_ID "LODG"
#define LENGTH_AT 4u
#define CHECKSUM_AT 9u
#define RSDP_REVISION 2u
#define RSDP_PART_1 20u // covered by the first checksum
#define RSDP_CHECKSUM_1 8u
#define RSDP_CHECKSUM_2 32u

enum space { // of a generic address
    SPACE_MEMORY = 0,
    SPACE_IO = 1
};

size_t acpi_begin(struct table_out *o, const char *signature, uint8_t revision)
{
    table_align(o, 16);

    size_t table = o->used;

    table_put(o, signature, 4);
    table_u32(o, 0); // length
    table_u8(o, revision);
    table_u8(o, 0); // checksum
    table_put(o, OEM_ID, 6);
    table_put(o, OEM_TABLE_ID, 8);
    table_u32(o, 1); // OEM's and creator's revision
    table_put(o, CREATOR_ID, 4);
    table_u32(o, 1);
    return table;
}

void acpi_end(struct table_out *o, size_t table)
{
    table_patch(o, table + LENGTH_AT, o->used - table, 4);
    table_checksum(o, table, o->used - table, table + CHECKSUM_AT);
}

static void address(struct table_out *o, enum space space, uint8_t bits, uint64_t at)
{
    static const uint8_t access_of[] = {[1] = 1, [2] = 2, [4] = 3, [8] = 4};

    table_u8(o, space);
    table_u8(o, bits);
    table_u8(o, 0); // bit offset
    table_u8(o, access_of[bits / 8]);
    table_u64(o, at);
}

void acpi_port(struct table_out *o, uint16_t port, uint8_t bits)
{
    if (!port) {
        table_zero(o, 12);
        return;
    }
    address(o, SPACE_IO, bits, port);
}

void acpi_memory(struct table_out *o, uint64_t base)
{
    address(o, SPACE_MEMORY, 64, base);
}

void acpi_rsdp(struct table_out *o, size_t at, uint64_t rsdt, uint64_t xsdt)
{
    struct table_out r = {.buf = o->buf + at, .capacity = ACPI_RSDP_SIZE};

    if (o->failed) {
        return;
    }
    table_put(&r, "RSD PTR ", 8);
    table_u8(&r, 0);
    table_put(&r, OEM_ID, 6);
    table_u8(&r, RSDP_REVISION);
    table_u32(&r, rsdt);
    table_u32(&r, ACPI_RSDP_SIZE);
    table_u64(&r, xsdt);
    table_u32(&r, 0);
    table_checksum(&r, 0, RSDP_PART_1, RSDP_CHECKSUM_1);
    table_checksum(&r, 0, ACPI_RSDP_SIZE, RSDP_CHECKSUM_2);
}
