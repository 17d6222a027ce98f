// SPDX-License-Identifier: Apache-2.0
//
// Enumeration: registers through ranges, interrupts, status, console, CPUs, PSCI, and damaged trees.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/cpu/cpu.h"
#include "kernel/dev/fdt_boot.h"
#include "kernel/dev/fdt_enum.h"
#include "kernel/dev/hw_desc.h"
#include "tests/unit/kernel/dev/fdt_builder.h"

#define GIC 1
#define GPIO 2

static void build_cpus(void)
{
    node("cpus");
    CELLS("#address-cells", 2);
    CELLS("#size-cells", 0);
    for (uint32_t i = 0; i < 4; i++) {
        const char *names[] = {"cpu@0", "cpu@1", "cpu@100", "cpu@101"};

        node(names[i]);
        text("device_type", "cpu");
        text("compatible", "arm,cortex-a72");
        CELLS("reg", 0x1, i == 3 ? 0x101 : i == 2 ? 0x100 : i);
        text("enable-method", i == 2 ? "spin-table" : "psci");
        if (i == 2) {
            CELLS("cpu-release-addr", 0x1, 0x8000fff8);
        }
        if (i == 3) {
            text("status", "fail-sss");
        }
        end();
    }
    end();
}

static void build_bus(void)
{
    node("soc");
    text("compatible", "simple-bus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    CELLS("ranges", 0x10000000, 0x0, 0x9000000, 0x100000, 0x80000000, 0x4, 0x0, 0x1000);
    node("bridge");
    text("compatible", "simple-bus");
    CELLS("#address-cells", 1);
    CELLS("#size-cells", 1);
    assert_int_equal(fdt_property(blob, "ranges", NULL, 0), 0);
    node("uart@10001000");
    assert_int_equal(fdt_property(blob, "compatible", "arm,pl011\0arm,primecell", 24), 0);
    CELLS("reg", 0x10001000, 0x1000, 0x80000000, 0x1000);
    CELLS("interrupts", 0, 1, 4, 1, 14, 1);
    CELLS("clock-frequency", 24000000);
    end();
    end();
    node("outside@20000000");
    text("compatible", "test,outside");
    CELLS("reg", 0x20000000, 0x1000);
    end();
    node("crossing@100ff000");
    text("compatible", "test,crossing");
    CELLS("reg", 0x100ff000, 0x2000);
    end();
    end();
}

static void build_machine(void)
{
    begin_tree(2, 2, 0);
    CELLS("interrupt-parent", GIC);
    node("memory@40000000");
    text("device_type", "memory");
    CELLS("reg", 0, 0x40000000, 0, 0x10000000);
    end();
    build_cpus();
    node("psci");
    text("compatible", "arm,psci-1.0");
    text("method", "smc");
    end();
    node("intc@8000000");
    text("compatible", "arm,gic-v3");
    CELLS("phandle", GIC);
    CELLS("#interrupt-cells", 3);
    CELLS("#redistributor-regions", 1);
    CELLS("redistributor-stride", 0, 0x40000);
    CELLS("reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000);
    CELLS("interrupts", 1, 9, 4);
    end();
    node("gpio");
    CELLS("phandle", GPIO);
    CELLS("#interrupt-cells", 2);
    end();
    build_bus();
    node("extended");
    text("compatible", "test,extended");
    CELLS("interrupts-extended", GPIO, 7, 0, GIC, 0, 40, 1, GIC, 0, 41);
    end();
    node("off");
    text("compatible", "simple-bus");
    text("status", "disabled");
    node("child");
    text("compatible", "test,child");
    end();
    end();
    node("chosen");
    text("stdout-path", "/soc/bridge/uart@10001000:115200n8");
    end();
    end_tree();
}

static const struct hw_desc *find(unsigned from, const char *name)
{
    for (unsigned i = from; i < hw_count(); i++) {
        if (strcmp(hw_get(i)->name, name) == 0) {
            return hw_get(i);
        }
    }
    return NULL;
}

static unsigned scan(void)
{
    struct boot_info bi = {.fdt = {0x48000000}, .boot_cpu_hw_id = 0x100000000};
    unsigned before = hw_count();

    build_machine();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_int_equal(fdt_enum_scan(&bi), OK);
    return before;
}

static void registers_are_translated(void **state)
{
    unsigned from = scan();
    const struct hw_desc *uart = find(from, "uart@10001000");

    (void)state;
    assert_non_null(uart);
    assert_int_equal(uart->id_count, 2);
    assert_string_equal(uart->ids[1], "arm,primecell");
    assert_int_equal(uart->reg_count, 2);
    assert_int_equal(uart->regs[0].base.v, 0x9001000);
    assert_int_equal(uart->regs[0].size, 0x1000);
    assert_int_equal(uart->regs[1].base.v, 0x400000000);
    assert_true(uart->is_console);
    assert_int_equal(find(from, "outside@20000000")->reg_count, 0);
    assert_int_equal(find(from, "crossing@100ff000")->reg_count, 0);
    assert_false(find(from, "intc@8000000")->is_console);
    assert_int_equal(find(from, "intc@8000000")->regs[1].size, 0xf60000);
}

static void interrupts_are_translated(void **state)
{
    unsigned from = scan();
    const struct hw_desc *uart = find(from, "uart@10001000");
    const struct hw_desc *ext = find(from, "extended");

    (void)state;
    assert_int_equal(uart->irq_count, 2);
    assert_int_equal(uart->irqs[0].irq, 33);
    assert_true(uart->irqs[0].level);
    assert_int_equal(uart->irqs[1].irq, 30);
    assert_false(uart->irqs[1].level);
    assert_int_equal(find(from, "intc@8000000")->irqs[0].irq, 25);
    assert_int_equal(ext->irq_count, 1); // the GPIO's is not ours, the last one is cut short
    assert_int_equal(ext->irqs[0].irq, 72);
}

static void disabled_subtrees_and_folders_are_left_out(void **state)
{
    unsigned from = scan();

    (void)state;
    assert_null(find(from, "off"));
    assert_null(find(from, "child"));
    assert_null(find(from, "cpu@1"));
    assert_non_null(find(from, "soc"));
}

static void properties_can_be_asked_for(void **state)
{
    unsigned from = scan();
    const struct hw_desc *gic = find(from, "intc@8000000");
    uint32_t regions = 0;
    uint64_t stride = 0;

    (void)state;
    assert_true(hw_prop_u32(gic, "#redistributor-regions", &regions));
    assert_int_equal(regions, 1);
    assert_true(hw_prop_u64(gic, "redistributor-stride", &stride));
    assert_int_equal(stride, 0x40000);
    assert_false(hw_prop_u32(gic, "redistributor-stride", &regions));
    assert_false(hw_prop_u32(gic, "nothing", &regions));
}

static void cpus_and_psci_are_found(void **state)
{
    const struct cpu *spin = NULL;

    (void)state;
    scan();
    assert_string_equal(fdt_psci_method(), "smc");
    for (unsigned i = 0; i < cpu_count(); i++) {
        assert_int_not_equal(cpu_get(i)->hw_id, 0x100000101);    // status "fail"
        assert_true(i == 0 || cpu_get(i)->hw_id != 0x100000000); // the boot CPU
        if (cpu_get(i)->hw_id == 0x100000100) {
            spin = cpu_get(i);
        }
    }
    assert_int_equal(cpu_count(), 3);
    assert_non_null(spin);
    assert_string_equal(spin->start.method, "spin-table");
    assert_int_equal(spin->start.release_addr, 0x18000fff8);
}

static void the_first_uart_is_the_console_without_stdout_path(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};
    unsigned from = hw_count();

    (void)state;
    begin_tree(1, 1, 0);
    node("memory@40000000");
    text("device_type", "memory");
    CELLS("reg", 0x40000000, 0x10000000);
    end();
    node("uart@1000");
    text("compatible", "arm,pl011");
    text("status", "disabled");
    CELLS("reg", 0x1000, 0x1000);
    end();
    node("uart@2000");
    text("compatible", "arm,pl011");
    CELLS("reg", 0x2000, 0x1000);
    end();
    node("uart@3000");
    text("compatible", "arm,pl011");
    CELLS("reg", 0x3000, 0x1000);
    end();
    end_tree();
    assert_int_equal(fdt_boot_parse(&bi, blob, BLOB_SIZE), OK);
    assert_int_equal(fdt_enum_scan(&bi), OK);
    assert_null(fdt_psci_method());
    assert_null(find(from, "uart@1000"));
    assert_true(find(from, "uart@2000")->is_console);
    assert_false(find(from, "uart@3000")->is_console);
}

// Structure-preserving damage: every byte of every property value, in a heap copy of the exact size.
static void damaged_values_do_no_harm(void **state)
{
    struct boot_info bi = {.fdt = {0x48000000}};

    (void)state;
    build_machine();

    size_t size = fdt_totalsize(blob);

    for (size_t byte = sizeof(struct fdt_header); byte < size; byte++) {
        unsigned char *copy = malloc(size);

        assert_non_null(copy);
        memcpy(copy, blob, size);
        copy[byte] ^= (unsigned char)(1u << byte % 8);
        if (fdt_boot_parse(&bi, copy, size) == OK) {
            assert_int_equal(fdt_enum_scan(&bi), OK);
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_translated),
        cmocka_unit_test(interrupts_are_translated),
        cmocka_unit_test(disabled_subtrees_and_folders_are_left_out),
        cmocka_unit_test(properties_can_be_asked_for),
        cmocka_unit_test(cpus_and_psci_are_found),
        cmocka_unit_test(the_first_uart_is_the_console_without_stdout_path),
        cmocka_unit_test(damaged_values_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
