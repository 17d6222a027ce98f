// SPDX-License-Identifier: Apache-2.0
//
// The ownership plan: where things lie on each board, every override, and what may not overlap.
#include "vmm/config/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct config config;
static struct config_errors errors;
static struct vm_plan plan;
static _Alignas(16) char arena[256 * 1024];
static const char *arch = "aarch64";

#define HEAD "[[vm]]\nname = \"a\"\n"
#define BOOT "[vm.boot]\nkernel = \"debian\"\n"
#define VM HEAD "memory = \"64M\"\n" BOOT // five lines

static int setup(void **state)
{
    (void)state;
    arch = "aarch64";
    return 0;
}

static void read_config(const char *text)
{
    struct config_source source = {"m.toml", text, strlen(text)};
    struct config_env env = {.arch = arch};

    (void)config_load(&config, &source, 1, &env, arena, sizeof(arena), &errors);
}

static const struct vm_plan *build(const char *text)
{
    char line[400];

    read_config(text);
    if (errors.count) {
        fail_msg("%s\n%s", config_error_format(line, sizeof(line), &errors.list[0]), text);
    }
    assert_int_equal(plan_build(&plan, &config.vms[0], arch, &errors), OK);
    return &plan;
}

// One complaint of the plan, at this line, with all three texts in it. config_load() already runs the plan.
static void refuse(const char *text, unsigned line, const char *a, const char *b, const char *c)
{
    const struct config_error *e = &errors.list[0];

    read_config(text);
    if (errors.count != 1 || e->line != line || !strstr(e->text, a) || !strstr(e->text, b) ||
        !strstr(e->text, c)) {
        fail_msg("%u complaints, first at %u: %s\nwanted %u: %s ... %s ... %s\n%s", errors.count,
                 (unsigned)e->line, e->text, line, a, b, c, text);
    }
    assert_true(config.vms[0].refused);
    assert_string_equal(e->vm, "a");
}

static void assert_device(const struct vm_plan *p, const char *name, uint64_t base, uint64_t size,
                          uint32_t irq)
{
    for (unsigned i = 0; i < p->device_count; i++) {
        if (strcmp(p->devices[i].name, name) == 0) {
            assert_int_equal(p->devices[i].base, base);
            assert_int_equal(p->devices[i].size, size);
            assert_int_equal(p->devices[i].irq, irq);
            return;
        }
    }
    fail_msg("no device %s", name);
}

static void assert_region(const struct vm_plan *p, unsigned i, uint64_t base, uint64_t size,
                          enum region_kind kind)
{
    assert_true(i < p->region_count);
    assert_int_equal(p->regions[i].base, base);
    assert_int_equal(p->regions[i].size, size);
    assert_int_equal(p->regions[i].kind, kind);
}

// ---- the boards ----

static void test_aarch64(void **state)
{
    const struct vm_plan *p = build(VM);

    (void)state;
    assert_int_equal(p->region_count, 1);
    assert_region(p, 0, 0x40000000, MIB(64), REGION_RAM);
    assert_int_equal(p->regions[0].config_index, -1);
    assert_int_equal(p->gic.version, 0);
    assert_int_equal(p->gic.gicd_base, 0x08000000);
    assert_int_equal(p->gic.gicd_size, 0x10000);
    assert_int_equal(p->gic.gicr_base, 0x080A0000);
    assert_int_equal(p->gic.gicr_size, 0x20000);
    assert_int_equal(p->gic.gicc_base, 0x08010000);
    assert_int_equal(p->gic.gicc_size, 0x2000);
    assert_int_equal(p->device_count, 2);
    assert_device(p, "uart0", 0x09000000, 0x1000, 33);
    assert_device(p, "rtc0", 0x09010000, 0x1000, 34);
    assert_int_equal(p->console, 0);
    assert_int_equal(p->virtio_base, 0x0A000000);
    assert_int_equal(p->virtio_slots, 32);
    assert_int_equal(p->virtio_slot_size, 0x200);
    assert_int_equal(p->virtio_irq, 48);
}

