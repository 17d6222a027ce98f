// SPDX-License-Identifier: Apache-2.0
//
// Reading ACPI tables: a machine as QEMU's PC describes it, and tables that are cut off, contradict themselves or lie.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/dev/acpi.h"
#include "kernel/dev/hw_desc.h"
#include "tests/unit/kernel/dev/acpi_bench.h"

#define MADT_HEAD 44u

static uint8_t entries[KIB(128)]; // of the MADT under construction
static uint32_t entries_size;
static uint8_t *fadt, *dsdt, *madt, *rsdp;

static uint8_t *entry(uint8_t type, uint8_t size)
{
    uint8_t *e = entries + entries_size;

    memset(e, 0, size < 2 ? 2 : size);
    e[0] = type;
    e[1] = size;
    entries_size += size < 2 ? 2 : size;
    return e;
}

static void lapic(uint8_t id, uint32_t flags)
{
    uint8_t *e = entry(0, 8);

    e[3] = id;
    bench_put(e + 4, flags, 4);
}

static void ioapic(uint32_t base, uint32_t gsi)
{
    uint8_t *e = entry(1, 12);

    bench_put(e + 4, base, 4);
    bench_put(e + 8, gsi, 4);
}

static void override(uint8_t irq, uint32_t gsi, uint16_t flags)
{
    uint8_t *e = entry(2, 10);

    e[3] = irq;
    bench_put(e + 4, gsi, 4);
    bench_put(e + 8, flags, 2);
}

static void put_madt(void)
{
    madt = bench_table("APIC", MADT_HEAD + entries_size);
    bench_put(madt + 36, 0xFEE00000, 4);
    memcpy(madt + MADT_HEAD, entries, entries_size);
    bench_sum(madt, MADT_HEAD + entries_size, 9);
    bench_list(madt);
}

static void put_dsdt(const uint8_t *aml, uint32_t size)
{
    dsdt = bench_table("DSDT", 36 + size);
    memcpy(dsdt + 36, aml, size);
    bench_sum(dsdt, 36 + size, 9);
}

static void put_fadt(void)
{
    fadt = bench_table("FACP", 244);
    bench_put(fadt + 40, bench_pa(dsdt), 4);
    bench_put(fadt + 48, 0xB2, 4);
    fadt[52] = 0xF1;
    bench_put(fadt + 64, 0x604, 4);
    bench_put(fadt + 76, 0x608, 4);
    fadt[91] = 4;
    bench_put(fadt + 112, 1u << 10, 4);
    fadt[116] = 1;
    bench_put(fadt + 120, 0xCF9, 8);
    fadt[128] = 6;
    bench_put(fadt + 140, bench_pa(dsdt), 8);
    bench_sum(fadt, 244, 9);
    bench_list(fadt);
}

static const uint8_t aml[] = {0x10, 0x20, 0x08, '_',  'S',  '5', '_', 0x12,
                              0x06, 0x04, 0x0A, 0x05, 0x01, 0,   0,   0xA3};

static int setup(void **state)
{
    entries_size = 0;
    return bench_setup(state);
}

static void build_machine(void)
{
    lapic(0, 1);
    lapic(1, 1);
    lapic(2, 2);
    lapic(3, 0);
    ioapic(0xFEC00000, 0);
    override(0, 2, 0);
    override(9, 9, 0xD);
    put_madt();
    put_dsdt(aml, sizeof(aml));
    put_fadt();
}

static void scan(enum status wanted)
{
    assert_int_equal(acpi_scan(&bench_bi), wanted);
}

// ---- good ----

static void expect_machine(void)
{
    const struct acpi_irqs *irqs = acpi_irqs();

    assert_int_equal(cpu_count(), 3);
    assert_int_equal(cpu_get(2)->hw_id, 2);
    assert_int_equal(irqs->lapic.v, 0xFEE00000);
    assert_int_equal(irqs->ioapic_count, 1);
    assert_int_equal(irqs->ioapics[0].base.v, 0xFEC00000);
    assert_int_equal(irqs->isa[0].gsi, 2);
    assert_false(irqs->isa[0].level);
    assert_int_equal(irqs->isa[4].gsi, 4);
    assert_true(irqs->isa[9].level);
    assert_false(irqs->isa[9].active_low);
    assert_int_equal(bench_bi.power.pm1a_control, 0x604);
    assert_int_equal(bench_bi.power.s5_type_a, 5);
    assert_int_equal(bench_bi.power.s5_type_b, 1);
    assert_int_equal(bench_bi.power.smi_command, 0xB2);
    assert_int_equal(bench_bi.power.acpi_enable, 0xF1);
    assert_int_equal(bench_bi.power.reset_port, 0xCF9);
    assert_int_equal(bench_bi.power.reset_value, 6);
    assert_int_equal(bench_bi.pm_timer, 0x608);
    assert_int_equal(bench_bi.hpet.v, 0);
}

