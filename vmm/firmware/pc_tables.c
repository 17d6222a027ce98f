// SPDX-License-Identifier: Apache-2.0
//
// See pc_tables.h. Section numbers are those of ACPI 6.5.
#include "vmm/firmware/pc_tables.h"

#include <stdio.h>

#include "vmm/firmware/acpi_build.h"
#include "vmm/firmware/aml.h"
#include "vmm/firmware/mp_table.h"

#define CPUS_MAX 255u
#define TABLES_MAX 4u // that RSDT and XSDT list

struct pc_build {
    struct table_out o;
    const struct pc_tables_input *in;
    const struct plan_fixed *lapic, *ioapic, *hpet;
    size_t facs, dsdt;
    size_t listed[TABLES_MAX];
    unsigned listed_count;
};

static uint64_t address_of(const struct pc_build *b, size_t at)
{
    return b->in->base + at;
}

// Begins a table that RSDT and XSDT list.
static size_t begin_listed(struct pc_build *b, const char *signature, uint8_t revision)
{
    size_t table = acpi_begin(&b->o, signature, revision);

    b->listed[b->listed_count++] = table;
    return table;
}

// ---- DSDT ----------------------------------------

// \_S5: four SLP_TYP values, of which two count (7.4.2.6).
static void add_s5(struct table_out *o)
{
    aml_name(o, "_S5_");

    size_t package = aml_package(o, 4);

    aml_integer(o, PC_S5_TYPE);
    aml_integer(o, PC_S5_TYPE);
    aml_integer(o, 0);
    aml_integer(o, 0);
    aml_close(o, package);
}

// Devices at I/O ports.
static const struct {
    enum vdev_model model;
    char name[5], id[8];
} isa_devices[] = {{MODEL_UART, "COM1", "PNP0501"}, {MODEL_RTC, "RTC0", "PNP0B00"}};

static void add_isa(struct table_out *o, const struct plan_device *d)
{
    for (unsigned i = 0; i < ARRAY_SIZE(isa_devices); i++) {
        if (isa_devices[i].model != d->model) {
            continue;
        }

        size_t device = aml_device(o, isa_devices[i].name);

        aml_name(o, "_HID");
        aml_eisa_id(o, isa_devices[i].id);
        aml_name(o, "_UID");
        aml_integer(o, 1);
        aml_name(o, "_CRS");

        size_t resources = aml_resources(o);

        aml_io(o, (uint16_t)d->base, (uint8_t)d->size);
        aml_irq(o, d->irq);
        aml_resources_end(o, resources);
        aml_close(o, device);
    }
}

// As Linux's drivers/virtio/virtio_mmio.c wants it (virtio 1.2, 4.2 knows no ACPI).
static void add_virtio(struct table_out *o, const struct plan_device *d, unsigned index)
{
    char name[5];

    snprintf(name, sizeof(name), "VR%02X", index & 0xFF);

    size_t device = aml_device(o, name);

    aml_name(o, "_HID");
    aml_string(o, "LNRO0005");
    aml_name(o, "_UID");
    aml_integer(o, index);
    aml_name(o, "_CRS");

    size_t resources = aml_resources(o);

    aml_memory(o, d->base, d->size);
    aml_interrupt(o, d->irq, false, false);
    aml_resources_end(o, resources);
    aml_close(o, device);
}

static bool is_virtio(const struct plan_device *d)
{
    return d->model == MODEL_VIRTIO_CONSOLE || d->model == MODEL_VIRTIO_BLK;
}

static void add_dsdt(struct pc_build *b)
{
    const struct vm_plan *plan = b->in->plan;
    struct table_out *o = &b->o;
    unsigned virtio_count = 0;

    b->dsdt = acpi_begin(o, "DSDT", 2);
    add_s5(o);

    size_t scope = aml_scope(o, "\\_SB_");

    for (unsigned i = 0; i < plan->device_count; i++) {
        const struct plan_device *d = &plan->devices[i];

        if (d->port) {
            add_isa(o, d);
        } else if (is_virtio(d)) {
            add_virtio(o, d, virtio_count++);
        }
    }
    aml_close(o, scope);
    acpi_end(o, b->dsdt);
}

