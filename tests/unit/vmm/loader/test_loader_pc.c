// SPDX-License-Identifier: Apache-2.0
//
// What a PC guest finds in low memory, by the boot protocol of its kernel, and places that no PC guest can start from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vmm/loader/files.h"
#include "vmm/firmware/pc_linux.h"
#include "vmm/firmware/pc_multiboot.h"
#include "vmm/firmware/pc_start_info.h"
#include "vmm/firmware/pc_tables.h"
#include "vmm/loader/loader_pc.h"

static uint8_t low[MIB(1)]; // guest RAM that may be written
static uint8_t bounce[KIB(64)];
static struct ram ram;
static struct vm_config config;
static struct vm_plan plan;
static struct image image;
static struct layout layout;
static struct load_error error;
static uint64_t arg;
static const struct image_sink sink = {ram_write, ram_zero, &ram, bounce, sizeof(bounce)};
static struct loader_pc_input in = {&config, &plan, &image, &layout, NULL, &sink};

static int setup(void **state)
{
    (void)state;
    memset(low, 0, sizeof(low));
    memset(&config, 0, sizeof(config));
    memset(&plan, 0, sizeof(plan));
    ram = (struct ram){0, sizeof(low), low};
    config.cpus = 2;
    strcpy(config.boot.cmdline, "quiet");
    plan.region_count = 2;
    plan.regions[0] = (struct plan_region){.base = 0, .size = GIB(3), .kind = REGION_RAM};
    plan.regions[1] = (struct plan_region){.base = GIB(4), .size = GIB(1), .kind = REGION_RAM};
    plan.fixed_count = 2;
    plan.fixed[0] = (struct plan_fixed){"local APIC", 0xFEE00000, 0x1000};
    plan.fixed[1] = (struct plan_fixed){"I/O APIC", 0xFEC00000, 0x1000};
    plan.device_count = 1;
    plan.devices[0] =
        (struct plan_device){.model = MODEL_UART, .base = 0x3F8, .size = 8, .irq = 4, .port = true};
    image =
        (struct image){.mode = IMAGE_MODE_LINUX64, .initrd_max = 0x7FFFFFFF, .setup_size = IMAGE_SETUP_MAX};
    memset(image.setup, 0x5A, sizeof(image.setup));
    layout =
        (struct layout){.kernel = MIB(16), .kernel_size = MIB(48), .initrd = MIB(64), .initrd_size = MIB(1)};
    return 0;
}

static uint64_t get(uint64_t at, unsigned bytes)
{
    uint64_t v = 0;

    memcpy(&v, low + at, bytes);
    return v;
}

static void writes(void)
{
    enum status st = loader_pc_write(&in, &arg, &error);

    if (st != OK) {
        fail_msg("%s", error.text);
    }
    assert_memory_equal(low + PC_TABLES_BASE, "RSD PTR ", 8);
    assert_memory_equal(low + PC_MP_POINTER, "_MP_", 4);
    if (image.mode != IMAGE_MODE_REAL) {
        assert_int_equal(get(0x40E, 2) << 4, PC_MP_POINTER);
        assert_int_equal(get(0x413, 2), 639);
    }
}

static void refused(enum status st, const char *part)
{
    assert_int_equal(loader_pc_check(&plan, &image, &layout, &error), st);
    if (!strstr(error.text, part)) {
        fail_msg("\"%s\" does not say \"%s\"", error.text, part);
    }
    (void)setup(NULL);
}

static void test_linux(void **state)
{
    (void)state;
    writes();
    assert_int_equal(arg, PC_ZERO_PAGE);
    assert_int_equal(low[PC_ZERO_PAGE + 0x1F1], 0x5A);
    assert_int_equal(get(PC_ZERO_PAGE + 0x70, 8), PC_TABLES_BASE);
    assert_int_equal(get(PC_ZERO_PAGE + 0x218, 4), MIB(64));
    assert_string_equal((char *)low + get(PC_ZERO_PAGE + 0x228, 4), "quiet console=ttyS0");
    assert_int_equal(get(PC_ZERO_PAGE + 0x250, 8), 0);
    assert_int_equal(get(0x9000, 8), 0xA003);
    assert_int_equal(get(0xA018, 8), 0xE003);
    assert_int_equal(get(0xEFF8, 8), GIB(4) - MIB(2) + 0x83);
}

static void test_seed(void **state)
{
    static const uint8_t seed[40] = {1, 2, 3, [31] = 32, [32] = 99};

    (void)state;
    in.seed = seed;
    writes();
    in.seed = NULL;
    assert_int_equal(get(PC_ZERO_PAGE + 0x250, 8), PC_SETUP_DATA);
    assert_int_equal(get(PC_SETUP_DATA, 8), 0); // the only one
    assert_int_equal(get(PC_SETUP_DATA + 8, 4), 9);
    assert_int_equal(get(PC_SETUP_DATA + 12, 4), 32);
    assert_memory_equal(low + PC_SETUP_DATA + 16, seed, 32);
    assert_int_equal(low[PC_SETUP_DATA + 48], 0);
}

