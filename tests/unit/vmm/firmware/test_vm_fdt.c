// SPDX-License-Identifier: Apache-2.0
//
// The generated device tree, looked at with libfdt as a guest would, and the patching of a user's tree.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libfdt.h>

#include "vmm/firmware/vm_fdt.h"

static struct vm_config config;
static struct vm_plan plan;
static struct vm_fdt_device devices[3];
static struct vm_fdt_input input;
static uint8_t tree[VM_FDT_CAPACITY] __attribute__((aligned(8)));
static uint8_t seed[VM_FDT_SEED_SIZE];
static size_t tree_size;

static int setup(void **state)
{
    (void)state;
    memset(&config, 0, sizeof(config));
    memset(&plan, 0, sizeof(plan));
    strcpy(config.name, "test");
    config.cpus = 2;
    plan.region_count = 2;
    plan.regions[0] = (struct plan_region){.base = 0x40000000, .size = MIB(256), .kind = REGION_RAM};
    plan.regions[1] = (struct plan_region){.base = 0x100000000, .size = GIB(4), .kind = REGION_RAM};
    plan.gic = (struct plan_gic){.version = 3,
                                 .gicd_base = 0x08000000,
                                 .gicd_size = 0x10000,
                                 .gicr_base = 0x080a0000,
                                 .gicr_size = 0x40000,
                                 .gicc_base = 0x08010000,
                                 .gicc_size = 0x10000};
    plan.device_count = 1;
    plan.devices[0] =
        (struct plan_device){.model = MODEL_UART, .base = 0x09000000, .size = 0x1000, .irq = 33};
    plan.console = 0;
    devices[0] = (struct vm_fdt_device){0x09000000,
                                        0x1000,
                                        33,
                                        {.node = "pl011",
                                         .compatible = "arm,pl011\0arm,primecell",
                                         .compatible_len = 24,
                                         .clocks = 2,
                                         .clock_names = "uartclk\0apb_pclk",
                                         .clock_names_len = 17,
                                         .is_console = true}};
    devices[1] = (struct vm_fdt_device){
        0x0a000000,
        0x200,
        48,
        {.node = "virtio_mmio", .compatible = "virtio,mmio", .compatible_len = 12, .dma_coherent = true}};
    devices[2] = devices[1];
    devices[2].base = 0x0a000200;
    devices[2].irq = 49;
    for (unsigned i = 0; i < sizeof(seed); i++) {
        seed[i] = (uint8_t)(i + 1);
    }
    input = (struct vm_fdt_input){.config = &config, .plan = &plan, .devices = devices, .device_count = 3};
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

static void expect_cells(const char *path, const char *name, const uint32_t *cells, unsigned count)
{
    int len = -1;
    const fdt32_t *got = fdt_getprop(tree, node_at(path), name, &len);

    if (len != (int)(count * 4)) {
        fail_msg("%s %s has %d bytes", path, name, len);
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(fdt32_to_cpu(got[i]), cells[i]);
    }
}
#define EXPECT_CELLS(path, name, ...)                                   \
    do {                                                                \
        const uint32_t cells_[] = {__VA_ARGS__};                        \
        expect_cells(path, name, cells_, (unsigned)ARRAY_SIZE(cells_)); \
    } while (0)

static void expect_text(const char *path, const char *name, const char *text)
{
    int len;
    const char *got = fdt_getprop(tree, node_at(path), name, &len);

    assert_non_null(got);
    assert_string_equal(got, text);
    assert_int_equal(len, (int)strlen(text) + 1);
}

static void expect_flag(const char *path, const char *name, bool present)
{
    int len = -1;
    const void *got = fdt_getprop(tree, node_at(path), name, &len);

    assert_int_equal(got != NULL, present);
    assert_int_equal(present ? len : 0, 0);
}

// The whole list of nodes, so that nothing appears or goes unnoticed.
static void test_node_list(void **state)
{
    static const char *const expected[] = {
        "",
        "aliases",
        "chosen",
        "cpus",
        "cpu@0",
        "cpu@1",
        "psci",
        "memory@40000000",
        "memory@100000000",
        "timer",
        "intc@8000000",
        "apb-pclk",
        "pl011@9000000",
        "virtio_mmio@a000000",
        "virtio_mmio@a000200",
    };
    unsigned n = 0;

    (void)state;
    build();
    for (int node = fdt_next_node(tree, -1, NULL); node >= 0; node = fdt_next_node(tree, node, NULL)) {
        assert_in_range(n, 0, ARRAY_SIZE(expected) - 1);
        assert_string_equal(fdt_get_name(tree, node, NULL), expected[n]);
        n++;
    }
    assert_int_equal(n, ARRAY_SIZE(expected));
}

static void test_root_and_cpus(void **state)
{
    (void)state;
    build();
    expect_text("/", "compatible", "linux,dummy-virt");
    expect_text("/", "model", "Lodge virtual board");
    EXPECT_CELLS("/", "#address-cells", 2);
    EXPECT_CELLS("/", "#size-cells", 2);
    EXPECT_CELLS("/cpus/cpu@1", "reg", 1);
    expect_text("/cpus/cpu@1", "device_type", "cpu");
    expect_text("/cpus/cpu@0", "enable-method", "psci");
    expect_text("/psci", "method", "hvc");
    assert_int_equal(fdt_node_check_compatible(tree, node_at("/psci"), "arm,psci-0.2"), 0);
    assert_int_equal(fdt_node_check_compatible(tree, node_at("/psci"), "arm,psci-1.0"), 0);
}

static void test_cpu_numbers_beyond_16(void **state)
{
    (void)state;
    config.cpus = 18;
    build();
    EXPECT_CELLS("/cpus/cpu@f", "reg", 0xf);
    EXPECT_CELLS("/cpus/cpu@100", "reg", 0x100);
    EXPECT_CELLS("/cpus/cpu@101", "reg", 0x101);
}

static void test_memory(void **state)
{
    (void)state;
    plan.regions[1].base = 0x1fffff000;
    plan.regions[plan.region_count++] =
        (struct plan_region){.base = 0x300000000, .size = MIB(2), .kind = REGION_SHARED};
    plan.regions[plan.region_count++] =
        (struct plan_region){.base = 0x400000000, .size = MIB(2), .kind = REGION_ROM};
    build();
    EXPECT_CELLS("/memory@40000000", "reg", 0, 0x40000000, 0, 0x10000000);
    EXPECT_CELLS("/memory@1fffff000", "reg", 1, 0xfffff000, 1, 0);
    expect_text("/memory@40000000", "device_type", "memory");
    assert_int_equal(fdt_path_offset(tree, "/memory@300000000"), -FDT_ERR_NOTFOUND);
    assert_int_equal(fdt_path_offset(tree, "/memory@400000000"), -FDT_ERR_NOTFOUND);
}

static void test_ram_at_zero(void **state)
{
    (void)state;
    plan.regions[0].base = 0;
    build();
    EXPECT_CELLS("/memory@0", "reg", 0, 0, 0, 0x10000000);
}

static void test_gic_v3(void **state)
{
    (void)state;
    build();
    expect_text("/intc@8000000", "compatible", "arm,gic-v3");
    EXPECT_CELLS("/intc@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x080a0000, 0, 0x40000);
    EXPECT_CELLS("/intc@8000000", "#redistributor-regions", 1);
    EXPECT_CELLS("/intc@8000000", "#interrupt-cells", 3);
    expect_flag("/intc@8000000", "interrupt-controller", true);
    assert_int_equal(fdt_node_offset_by_phandle(tree, fdt_get_phandle(tree, node_at("/intc@8000000"))),
                     node_at("/intc@8000000"));
    EXPECT_CELLS("/", "interrupt-parent", fdt_get_phandle(tree, node_at("/intc@8000000")));
    EXPECT_CELLS("/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4);
    expect_text("/timer", "compatible", "arm,armv8-timer");
}

static void test_gic_v2(void **state)
{
    (void)state;
    plan.gic.version = 2;
    build();
    expect_text("/intc@8000000", "compatible", "arm,cortex-a15-gic");
    EXPECT_CELLS("/intc@8000000", "reg", 0, 0x08000000, 0, 0x10000, 0, 0x08010000, 0, 0x10000);
    EXPECT_CELLS("/timer", "interrupts", 1, 13, 0xff04, 1, 14, 0xff04, 1, 11, 0xff04, 1, 10, 0xff04);
}

static void test_undecided_gic_is_v3(void **state)
{
    (void)state;
    plan.gic.version = 0;
    build();
    expect_text("/intc@8000000", "compatible", "arm,gic-v3");
}

static void test_devices(void **state)
{
    uint32_t clock;

    (void)state;
    build();
    clock = fdt_get_phandle(tree, node_at("/apb-pclk"));
    EXPECT_CELLS("/apb-pclk", "clock-frequency", 24000000);
    EXPECT_CELLS("/pl011@9000000", "reg", 0, 0x09000000, 0, 0x1000);
    EXPECT_CELLS("/pl011@9000000", "interrupts", 0, 1, 4);
    EXPECT_CELLS("/pl011@9000000", "clocks", clock, clock);
    assert_int_equal(fdt_node_check_compatible(tree, node_at("/pl011@9000000"), "arm,primecell"), 0);
    assert_int_equal(fdt_stringlist_search(tree, node_at("/pl011@9000000"), "clock-names", "apb_pclk"), 1);
    expect_flag("/pl011@9000000", "dma-coherent", false);
    EXPECT_CELLS("/virtio_mmio@a000200", "interrupts", 0, 17, 4);
    expect_flag("/virtio_mmio@a000200", "dma-coherent", true);
    expect_flag("/virtio_mmio@a000200", "clocks", false);
}

static void test_interrupt_below_spi_refused(void **state)
{
    (void)state;
    devices[1].irq = 27;
    assert_int_equal(vm_fdt_build(&input, tree, sizeof(tree), &tree_size), E_INVAL);
}

static void test_chosen(void **state)
{
    (void)state;
    strcpy(config.boot.cmdline, "quiet");
    input.initrd_base = 0x44000000;
    input.initrd_size = 0x1234;
    input.seed = seed;
    build();
    expect_text("/chosen", "bootargs", "quiet console=ttyAMA0");
    expect_text("/chosen", "stdout-path", "/pl011@9000000");
    expect_text("/aliases", "serial0", "/pl011@9000000");
    EXPECT_CELLS("/chosen", "linux,initrd-start", 0, 0x44000000);
    EXPECT_CELLS("/chosen", "linux,initrd-end", 0, 0x44001234);
    EXPECT_CELLS("/chosen", "kaslr-seed", 0x01020304, 0x05060708);
    EXPECT_CELLS("/chosen", "rng-seed", 0x090a0b0c, 0x0d0e0f10, 0x11121314, 0x15161718, 0x191a1b1c,
                 0x1d1e1f20, 0x21222324, 0x25262728);
}

static void test_nothing_that_does_not_exist(void **state)
{
    (void)state;
    plan.console = -1;
    build();
    expect_text("/chosen", "bootargs", "");
    expect_flag("/chosen", "stdout-path", false);
    expect_flag("/chosen", "linux,initrd-start", false);
    expect_flag("/chosen", "rng-seed", false);
    assert_int_equal(fdt_path_offset(tree, "/aliases"), -FDT_ERR_NOTFOUND);
}

static void expect_cmdline(const char *given, const char *expected)
{
    char out[CONFIG_CMDLINE_MAX + 32];

    snprintf(config.boot.cmdline, sizeof(config.boot.cmdline), "%s", given);
    assert_true(vm_fdt_cmdline(&input, out, sizeof(out)));
    assert_string_equal(out, expected);
}

static void test_cmdline(void **state)
{
    char small[8];

    (void)state;
    expect_cmdline("", "console=ttyAMA0");
    expect_cmdline("a b", "a b console=ttyAMA0");
    expect_cmdline("console=tty0 a", "console=tty0 a");
    expect_cmdline("a console=hvc0", "a console=hvc0");
    expect_cmdline("myconsole=1", "myconsole=1 console=ttyAMA0");
    expect_cmdline("  console=x", "  console=x");
    plan.devices[0].model = MODEL_VIRTIO_CONSOLE;
    expect_cmdline("a", "a console=hvc0");
    plan.console = -1;
    expect_cmdline("a", "a");
    strcpy(config.boot.cmdline, "12345678");
    assert_false(vm_fdt_cmdline(&input, small, sizeof(small)));
    assert_string_equal(small, "1234567");
}

static void test_longest_cmdline(void **state)
{
    int len;

    (void)state;
    memset(config.boot.cmdline, 'x', CONFIG_CMDLINE_MAX - 1);
    build();
    assert_non_null(fdt_getprop(tree, node_at("/chosen"), "bootargs", &len));
    assert_int_equal(len, CONFIG_CMDLINE_MAX - 1 + (int)sizeof(" console=ttyAMA0"));
}

// A full board fits the advertised capacity, and any smaller buffer gives E_NOMEM, never an overrun.
static void test_capacity(void **state)
{
    static struct vm_fdt_device many[PLAN_DEVICE_MAX];

    (void)state;
    config.cpus = 64;
    for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
        many[i] = devices[0];
        many[i].base += 0x10000ull * i;
    }
    input.devices = many;
    input.device_count = ARRAY_SIZE(many);
    build();
    assert_in_range(tree_size, 1024, VM_FDT_CAPACITY / 2);
    for (size_t capacity = 0; capacity < tree_size; capacity += 97) {
        uint8_t *exact = malloc(capacity + 1);
        size_t size;
        assert_int_equal(vm_fdt_build(&input, exact, capacity, &size), E_NOMEM);
        free(exact);
    }
}

// ---- a user's own tree ----

static int user_tree(int address_cells, int size_cells)
{
    int e = fdt_create(tree, sizeof(tree));

    e |= fdt_finish_reservemap(tree);
    e |= fdt_begin_node(tree, "");
    e |= fdt_property_u32(tree, "#address-cells", (uint32_t)address_cells);
    e |= fdt_property_u32(tree, "#size-cells", (uint32_t)size_cells);
    e |= fdt_property_string(tree, "compatible", "acme,board");
    for (unsigned i = 0; i < 2; i++) {
        e |= fdt_begin_node(tree, i ? "memory@1" : "memory@0");
        e |= fdt_property_string(tree, "device_type", "memory");
        e |= fdt_property_u32(tree, "reg", 7);
        e |= fdt_end_node(tree);
    }
    e |= fdt_begin_node(tree, "chosen");
    e |= fdt_property_string(tree, "bootargs", "theirs");
    e |= fdt_property_string(tree, "stdout-path", "/serial");
    e |= fdt_property_u64(tree, "linux,initrd-start", 1);
    e |= fdt_property_u64(tree, "linux,initrd-end", 2);
    e |= fdt_property_u64(tree, "kaslr-seed", 3);
    e |= fdt_end_node(tree);
    e |= fdt_end_node(tree);
    e |= fdt_finish(tree);
    assert_int_equal(e, 0);
    tree_size = fdt_totalsize(tree);
    return 0;
}

static void test_patch(void **state)
{
    (void)state;
    user_tree(2, 2);
    strcpy(config.boot.cmdline, "ours");
    input.initrd_base = 0x48000000;
    input.initrd_size = 0x1000;
    input.seed = seed;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), OK);
    assert_int_equal(fdt_check_full(tree, tree_size), 0);
    expect_text("/", "compatible", "acme,board");
    EXPECT_CELLS("/memory@40000000", "reg", 0, 0x40000000, 0, 0x10000000);
    EXPECT_CELLS("/memory@100000000", "reg", 1, 0, 1, 0);
    assert_int_equal(fdt_path_offset(tree, "/memory@0"), -FDT_ERR_NOTFOUND);
    assert_int_equal(fdt_path_offset(tree, "/memory@1"), -FDT_ERR_NOTFOUND);
    expect_text("/chosen", "bootargs", "ours console=ttyAMA0");
    expect_text("/chosen", "stdout-path", "/serial");
    EXPECT_CELLS("/chosen", "linux,initrd-start", 0, 0x48000000);
    EXPECT_CELLS("/chosen", "linux,initrd-end", 0, 0x48001000);
    EXPECT_CELLS("/chosen", "kaslr-seed", 0x01020304, 0x05060708);
}

