// SPDX-License-Identifier: Apache-2.0
//
// See mp_table.h. Section numbers are those of the MultiProcessor Specification 1.4.
#include "vmm/firmware/mp_table.h"

#include "vmm/firmware/pc_tables.h"

#define SPEC_REVISION 4u // 1.4
#define LENGTH_AT 4u
#define CHECKSUM_AT 7u
#define ENTRY_COUNT_AT 34u
#define POINTER_SUM_AT 10u

enum entry { // 4.3
    ENTRY_PROCESSOR = 0,
    ENTRY_BUS = 1,
    ENTRY_IOAPIC = 2,
    ENTRY_IO_INTERRUPT = 3
};
#define CPU_ENABLED 1u
#define CPU_BOOT 2u
#define LAPIC_VERSION 0x14u
#define IOAPIC_VERSION 0x20u
#define IOAPIC_ENABLED 1u
#define LEVEL_HIGH 0xDu // of the SCI; 0: as the bus has it, edge and high
#define ISA_IRQS 16u
#define CASCADE_IRQ 2u

static void put_processors(struct table_out *o, unsigned cpus)
{
    for (unsigned i = 0; i < cpus; i++) {
        table_u8(o, ENTRY_PROCESSOR);
        table_u8(o, i);
        table_u8(o, LAPIC_VERSION);
        table_u8(o, CPU_ENABLED | (i == 0 ? CPU_BOOT : 0));
        table_u32(o, 0); // CPUID knows better
        table_u32(o, 0);
        table_zero(o, 8);
    }
}

static void put_bus_and_ioapic(struct table_out *o, uint64_t ioapic)
{
    table_u8(o, ENTRY_BUS);
    table_u8(o, 0);
    table_put(o, "ISA   ", 6);
    table_u8(o, ENTRY_IOAPIC);
    table_u8(o, 0);
    table_u8(o, IOAPIC_VERSION);
    table_u8(o, IOAPIC_ENABLED);
    table_u32(o, ioapic);
}

static unsigned put_interrupts(struct table_out *o)
{
    unsigned count = 0;

    for (unsigned irq = 0; irq < ISA_IRQS; irq++) {
        if (irq == CASCADE_IRQ) {
            continue;
        }
        table_u8(o, ENTRY_IO_INTERRUPT);
        table_u8(o, 0); // an ordinary one
        table_u16(o, irq == PC_SCI ? LEVEL_HIGH : 0);
        table_u8(o, 0);
        table_u8(o, irq);
        table_u8(o, 0);
        table_u8(o, irq == 0 ? PC_TIMER_GSI : irq);
        count++;
    }
    return count;
}

static void put_pointer(uint8_t *pointer, uint64_t table)
{
    struct table_out o = {.buf = pointer, .capacity = PC_MP_POINTER_SIZE};

    table_put(&o, "_MP_", 4);
    table_u32(&o, table);
    table_u8(&o, 1); // in units of 16 bytes
    table_u8(&o, SPEC_REVISION);
    table_zero(&o, 6);
    table_checksum(&o, 0, PC_MP_POINTER_SIZE, POINTER_SUM_AT);
}

void mp_table_build(struct table_out *o, const struct mp_input *in, uint64_t base, uint8_t *pointer)
{
    unsigned entries;

    table_align(o, 16);

    size_t table = o->used;

    table_put(o, "PCMP", 4);
    table_u16(o, 0); // length
    table_u8(o, SPEC_REVISION);
    table_u8(o, 0); // checksum
    table_put(o, "LODGE   VIRTUAL PC  ", 20);
    table_u32(o, 0); // no OEM table
    table_u16(o, 0);
    table_u16(o, 0); // entries
    table_u32(o, in->lapic);
    table_u32(o, 0); // nothing extended
    put_processors(o, in->cpus);
    put_bus_and_ioapic(o, in->ioapic);
    entries = in->cpus + 2 + put_interrupts(o);
    table_patch(o, table + LENGTH_AT, o->used - table, 2);
    table_patch(o, table + ENTRY_COUNT_AT, entries, 2);
    table_checksum(o, table, o->used - table, table + CHECKSUM_AT);
    put_pointer(pointer, base + table);
}