static void test_machine(void **state)
{
    (void)state;
    build_machine();
    (void)bench_finish(false);
    scan(OK);
    expect_machine();
}

static void test_old_root(void **state)
{
    (void)state;
    build_machine();
    (void)bench_finish(true);
    scan(OK);
    expect_machine();
}

static void test_hpet(void **state)
{
    unsigned before = hw_count();
    const struct hw_desc *hw;
    uint8_t *hpet;

    (void)state;
    build_machine();
    hpet = bench_table("HPET", 56);
    bench_put(hpet + 44, 0xFED00000, 8);
    bench_sum(hpet, 56, 9);
    bench_list(hpet);
    (void)bench_finish(false);
    scan(OK);
    assert_int_equal(hw_count(), before + 5); // and APIC, COM1, RTC, PCI
    hw = hw_get(hw_count() - 1);
    assert_string_equal(hw->ids[0], "PNP0103");
    assert_int_equal(hw->regs[0].base.v, 0xFED00000);
    assert_int_equal(bench_bi.hpet.v, 0xFED00000);
}

static const struct hw_desc *pci_of(uint64_t base, uint16_t segment, uint8_t first)
{
    uint8_t *mcfg = bench_table("MCFG", 60);

    bench_put(mcfg + 44, base, 8);
    bench_put(mcfg + 52, segment, 2);
    mcfg[54] = first;
    mcfg[55] = 63;
    bench_sum(mcfg, 60, 9);
    bench_list(mcfg);
    build_machine();
    (void)bench_finish(false);
    scan(OK);
    return hw_get(hw_count() - 1);
}

static void test_mcfg(void **state)
{
    static const struct {
        uint64_t base;
        uint16_t segment;
        uint8_t first;
        unsigned regs;
    } cases[] = {
        {0xB0000000, 0, 0, 2}, {0xB0000000, 1, 0, 1},         {0xB0000000, 0, 1, 1},
        {0, 0, 0, 1},          {0xFFFFFFFFFFF00000, 0, 0, 1}, {0xB0000001, 0, 0, 1},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct hw_desc *hw;

        (void)setup(state);
        hw = pci_of(cases[i].base, cases[i].segment, cases[i].first);
        assert_string_equal(hw->ids[0], "PNP0A03");
        assert_true(hw->regs[0].port);
        assert_int_equal(hw->regs[0].base.v, 0xCF8);
        assert_int_equal(hw->reg_count, cases[i].regs);
    }
    (void)setup(state);
    assert_int_equal(pci_of(0xB0000000, 0, 0)->regs[1].size, MIB(64));
}

static void test_x2apic(void **state)
{
    uint8_t *e;

    (void)state;
    e = entry(9, 16);
    bench_put(e + 4, 0x12345, 4);
    bench_put(e + 8, 1, 4);
    e = entry(5, 12);
    bench_put(e + 4, 0x123456000, 8);
    put_madt();
    (void)bench_finish(false);
    scan(OK);
    assert_int_equal(cpu_count(), 2);
    assert_int_equal(cpu_get(1)->hw_id, 0x12345);
    assert_int_equal(acpi_irqs()->lapic.v, 0x123456000);
}

// ---- no tables at all ----

static void test_no_rsdp(void **state)
{
    (void)state;
    build_machine();
    rsdp = bench_finish(false);
    bench_bi.acpi_rsdp = hpa(0);
    scan(E_NOENT);
    bench_bi.acpi_rsdp = hpa(UINT64_MAX - 7);
    scan(E_NOENT);
    bench_bi.acpi_rsdp = hpa(bench_pa(rsdp));
    rsdp[3] = 'x';
    bench_rsdp_sums(rsdp);
    scan(E_NOENT);
    assert_int_equal(cpu_count(), 1);
}

static void test_rsdp_sums(void **state)
{
    (void)state;
    build_machine();
    rsdp = bench_finish(false);
    rsdp[9] ^= 1;
    scan(E_NOENT);
    rsdp[9] ^= 1;
    rsdp[33] ^= 1; // the second part: the RSDT, of which there is none
    scan(E_NOENT);
    rsdp[33] ^= 1;
    scan(OK);
}