// ---- fixed hardware ----------------------------------------

// 5.2.10. The one table without a checksum.
static void add_facs(struct pc_build *b)
{
    struct table_out *o = &b->o;

    table_align(o, 64);
    b->facs = o->used;
    table_put(o, "FACS", 4);
    table_u32(o, 64);
    table_zero(o, 24); // nothing wakes, nobody locks
    table_u8(o, 2);    // version
    table_zero(o, 31);
}

#define FADT_WBINVD BIT64(0)
#define FADT_PROC_C1 BIT64(2)
#define FADT_PWR_BUTTON BIT64(4) // none, or not in the fixed registers
#define FADT_SLP_BUTTON BIT64(5)
#define FADT_FIX_RTC BIT64(6)
#define FADT_RESET_REG_SUP BIT64(10)
#define IAPC_LEGACY_DEVICES BIT64(0)
#define IAPC_NO_VGA BIT64(2)
#define IAPC_NO_ASPM BIT64(4)
#define CENTURY 0x32 // in the clock's RAM
#define NO_C2 101    // microseconds: not supported
#define NO_C3 1001

// The part that ACPI 1.0 had (5.2.9).
static void fadt_old_part(struct pc_build *b)
{
    struct table_out *o = &b->o;

    table_u32(o, address_of(b, b->facs));
    table_u32(o, address_of(b, b->dsdt));
    table_u8(o, 0); // reserved
    table_u8(o, 0); // profile: unspecified
    table_u16(o, PC_SCI);
    table_u32(o, 0); // no SMI: the registers are ACPI's from the beginning
    table_zero(o, 4);
    table_u32(o, PC_PM1A_EVENT);
    table_u32(o, 0);
    table_u32(o, PC_PM1A_CONTROL);
    table_u32(o, 0);
    table_u32(o, 0); // PM2
    table_u32(o, PC_PM_TIMER);
    table_zero(o, 8); // GPE 0 and 1
    table_u8(o, 4);   // lengths: PM1 event, control, PM2, timer
    table_u8(o, 2);
    table_u8(o, 0);
    table_u8(o, 4);
    table_zero(o, 4); // GPEs, _CST
    table_u16(o, NO_C2);
    table_u16(o, NO_C3);
    table_zero(o, 8); // flush size and stride, duty cycle, alarms
    table_u8(o, CENTURY);
    table_u16(o, IAPC_LEGACY_DEVICES | IAPC_NO_VGA | IAPC_NO_ASPM);
    table_u8(o, 0);
    table_u32(o, FADT_WBINVD | FADT_PROC_C1 | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_FIX_RTC |
                     FADT_RESET_REG_SUP);
}

// Revision 3: the shortest one that has a reset register.
static void add_fadt(struct pc_build *b)
{
    struct table_out *o = &b->o;
    size_t fadt = begin_listed(b, "FACP", 3);

    fadt_old_part(b);
    acpi_port(o, PC_RESET_PORT, 8);
    table_u8(o, PC_RESET_VALUE);
    table_zero(o, 3);
    table_u64(o, 0); // X_FIRMWARE_CTRL: the 32-bit field counts
    table_u64(o, address_of(b, b->dsdt));
    acpi_port(o, PC_PM1A_EVENT, 32);
    acpi_port(o, 0, 0);
    acpi_port(o, PC_PM1A_CONTROL, 16);
    acpi_port(o, 0, 0);
    acpi_port(o, 0, 0);
    acpi_port(o, PC_PM_TIMER, 32);
    acpi_port(o, 0, 0);
    acpi_port(o, 0, 0);
    acpi_end(o, fadt);
}

// ---- interrupt controllers and timers ----------------------------------------

