// SPDX-License-Identifier: Apache-2.0
//
// The riscv64 board's device tree as a guest walks it: harts, PLIC contexts, devices below /soc, power, AIA.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "vmm/firmware/vm_fdt.h"

static struct vm_config config;
static struct vm_plan plan;
static struct config_errors errors;
static struct vm_fdt_device devices[3];
static struct vm_fdt_input input;
static uint8_t tree[VM_FDT_CAPACITY] __attribute__((aligned(8)));
static size_t tree_size;

static int setup(void **state)
{
    (void)state;
    memset(&config, 0, sizeof(config));
    memset(&errors, 0, sizeof(errors));
    strcpy(config.name, "test");
    config.cpus = 2;
    config.memory = MIB(256);
    assert_int_equal(plan_build(&plan, &config, "riscv64", &errors), OK);
    devices[0] = (struct vm_fdt_device){0x10000000,
                                        0x100,
                                        10,
                                        {.node = "serial",
                                         .compatible = "ns16550a",
                                         .compatible_len = 9,
                                         .clock_frequency = 3686400,
                                         .is_console = true}};
    devices[1] = (struct vm_fdt_device){
        0x101000, 0x1000, 11, {.node = "rtc", .compatible = "google,goldfish-rtc", .compatible_len = 20}};
    devices[2] = (struct vm_fdt_device){
        0x10001000,
        0x1000,
        1,
        {.node = "virtio_mmio", .compatible = "virtio,mmio", .compatible_len = 12, .dma_coherent = true}};
    input = (struct vm_fdt_input){
        .config = &config,
        .plan = &plan,
        .devices = devices,
        .device_count = 3,
        .arch = "riscv64",
        .timebase = 10000000,
        .cpu = {.isa = "rv64imafdc_zicsr_zifencei_sstc", .mmu = "riscv,sv48", .cbom_block = 64}};
    return 0;
}

static void build(void)
{
    assert_int_equal(vm_fdt_build(&input, tree, sizeof(tree), &tree_size), OK);
    assert_int_equal(fdt_check_full(tree, tree_size), 0);
}

static int node_at(const char *path)
{
    int node = fdt_path_offset(tree, path);

    if (node < 0) {
        fail_msg("no node %s: %s", path, fdt_strerror(node));
    }
    return node;
}

static void expect_text(const char *path, const char *name, const char *want)
{
    const char *got = fdt_getprop(tree, node_at(path), name, NULL);

    assert_non_null(got);
    assert_string_equal(got, want);
}

static void expect_cells(const char *path, const char *name, const uint32_t *want, unsigned count)
{
    int len;
    const fdt32_t *got = fdt_getprop(tree, node_at(path), name, &len);

    assert_non_null(got);
    assert_int_equal(len, count * 4);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdt32_ld(got + i), want[i]);
    }
}

#define CELLS(path, name, ...)                              \
    do {                                                    \
        const uint32_t want_[] = {__VA_ARGS__};             \
        expect_cells(path, name, want_, ARRAY_SIZE(want_)); \
    } while (0)

static uint32_t phandle(const char *path)
{
    uint32_t p = fdt_get_phandle(tree, node_at(path));

    assert_int_not_equal(p, 0);
    return p;
}

static void harts(void **state)
{
    int len;
    const char *list;

    (void)state;
    build();
    CELLS("/cpus", "timebase-frequency", 10000000);
    expect_text("/cpus/cpu@1", "riscv,isa", "rv64imafdc_zicsr_zifencei_sstc");
    expect_text("/cpus/cpu@1", "riscv,isa-base", "rv64i");
    list = fdt_getprop(tree, node_at("/cpus/cpu@0"), "riscv,isa-extensions", &len);
    assert_int_equal(len, sizeof("i\0m\0a\0f\0d\0c\0zicsr\0zifencei\0sstc"));
    assert_memory_equal(list, "i\0m\0a\0f\0d\0c\0zicsr\0zifencei\0sstc", (size_t)len);
    expect_text("/cpus/cpu@0", "mmu-type", "riscv,sv48");
    CELLS("/cpus/cpu@0", "reg", 0);
    CELLS("/cpus/cpu@0", "riscv,cbom-block-size", 64);
    assert_null(fdt_getprop(tree, node_at("/cpus/cpu@0"), "riscv,cboz-block-size", &len));
    expect_text("/cpus/cpu@1/interrupt-controller", "compatible", "riscv,cpu-intc");
    assert_int_not_equal(phandle("/cpus/cpu@0/interrupt-controller"),
                         phandle("/cpus/cpu@1/interrupt-controller"));
    assert_true(fdt_path_offset(tree, "/cpus/cpu@2") < 0);
    assert_true(fdt_path_offset(tree, "/psci") < 0);
    assert_true(fdt_path_offset(tree, "/timer") < 0);
}