static void test_patch_keeps_their_bootargs_and_drops_their_initrd(void **state)
{
    (void)state;
    user_tree(2, 2);
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), OK);
    expect_text("/chosen", "bootargs", "theirs");
    expect_flag("/chosen", "linux,initrd-start", false);
    expect_flag("/chosen", "linux,initrd-end", false);
    expect_flag("/chosen", "kaslr-seed", false);
}

static void test_patch_cells(void **state)
{
    (void)state;
    user_tree(1, 1);
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), E_UNSUPPORTED); // above 4 GiB
    user_tree(1, 1);
    plan.region_count = 1;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), OK);
    EXPECT_CELLS("/memory@40000000", "reg", 0x40000000, 0x10000000);
    user_tree(3, 2);
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), E_UNSUPPORTED);
}

static void test_patch_refuses_bad_trees(void **state)
{
    size_t size;

    (void)state;
    user_tree(2, 2);
    size = 0;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &size), E_CORRUPT);
    size = tree_size - 1;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &size), E_CORRUPT);
    size = VM_FDT_USER_MAX + 1;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &size), E_RANGE);
    size = tree_size;
    assert_int_equal(vm_fdt_patch(&input, tree, tree_size, &size), E_NOMEM); // no room to grow
    user_tree(2, 2);
    tree[0] ^= 1;
    assert_int_equal(vm_fdt_patch(&input, tree, sizeof(tree), &tree_size), E_CORRUPT);
}

