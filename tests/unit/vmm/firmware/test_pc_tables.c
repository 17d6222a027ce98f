// SPDX-License-Identifier: Apache-2.0
//
// The virtual PC's tables: read back by the hypervisor's own ACPI reader, and field by field where that looks at nothing.
// With LODGE_DUMP=DIRECTORY set the tables are left there as files, to be taken apart by another reader (iasl -d).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/boot.h"
#include "arch/mmu.h"
#include "kernel/cpu/cpu.h"
#include "kernel/dev/acpi.h"
#include "kernel/dev/hw_desc.h"
#include "kernel/mm/pool.h"
#include "vmm/config/config.h"
#include "vmm/firmware/aml.h"
#include "vmm/firmware/pc_tables.h"

static struct config config;
static struct config_errors errors;
static struct vm_plan plan;
static _Alignas(16) char arena[256 * 1024];
static uint8_t *blob;
static struct pc_tables tables;

#define MACHINE "[[vm]]\nname = \"a\"\nmemory = \"4G\"\ncpus = 4\n"
#define BOOT "[vm.boot]\nkernel = \"debian\"\n"
#define DISK "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"ram:\"\nsize = \"1M\"\n"
#define CONSOLE "[[vm.device]]\nmodel = \"virtio-console\"\n"

static void make_plan(const char *text)
{
    struct config_source source = {"m.toml", text, strlen(text)};
    struct config_env env = {.arch = "x86_64"};
    char line[400];

    (void)config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors);
    if (errors.count) {
        fail_msg("%s", config_error_format(line, sizeof(line), &errors.list[0]));
    }
    assert_int_equal(plan_build(&plan, &config.vms[0], "x86_64", &errors), OK);
}

static enum status build(unsigned cpus, size_t capacity)
{
    struct pc_tables_input in = {.plan = &plan, .cpus = cpus, .base = arch_virt_to_phys(blob).v};

    memset(blob, 0xA5, PC_TABLES_CAPACITY);
    return pc_tables_build(&in, blob, capacity, &tables);
}

static int setup(void **state)
{
    (void)state;
    if (!blob) {
        blob = pool_alloc(PC_TABLES_CAPACITY);
    }
    cpu_init_boot(0);
    make_plan(MACHINE BOOT DISK CONSOLE);
    assert_int_equal(build(4, PC_TABLES_CAPACITY), OK);
    return 0;
}

static uint32_t get(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;

    memcpy(&v, p, bytes);
    return v;
}

static uint8_t sum(const uint8_t *p, size_t size)
{
    uint8_t s = 0;

    for (size_t i = 0; i < size; i++) {
        s = (uint8_t)(s + p[i]);
    }
    return s;
}

static uint8_t *at(uint64_t pa)
{
    assert_in_range(pa, tables.rsdp, tables.rsdp + tables.size - 4);
    return blob + (pa - tables.rsdp);
}

static uint64_t get64(const uint8_t *p)
{
    return get(p, 4) | (uint64_t)get(p + 4, 4) << 32;
}

// By way of the XSDT; its sum is checked.
static uint8_t *table(const char *signature)
{
    uint8_t *xsdt = at(get64(blob + 24));

    for (uint32_t i = 36; i < get(xsdt + 4, 4); i += 8) {
        uint8_t *t = at(get64(xsdt + i));

        if (memcmp(t, signature, 4) == 0) {
            assert_int_equal(sum(t, get(t + 4, 4)), 0);
            return t;
        }
    }
    fail_msg("no %s", signature);
    return NULL;
}

static void dump(const char *name, const uint8_t *t)
{
    const char *directory = getenv("LODGE_DUMP");
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s.aml", directory ? directory : "", name);
    f = directory ? fopen(path, "wb") : NULL;
    if (f) {
        fwrite(t, 1, get(t + 4, 4), f);
        fclose(f);
    }
}

// ---- the whole ----

