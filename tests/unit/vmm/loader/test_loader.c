// SPDX-License-Identifier: Apache-2.0
//
// vm_load() into real guest memory made of two extents: what a guest finds in RAM, and what is refused and how.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <libfdt.h>

#include "tests/unit/vmm/loader/files.h"
#include "vmm/loader/loader.h"
#include "vmm/loader/source.h"

#define RAM_BASE 0x40000000ull
#define RAM_SIZE MIB(8)
#define START_INFO 0x6000u // of a PC
#define FILE_SIZE 0x5000u

static struct vm vm;
static struct vm_config config;
static uint8_t *backing;
static struct gmem_extent extents[2];
static uint8_t kernel_bytes[FILE_SIZE], initrd_bytes[FILE_SIZE];
static struct file kernel, initrd;
static struct loader_source source;
static struct vcpu_entry entry;
static uint8_t tree[VM_FDT_CAPACITY] __attribute__((aligned(8)));

static void describe(const struct vdev *dev, struct vdev_desc *out)
{
    (void)dev;
    *out = (struct vdev_desc){
        .node = "pl011", .compatible = "arm,pl011", .compatible_len = 10, .is_console = true};
}

static const struct vdev_ops uart_ops = {.model = "uart", .describe = describe};
static struct vdev uart = {.ops = &uart_ops, .name = "uart0"};

static int setup_at(uint64_t ram_base)
{
    struct gmem_region ram = {.base = gpa(ram_base),
                              .size = RAM_SIZE,
                              .kind = GMEM_RAM,
                              .perm = PERM_R | PERM_W | PERM_X,
                              .extent_count = 2,
                              .extents = extents};

    memset(&vm, 0, sizeof(vm));
    memset(&config, 0, sizeof(config));
    if (posix_memalign((void **)&backing, PAGE_SIZE, RAM_SIZE) != 0) {
        return -1;
    }
    memset(backing, 0, RAM_SIZE);
    // Crosswise, so that only correct copies come out right.
    extents[0] = (struct gmem_extent){0, hpa((uintptr_t)backing + MIB(4)), MIB(4)};
    extents[1] = (struct gmem_extent){MIB(4), hpa((uintptr_t)backing), MIB(4)};
    assert_int_equal(gmem_init(&vm.gmem), OK);
    assert_int_equal(gmem_add(&vm.gmem, &ram), OK);
    strcpy(config.name, "test");
    config.cpus = 1;
    vm.config = &config;
    vm.plan.region_count = 1;
    vm.plan.regions[0] = (struct plan_region){.base = ram_base, .size = RAM_SIZE, .kind = REGION_RAM};
    vm.plan.gic.version = 3;
    vm.plan.gic.gicd_base = 0x08000000;
    vm.plan.device_count = 1;
    vm.plan.devices[0] = (struct plan_device){
        .model = MODEL_UART, .name = "uart0", .base = 0x09000000, .size = 0x1000, .irq = 33};
    list_init(&vm.devices);
    list_init(&uart.node);
    list_push_back(&vm.devices, &uart.node);
    for (unsigned i = 0; i < FILE_SIZE; i++) {
        kernel_bytes[i] = (uint8_t)(i * 3 + 1);
        initrd_bytes[i] = (uint8_t)(i * 5 + 2);
    }
    put_arm64_header(kernel_bytes, 0, 0x9000);
    kernel = (struct file){.data = kernel_bytes, .size = FILE_SIZE};
    initrd = (struct file){.data = initrd_bytes, .size = FILE_SIZE - 123};
    source = (struct loader_source){
        .kernel = file_source(&kernel), .initrd = file_source(&initrd), .arch = "aarch64"};
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_at(RAM_BASE);
}

static int setup_pc(void **state)
{
    int failed = setup_at(0);

    (void)state;
    source.arch = "x86_64";
    vm.plan.fixed_count = 2;
    vm.plan.fixed[0] = (struct plan_fixed){"local APIC", 0xFEE00000, 0x1000};
    vm.plan.fixed[1] = (struct plan_fixed){"I/O APIC", 0xFEC00000, 0x1000};
    memset(kernel_bytes, 0x90, 64); // without a header
    return failed;
}

static int teardown(void **state)
{
    (void)state;
    gmem_destroy(&vm.gmem);
    free(backing);
    return 0;
}

static void load(void)
{
    enum status st = vm_load(&vm, &source, &entry);

    if (st != OK) {
        fail_msg("%s: %s", status_name(st), vm.fault);
    }
    assert_int_equal(gmem_read(&vm.gmem, gpa(entry.arg), tree, sizeof(tree), NULL), OK);
    assert_int_equal(fdt_check_full(tree, sizeof(tree)), 0);
}