static void test_riscv64(void **state)
{
    const struct vm_plan *p;

    (void)state;
    arch = "riscv64";
    p = build(VM "[[vm.device]]\nmodel = \"virtio-console\"\n");
    assert_region(p, 0, 0x80000000, MIB(64), REGION_RAM);
    assert_device(p, "uart0", 0x10000000, 0x100, 10);
    assert_device(p, "rtc0", 0x00101000, 0x1000, 11);
    assert_device(p, "hvc0", 0x10001000, 0x1000, 1);
    assert_int_equal(p->gic.gicd_size, 0);
    assert_string_equal(plan_describe(p, 0x0C000004), "PLIC");
    assert_device(build(VM "[vm.board]\nplic = 0x0D00_0000\nuart = 0x1100_0000\n"), "uart0", 0x11000000,
                  0x100, 10);
    assert_string_equal(plan_describe(&plan, 0x0D000004), "PLIC");
}

static void test_x86_64(void **state)
{
    const struct vm_plan *p;

    (void)state;
    arch = "x86_64";
    p = build(HEAD "memory = \"4G\"\n" BOOT);
    assert_int_equal(p->region_count, 2); // around the hole
    assert_region(p, 0, 0, GIB(3), REGION_RAM);
    assert_region(p, 1, GIB(4), GIB(1), REGION_RAM);
    assert_true(p->devices[0].port);
    assert_device(p, "uart0", 0x3F8, 8, 4); // a port: no clash with RAM at 0x3F8
    assert_int_equal(build(HEAD "memory = \"3G\"\n" BOOT)->region_count, 1);
    refuse(VM "[[vm.device]]\nmodel = \"uart\"\nbase = 0x1000_0000\n", 8, "uart0 of x86_64 cannot be moved",
           "", "");
}

static void test_large_memory(void **state)
{
    (void)state;
    assert_region(build(HEAD "memory = \"16G\"\n" BOOT), 0, 0x40000000, GIB(16), REGION_RAM);
    refuse(HEAD "memory = \"1024G\"\n" BOOT, 3, "RAM at 0x40000000 ends beyond", "40 bits", "");
}

// ---- devices ----

static void test_virtio_slots(void **state)
{
    const struct vm_plan *p =
        build(VM "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:/a\"\n"
                 "[[vm.device]]\nmodel = \"virtio-console\"\n"
                 "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:/b\"\nirq = 100\n"
                 "[[vm.device]]\nmodel = \"virtio-console\"\nbase = 0x0B00_0000\nirq = 101\n");

    (void)state;
    assert_int_equal(p->device_count, 6);
    assert_device(p, "vda", 0x0A000000, 0x200, 48);
    assert_device(p, "hvc0", 0x0A000200, 0x200, 49);
    assert_device(p, "vdb", 0x0A000400, 0x200, 132);
    assert_device(p, "hvc1", 0x0B000000, 0x200, 133);
    assert_int_equal(p->devices[2].slot, 0);
    assert_int_equal(p->devices[2].config_index, 0);
    assert_int_equal(p->devices[4].slot, 2);
    assert_int_equal(p->devices[5].slot, -1);
    assert_int_equal(p->devices[0].config_index, -1);
}

static void test_slots_run_out(void **state)
{
    char text[1000] = VM;

    (void)state;
    arch = "riscv64";
    for (unsigned i = 0; i < 9; i++) {
        strcat(text, "[[vm.device]]\nmodel = \"virtio-console\"\n");
    }
    refuse(text, 22, "all 8 virtio slots are taken", "", "");
}

static void test_board_overrides(void **state)
{
    const struct vm_plan *p =
        build(VM "[vm.board]\ngicd = 0x2000_0000\ngicr = 0x2010_0000\ngicc = 0x2020_0000\n"
                 "uart = 0x2030_0000\nrtc = 0x2031_0000\nvirtio = 0x2040_0000\nuart_irq = 60\n"
                 "rtc_irq = 61\nvirtio_irq = 64\n"
                 "[[vm.device]]\nmodel = \"virtio-console\"\n");

    (void)state;
    assert_int_equal(p->gic.gicd_base, 0x20000000);
    assert_int_equal(p->gic.gicr_base, 0x20100000);
    assert_int_equal(p->gic.gicc_base, 0x20200000);
    assert_device(p, "uart0", 0x20300000, 0x1000, 92);
    assert_device(p, "rtc0", 0x20310000, 0x1000, 93);
    assert_device(p, "hvc0", 0x20400000, 0x200, 96);
}

