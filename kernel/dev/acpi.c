// SPDX-License-Identifier: Apache-2.0
//
// See acpi.h. The tables come from the firmware and are not trusted: each is mapped whole and its checksum and length checked
// before a field is read, and no field is read beyond that length. Section numbers are those of ACPI 6.5.
#include "kernel/dev/acpi.h"

#include <inttypes.h>
#include <string.h>

#include "arch/mmu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/lib/range.h"
#include "kernel/log/log.h"

#define TABLE_MAX MIB(1)
#define HEADER_SIZE 36u // 5.2.6
#define LENGTH 4
#define RSDP_REVISION 15 // 5.2.5.3
#define RSDP_RSDT 16
#define RSDP_XSDT 24
#define RSDP_SIZE 36u
#define RSDP_SIZE_1 20u // revision 0, and what the first checksum covers

#define SPACE_MEMORY 0
#define SPACE_IO 1 // generic address structure, 5.2.3.2: space at 0, address at 4

enum fadt { // 5.2.9
    FADT_DSDT = 40,
    FADT_SMI_CMD = 48,
    FADT_ACPI_ENABLE = 52,
    FADT_PM1A_CNT = 64,
    FADT_PM1B_CNT = 68,
    FADT_PM_TMR = 76,
    FADT_PM_TMR_LEN = 91,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_SIZE_1 = 116 // revision 1
};
#define FADT_RESET_REG_SUP BIT64(10)

enum aml { // 20.2
    AML_NAME = 0x08,
    AML_BYTE = 0x0A, // then words and double words
    AML_DWORD = 0x0C,
    AML_PACKAGE = 0x12,
    AML_ROOT = '\\'
};

#define MADT_LAPIC 36 // 5.2.12
#define MADT_ENTRIES 44u
enum madt_type {
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_ADDRESS = 5,
    MADT_X2APIC = 9
};
#define LAPIC_ENABLED BIT64(0)
#define LAPIC_ONLINE_CAPABLE BIT64(1)
#define INTI_LOW 3u   // 5.2.12.5: flags, polarity
#define INTI_LEVEL 3u // trigger

#define HPET_ADDRESS 40
#define HPET_SIZE 56u
#define MCFG_ENTRIES 44u // PCI Firmware Specification 3.2, 4.1.2
#define MCFG_ENTRY_SIZE 16u
#define PCI_ADDRESS_PORT 0xCF8
#define COM1_PORT 0x3F8
#define RTC_PORT 0x70
#define COM1_IRQ 4

struct table {
    const uint8_t *p; // NULL when there is none
    uint32_t size;
};

#define COMPLAINTS_MAX 8u

static struct acpi_irqs irqs;
static unsigned complaints; // about entries of the MADT