static void test_start_info(void **state)
{
    (void)state;
    image.mode = IMAGE_MODE_FLAT32;
    writes();
    assert_int_equal(arg, PC_START_INFO);
    assert_int_equal(get(PC_START_INFO, 4), 0x336ec578);
    assert_int_equal(get(PC_START_INFO + 32, 8), PC_TABLES_BASE);
    assert_string_equal((char *)low + get(PC_START_INFO + 24, 8), "quiet");
    assert_int_equal(get(0x9000, 8), 0);
}

static void test_multiboot(void **state)
{
    (void)state;
    image.mode = IMAGE_MODE_FLAT32;
    image.multiboot = true;
    writes();
    assert_int_equal(arg, PC_MULTIBOOT);
    assert_int_equal(get(arg, 4), 0x24D);                        // memory, command line, module, map, loader
    assert_int_equal(get(arg + 4, 4), PC_LOW_RAM_END / 1024);    // below 1 MiB, KiB
    assert_int_equal(get(arg + 8, 4), (GIB(3) - MIB(1)) / 1024); // above
    assert_string_equal((char *)low + get(arg + 16, 4), "quiet");
    assert_int_equal(get(arg + 20, 4), 1);
    assert_int_equal(get(get(arg + 24, 4), 8), MIB(64) | (MIB(64) + MIB(1)) << 32);
    assert_int_equal(get(arg + 44, 4), 4 * 24);
    assert_int_equal(get(get(arg + 48, 4), 4), 20);
    assert_int_equal(get(get(arg + 48, 4) + 3 * 24 + 4, 8), GIB(4));
    assert_string_equal((char *)low + get(arg + 64, 4), "Lodge");
    config.boot.cmdline[0] = 0;
    layout.initrd_size = 0;
    writes();
    assert_int_equal(get(arg, 4) & 4, 0);
    assert_int_equal(get(arg + 20, 4), 0);
}

static void test_real_mode(void **state)
{
    (void)state;
    image.mode = IMAGE_MODE_REAL;
    layout = (struct layout){.kernel = 0x7C00, .kernel_size = PC_LOW_RAM_END - 0x7C00};
    assert_int_equal(loader_pc_check(&plan, &image, &layout, &error), OK);
    writes();
    assert_int_equal(arg, 0);
    for (unsigned i = 0; i < PC_LOW_RAM_END; i++) { // all its own
        assert_int_equal(low[i], 0);
    }
    layout.kernel_size++;
    refused(E_RANGE, "has room up to 0x9fc00");
    image.mode = IMAGE_MODE_REAL;
    layout = (struct layout){.kernel = 0x7C00, .kernel_size = 512, .initrd = 0x8000, .initrd_size = 512};
    refused(E_RANGE, "no room for its initrd above 1 MiB");
}

static void test_cannot_be_written(void **state)
{
    (void)state;
    ram.size = PC_MP_POINTER;
    assert_int_equal(loader_pc_write(&in, &arg, &error), E_RANGE);
    assert_non_null(strstr(error.text, "cannot be made"));
    ram.size = sizeof(low);
    plan.fixed_count = 0;
    assert_int_equal(loader_pc_write(&in, &arg, &error), E_INVAL);
}

static void test_places(void **state)
{
    (void)state;
    assert_int_equal(loader_pc_check(&plan, &image, &layout, &error), OK);
    layout.kernel = MIB(1) - 1;
    refused(E_RANGE, "below 1 MiB");
    layout.kernel = GIB(4);
    refused(E_RANGE, "beyond 4 GiB");
    layout.initrd = GIB(2) - MIB(1) + 1;
    refused(E_RANGE, "up to 0x7fffffff only");
    layout.initrd = GIB(4);
    image.initrd_max = 0;
    refused(E_RANGE, "up to 0xffffffff only");
    plan.regions[0].base = KIB(4);
    refused(E_CONFIG, "no RAM at 0");
    plan.regions[0].size = MIB(1) - 1;
    refused(E_CONFIG, "no RAM at 0");
    layout.initrd = GIB(2) - MIB(1);
    assert_int_equal(loader_pc_check(&plan, &image, &layout, &error), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux, setup),      cmocka_unit_test_setup(test_seed, setup),
        cmocka_unit_test_setup(test_start_info, setup), cmocka_unit_test_setup(test_multiboot, setup),
        cmocka_unit_test_setup(test_real_mode, setup),  cmocka_unit_test_setup(test_cannot_be_written, setup),
        cmocka_unit_test_setup(test_places, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