static void test_device_overrides(void **state)
{
    const struct vm_plan *p = build(VM "[[vm.device]]\nmodel = \"uart\"\nbase = 0x0B00_0000\nirq = 9\n"
                                       "[[vm.device]]\nmodel = \"uart\"\nbase = 0x0B01_0000\nirq = 10\n"
                                       "[[vm.device]]\nmodel = \"rtc\"\n");

    (void)state;
    assert_int_equal(p->device_count, 3); // the first of a model is the board's own
    assert_device(p, "uart0", 0x0B000000, 0x1000, 41);
    assert_device(p, "uart1", 0x0B010000, 0x1000, 42);
    assert_device(p, "rtc0", 0x09010000, 0x1000, 34);
    refuse(VM "[[vm.device]]\nmodel = \"uart\"\n[[vm.device]]\nmodel = \"uart\"\nirq = 4\n", 8,
           "uart1 needs both", "`base` and `irq`", "");
    refuse(VM "[[vm.device]]\nmodel = \"virtio-console\"\nbase = 0x0B00_0000\n", 6, "hvc0 needs both", "",
           "");
}

static void test_gic_versions(void **state)
{
    const struct vm_plan *p = build(HEAD "memory = \"64M\"\ngic = \"v3\"\ncpus = 4\n" BOOT);

    (void)state;
    assert_int_equal(p->gic.version, 3);
    assert_int_equal(p->gic.gicr_size, 4 * 0x20000);
    assert_int_equal(p->gic.gicc_size, 0);
    p = build(HEAD "memory = \"64M\"\ngic = \"v2\"\n" BOOT);
    assert_int_equal(p->gic.version, 2);
    assert_int_equal(p->gic.gicd_size, 0x1000);
    assert_int_equal(p->gic.gicr_size, 0);
    // Tightly packed, as real GICv2 boards are.
    p = build(HEAD "memory = \"64M\"\ngic = \"v2\"\n" BOOT
                   "[vm.board]\ngicd = 0x2C00_1000\ngicc = 0x2C00_2000\n");
    assert_int_equal(p->gic.gicc_base, 0x2C002000);
    refuse(VM "[vm.board]\ngicd = 0x2C00_1000\n", 7, "vm.board.gicd: 0x2c001000 is no multiple of 64 KiB",
           "v2", "");
    assert_int_equal(build(HEAD "memory = \"64M\"\ncpus = 9\n" BOOT)->gic.version,
                     3); // auto, but too many for v2
}

// ---- regions ----

static void test_regions(void **state)
{
    const struct vm_plan *p =
        build(HEAD BOOT "[[vm.memory]]\nbase = 0x8000_0000\nsize = \"64M\"\n"
                        "[[vm.memory]]\nsize = \"32M\"\n"
                        "[[vm.memory]]\nsize = \"4K\"\nkind = \"shared\"\nshare = \"s\"\n"
                        "[[vm.memory]]\nbase = 0\nsize = \"64K\"\nkind = \"rom\"\n");

    (void)state;
    assert_int_equal(p->region_count, 4);
    assert_region(p, 0, 0, KIB(64), REGION_ROM);
    assert_region(p, 1, 0x40000000, MIB(32), REGION_RAM);
    assert_region(p, 2, 0x42000000, KIB(4), REGION_SHARED);
    assert_region(p, 3, 0x80000000, MIB(64), REGION_RAM);
    assert_int_equal(p->regions[0].config_index, 3);
    assert_int_equal(p->regions[3].config_index, 0);
}

static void test_region_placed_around_others(void **state)
{
    const struct vm_plan *p = build(HEAD BOOT "[[vm.memory]]\nsize = \"64M\"\n"
                                              "[[vm.memory]]\nbase = 0x4100_1000\nsize = \"4K\"\n"
                                              "[[vm.memory]]\nbase = 0x4200_0000\nsize = \"2M\"\n");

    (void)state;
    assert_region(p, 2, 0x42200000, MIB(64), REGION_RAM);
}

// ---- refusals ----