static void test_root_is_elsewhere(void **state)
{
    static const uint64_t places[] = {0, 1, 0xFFFFFFFF, UINT64_MAX, UINT64_MAX - 35, HOST_RAM_BASE - 4};

    (void)state;
    build_machine();
    rsdp = bench_finish(false);
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        bench_put(rsdp + 24, places[i], 8);
        bench_rsdp_sums(rsdp);
        scan(E_NOENT);
    }
}

// ---- damaged tables ----

static void test_lengths(void **state)
{
    static const uint32_t lengths[] = {0, 1, 35, MIB(1) + 1, INT32_MAX, UINT32_MAX};

    (void)state;
    build_machine();
    (void)bench_finish(false);
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        bench_put(madt + 4, lengths[i], 4);
        bench_put(fadt + 4, lengths[i], 4);
        scan(OK);
        assert_int_equal(cpu_count(), 1);
        assert_int_equal(acpi_irqs()->ioapic_count, 0);
        assert_int_equal(acpi_irqs()->isa[9].gsi, 9);
        assert_int_equal(bench_bi.power.pm1a_control, 0);
        assert_int_equal(bench_bi.power.reset_port, 0);
    }
}

static void test_checksums(void **state)
{
    (void)state;
    build_machine();
    (void)bench_finish(false);
    madt[MADT_HEAD + 3] ^= 1;
    fadt[64] ^= 1;
    (void)host_console_take();
    scan(OK);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(bench_bi.power.pm1a_control, 0);
}

// Every length of every table, with a sum that is right: nothing beyond it may be read.
static void test_cut_off(void **state)
{
    (void)state;
    build_machine();
    (void)bench_finish(false);
    for (uint32_t size = 36; size < 244; size++) {
        bench_put(fadt + 4, size, 4);
        bench_sum(fadt, size, 9);
        scan(OK);
        assert_int_equal(bench_bi.power.pm1a_control, size >= 116 ? 0x604 : 0);
        assert_int_equal(bench_bi.power.reset_port, size > 128 ? 0xCF9 : 0);
    }
    for (uint32_t size = 36; size < 36 + sizeof(aml); size++) {
        bench_put(dsdt + 4, size, 4);
        bench_sum(dsdt, size, 9);
        scan(OK);
        assert_int_equal(bench_bi.power.pm1a_control, size >= 36 + 13 ? 0x604 : 0);
    }
    for (uint32_t size = 36; size < MADT_HEAD + entries_size; size++) {
        cpu_init_boot(0);
        bench_put(madt + 4, size, 4);
        bench_sum(madt, size, 9);
        scan(OK);
        assert_int_equal(cpu_count(), size < MADT_HEAD + 16 ? 1 : size < MADT_HEAD + 24 ? 2 : 3);
        assert_int_equal(acpi_irqs()->ioapic_count, size < MADT_HEAD + 44 ? 0 : 1);
    }
}

static void test_s5_packages(void **state)
{
    // The package's length has 1 to 4 bytes, the name may begin at the root, a number may have 1, 2 or 4 bytes. The last two have
    // no number, and no package.
    static const uint8_t packages[][18] = {
        {0x08, '_', 'S', '5', '_', 0x12, 0x46, 0x00, 0x04, 0x0A, 0x05, 0x01},
        {0x08, '_', 'S', '5', '_', 0x12, 0xC6, 0x00, 0x00, 0x00, 0x04, 0x0A, 0x05, 0x01},
        {0x08, '\\', '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0A, 0x05, 0x01},
        {0x08, '_', 'S', '5', '_', 0x12, 0x09, 0x04, 0x0B, 0x05, 0x00, 0x0B, 0x01, 0x00},
        {0x08, '_', 'S', '5', '_', 0x12, 0x0B, 0x04, 0x0C, 0x05, 0, 0, 0, 0x0C, 0x01, 0, 0, 0},
        {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0D, 0x05, 0x00, 0x01},
        {0x08, '\\', '_', 'S', '5', '_', 0x0A, 0x06, 0x04, 0x0A, 0x05, 0x01},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(packages); i++) {
        bool good = i < 5;

        (void)setup(NULL);
        put_dsdt(packages[i], sizeof(packages[i]));
        put_fadt();
        (void)bench_finish(false);
        scan(OK);
        assert_int_equal(bench_bi.power.s5_type_a, good ? 5 : 0);
        assert_int_equal(bench_bi.power.s5_type_b, good ? 1 : 0);
        assert_int_equal(bench_bi.power.pm1a_control, good ? 0x604 : 0);
    }
}

static void test_entry_lengths(void **state)
{
    static const uint8_t lengths[] = {0, 1};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        (void)setup(NULL);
        lapic(1, 1);
        (void)entry(0, lengths[i]);
        lapic(2, 1);
        put_madt();
        (void)bench_finish(false);
        scan(OK);
        assert_int_equal(cpu_count(), 2); // what comes before counts
    }
}