static void plic(void **state)
{
    uint32_t cpu0, cpu1;

    (void)state;
    build();
    cpu0 = phandle("/cpus/cpu@0/interrupt-controller");
    cpu1 = phandle("/cpus/cpu@1/interrupt-controller");
    expect_text("/soc/plic@c000000", "compatible", "sifive,plic-1.0.0");
    CELLS("/soc/plic@c000000", "reg", 0, 0x0c000000, 0, 0x600000);
    CELLS("/soc/plic@c000000", "interrupts-extended", cpu0, 11, cpu0, 9, cpu1, 11, cpu1, 9);
    CELLS("/soc/plic@c000000", "riscv,ndev", 95);
    CELLS("/soc/plic@c000000", "#interrupt-cells", 1);
    CELLS("/soc/serial@10000000", "interrupts", 10);
    CELLS("/soc/serial@10000000", "interrupt-parent", phandle("/soc/plic@c000000"));
    CELLS("/soc/virtio_mmio@10001000", "interrupts", 1);
}

static void devices_and_console(void **state)
{
    int len;

    (void)state;
    build();
    expect_text("/chosen", "stdout-path", "/soc/serial@10000000");
    expect_text("/aliases", "serial0", "/soc/serial@10000000");
    expect_text("/chosen", "bootargs", "console=ttyS0");
    CELLS("/soc/serial@10000000", "clock-frequency", 3686400);
    assert_null(fdt_getprop(tree, node_at("/soc/serial@10000000"), "clocks", &len));
    CELLS("/soc/rtc@101000", "reg", 0, 0x101000, 0, 0x1000);
    CELLS("/memory@80000000", "reg", 0, 0x80000000, 0, 0x10000000);
    assert_non_null(fdt_getprop(tree, node_at("/soc"), "ranges", &len));
    strcpy(config.boot.cmdline, "quiet");
    build();
    expect_text("/chosen", "bootargs", "quiet console=ttyS0");
    expect_text("/", "compatible", "riscv-virtio");
}

static void power(void **state)
{
    (void)state;
    build();
    CELLS("/poweroff", "regmap", phandle("/soc/test@100000"));
    CELLS("/poweroff", "value", 0x5555);
    CELLS("/reboot", "value", 0x7777);
    assert_int_equal(fdt_node_check_compatible(tree, node_at("/soc/test@100000"), "syscon"), 0);
}

static void aia(void **state)
{
    uint32_t cpu0, cpu1;

    (void)state;
    plan.fixed_count = 3;
    plan.fixed[0] = (struct plan_fixed){"test device", 0x100000, 0x1000};
    plan.fixed[1] = (struct plan_fixed){"APLIC", 0x0d000000, 0x8000};
    plan.fixed[2] = (struct plan_fixed){"IMSIC", 0x28000000, 0x4000};
    build();
    cpu0 = phandle("/cpus/cpu@0/interrupt-controller");
    cpu1 = phandle("/cpus/cpu@1/interrupt-controller");
    assert_true(fdt_path_offset(tree, "/soc/plic@c000000") < 0);
    expect_text("/cpus/cpu@0", "riscv,isa", "rv64imafdc_zicsr_zifencei_sstc_ssaia");
    CELLS("/soc/imsics@28000000", "interrupts-extended", cpu0, 9, cpu1, 9);
    CELLS("/soc/imsics@28000000", "reg", 0, 0x28000000, 0, 0x2000);
    CELLS("/soc/imsics@28000000", "riscv,num-ids", 255);
    CELLS("/soc/aplic@d000000", "msi-parent", phandle("/soc/imsics@28000000"));
    CELLS("/soc/aplic@d000000", "riscv,num-sources", 95);
    CELLS("/soc/serial@10000000", "interrupts", 10, 4);
    CELLS("/soc/serial@10000000", "interrupt-parent", phandle("/soc/aplic@d000000"));
}

static void refusals(void **state)
{
    (void)state;
    devices[1].irq = 0;
    assert_int_equal(vm_fdt_build(&input, tree, sizeof(tree), &tree_size), E_INVAL);
    devices[1].irq = 11;
    input.arch = "x86_64";
    assert_int_equal(vm_fdt_build(&input, tree, sizeof(tree), &tree_size), E_INVAL);
    input.arch = "riscv64";
    for (size_t size = 64; size < 2048; size += 64) {
        assert_int_equal(vm_fdt_build(&input, tree, size, &tree_size), E_NOMEM);
    }
    config.cpus = 64;
    build();
    input.cpu = (struct guest_cpu_desc){0}; // nothing known: the least that can be
    build();
    expect_text("/cpus/cpu@3f", "riscv,isa", "rv64imac");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {T(harts), T(plic), T(devices_and_console),
                                       T(power), T(aia),  T(refusals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