static void test_overlaps(void **state)
{
    (void)state;
    refuse(HEAD BOOT "[[vm.memory]]\nbase = 0x4000_0000\nsize = \"64M\"\n[[vm.memory]]\nbase = 0x43FF_F000\n"
                     "size = \"4M\"\n",
           8, "RAM (0x43fff000-0x443fefff)", "overlaps RAM (0x40000000-0x43ffffff)", "change vm.memory.base");
    refuse(HEAD BOOT "[[vm.memory]]\nbase = 0x08F0_0000\nsize = \"2M\"\n[vm.board]\nrtc = 0x2000_0000\n", 5,
           "uart0 (0x9000000-0x9000fff) overlaps", "RAM (0x8f00000-0x90fffff)",
           "vm.board.uart or vm.memory.base");
    refuse(VM "[vm.board]\nuart = 0x4000_0000\n", 7, "uart0 (0x40000000-0x40000fff) overlaps",
           "RAM (0x40000000-0x43ffffff)", "change vm.board.uart or vm.memory");
    refuse(VM "[vm.board]\nuart = 0x0901_0000\n", 7, "rtc0 (0x9010000-0x9010fff) overlaps uart0",
           "vm.board.rtc", "vm.board.uart");
    refuse(VM "[vm.board]\nrtc = 0x0A00_3000\n", 7, "rtc0", "virtio slots (0xa000000-0xa003fff)",
           "vm.board.virtio");
    refuse(VM "[[vm.device]]\nmodel = \"virtio-console\"\nbase = 0x0A00_0200\nirq = 70\n", 8, "hvc0",
           "virtio slots", "vm.device.base");
    refuse(VM "[vm.board]\ngicc = 0x0800_0000\n", 7, "GICC", "GICD", "gic = \"v3\"");
    refuse(VM "[vm.board]\nvirtio = 0xFF_FFFF_FE00\n", 7, "virtio slots at 0xfffffffe00 ends beyond",
           "40 bits", "");
}

static void test_neighbours_touch(void **state)
{
    (void)state;
    (void)build(VM "[vm.board]\nuart = 0x3FFF_F000\n"); // ends where RAM starts
    (void)build(VM "[vm.board]\nuart = 0x4400_0000\n"); // starts where it ends
    (void)build(VM "[vm.board]\nrtc = 0x0900_1000\n");
}

static void test_gicr_into_uart(void **state)
{
    char text[500];

    (void)state;
    refuse(VM "[vm.board]\ngicr = 0x08FF_0000\n", 7,
           "the redistributors (2 frames of 64 KiB for each of 1 vCPU",
           "0x8ff0000-0x900ffff) run into uart0 (0x9000000-0x9000fff)",
           "set vm.board.gicr to where 128 KiB are free, or change vm.board.uart");
    // The default map has room for 123 vCPUs.
    (void)snprintf(text, sizeof(text), HEAD "memory = \"64M\"\ncpus = %u\n" BOOT, 123);
    (void)build(text);
    (void)snprintf(text, sizeof(text), HEAD "memory = \"64M\"\ncpus = %u\n" BOOT, 124);
    refuse(text, 4, "each of 124 vCPUs: 0x80a0000-0x901ffff) run into", "uart0", "15872 KiB are free");
}

// The foreign map, and what happens when the redistributors are put where two devices leave too little room.
#define FOREIGN                                                                                           \
    HEAD BOOT "[[vm.memory]]\nbase = 0x0\nsize = \"256M\"\n[[vm.memory]]\nbase = 0x8000_0000\n"           \
              "size = \"128M\"\n[vm.board]\ngicd = 0x4000_0000\ngicc = 0x4001_0000\nuart = 0x4002_0000\n" \
              "virtio = 0x4003_0000\nrtc = 0x4003_8000\n"

static void test_foreign_map(void **state)
{
    const struct vm_plan *p = build(FOREIGN "gicr = 0x4004_0000\n");

    (void)state;
    assert_region(p, 0, 0, MIB(256), REGION_RAM);
    assert_region(p, 1, 0x80000000, MIB(128), REGION_RAM);
    assert_int_equal(p->gic.gicr_base, 0x40040000);
    assert_device(p, "uart0", 0x40020000, 0x1000, 33);
    assert_int_equal(p->virtio_base, 0x40030000);
    refuse(FOREIGN, 5, "GICR: the redistributors", "overlap RAM (0x0-0xfffffff)", "set vm.board.gicr");
}