// Entries too short for their type, one after the other, then some that reach beyond the table.
static void test_short_entries(void **state)
{
    static const uint8_t types[][2] = {{0, 7},  {1, 11}, {2, 9},    {5, 11},
                                       {9, 15}, {0, 2},  {77, 200}, {255, 2}};
    uint8_t *last;

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        memset(entry(types[i][0], types[i][1]) + 2, 0xFF, types[i][1] - 2u);
    }
    last = entry(0, 8);
    bench_put(last + 4, 1, 4);
    last[1] = 9;
    put_madt();
    (void)bench_finish(false);
    scan(OK);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(acpi_irqs()->ioapic_count, 0);
    assert_int_equal(acpi_irqs()->lapic.v, 0xFEE00000);
    for (unsigned i = 0; i < ACPI_ISA_IRQS; i++) {
        assert_int_equal(acpi_irqs()->isa[i].gsi, i);
    }
}

static void test_too_many(void **state)
{
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        uint8_t *e = entry(9, 16);

        bench_put(e + 4, 1000 + i, 4);
        bench_put(e + 8, 1, 4);
        ioapic(0xFEC00000 + 0x1000 * i, 24 * i);
    }
    override(200, 5, 0xF);
    put_madt();
    (void)bench_finish(false);
    (void)host_console_take();
    scan(OK);
    assert_int_equal(cpu_count(), CPU_MAX);
    assert_int_equal(acpi_irqs()->ioapic_count, ACPI_IOAPICS_MAX);
    for (const char *p = host_console_take(); (p = strstr(p, "ACPI:")); p++) {
        lines++;
    }
    assert_in_range(lines, 1, 10); // no flood
}

static void test_same_cpu_twice(void **state)
{
    (void)state;
    lapic(0, 1);
    lapic(7, 1);
    lapic(7, 1);
    put_madt();
    (void)bench_finish(false);
    scan(OK);
    assert_int_equal(cpu_count(), 2);
}

// Deterministic noise over all tables, sums made right again: whatever comes out, nothing is read outside (the sanitizers
// and the machine's memory bounds say so) and no count leaves its array.
static void test_noise(void **state)
{
    uint64_t x = 88172645463325252u;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        (void)setup(NULL);
        build_machine();
        rsdp = bench_finish(false);
        for (unsigned n = 0; n < 6; n++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            bench_ram[64 + x % (bench_used - 64)] = (uint8_t)(x >> 40);
        }
        bench_rsdp_sums(rsdp);
        for (unsigned i = 0; i < bench_roots; i++) {
            uint8_t *t = bench_ram + (bench_root[i] - bench_base);
            uint32_t size;

            memcpy(&size, t + 4, 4);
            bench_sum(t, size < BENCH_SIZE - 4096 ? size : 36, 9);
        }
        (void)!acpi_scan(&bench_bi);
        assert_in_range(acpi_irqs()->ioapic_count, 0, ACPI_IOAPICS_MAX);
        assert_in_range(cpu_count(), 1, CPU_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_machine, setup),
        cmocka_unit_test_setup(test_old_root, setup),
        cmocka_unit_test_setup(test_hpet, setup),
        cmocka_unit_test_setup(test_mcfg, setup),
        cmocka_unit_test_setup(test_x2apic, setup),
        cmocka_unit_test_setup(test_no_rsdp, setup),
        cmocka_unit_test_setup(test_rsdp_sums, setup),
        cmocka_unit_test_setup(test_root_is_elsewhere, setup),
        cmocka_unit_test_setup(test_lengths, setup),
        cmocka_unit_test_setup(test_checksums, setup),
        cmocka_unit_test_setup(test_cut_off, setup),
        cmocka_unit_test_setup(test_s5_packages, setup),
        cmocka_unit_test_setup(test_entry_lengths, setup),
        cmocka_unit_test_setup(test_short_entries, setup),
        cmocka_unit_test_setup(test_too_many, setup),
        cmocka_unit_test_setup(test_same_cpu_twice, setup),
        cmocka_unit_test_setup(test_noise, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