static void refused(enum status st, const char *part)
{
    assert_int_equal(vm_load(&vm, &source, &entry), st);
    if (!strstr(vm.fault, part)) {
        fail_msg("\"%s\" does not say \"%s\"", vm.fault, part);
    }
}

static void expect_ram(uint64_t at, const uint8_t *bytes, uint64_t len)
{
    static uint8_t got[FILE_SIZE];

    assert_int_equal(gmem_read(&vm.gmem, gpa(at), got, len, NULL), OK);
    assert_memory_equal(got, bytes, len);
}

static uint64_t chosen_u64(const char *name)
{
    const fdt64_t *v = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), name, NULL);

    return v ? fdt64_ld(v) : 0;
}

static void test_linux(void **state)
{
    uint64_t start;

    (void)state;
    load();
    assert_int_equal(entry.pc, RAM_BASE);
    expect_ram(RAM_BASE, kernel_bytes, FILE_SIZE);
    start = chosen_u64("linux,initrd-start");
    assert_int_equal(chosen_u64("linux,initrd-end") - start, initrd.size);
    expect_ram(start, initrd_bytes, initrd.size);
    assert_true(fdt_path_offset(tree, "/pl011@9000000") > 0);
    assert_string_equal(vm.fault, "");
}

static void test_across_extents(void **state)
{
    (void)state;
    config.boot.has_load = true;
    config.boot.load = RAM_BASE + MIB(4) - 0x1000;
    load();
    assert_int_equal(entry.pc, config.boot.load);
    expect_ram(config.boot.load, kernel_bytes, FILE_SIZE);
}

static void test_raw_without_initrd(void **state)
{
    (void)state;
    put32(kernel_bytes, 0xd503201f);
    put32(kernel_bytes + 56, 0);
    source.initrd = (struct image_source){0};
    load();
    assert_int_equal(entry.pc, RAM_BASE + KIB(512));
    assert_int_equal(entry.arg, RAM_BASE);
    assert_int_equal(chosen_u64("linux,initrd-start"), 0);
}

static void test_elf_clears_bss(void **state)
{
    const struct elf_segment seg = {0x1000, RAM_BASE + 0x2000, RAM_BASE + 0x2000, 0x100, 0x3000};

    (void)state;
    put_elf(kernel_bytes, RAM_BASE + 0x2008, &seg, 1);
    memset(backing, 0xff, RAM_SIZE);
    load();
    assert_int_equal(entry.pc, RAM_BASE + 0x2008);
    expect_ram(RAM_BASE + 0x2000, kernel_bytes + 0x1000, 0x100);
    memset(kernel_bytes, 0, sizeof(kernel_bytes));
    expect_ram(RAM_BASE + 0x2100, kernel_bytes, 0x2f00);
}

static void test_users_tree(void **state)
{
    static uint8_t bytes[4096];
    struct file dtb = {.data = bytes};
    int e = fdt_create(bytes, sizeof(bytes));

    (void)state;
    e |= fdt_finish_reservemap(bytes);
    e |= fdt_begin_node(bytes, "");
    e |= fdt_property_u32(bytes, "#address-cells", 2);
    e |= fdt_property_u32(bytes, "#size-cells", 2);
    e |= fdt_property_string(bytes, "model", "theirs");
    e |= fdt_end_node(bytes);
    e |= fdt_finish(bytes);
    assert_int_equal(e, 0);
    dtb.size = fdt_totalsize(bytes);
    source.dtb = file_source(&dtb);
    load();
    assert_string_equal((const char *)fdt_getprop(tree, 0, "model", NULL), "theirs");
    assert_true(fdt_path_offset(tree, "/memory@40000000") > 0);
    dtb.size -= 8;
    source.dtb = file_source(&dtb);
    refused(E_CORRUPT, "cannot be used");
    source.dtb.size = VM_FDT_USER_MAX + 1;
    refused(E_RANGE, "too big for a device tree");
}

static void test_refusals(void **state)
{
    (void)state;
    source.kernel.size = 0;
    refused(E_CORRUPT, "test is empty");
    source.kernel.size = FILE_SIZE;
    put_arm64_header(kernel_bytes, 0, MIB(9));
    refused(E_NOMEM, "does not fit in the guest's RAM (0x40000000-0x407fffff)");
    put_arm64_header(kernel_bytes, 0, 0x9000);
    source.initrd.size = MIB(7);
    refused(E_NOMEM, "an initrd");
    source.initrd.size = initrd.size;
    initrd.fail_after = 1;
    initrd.reads = 1;
    refused(E_IO, "cannot be loaded");
    initrd.fail_after = 0;
    memcpy(kernel_bytes, "\x1f\x8b\x08\0\0\0\0\0\0\0", 10);
    refused(E_CORRUPT, "");
}