// Every single-byte corruption ends in a status; the sanitizers watch.
static void test_patch_survives_any_flipped_byte(void **state)
{
    static uint8_t good[VM_FDT_CAPACITY];
    size_t good_size;

    (void)state;
    user_tree(2, 2);
    good_size = tree_size;
    memcpy(good, tree, good_size);
    for (size_t i = 0; i < good_size; i++) {
        for (unsigned bit = 0; bit < 8; bit += 3) {
            enum status st;
            memcpy(tree, good, good_size);
            tree[i] ^= (uint8_t)(1u << bit);
            tree_size = good_size;
            st = vm_fdt_patch(&input, tree, sizeof(tree), &tree_size);
            assert_true(st == OK || st == E_CORRUPT || st == E_UNSUPPORTED || st == E_INVAL || st == E_NOMEM);
            if (st == OK) {
                assert_int_equal(fdt_check_full(tree, tree_size), 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_node_list, setup),
        cmocka_unit_test_setup(test_root_and_cpus, setup),
        cmocka_unit_test_setup(test_cpu_numbers_beyond_16, setup),
        cmocka_unit_test_setup(test_memory, setup),
        cmocka_unit_test_setup(test_ram_at_zero, setup),
        cmocka_unit_test_setup(test_gic_v3, setup),
        cmocka_unit_test_setup(test_gic_v2, setup),
        cmocka_unit_test_setup(test_undecided_gic_is_v3, setup),
        cmocka_unit_test_setup(test_devices, setup),
        cmocka_unit_test_setup(test_interrupt_below_spi_refused, setup),
        cmocka_unit_test_setup(test_chosen, setup),
        cmocka_unit_test_setup(test_nothing_that_does_not_exist, setup),
        cmocka_unit_test_setup(test_cmdline, setup),
        cmocka_unit_test_setup(test_longest_cmdline, setup),
        cmocka_unit_test_setup(test_capacity, setup),
        cmocka_unit_test_setup(test_patch, setup),
        cmocka_unit_test_setup(test_patch_keeps_their_bootargs_and_drops_their_initrd, setup),
        cmocka_unit_test_setup(test_patch_cells, setup),
        cmocka_unit_test_setup(test_patch_refuses_bad_trees, setup),
        cmocka_unit_test_setup(test_patch_survives_any_flipped_byte, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