static void test_foreign_map_gicr_runs_into_uart(void **state)
{
    (void)state;
    refuse(HEAD "gic = \"v3\"\n" BOOT
                "[[vm.memory]]\nbase = 0x0\nsize = \"256M\"\n[vm.board]\ngicd = 0x4000_0000\n"
                "gicr = 0x4001_0000\nuart = 0x4002_0000\nvirtio = 0x4003_0000\nrtc = 0x4003_8000\n",
           11,
           "GICR: the redistributors (2 frames of 64 KiB for each of 1 vCPU: 0x40010000-0x4002ffff) run into "
           "uart0",
           "set vm.board.gicr to where 128 KiB are free", "vm.board.uart");
}

static void test_irqs(void **state)
{
    (void)state;
    refuse(VM "[vm.board]\nuart_irq = 2\n", 7, "uart0 and rtc0 both use SPI 2", "`irq`", "");
    refuse(VM "[[vm.device]]\nmodel = \"virtio-console\"\nirq = 1\n", 8, "uart0 and hvc0 both use SPI 1", "",
           "");
    refuse(VM "[[vm.device]]\nmodel = \"virtio-console\"\n[vm.board]\nrtc_irq = 16\n", 9,
           "rtc0 and hvc0 both use SPI 16", "", "");
    (void)build(VM "[vm.board]\nrtc_irq = 20\n"); // slot 4 is empty
}

static void test_load_address(void **state)
{
    (void)state;
    (void)build(VM "load = 0x4008_0000\nentry = 0x4008_0000\n");
    refuse(VM "load = 0x3000_0000\n", 5, "vm.boot.load: 0x30000000 is outside the guest's RAM", "", "");
    refuse(VM "entry = 0x4400_0000\n", 5, "vm.boot.entry: 0x44000000 is outside", "", "");
}

// ---- descriptions ----

static void test_describe(void **state)
{
    const struct vm_plan *p =
        build(HEAD BOOT "[[vm.memory]]\nsize = \"64M\"\n[[vm.memory]]\nbase = 0x8000_0000\n"
                        "size = \"4K\"\nkind = \"rom\"\n"
                        "[[vm.device]]\nmodel = \"virtio-blk\"\nbackend = \"fat:/a\"\n");

    (void)state;
    assert_string_equal(plan_describe(p, 0x40000000), "RAM");
    assert_string_equal(plan_describe(p, 0x43FFFFFF), "RAM");
    assert_string_equal(plan_describe(p, 0x44000000), "hole between memory regions");
    assert_string_equal(plan_describe(p, 0x80000FFF), "ROM");
    assert_string_equal(plan_describe(p, 0x80001000), "hole above RAM");
    assert_string_equal(plan_describe(p, UINT64_MAX), "hole above RAM");
    assert_string_equal(plan_describe(p, 0), "hole below RAM");
    assert_string_equal(plan_describe(p, 0x09000FFC), "uart0");
    assert_string_equal(plan_describe(p, 0x0A000100), "vda");
    assert_string_equal(plan_describe(p, 0x0A000200), "empty virtio slot");
    assert_string_equal(plan_describe(p, 0x08000008), "GIC distributor");
    assert_string_equal(plan_describe(p, 0x080A0008), "GIC redistributor");
    assert_string_equal(plan_describe(p, 0x08010008), "GIC CPU interface");
}

static void test_unknown_arch(void **state)
{
    (void)state;
    (void)build(VM);
    assert_int_equal(plan_build(&plan, &config.vms[0], "z80", &errors), E_INVAL);
    assert_string_equal(plan_describe(&plan, 0), "nothing");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_aarch64),
        TEST(test_riscv64),
        TEST(test_x86_64),
        TEST(test_large_memory),
        TEST(test_virtio_slots),
        TEST(test_slots_run_out),
        TEST(test_board_overrides),
        TEST(test_device_overrides),
        TEST(test_gic_versions),
        TEST(test_regions),
        TEST(test_region_placed_around_others),
        TEST(test_overlaps),
        TEST(test_neighbours_touch),
        TEST(test_gicr_into_uart),
        TEST(test_foreign_map),
        TEST(test_foreign_map_gicr_runs_into_uart),
        TEST(test_irqs),
        TEST(test_load_address),
        TEST(test_describe),
        TEST(test_unknown_arch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