static void test_our_reader_finds_it(void **state)
{
    struct boot_info bi = {.acpi_rsdp = hpa(tables.rsdp)};
    const struct hw_desc *hw;

    (void)state;
    assert_int_equal(acpi_scan(&bi), OK);
    assert_int_equal(cpu_count(), 4);
    assert_int_equal(cpu_get(3)->hw_id, 3);
    assert_int_equal(acpi_irqs()->lapic.v, 0xFEE00000);
    assert_int_equal(acpi_irqs()->ioapic_count, 1);
    assert_int_equal(acpi_irqs()->ioapics[0].base.v, 0xFEC00000);
    assert_int_equal(acpi_irqs()->ioapics[0].gsi_base, 0);
    assert_int_equal(acpi_irqs()->isa[0].gsi, 2);
    assert_false(acpi_irqs()->isa[0].level);
    assert_int_equal(acpi_irqs()->isa[4].gsi, 4);
    assert_true(acpi_irqs()->isa[9].level);
    assert_false(acpi_irqs()->isa[9].active_low);
    assert_int_equal(bi.power.pm1a_control, 0x604);
    assert_int_equal(bi.power.pm1b_control, 0);
    assert_int_equal(bi.power.s5_type_a, PC_S5_TYPE);
    assert_int_equal(bi.power.smi_command, 0);
    assert_int_equal(bi.power.reset_port, 0xCF9);
    assert_int_equal(bi.power.reset_value, 6);
    hw = hw_get(hw_count() - 1);
    assert_string_equal(hw->ids[0], "PNP0103");
    assert_int_equal(hw->regs[0].base.v, 0xFED00000);
}

static void test_rsdp(void **state)
{
    (void)state;
    assert_memory_equal(blob, "RSD PTR ", 8);
    assert_int_equal(sum(blob, 20), 0);
    assert_int_equal(sum(blob, 36), 0);
    assert_int_equal(blob[15], 2);
    assert_int_equal(get(blob + 20, 4), 36);
}

// The same tables for those who look no further than ACPI 1.0.
static void test_rsdt(void **state)
{
    const uint8_t *rsdt = at(get(blob + 16, 4)), *xsdt = at(get64(blob + 24));
    uint32_t count = (get(xsdt + 4, 4) - 36) / 8;

    (void)state;
    assert_memory_equal(rsdt, "RSDT", 4);
    assert_int_equal(get(rsdt + 4, 4), 36 + count * 4);
    assert_int_equal(sum(rsdt, get(rsdt + 4, 4)), 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(get(rsdt + 36 + i * 4, 4), get64(xsdt + 36 + i * 8));
    }
}

static void test_fadt(void **state)
{
    const uint8_t *fadt = table("FACP"), *facs, *dsdt;

    (void)state;
    dump("facp", fadt);
    assert_int_equal(get(fadt + 4, 4), 244);
    assert_int_equal(fadt[8], 3);
    facs = at(get(fadt + 36, 4));
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(get(facs + 4, 4), 64);
    assert_int_equal((facs - blob) % 64, 0);
    dsdt = at(get(fadt + 40, 4));
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(get64(fadt + 140), get(fadt + 40, 4));
    assert_int_equal(get(fadt + 46, 2), 9);
    assert_int_equal(get(fadt + 56, 4), 0x600);
    assert_int_equal(get(fadt + 64, 4), 0x604);
    assert_int_equal(get(fadt + 76, 4), 0x608);
    assert_int_equal(fadt[88], 4);
    assert_int_equal(fadt[89], 2);
    assert_int_equal(fadt[91], 4);
    assert_int_equal(fadt[108], 0x32);
    assert_int_equal(get(fadt + 109, 2) & 3, 1); // legacy devices, no keyboard controller
    assert_int_equal(get(fadt + 112, 4) & (1u << 20 | 1u << 10), 1u << 10); // not hardware-reduced; reset
    assert_int_equal(fadt[148], 1);
    assert_int_equal(fadt[149], 32);
    assert_int_equal(get64(fadt + 152), 0x600);
    assert_int_equal(get64(fadt + 176), 0x604);
    assert_int_equal(get64(fadt + 212), 0x608);
}

static void test_hpet(void **state)
{
    const uint8_t *hpet = table("HPET");

    (void)state;
    dump("hpet", hpet);
    assert_int_equal(get(hpet + 4, 4), 56);
    assert_int_equal(get(hpet + 36, 4), PC_HPET_ID);
    assert_int_equal(get64(hpet + 44), 0xFED00000);
    make_plan(MACHINE BOOT);
    plan.fixed_count = 3;
    for (unsigned i = 0; i < plan.fixed_count; i++) {
        if (strcmp(plan.fixed[i].name, "HPET") == 0) {
            plan.fixed[i].name = "other";
        }
    }
    assert_int_equal(build(1, PC_TABLES_CAPACITY), OK);
    assert_int_equal(get(at(get64(blob + 24)) + 4, 4), 36 + 2 * 8); // what is not there is not listed
}

// ---- DSDT ----

static const uint8_t *dsdt_find(const void *bytes, size_t len)
{
    const uint8_t *dsdt = at(get(table("FACP") + 40, 4));
    uint32_t size = get(dsdt + 4, 4);

    assert_int_equal(sum(dsdt, size), 0);
    for (uint32_t i = 36; i + len <= size; i++) {
        if (memcmp(dsdt + i, bytes, len) == 0) {
            return dsdt + i;
        }
    }
    return NULL;
}