enum madt_entry { // 5.2.12
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2
};
#define MADT_PCAT_COMPAT 1u
#define LAPIC_ENABLED 1u
#define INTI_HIGH_LEVEL 0xDu

static void add_override(struct table_out *o, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    table_u8(o, MADT_OVERRIDE);
    table_u8(o, 10);
    table_u8(o, 0); // ISA
    table_u8(o, irq);
    table_u32(o, gsi);
    table_u16(o, flags);
}

static void add_madt(struct pc_build *b)
{
    struct table_out *o = &b->o;
    size_t madt = begin_listed(b, "APIC", 4);

    table_u32(o, b->lapic->base);
    table_u32(o, MADT_PCAT_COMPAT);
    for (unsigned i = 0; i < b->in->cpus; i++) {
        table_u8(o, MADT_LOCAL_APIC);
        table_u8(o, 8);
        table_u8(o, i);
        table_u8(o, i);
        table_u32(o, LAPIC_ENABLED);
    }
    table_u8(o, MADT_IO_APIC);
    table_u8(o, 12);
    table_u16(o, 0); // its ID
    table_u32(o, b->ioapic->base);
    table_u32(o, 0); // first GSI
    add_override(o, 0, PC_TIMER_GSI, 0);
    add_override(o, PC_SCI, PC_SCI, INTI_HIGH_LEVEL);
    acpi_end(o, madt);
}

// IA-PC HPET specification 1.0a, 3.2.4.
static void add_hpet(struct pc_build *b)
{
    struct table_out *o = &b->o;

    if (!b->hpet) {
        return;
    }

    size_t hpet = begin_listed(b, "HPET", 1);

    table_u32(o, PC_HPET_ID);
    acpi_memory(o, b->hpet->base);
    table_u8(o, 0);  // number
    table_u16(o, 0); // shortest period: as the device says
    table_u8(o, 0);
    acpi_end(o, hpet);
}

// RSDT (5.2.7), which small kernels look no further than, and XSDT (5.2.8).
static size_t add_list(struct pc_build *b, const char *signature, unsigned bytes)
{
    size_t list = acpi_begin(&b->o, signature, 1);

    for (unsigned i = 0; i < b->listed_count; i++) {
        table_int(&b->o, address_of(b, b->listed[i]), bytes);
    }
    acpi_end(&b->o, list);
    return list;
}

enum status pc_tables_build(const struct pc_tables_input *in, void *buf, size_t capacity,
                            struct pc_tables *out)
{
    struct pc_build b = {
        .o = {.buf = buf, .capacity = capacity},
        .in = in,
        .lapic = plan_find_fixed(in->plan, "local APIC"),
        .ioapic = plan_find_fixed(in->plan, "I/O APIC"),
        .hpet = plan_find_fixed(in->plan, "HPET"),
    };

    if (!b.lapic || !b.ioapic || in->cpus == 0 || in->cpus > CPUS_MAX || in->base % 64 != 0 ||
        in->base > UINT32_MAX - capacity) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < in->plan->device_count; i++) {
        if (in->plan->devices[i].port && in->plan->devices[i].irq > 15) {
            return E_INVAL;
        }
    }
    table_zero(&b.o, ACPI_RSDP_SIZE);
    add_facs(&b);
    add_dsdt(&b);
    add_fadt(&b);
    add_madt(&b);
    add_hpet(&b);

    uint64_t rsdt = address_of(&b, add_list(&b, "RSDT", 4)), xsdt = address_of(&b, add_list(&b, "XSDT", 8));
    struct mp_input mp = {in->cpus, b.lapic->base, b.ioapic->base};

    mp_table_build(&b.o, &mp, in->base, out->mp_pointer);
    acpi_rsdp(&b.o, 0, rsdt, xsdt);
    out->size = b.o.used;
    out->rsdp = in->base;
    return b.o.failed ? E_NOMEM : OK;
}