const struct acpi_irqs *acpi_irqs(void)
{
    return &irqs;
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static bool sums_to_zero(const uint8_t *p, uint32_t size)
{
    uint8_t sum = 0;

    for (uint32_t i = 0; i < size; i++) {
        sum = (uint8_t)(sum + p[i]);
    }
    return sum == 0;
}

static struct table table_at(uint64_t pa)
{
    const uint8_t *p = pa ? arch_map_firmware(hpa(pa), HEADER_SIZE) : NULL;
    uint32_t size = p ? get32(p + LENGTH) : 0;

    if (size < HEADER_SIZE || size > TABLE_MAX || !(p = arch_map_firmware(hpa(pa), size))) {
        return (struct table){0};
    }
    if (!sums_to_zero(p, size)) {
        log_warn("ACPI: table %.4s: wrong checksum; ignored", (const char *)p);
        return (struct table){0};
    }
    return (struct table){p, size};
}

struct root {
    struct table table;
    unsigned entry_size;
};

static struct root find_root(hpa_t rsdp)
{
    const uint8_t *p = rsdp.v ? arch_map_firmware(rsdp, RSDP_SIZE) : NULL;
    struct root r = {0};

    if (!p || memcmp(p, "RSD PTR ", 8) != 0 || !sums_to_zero(p, RSDP_SIZE_1)) {
        return r;
    }
    if (p[RSDP_REVISION] >= 2 && sums_to_zero(p, RSDP_SIZE)) {
        r = (struct root){table_at(get64(p + RSDP_XSDT)), 8};
    }
    if (!r.table.p) {
        r = (struct root){table_at(get32(p + RSDP_RSDT)), 4};
    }
    return r;
}

static struct table find_table(const struct root *r, const char *signature)
{
    for (uint32_t off = HEADER_SIZE; off + r->entry_size <= r->table.size; off += r->entry_size) {
        const uint8_t *e = r->table.p + off;
        uint64_t pa = r->entry_size == 8 ? get64(e) : get32(e);
        const uint8_t *p = pa ? arch_map_firmware(hpa(pa), HEADER_SIZE) : NULL;

        if (p && memcmp(p, signature, 4) == 0) {
            return table_at(pa);
        }
    }
    return (struct table){0};
}

// ---- power ----------------------------------------

// One small constant of a package: zero and one have opcodes of their own, others have 1, 2 or 4 bytes (20.2.3).
static const uint8_t *aml_byte(const uint8_t *p, const uint8_t *end, uint8_t *out)
{
    unsigned bytes;

    if (p < end && p[0] <= 1) {
        *out = p[0];
        return p + 1;
    }
    if (p >= end || p[0] < AML_BYTE || p[0] > AML_DWORD) {
        return NULL;
    }
    bytes = 1u << (p[0] - AML_BYTE);
    if (end - p <= (ptrdiff_t)bytes) {
        return NULL;
    }
    *out = p[1];
    return p + 1 + bytes;
}

// After Name (_S5_ or Name (\_S5_, at the package's length; NULL when something else begins here.
static const uint8_t *s5_package(const uint8_t *p, const uint8_t *end)
{
    static const uint8_t name[] = {'_', 'S', '5', '_', AML_PACKAGE};

    if (*p++ != AML_NAME) {
        return NULL;
    }
    p += p < end && *p == AML_ROOT;
    return end - p > (ptrdiff_t)sizeof(name) && memcmp(p, name, sizeof(name)) == 0 ? p + sizeof(name) : NULL;
}

// Name (_S5_, Package () {a, b, ...})
static bool find_s5(struct table dsdt, uint8_t *a, uint8_t *b)
{
    const uint8_t *end = dsdt.p ? dsdt.p + dsdt.size : NULL;

    for (const uint8_t *at = dsdt.p ? dsdt.p + HEADER_SIZE : NULL; at < end; at++) {
        const uint8_t *p = s5_package(at, end);

        if (p) {
            p += 1 + (p[0] >> 6); // the package's length is 1 to 4 bytes
            p = aml_byte(p + 1, end, a);
            return p && aml_byte(p, end, b);
        }
    }
    return false;
}

static void read_power(struct boot_power *out, struct table fadt)
{
    uint64_t dsdt = fadt.size >= FADT_X_DSDT + 8 ? get64(fadt.p + FADT_X_DSDT) : 0;

    *out = (struct boot_power){0};
    if (fadt.size < FADT_SIZE_1) {
        return;
    }
    if (find_s5(table_at(dsdt ? dsdt : get32(fadt.p + FADT_DSDT)), &out->s5_type_a, &out->s5_type_b)) {
        out->pm1a_control = (uint16_t)get32(fadt.p + FADT_PM1A_CNT);
        out->pm1b_control = (uint16_t)get32(fadt.p + FADT_PM1B_CNT);
    }
    out->smi_command = (uint16_t)get32(fadt.p + FADT_SMI_CMD);
    out->acpi_enable = fadt.p[FADT_ACPI_ENABLE];
    if (fadt.size > FADT_RESET_VALUE && (get32(fadt.p + FADT_FLAGS) & FADT_RESET_REG_SUP) &&
        fadt.p[FADT_RESET_REG] == SPACE_IO) {
        out->reset_port = (uint16_t)get64(fadt.p + FADT_RESET_REG + 4);
        out->reset_value = fadt.p[FADT_RESET_VALUE];
    }
}

// Its length is 4, or it is not there (4.8.3.3).
static uint16_t pm_timer_port(struct table fadt)
{
    return fadt.size >= FADT_SIZE_1 && fadt.p[FADT_PM_TMR_LEN] == 4 ? (uint16_t)get32(fadt.p + FADT_PM_TMR)
                                                                    : 0;
}

// ---- CPUs and interrupt controllers ----------------------------------------

// A MADT has room for thousands of entries that are not used.
static bool may_complain(void)
{
    return complaints++ < COMPLAINTS_MAX;
}

static void add_cpu(const struct boot_info *bi, uint32_t apic_id, uint32_t flags)
{
    if (!(flags & (LAPIC_ENABLED | LAPIC_ONLINE_CAPABLE)) || apic_id == bi->boot_cpu_hw_id) {
        return;
    }

    enum status s = cpu_announce(apic_id, "init-sipi", 0);

    if (s != OK && may_complain()) {
        log_warn("ACPI: CPU with APIC ID %" PRIu32 " not used: %s", apic_id, status_name(s));
    }
}

static void add_ioapic(const uint8_t *e)
{
    if (irqs.ioapic_count == ACPI_IOAPICS_MAX) {
        if (may_complain()) {
            log_warn("ACPI: more than %u I/O APICs; the others are not used", ACPI_IOAPICS_MAX);
        }
        return;
    }
    irqs.ioapics[irqs.ioapic_count].base = hpa(get32(e + 4));
    irqs.ioapics[irqs.ioapic_count].gsi_base = get32(e + 8);
    irqs.ioapic_count++;
}

static void add_override(const uint8_t *e)
{
    uint16_t flags = get16(e + 8);

    if (e[3] < ACPI_ISA_IRQS) {
        irqs.isa[e[3]] = (struct acpi_isa_irq){
            .gsi = get32(e + 4),
            .active_low = (flags & 3) == INTI_LOW,
            .level = (flags >> 2 & 3) == INTI_LEVEL,
        };
    }
}

static void madt_entry(const struct boot_info *bi, const uint8_t *e, uint8_t size)
{
    switch (e[0]) {
    case MADT_LOCAL_APIC:
        if (size >= 8) {
            add_cpu(bi, e[3], get32(e + 4));
        }
        break;
    case MADT_X2APIC:
        if (size >= 16) {
            add_cpu(bi, get32(e + 4), get32(e + 8));
        }
        break;
    case MADT_IO_APIC:
        if (size >= 12) {
            add_ioapic(e);
        }
        break;
    case MADT_OVERRIDE:
        if (size >= 10) {
            add_override(e);
        }
        break;
    case MADT_LAPIC_ADDRESS:
        if (size >= 12) {
            irqs.lapic = hpa(get64(e + 4));
        }
        break;
    default:
        break;
    }
}

static void read_madt(const struct boot_info *bi, struct table madt)
{
    irqs = (struct acpi_irqs){0};
    complaints = 0;
    for (uint32_t i = 0; i < ACPI_ISA_IRQS; i++) {
        irqs.isa[i].gsi = i; // edge, active high, one to one
    }
    if (madt.size < MADT_ENTRIES) {
        log_warn("ACPI: no MADT; one CPU is used");
        return;
    }
    irqs.lapic = hpa(get32(madt.p + MADT_LAPIC));
    for (uint32_t off = MADT_ENTRIES; off + 2 <= madt.size;) {
        uint8_t size = madt.p[off + 1];

        if (size < 2 || size > madt.size - off) {
            log_warn("ACPI: MADT is damaged at byte %" PRIu32, off);
            return;
        }
        madt_entry(bi, madt.p + off, size);
        off += size;
    }
}

// ---- hardware ----------------------------------------

static enum status add_hpet(struct boot_info *bi, struct table hpet)
{
    struct hw_desc hw = {.name = "HPET", .ids = {"PNP0103"}, .id_count = 1, .reg_count = 1, .fw_node = -1};

    if (hpet.size < HPET_SIZE) {
        return OK;
    }
    hw.regs[0].base = hpa(get64(hpet.p + HPET_ADDRESS + 4));
    hw.regs[0].size = KIB(1);
    bi->hpet = hpet.p[HPET_ADDRESS] == SPACE_MEMORY ? hw.regs[0].base : hpa(0);
    return hw_add(&hw);
}

// PCI's configuration space: the ports, and as memory the buses of segment 0, if they begin with the first.
static enum status add_pci(struct table mcfg)
{
    struct hw_desc hw = {
        .name = "PCI",
        .ids = {"PNP0A03"},
        .id_count = 1,
        .regs = {{.base = hpa(PCI_ADDRESS_PORT), .size = 8, .port = true}},
        .reg_count = 1,
        .fw_node = -1,
    };

    for (uint32_t off = MCFG_ENTRIES; off + MCFG_ENTRY_SIZE <= mcfg.size && hw.reg_count < 2;
         off += MCFG_ENTRY_SIZE) {
        const uint8_t *e = mcfg.p + off;
        uint64_t base = get64(e), size = MIB(e[11] + 1);

        if (get16(e + 8) == 0 && e[10] == 0 && base != 0 && base % MIB(1) == 0 && range_valid(base, size)) {
            hw.regs[hw.reg_count].base = hpa(base);
            hw.regs[hw.reg_count++].size = size;
        }
    }
    return hw_add(&hw);
}

static enum status add_fixed(void)
{
    const struct acpi_isa_irq *irq = &irqs.isa[COM1_IRQ];
    struct hw_desc apic = {.name = "APIC", .ids = {"acpi:apic"}, .id_count = 1, .fw_node = -1};
    struct hw_desc com1 = {
        .name = "COM1",
        .ids = {"PNP0501"},
        .id_count = 1,
        .regs = {{.base = hpa(COM1_PORT), .size = 8, .port = true}},
        .reg_count = 1,
        .irqs = {{.irq = HW_ACPI_GSI + irq->gsi, .level = irq->level}},
        .irq_count = 1,
        .is_console = true,
        .fw_node = -1,
    };
    struct hw_desc rtc = {
        .name = "RTC",
        .ids = {"PNP0B00"},
        .id_count = 1,
        .regs = {{.base = hpa(RTC_PORT), .size = 2, .port = true}},
        .reg_count = 1,
        .fw_node = -1,
    };
    const struct hw_desc *const all[] = {&apic, &com1, &rtc};
    enum status s = OK;

    for (size_t i = 0; i < ARRAY_SIZE(all) && s == OK; i++) {
        s = hw_add(all[i]);
    }
    return s;
}

enum status acpi_scan(struct boot_info *bi)
{
    struct root root = find_root(bi->acpi_rsdp);
    enum status s;

    if (!root.table.p) {
        log_err("ACPI: no tables found (RSDP at 0x%" PRIx64 ")", bi->acpi_rsdp.v);
        return E_NOENT;
    }
    read_power(&bi->power, find_table(&root, "FACP"));
    bi->pm_timer = pm_timer_port(find_table(&root, "FACP"));
    read_madt(bi, find_table(&root, "APIC"));
    s = add_fixed();
    if (s == OK) {
        s = add_pci(find_table(&root, "MCFG"));
    }
    return s == OK ? add_hpet(bi, find_table(&root, "HPET")) : s;
}