static void test_dsdt(void **state)
{
    static const uint8_t com1[] = {0x47, 1, 0xF8, 3, 0xF8, 3, 1, 8, 0x22, 0x10, 0, 0x79};
    static const uint8_t pnp0501[] = {0x0C, 0x41, 0xD0, 0x05, 0x01};
    static const uint8_t rtc[] = {0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0, 1, 0x79};
    static const uint8_t slot[] = {0x86, 9,    0, 1, 0, 0, 0xB0, 0xFE, 0, 2, 0,
                                   0,    0x89, 6, 0, 1, 1, 16,   0,    0, 0, 0x79};
    uint8_t second[sizeof(slot)];

    (void)state;
    dump("dsdt", at(get(table("FACP") + 40, 4)));
    assert_non_null(dsdt_find("COM1", 4));
    assert_non_null(dsdt_find(pnp0501, sizeof(pnp0501)));
    assert_non_null(dsdt_find(com1, sizeof(com1)));
    assert_non_null(dsdt_find(rtc, sizeof(rtc)));
    assert_non_null(dsdt_find(slot, sizeof(slot)));
    memcpy(second, slot, sizeof(slot));
    second[5] = 0x02; // 0xFEB00200
    second[17] = 17;
    assert_non_null(dsdt_find(second, sizeof(second)));
    assert_non_null(dsdt_find("LNRO0005", 9));
    assert_non_null(dsdt_find("VR01", 4));
    assert_null(dsdt_find("VR02", 4)); // six empty slots
}

static void test_device_above_4g(void **state)
{
    uint8_t space[46] = {0x8A, 43, 0, 0, 0x0D, 1};

    (void)state;
    plan.devices[plan.device_count - 1].base = 0x1234567000;
    assert_int_equal(build(1, PC_TABLES_CAPACITY), OK);
    space[14] = 0x00, space[15] = 0x70, space[16] = 0x56, space[17] = 0x34, space[18] = 0x12;
    assert_non_null(dsdt_find(space, 19));
}

// ---- MADT and MP table ----

static void test_madt(void **state)
{
    const uint8_t *madt = table("APIC");

    (void)state;
    dump("apic", madt);
    assert_int_equal(get(madt + 4, 4), 44 + 4 * 8 + 12 + 2 * 10);
    assert_int_equal(get(madt + 40, 4), 1);
    assert_int_equal(build(255, PC_TABLES_CAPACITY), OK);
    madt = table("APIC");
    assert_int_equal(madt[44 + 254 * 8 + 3], 254);
}

static void test_mp_table(void **state)
{
    const uint8_t *mp, *e;
    unsigned counts[5] = {0}, lines = 0;

    (void)state;
    assert_memory_equal(tables.mp_pointer, "_MP_", 4);
    assert_int_equal(sum(tables.mp_pointer, 16), 0);
    mp = at(get(tables.mp_pointer + 4, 4));
    assert_memory_equal(mp, "PCMP", 4);
    assert_int_equal(sum(mp, get(mp + 4, 2)), 0);
    assert_int_equal(get(mp + 36, 4), 0xFEE00000);
    e = mp + 44;
    for (unsigned i = 0; i < get(mp + 34, 2); i++) {
        assert_in_range(e[0], 0, 4);
        counts[e[0]]++;
        if (e[0] == 3) {
            lines |= 1u << e[7];
            assert_int_equal(e[7], e[5] == 0 ? 2 : e[5]);
        }
        e += e[0] == 0 ? 20 : 8;
    }
    assert_int_equal(e - mp, get(mp + 4, 2));
    assert_int_equal(counts[0], 4);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 1);
    assert_int_equal(counts[3], 15);
    assert_int_equal(lines, 0xFFFE); // each input once
    assert_int_equal(mp[44 + 3], 3); // the first one boots
    assert_int_equal(mp[44 + 20 + 3], 1);
}

// ---- refusals ----

static void test_too_small(void **state)
{
    size_t size = tables.size;

    (void)state;
    for (size_t capacity = 0; capacity < size; capacity++) {
        assert_int_equal(build(4, capacity), E_NOMEM);
        assert_int_equal(blob[capacity], 0xA5);
    }
    assert_int_equal(build(4, size), OK);
}