// No device tree: start_info, and the mode of the boot vCPU.
static void test_pc(void **state)
{
    uint64_t info[7];
    char cmdline[16];

    (void)state;
    strcpy(config.boot.cmdline, "run=status");
    if (vm_load(&vm, &source, &entry) != OK) {
        fail_msg("%s", vm.fault);
    }
    assert_int_equal(entry.pc, MIB(1));
    assert_int_equal(entry.arg, START_INFO);
    assert_int_equal(entry.mode, IMAGE_MODE_FLAT32);
    expect_ram(MIB(1), kernel_bytes, FILE_SIZE);
    assert_int_equal(gmem_read(&vm.gmem, gpa(START_INFO), info, sizeof(info), NULL), OK);
    assert_int_equal(info[0], UINT64_C(1) << 32 | 0x336ec578);
    assert_int_equal(gmem_read(&vm.gmem, gpa(info[3]), cmdline, sizeof(cmdline), NULL), OK);
    assert_string_equal(cmdline, "run=status");
    assert_int_equal(gmem_read(&vm.gmem, gpa(info[2]), info, 16, NULL), OK);
    expect_ram(info[0], initrd_bytes, info[1]);
    assert_int_equal(info[1], initrd.size);
}

static void test_pc_real_mode(void **state)
{
    (void)state;
    source.initrd = (struct image_source){0};
    config.boot.has_load = config.boot.has_entry = true;
    config.boot.load = 0x7c00;
    config.boot.entry = 0x7c10;
    if (vm_load(&vm, &source, &entry) != OK) {
        fail_msg("%s", vm.fault);
    }
    assert_int_equal(entry.pc, 0x7c10);
    assert_int_equal(entry.mode, IMAGE_MODE_REAL);
    expect_ram(0x7c00, kernel_bytes, FILE_SIZE);
    config.boot.entry = 0x7c08;
    refused(E_CONFIG, "no multiple of 16");
    config.boot.has_entry = false;
    config.boot.load = 0x9c000;
    refused(E_RANGE, "ends at 0xa1000");
}

// A bzImage whose setup sectors take 0xA00 bytes.
static void test_pc_linux(void **state)
{
    (void)state;
    kernel_bytes[0x1f1] = 4;
    put32(kernel_bytes + 0x1f4, (FILE_SIZE - 0xa00) / 16);
    put16(kernel_bytes + 0x1fe, 0xaa55);
    kernel_bytes[0x201] = 0x6a;
    memcpy(kernel_bytes + 0x202, "HdrS", 4);
    put16(kernel_bytes + 0x206, 0x20f);
    kernel_bytes[0x211] = 1;
    put32(kernel_bytes + 0x22c, UINT32_MAX);
    put32(kernel_bytes + 0x230, MIB(2));
    kernel_bytes[0x234] = 1;
    put16(kernel_bytes + 0x236, 1);
    put64(kernel_bytes + 0x258, MIB(2));
    put32(kernel_bytes + 0x260, MIB(1));
    if (vm_load(&vm, &source, &entry) != OK) {
        fail_msg("%s", vm.fault);
    }
    assert_int_equal(entry.pc, MIB(2) + 0x200);
    assert_int_equal(entry.arg, 0x7000);
    assert_int_equal(entry.mode, IMAGE_MODE_LINUX64);
    expect_ram(MIB(2), kernel_bytes + 0xa00, FILE_SIZE - 0xa00);
    config.boot.has_load = true;
    config.boot.load = 0;
    refused(E_RANGE, "below 1 MiB");
}

static void test_pc_without_trees(void **state)
{
    (void)state;
    source.dtb = file_source(&initrd);
    refused(E_CONFIG, "is a device tree");
}

static void test_open(void **state)
{
    (void)state;
    strcpy(config.boot.kernel, "nowhere/kernel");
    config.boot.source = BOOT_EMBED;
    assert_int_equal(loader_open(&vm, &source), E_NOENT);
    assert_non_null(strstr(vm.fault, "vm.boot.kernel: 'nowhere/kernel'"));
    config.boot.kernel[0] = 0;
    assert_int_equal(loader_open(&vm, &source), OK);
    assert_int_equal(source.kernel.size, 0);
    source_from_memory(&source.kernel, "m", kernel_bytes, FILE_SIZE);
    load();
    expect_ram(RAM_BASE, kernel_bytes, FILE_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_linux, setup, teardown),
        cmocka_unit_test_setup_teardown(test_across_extents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_raw_without_initrd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_clears_bss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pc, setup_pc, teardown),
        cmocka_unit_test_setup_teardown(test_pc_real_mode, setup_pc, teardown),
        cmocka_unit_test_setup_teardown(test_pc_linux, setup_pc, teardown),
        cmocka_unit_test_setup_teardown(test_pc_without_trees, setup_pc, teardown),
        cmocka_unit_test_setup_teardown(test_open, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