static void test_refusals(void **state)
{
    struct pc_tables_input in = {.plan = &plan, .cpus = 1, .base = 0xE0000};

    (void)state;
    assert_int_equal(build(0, PC_TABLES_CAPACITY), E_INVAL);
    assert_int_equal(build(256, PC_TABLES_CAPACITY), E_INVAL);
    in.base = 0xE0010;
    assert_int_equal(pc_tables_build(&in, blob, PC_TABLES_CAPACITY, &tables), E_INVAL);
    in.base = 0x100000000 - 64;
    assert_int_equal(pc_tables_build(&in, blob, PC_TABLES_CAPACITY, &tables), E_INVAL);
    plan.devices[0].irq = 16; // of COM1
    assert_int_equal(build(1, PC_TABLES_CAPACITY), E_INVAL);
    plan.devices[0].irq = 4;
    plan.fixed_count = 0;
    assert_int_equal(build(1, PC_TABLES_CAPACITY), E_INVAL);
}

// ---- AML ----

static void test_aml_lengths(void **state)
{
    static const size_t bodies[] = {1, 62, 63, 64, 0xFFD, 0xFFE, 0xFFF, 0x2000};
    static uint8_t buf[0x2100];

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bodies); i++) {
        struct table_out o = {.buf = buf, .capacity = sizeof(buf)};
        size_t opened = aml_package(&o, 7), length;
        unsigned follow;

        for (size_t n = 1; n < bodies[i]; n++) {
            table_u8(&o, n);
        }
        aml_close(&o, opened);
        assert_false(o.failed);
        follow = buf[1] >> 6;
        length = follow ? buf[1] & 0xFu : buf[1];
        for (unsigned b = 0; b < follow; b++) {
            length |= (size_t)buf[2 + b] << (4 + 8 * b);
        }
        assert_int_equal(length, o.used - 1);
        assert_int_equal(buf[2 + follow], 7);
        assert_int_equal(buf[o.used - 1], bodies[i] == 1 ? 7 : (uint8_t)(bodies[i] - 1));
    }
}

static void test_aml_integers(void **state)
{
    uint8_t buf[64];
    struct table_out o = {.buf = buf, .capacity = sizeof(buf)};
    static const uint8_t wanted[] = {0x00, 0x01, 0x0A, 2, 0x0B, 0x00, 0x01, 0x0C, 0,    0,   1,   0, 0x0E,
                                     0,    0,    0,    0, 1,    0,    0,    0,    0x0D, 'h', 'i', 0};

    (void)state;
    aml_integer(&o, 0);
    aml_integer(&o, 1);
    aml_integer(&o, 2);
    aml_integer(&o, 0x100);
    aml_integer(&o, 0x10000);
    aml_integer(&o, 0x100000000);
    aml_string(&o, "hi");
    assert_int_equal(o.used, sizeof(wanted));
    assert_memory_equal(buf, wanted, sizeof(wanted));
    aml_name(&o, "TOOLONG");
    assert_true(o.failed);
}

// ---- memory map ----

static void expect(const struct pc_memory *m, uint64_t base, uint64_t size, uint32_t type)
{
    assert_int_equal(m->base, base);
    assert_int_equal(m->size, size);
    assert_int_equal(m->type, type);
}

static void test_memory_map(void **state)
{
    struct pc_memory map[PC_MEMORY_MAX];

    (void)state;
    assert_int_equal(pc_memory_map(&plan, map), 4);
    expect(&map[0], 0, 0x9FC00, PC_MEMORY_RAM);
    expect(&map[1], 0x9FC00, 0x60400, PC_MEMORY_RESERVED);
    expect(&map[2], MIB(1), GIB(3) - MIB(1), PC_MEMORY_RAM);
    expect(&map[3], GIB(4), GIB(1), PC_MEMORY_RAM);
    plan.regions[1].kind = REGION_SHARED;
    assert_int_equal(pc_memory_map(&plan, map), 3);
    plan.regions[0].size = MIB(1);
    assert_int_equal(pc_memory_map(&plan, map), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_our_reader_finds_it, setup),
        cmocka_unit_test_setup(test_rsdp, setup),
        cmocka_unit_test_setup(test_rsdt, setup),
        cmocka_unit_test_setup(test_fadt, setup),
        cmocka_unit_test_setup(test_hpet, setup),
        cmocka_unit_test_setup(test_dsdt, setup),
        cmocka_unit_test_setup(test_device_above_4g, setup),
        cmocka_unit_test_setup(test_madt, setup),
        cmocka_unit_test_setup(test_mp_table, setup),
        cmocka_unit_test_setup(test_too_small, setup),
        cmocka_unit_test_setup(test_refusals, setup),
        cmocka_unit_test_setup(test_aml_lengths, setup),
        cmocka_unit_test_setup(test_aml_integers, setup),
        cmocka_unit_test_setup(test_memory_map, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
